//! `hadesctl edit`.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use hades_client::object;
use hades_source::manifest::{Document, Limits, ManifestError, read_bytes};
use kube::api::DynamicObject;
use kube::core::Status;
use serde_json::Value;

use crate::change::{self, OverrideFlags};
use crate::context::Context;
use crate::error::Error;
use crate::manifest;
use crate::output;
use crate::target::{self, Search, Target};

/// Name of the edited text in messages about its lines.
const NAME: &str = "edited";

/// Change an object in an editor
///
/// The editor is what VISUAL or EDITOR say, else vi. What can't be saved is opened
/// again with the reasons on top; a text left as it is changes nothing.
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT, KIND NAME or KIND/[PROJECT/]NAME
    #[arg(required = true, num_args = 1..=2, value_name = "TARGET")]
    target: Vec<String>,

    #[command(flatten)]
    overriding: OverrideFlags,
}

/// Edits the object.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let targets = target::targets(context, &arguments.target, Search::AllProjects).await?;
    let [target] = targets.as_slice() else {
        return Err(Error::usage(
            "one object is edited at a time",
            "write PROJECT/ENVIRONMENT or KIND NAME",
        ));
    };
    let mut file = Draft::new();
    match edit(context, target, &arguments.overriding, &mut file).await {
        Ok(outcome) => context.terminal.line(&format!("{target} {outcome}")),
        Err(error) => {
            if let Some(path) = file.keep() {
                context.terminal.note(&format!("the text is kept in {}", path.display()));
            }
            Err(error)
        }
    }
}

/// Has the person edit until it can be saved, or is given up; says in a few words
/// what came of it.
async fn edit(
    context: &Context,
    target: &Target,
    flags: &OverrideFlags,
    file: &mut Draft,
) -> Result<&'static str, Error> {
    let mut object = find(context, target).await?;
    let mut original = editable(&object)?;
    let mut text = output::yaml(&original)?;
    let mut notes: Vec<String> = vec![];
    let mut rebased = false;
    loop {
        let shown = with_notes(target, &notes, &text);
        file.write(&shown)?;
        open_editor(&file.path)?;
        let edited = without_notes(&file.read()?);
        if edited.trim().is_empty() {
            return Ok("not changed: the text was emptied");
        }
        // After a conflict, what is shown is a change already.
        if edited == text && !rebased {
            if notes.is_empty() {
                return Ok("not changed");
            }
            return Err(Error::incomplete(format!(
                "{target} not changed: what is wrong with the text was left so"
            )));
        }
        let wanted = match parse(target, &edited) {
            Ok(wanted) => wanted,
            Err(problems) => {
                (notes, text, rebased) = (problems, edited, false);
                continue;
            }
        };
        match save(context, target, &object, &original, &wanted, flags).await {
            Ok(false) => return Ok("not changed"),
            Ok(true) => return Ok("edited"),
            Err(Refusal::Invalid(problems)) => {
                (notes, text, rebased) = (problems, edited, false);
            }
            Err(Refusal::Conflict) => {
                // The same change over what it is now.
                let patch = change::difference(&original, &wanted);
                object = find(context, target).await?;
                original = editable(&object)?;
                let mut merged = original.clone();
                change::apply(&mut merged, &patch.unwrap_or_default());
                notes = vec![
                    "somebody changed it meanwhile; this is your change over theirs: leave it as \
                     it is to save it, empty it to give up"
                        .to_owned(),
                ];
                rebased = true;
                text = output::yaml(&merged)?;
            }
            Err(Refusal::Other(error)) => return Err(error),
        }
    }
}

async fn find(context: &Context, target: &Target) -> Result<DynamicObject, Error> {
    let session = context.session().await?;
    let Target { kind, namespace, name } = target;
    match object::get(session, kind, namespace.as_deref(), name).await? {
        Some(found) => Ok(found),
        None => Err(target::not_found(session, target).await),
    }
}

/// What of an object people write. The version stays, so that a change which came
/// between is noticed.
fn editable(object: &DynamicObject) -> Result<Value, Error> {
    let mut value = output::value(object, false)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| {
            matches!(key.as_str(), "name" | "namespace" | "labels" | "annotations" | "finalizers")
        });
    }
    Ok(value)
}

/// The text with what is to be said of it on top.
fn with_notes(target: &Target, notes: &[String], text: &str) -> String {
    let mut head = format!(
        "# {target}. Save and leave the editor to apply; leave the text as it is, or empty it,\n\
         # to change nothing. Lines that start with # are skipped.\n"
    );
    if !notes.is_empty() {
        head.push_str("#\n# It could not be saved:\n");
    }
    for note in notes.iter().flat_map(|note| note.lines()) {
        head.push_str(&format!("#   {note}\n"));
    }
    head + text
}

/// The text without the comments on top.
fn without_notes(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The object that a text describes, or what is wrong with it.
fn parse(target: &Target, text: &str) -> Result<Value, Vec<String>> {
    let words = |errors: Vec<ManifestError>| -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    };
    let set = read_bytes(NAME, text.as_bytes(), &Limits::default())
        .map_err(|error| vec![error.to_string()])?;
    if !set.errors.is_empty() {
        return Err(words(set.errors));
    }
    let [document] = set.documents.as_slice() else {
        return Err(vec!["it must stay one object".to_owned()]);
    };
    let mut errors = words(manifest::check(document));
    errors.extend(identity_problem(target, document));
    if errors.is_empty() { Ok(document.value.clone()) } else { Err(errors) }
}

/// An editor can't make another object out of this one.
fn identity_problem(target: &Target, document: &Document) -> Option<String> {
    let resource = &target.kind.resource;
    let same = document.kind == resource.kind
        && document.api_version == resource.api_version
        && document.name == target.name
        && (target.namespace.is_none() || document.namespace == target.namespace);
    (!same).then(|| format!("kind, name and project have to stay: this is {target}"))
}

/// Why an edit isn't saved.
enum Refusal {
    /// For these reasons, which the person can mend.
    Invalid(Vec<String>),
    /// The object is another one by now.
    Conflict,
    /// For another one.
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Client(hades_client::Error::Api(status)) if status.is_conflict() => {
                Self::Conflict
            }
            Error::Client(hades_client::Error::Api(status)) if matches!(status.code, 400 | 422) => {
                Self::Invalid(problems(&status))
            }
            other => Self::Other(other),
        }
    }
}

fn problems(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let found: Vec<String> = causes
        .map(|cause| match cause.field.as_str() {
            "" | "<nil>" => cause.message.clone(),
            field => format!("{field}: {}", cause.message),
        })
        .collect();
    if found.is_empty() { vec![status.message.clone()] } else { found }
}

/// Writes what differs; says whether anything did.
async fn save(
    context: &Context,
    target: &Target,
    object: &DynamicObject,
    original: &Value,
    wanted: &Value,
    flags: &OverrideFlags,
) -> Result<bool, Refusal> {
    let Some(mut patch) = change::difference(original, wanted) else { return Ok(false) };
    if let Some(version) = &object.metadata.resource_version {
        patch["metadata"]["resourceVersion"] = version.clone().into();
    }
    match change::plan(context, target, object, &patch, flags)? {
        None => Ok(false),
        Some(planned) => {
            planned.write(context).await?;
            Ok(true)
        }
    }
}

/// The file that is edited.
struct Draft {
    path: PathBuf,
    /// What was shown first, in which nobody has written yet.
    pristine: Option<String>,
    kept: bool,
}

impl Draft {
    fn new() -> Self {
        let name = format!("hadesctl-edit-{}.yaml", std::process::id());
        Self { path: std::env::temp_dir().join(name), pristine: None, kept: false }
    }

    fn error(&self, verb: &'static str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = self.path.clone();
        move |source| Error::File { verb, path, source }
    }

    /// Readable by its owner alone: an object may hold what others must not see.
    fn write(&mut self, text: &str) -> Result<(), Error> {
        use std::os::unix::fs::OpenOptionsExt;
        // Beside the former one, which stays whole when the disk is full. Somebody
        // else's file of this name is not written into.
        let fresh = self.path.with_extension("new");
        let write = || {
            let _ = std::fs::remove_file(&fresh);
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&fresh, &self.path)
        };
        if let Err(error) = write() {
            let _ = std::fs::remove_file(&fresh);
            return Err(self.error("write")(error));
        }
        self.pristine.get_or_insert_with(|| text.to_owned());
        Ok(())
    }

    fn read(&self) -> Result<String, Error> {
        std::fs::read_to_string(&self.path).map_err(self.error("read"))
    }

    /// Leaves the file to the person, if it holds anything of his; says where it is.
    fn keep(&mut self) -> Option<PathBuf> {
        let text = std::fs::read(&self.path).ok()?;
        self.kept = self.pristine.as_ref().is_some_and(|pristine| pristine.as_bytes() != text);
        self.kept.then(|| self.path.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Runs the editor until it is left.
fn open_editor(path: &std::path::Path) -> Result<(), Error> {
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into());
    // `code --wait`: words, without a shell.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let failed = |message: String| Error::Incomplete {
        message,
        hint: Some("name another editor in the variable EDITOR".to_owned()),
    };
    let status = Command::new(program)
        .args(words)
        .arg(path)
        .status()
        .map_err(|error| failed(format!("the editor {editor:?} can't be started: {error}")))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(format!("the editor {editor:?} ended with {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hades_client::catalog;

    fn target() -> Target {
        Target {
            kind: catalog::environment(),
            namespace: Some("shop".to_owned()),
            name: "production".to_owned(),
        }
    }

    const TEXT: &str = "apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: production\n  namespace: shop\nspec:\n  services:\n    api:\n      image: api:1\n";

    #[test]
    fn notes_come_and_go() {
        let shown = with_notes(&target(), &["a\nb".to_owned()], TEXT);
        insta::assert_snapshot!(shown);
        assert_eq!(without_notes(&shown), TEXT);
        let plain = with_notes(&target(), &[], TEXT);
        assert!(!plain.contains("could not"), "{plain}");
        assert_eq!(without_notes(&plain), TEXT);
    }

    #[test]
    fn what_is_wrong_is_told_before_the_server_is_asked() {
        assert!(parse(&target(), TEXT).is_ok());
        for (text, part) in [
            (TEXT.replace("image", "imag"), "did you mean image?"),
            (TEXT.replace("name: production", "name: staging"), "have to stay"),
            (TEXT.replace("kind: Environment", "kind: EnvironmentTemplate"), "have to stay"),
            (TEXT.replace("api:\n", "api: [\n"), "edited:"),
            (
                format!("{TEXT}---\n{TEXT}").replacen("name: production", "name: other", 1),
                "one object",
            ),
        ] {
            let problems = parse(&target(), &text).unwrap_err().join("\n");
            assert!(problems.contains(part), "{problems}");
        }
    }
}
