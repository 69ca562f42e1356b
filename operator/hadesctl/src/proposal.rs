//! A change of what git owns, made in git: as a patch that is printed, or a commit on a
//! branch that is pushed. By the person's own git, with its settings and credentials;
//! Hades's are no use here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use hades_api::ConfigRepositorySpec;
use hades_client::ownership::{Ownership, field_changes};
use hades_client::{catalog, object};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;
use tempfile::TempDir;

use crate::change;
use crate::context::Context;
use crate::error::Error;
use crate::manifest_edit::{self, Subject};
use crate::output;
use crate::target::Target;

/// The transports of a repository that are used, as git names them. Others run
/// programs (`ext::`), and the URL is what somebody else wrote.
const TRANSPORTS: &str = "file:http:https:ssh";

/// The largest manifest that is edited (bytes).
const LARGEST: u64 = 4 << 20;

/// What to do with an object that a repository owns: change it there.
#[derive(Debug, Clone, Default, Args)]
pub struct ProposalFlags {
    /// Commit the change to the repository that owns this: on a new branch, pushed with your git
    #[arg(long, conflicts_with_all = ["patch", "override_until", "wait"])]
    pub commit: bool,

    /// Print the change as a patch of the repository that owns this, for `git apply`
    #[arg(long, conflicts_with_all = ["override_until", "wait"])]
    pub patch: bool,
}

impl ProposalFlags {
    /// Whether it is to be made in git.
    pub fn is_wanted(&self) -> bool {
        self.commit || self.patch
    }
}

/// What a refusal to change what git owns has to add where it can be changed there.
pub fn offered(error: Error) -> Error {
    match error {
        Error::Incomplete { message, hint: Some(hint) } => Error::Incomplete {
            message,
            hint: Some(format!(
                "{hint}\n  or pass --commit, to push it as a branch with your own git, or --patch, \
                 to have it as a patch"
            )),
        },
        other => other,
    }
}

/// A change in a clone, which nobody else sees yet.
pub struct Prepared {
    clone: Clone,
    source: Source,
    by_hand: String,
    result: Prospect,
}

/// What there is to publish.
enum Prospect {
    /// Nothing: the repository of that name says so already.
    Nothing(String),
    Patch(String),
    Branch(String),
}

/// Makes a change in a clone of the repository that owns the object. `subject` is the
/// first line of the commit.
///
/// # Errors
/// When no repository owns it, it can't be fetched by the person, or the file is one
/// that only people edit: then with what to change there.
pub async fn prepare(
    context: &Context,
    target: &Target,
    before: &DynamicObject,
    patch: &Value,
    flags: &ProposalFlags,
    subject: &str,
) -> Result<Prepared, Error> {
    let Some(ownership) = Ownership::of(before, context.now()) else {
        return Err(Error::usage(
            format!("{target} belongs to no repository, so there is none to commit to"),
            "leave --commit and --patch away",
        ));
    };
    let by_hand = by_hand(&ownership, before, patch)?;
    let source = Source::find(context, &ownership, &by_hand).await?;
    let clone = Clone::make(&source.url, &source.branch, &by_hand)?;
    let file = clone.file(&source, &by_hand)?;
    let text = read(&file)?;
    let named = Subject {
        kind: &target.kind.resource.kind,
        namespace: target.namespace.as_deref(),
        name: &target.name,
    };
    let edited = manifest_edit::edit(&source.file, &text, named, patch);
    let edited = edited.map_err(|error| Error::Incomplete {
        message: format!("{} of {} can't be edited: {error}", source.file, ownership.owner),
        hint: Some(by_hand.clone()),
    })?;
    let result = if edited == text {
        Prospect::Nothing(ownership.owner.to_string())
    } else {
        std::fs::write(&file, &edited).map_err(failed("write", &file))?;
        clone.record(&file, flags, subject, &branch_name(target, context.now()), &by_hand)?
    };
    Ok(Prepared { clone, source, by_hand, result })
}

impl Prepared {
    /// Whether there is nothing to publish.
    pub fn is_so_already(&self) -> bool {
        matches!(self.result, Prospect::Nothing(_))
    }

    /// Prints the patch, or pushes the branch.
    ///
    /// # Errors
    /// When git fails: then with what to change in the repository.
    pub fn publish(self, context: &Context) -> Result<(), Error> {
        let Self { clone, source, by_hand, result } = self;
        let branch = match result {
            Prospect::Nothing(owner) => {
                return context.terminal.line(&format!(
                    "{owner} says so already in {}: its next sync brings it here",
                    source.branch
                ));
            }
            Prospect::Patch(patch) => return context.terminal.print(&patch),
            Prospect::Branch(branch) => branch,
        };
        context.terminal.flush()?;
        clone.show(&["push", "--quiet", "origin", &branch], &by_hand)?;
        context.terminal.line(&format!(
            "pushed as branch {branch} to {}: merge it into {}, and the next sync brings it here",
            source.url, source.branch
        ))
    }
}

/// What is to be changed, for people.
fn by_hand(ownership: &Ownership, before: &DynamicObject, patch: &Value) -> Result<String, Error> {
    let old = output::value(before, false)?;
    let mut new = old.clone();
    change::apply(&mut new, patch);
    let text = ownership.as_commit(&field_changes(&old, &new));
    Ok(text.replace('\n', "\n  "))
}

/// Where the manifest is.
struct Source {
    url: String,
    branch: String,
    /// The file, as Hades tells it.
    file: String,
    /// The folder of the repository that is read.
    folder: Option<String>,
}

impl Source {
    async fn find(context: &Context, owner: &Ownership, by_hand: &str) -> Result<Self, Error> {
        let refuse = |message: String| Error::Incomplete {
            message: format!("{message}, so the change is yours to make"),
            hint: Some(by_hand.to_owned()),
        };
        let Some(file) = &owner.file else {
            return Err(refuse("nothing says which file it is from".to_owned()));
        };
        let session = context.session().await?;
        let (namespace, name) = owner.owner.label.split_once('.').unwrap_or_default();
        let kind = catalog::config_repository();
        let found = match object::get(session, &kind, Some(namespace), name).await {
            Ok(found) => found,
            Err(error) if error.is_forbidden() => {
                return Err(refuse(format!(
                    "you may not read the ConfigRepository {}, which says where it is",
                    owner.owner
                )));
            }
            Err(error) => return Err(error.into()),
        };
        let spec = found.and_then(|found| {
            serde_json::from_value::<ConfigRepositorySpec>(found.data.get("spec")?.clone()).ok()
        });
        let Some(spec) = spec else {
            return Err(refuse(format!("there is no ConfigRepository {}", owner.owner)));
        };
        let Some(branch) = spec.followed_branch() else {
            return Err(refuse(format!("{} follows no branch", owner.owner)));
        };
        Ok(Self {
            branch: branch.to_owned(),
            file: file.clone(),
            folder: spec.path.clone(),
            url: spec.url,
        })
    }
}

/// A clone that is gone when this is.
struct Clone {
    folder: TempDir,
}

impl Clone {
    fn make(url: &str, branch: &str, by_hand: &str) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("hadesctl-")
            .tempdir()
            .map_err(failed("make", &std::env::temp_dir()))?;
        let clone = Self { folder };
        // `--` ends the options: a URL is never one. Long forms with `=` for the rest.
        let branch = format!("--branch={branch}");
        let words = ["clone", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"];
        let words = [&words[..], &[&branch, "--", url, "."]].concat();
        clone.show(&words, by_hand)?;
        Ok(clone)
    }

    /// The file that the object is in. Nothing outside of the clone is ever written, by
    /// whatever names or links.
    fn file(&self, source: &Source, by_hand: &str) -> Result<PathBuf, Error> {
        let root = self.folder.path().canonicalize().map_err(failed("read", self.folder.path()))?;
        let folder = source.folder.as_deref().unwrap_or_default();
        let folder = folder.trim_start_matches('/');
        let places = [root.join(&source.file), root.join(folder).join(&source.file)];
        let inside = |path: &PathBuf| {
            let resolved = path.canonicalize().ok()?;
            let is_file = resolved.is_file() && resolved == *path;
            (is_file && resolved.starts_with(&root) && !resolved.starts_with(root.join(".git")))
                .then_some(resolved)
        };
        let clean = |path: &PathBuf| path.components().collect::<PathBuf>();
        places.iter().map(clean).find_map(|path| inside(&path)).ok_or_else(|| Error::Incomplete {
            message: format!("there is no file {} in {}", source.file, source.branch),
            hint: Some(by_hand.to_owned()),
        })
    }

    /// Makes a patch or a commit of one file. What else git finds changed, by its settings
    /// or hooks, is none of it.
    fn record(
        &self,
        file: &Path,
        flags: &ProposalFlags,
        subject: &str,
        branch: &str,
        by_hand: &str,
    ) -> Result<Prospect, Error> {
        let root = self.folder.path().canonicalize().map_err(failed("read", self.folder.path()))?;
        let path = file.strip_prefix(&root).unwrap_or(file).to_string_lossy();
        if flags.patch {
            // As `git apply` takes it, whatever the settings are.
            let words = [
                "diff",
                "--no-color",
                "--no-ext-diff",
                "--no-textconv",
                "--src-prefix=a/",
                "--dst-prefix=b/",
                "--",
                &path,
            ];
            return self.run(&words, by_hand).map(Prospect::Patch);
        }
        self.run(&["switch", "--quiet", "--create", branch], by_hand)?;
        self.run(&["commit", "--quiet", "--message", subject, "--", &path], by_hand)?;
        Ok(Prospect::Branch(branch.to_owned()))
    }

    fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new("git");
        command.args(words).current_dir(self.folder.path());
        command.env("GIT_ALLOW_PROTOCOL", TRANSPORTS);
        // A name with `*` is that of a file.
        command.env("GIT_LITERAL_PATHSPECS", "1");
        // Of the repository that hadesctl was called in, by a hook of it.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs git, and returns what it prints.
    fn run(&self, words: &[&str], by_hand: &str) -> Result<String, Error> {
        let mut command = self.command(words);
        let output = command.stderr(Stdio::inherit()).output().map_err(no_git)?;
        if !output.status.success() {
            return Err(git_failed(words, by_hand));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs git at the terminal, where it may ask for what it needs.
    fn show(&self, words: &[&str], by_hand: &str) -> Result<(), Error> {
        let status = self.command(words).stdout(Stdio::null()).status().map_err(no_git)?;
        if status.success() { Ok(()) } else { Err(git_failed(words, by_hand)) }
    }
}

fn no_git(source: std::io::Error) -> Error {
    failed("run", Path::new("git"))(source)
}

fn git_failed(words: &[&str], by_hand: &str) -> Error {
    Error::Incomplete {
        message: format!(
            "`git {}` failed, so nothing was committed to the repository",
            words.first().unwrap_or(&"")
        ),
        hint: Some(by_hand.to_owned()),
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { verb, path, source }
}

fn read(path: &Path) -> Result<String, Error> {
    let length = std::fs::metadata(path).map_err(failed("read", path))?.len();
    if length > LARGEST {
        let large =
            std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 4 MiB");
        return Err(failed("read", path)(large));
    }
    std::fs::read_to_string(path).map_err(failed("read", path))
}

/// A name that no other branch has: of what is changed, and when.
fn branch_name(target: &Target, now: Timestamp) -> String {
    let project = target.namespace.as_deref().unwrap_or_default();
    let time = now.strftime("%Y%m%d-%H%M%S");
    format!("hadesctl/{}", [project, &target.name, &time.to_string()].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_named_for_what_is_changed() {
        let target = Target {
            kind: catalog::environment(),
            namespace: Some("shop".to_owned()),
            name: "production".to_owned(),
        };
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(branch_name(&target, now), "hadesctl/shop-production-20260102-030405");
    }

    fn source(file: &str, folder: Option<&str>) -> Source {
        Source {
            url: String::new(),
            branch: "main".to_owned(),
            file: file.to_owned(),
            folder: folder.map(str::to_owned),
        }
    }

    #[test]
    fn nothing_outside_of_the_clone_is_opened() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("a.yaml"), "").unwrap();
        let clone = Clone { folder: tempfile::tempdir().unwrap() };
        let root = clone.folder.path();
        std::fs::create_dir_all(root.join("apps/.git")).unwrap();
        std::fs::create_dir(root.join(".git")).unwrap();
        for file in ["b.yaml", "apps/c.yaml", ".git/config"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
        std::os::unix::fs::symlink("b.yaml", root.join("d.yaml")).unwrap();
        for (file, folder) in
            [("b.yaml", None), ("apps/c.yaml", Some("apps")), ("c.yaml", Some("./apps"))]
        {
            assert!(clone.file(&source(file, folder), "").is_ok(), "{file} {folder:?}");
        }
        let absolute = outside.path().join("a.yaml").display().to_string();
        let above = format!("../{}/a.yaml", outside.path().file_name().unwrap().display());
        for file in
            ["link/a.yaml", "d.yaml", ".git/config", "apps", "nothing.yaml", &absolute, &above]
        {
            assert!(clone.file(&source(file, None), "").is_err(), "{file}");
        }
    }

    #[test]
    fn a_url_is_no_option_and_runs_no_program() {
        for url in ["--upload-pack=touch pwned", "ext::sh -c touch% pwned"] {
            assert!(Clone::make(url, "main", "").is_err(), "{url}");
        }
    }
}
