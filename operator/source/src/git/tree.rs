//! Manifests out of a commit's tree.
//!
//! Only names that stand in trees are ever followed, so that no path, whatever it
//! says, can lead out of the commit.

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree};

use super::ReadOptions;
use crate::manifest::set::SetBuilder;
use crate::manifest::{IGNORE_FILE, ManifestSet, ReadError};
use crate::nearest::nearest;

/// Folders and files looked at, manifests or not.
pub(super) const MAX_ENTRIES: usize = 200_000;
/// git's file mode of a symbolic link.
pub(super) const MODE_LINK: i32 = 0o120_000;

/// What is read, and how.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) repository: &'a Repository,
    pub(super) options: &'a ReadOptions,
    /// Submodules are looked into.
    pub(super) submodules: bool,
}

/// What a path leads to.
pub(super) enum Place<'a> {
    Folder(Tree<'a>),
    File(Oid),
}

impl<'a> Source<'a> {
    /// Reads the manifests below the path of a commit.
    pub(super) fn read(self, commit: &str) -> Result<ManifestSet, ReadError> {
        let names = path_names(&self.options.path)?;
        match self.place(commit, &names)? {
            Place::Folder(tree) => self.read_folder(&tree, &names),
            Place::File(blob) => self.read_file(blob, &names),
        }
    }

    /// What the path leads to in a commit.
    pub(super) fn place(self, commit: &str, names: &[&str]) -> Result<Place<'a>, ReadError> {
        let missing = || ReadError::CommitMissing { commit: commit.to_owned() };
        let id = Oid::from_str(commit).map_err(|_| missing())?;
        let commit = self.repository.find_commit(id).map_err(|error| match error.code() {
            ErrorCode::NotFound => missing(),
            _ => corrupt(&error),
        })?;
        self.find(commit.tree().map_err(|error| corrupt(&error))?, names)
    }

    /// A builder for the files below the path, which knows what to leave out.
    pub(super) fn builder(
        self,
        tree: &Tree<'_>,
        names: &[&str],
        odb: &Odb<'_>,
    ) -> Result<SetBuilder, ReadError> {
        let ReadOptions { path: _, limits, include, ignore, keys } = self.options;
        let mut builder = SetBuilder::new(limits.clone(), below(names));
        builder.open_with(keys.as_ref());
        if let Some(entry) = tree.get_name(IGNORE_FILE)
            && entry.kind() == Some(ObjectType::Blob)
        {
            if entry.filemode_raw() == MODE_LINK {
                builder.refuse(IGNORE_FILE, "a symbolic link, which is not followed");
            } else if let Some(bytes) = admitted(&mut builder, odb, entry.id(), IGNORE_FILE)? {
                builder.ignore(&bytes);
            }
        }
        builder.filter(include, ignore);
        Ok(builder)
    }

    /// The folder that a submodule's commit holds.
    pub(super) fn submodule(self, commit: Oid) -> Result<Tree<'a>, ReadError> {
        self.repository
            .find_commit(commit)
            .and_then(|commit| commit.tree())
            .map_err(|error| corrupt(&error))
    }

    fn find(self, root: Tree<'a>, names: &[&str]) -> Result<Place<'a>, ReadError> {
        let mut tree = root;
        for (index, name) in names.iter().enumerate() {
            let so_far = names[..=index].join("/");
            let missing = |nearest| ReadError::PathNotFound { path: so_far.clone(), nearest };
            let not_followed = |what| ReadError::PathNotFollowed { path: so_far.clone(), what };
            let (id, kind, mode) = match tree.get_name(name) {
                Some(entry) => (entry.id(), entry.kind(), entry.filemode_raw()),
                None => return Err(missing(nearest_entry(&tree, &names[..index], name))),
            };
            match kind {
                Some(ObjectType::Tree) => {
                    tree = self.repository.find_tree(id).map_err(|error| corrupt(&error))?;
                }
                Some(ObjectType::Commit) if self.submodules => tree = self.submodule(id)?,
                Some(ObjectType::Commit) => return Err(not_followed("submodule")),
                _ if mode == MODE_LINK => return Err(not_followed("symbolic link")),
                _ if index + 1 == names.len() => return Ok(Place::File(id)),
                // A file in place of a folder.
                _ => {
                    return Err(ReadError::PathNotFound {
                        path: names.join("/"),
                        nearest: Some(so_far),
                    });
                }
            }
        }
        Ok(Place::Folder(tree))
    }

    fn read_file(self, blob: Oid, names: &[&str]) -> Result<ManifestSet, ReadError> {
        let (name, above) =
            names.split_last().map_or(("", [].as_slice()), |(name, above)| (*name, above));
        let mut builder = SetBuilder::new(self.options.limits.clone(), below(above));
        builder.open_with(self.options.keys.as_ref());
        let odb = self.repository.odb().map_err(|error| corrupt(&error))?;
        add_blob(&mut builder, &odb, blob, name)?;
        Ok(builder.finish())
    }

    fn read_folder(self, tree: &Tree<'_>, names: &[&str]) -> Result<ManifestSet, ReadError> {
        let odb = self.repository.odb().map_err(|error| corrupt(&error))?;
        let mut builder = self.builder(tree, names, &odb)?;
        let mut walk = Walk { source: self, odb: &odb, builder: &mut builder, entries: 0 };
        walk.folder(tree, "", 0)?;
        Ok(builder.finish())
    }
}

/// The names of a path. It may be written as `.`, `./a` or `a/`.
pub(super) fn path_names(path: &str) -> Result<Vec<&str>, ReadError> {
    let names: Vec<&str> =
        path.trim().split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    // A leading slash is taken as the repository's root, as forges write it.
    if names.contains(&"..") {
        return Err(ReadError::PathEscapes { path: path.to_owned() });
    }
    Ok(names)
}

fn nearest_entry(tree: &Tree<'_>, above: &[&str], name: &str) -> Option<String> {
    let entries: Vec<String> =
        tree.iter().filter_map(|entry| entry.name().map(str::to_owned).ok()).collect();
    let found = nearest(name, entries.iter().map(String::as_str))?;
    let mut path: Vec<&str> = above.to_vec();
    path.push(&found);
    Some(path.join("/"))
}

fn below(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!("{}/", names.join("/")) }
}

struct Walk<'a> {
    source: Source<'a>,
    odb: &'a Odb<'a>,
    builder: &'a mut SetBuilder,
    entries: usize,
}

impl Walk<'_> {
    fn folder(&mut self, tree: &Tree<'_>, relative: &str, depth: usize) -> Result<(), ReadError> {
        self.entries = self.entries.saturating_add(tree.len());
        if self.entries > MAX_ENTRIES || depth > self.builder.limits().depth {
            return Err(ReadError::TooManyEntries { path: relative.to_owned() });
        }
        for entry in tree {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{relative}{name}");
            if self.builder.is_ignored(&path) {
                continue;
            }
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    let repository = self.source.repository;
                    let below =
                        repository.find_tree(entry.id()).map_err(|error| corrupt(&error))?;
                    self.folder(&below, &format!("{path}/"), depth + 1)?;
                }
                Some(ObjectType::Commit) if self.source.submodules => {
                    let below = self.source.submodule(entry.id())?;
                    self.folder(&below, &format!("{path}/"), depth + 1)?;
                }
                Some(ObjectType::Commit) => {
                    self.builder.note(&path, "a submodule, which is not fetched");
                }
                _ if entry.filemode_raw() == MODE_LINK => self.builder.meet_link(&path),
                _ if self.builder.wants(&path) => {
                    add_blob(self.builder, self.odb, entry.id(), &path)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

pub(super) fn add_blob(
    builder: &mut SetBuilder,
    odb: &Odb<'_>,
    blob: Oid,
    path: &str,
) -> Result<(), ReadError> {
    match admitted(builder, odb, blob, path)? {
        Some(bytes) => builder.add(path, &blob.to_string(), &bytes),
        None => Ok(()),
    }
}

/// A blob's bytes, unless it is too large: its size is looked at first.
fn admitted(
    builder: &mut SetBuilder,
    odb: &Odb<'_>,
    blob: Oid,
    path: &str,
) -> Result<Option<Vec<u8>>, ReadError> {
    let (size, _) = odb.read_header(blob).map_err(|error| corrupt(&error))?;
    if !builder.admits(path, size as u64)? {
        return Ok(None);
    }
    let object = odb.read(blob).map_err(|error| corrupt(&error))?;
    Ok(Some(object.data().to_vec()))
}

pub(super) fn corrupt(error: &git2::Error) -> ReadError {
    ReadError::Corrupt { reason: error.message().to_owned() }
}

/// Whether all that a commit's tree names is there. Ends early at what is not.
pub(super) fn verify(repository: &Repository, commit: Oid) -> Result<(), git2::Error> {
    let odb = repository.odb()?;
    let mut folders = vec![repository.find_commit(commit)?.tree_id()];
    let mut seen = std::collections::HashSet::new();
    while let Some(id) = folders.pop() {
        if !seen.insert(id) {
            continue;
        }
        for entry in &repository.find_tree(id)? {
            match entry.kind() {
                Some(ObjectType::Tree) => folders.push(entry.id()),
                Some(ObjectType::Commit) => {}
                _ if odb.exists(entry.id()) => {}
                _ => return Err(git2::Error::from_str("a file of the commit is missing")),
            }
        }
    }
    Ok(())
}
