//! Manifests out of a commit's tree.
//!
//! Only names that stand in trees are ever followed, so that no path, whatever it
//! says, can lead out of the commit.

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree};

use crate::manifest::set::SetBuilder;
use crate::manifest::{IGNORE_FILE, Limits, ManifestSet, ReadError};
use crate::nearest::nearest;

/// Folders and files looked at, manifests or not.
const MAX_ENTRIES: usize = 200_000;
/// git's file mode of a symbolic link.
const MODE_LINK: i32 = 0o120_000;

/// Reads the manifests below a path of a commit.
pub(super) fn read(
    repository: &Repository,
    commit: &str,
    path: &str,
    limits: &Limits,
) -> Result<ManifestSet, ReadError> {
    let names = path_names(path)?;
    let missing = || ReadError::CommitMissing { commit: commit.to_owned() };
    let id = Oid::from_str(commit).map_err(|_| missing())?;
    let commit = repository.find_commit(id).map_err(|error| match error.code() {
        ErrorCode::NotFound => missing(),
        _ => corrupt(&error),
    })?;
    let root = commit.tree().map_err(|error| corrupt(&error))?;
    match find(repository, root, &names)? {
        Place::Folder(tree) => read_folder(repository, &tree, &names, limits),
        Place::File(blob) => read_file(repository, blob, &names, limits),
    }
}

/// What a path leads to.
enum Place<'a> {
    Folder(Tree<'a>),
    File(Oid),
}

/// The names of a path. It may be written as `.`, `./a` or `a/`.
fn path_names(path: &str) -> Result<Vec<&str>, ReadError> {
    let names: Vec<&str> =
        path.trim().split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    // A leading slash is taken as the repository's root, as forges write it.
    if names.contains(&"..") {
        return Err(ReadError::PathEscapes { path: path.to_owned() });
    }
    Ok(names)
}

fn find<'a>(
    repository: &'a Repository,
    root: Tree<'a>,
    names: &[&str],
) -> Result<Place<'a>, ReadError> {
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
                tree = repository.find_tree(id).map_err(|error| corrupt(&error))?;
            }
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

fn nearest_entry(tree: &Tree<'_>, above: &[&str], name: &str) -> Option<String> {
    let entries: Vec<String> =
        tree.iter().filter_map(|entry| entry.name().map(str::to_owned).ok()).collect();
    let found = nearest(name, entries.iter().map(String::as_str))?;
    let mut path: Vec<&str> = above.to_vec();
    path.push(&found);
    Some(path.join("/"))
}

fn read_file(
    repository: &Repository,
    blob: Oid,
    names: &[&str],
    limits: &Limits,
) -> Result<ManifestSet, ReadError> {
    let (name, above) =
        names.split_last().map_or(("", [].as_slice()), |(name, above)| (*name, above));
    let mut builder = SetBuilder::new(limits.clone(), below(above));
    let odb = repository.odb().map_err(|error| corrupt(&error))?;
    add_blob(&mut builder, &odb, blob, name)?;
    Ok(builder.finish())
}

fn read_folder(
    repository: &Repository,
    tree: &Tree<'_>,
    names: &[&str],
    limits: &Limits,
) -> Result<ManifestSet, ReadError> {
    let mut builder = SetBuilder::new(limits.clone(), below(names));
    let odb = repository.odb().map_err(|error| corrupt(&error))?;
    if let Some(entry) = tree.get_name(IGNORE_FILE)
        && entry.kind() == Some(ObjectType::Blob)
    {
        if entry.filemode_raw() == MODE_LINK {
            builder.refuse(IGNORE_FILE, "a symbolic link, which is not followed");
        } else if let Some(bytes) = admitted(&mut builder, &odb, entry.id(), IGNORE_FILE)? {
            builder.ignore(&bytes);
        }
    }
    let mut walk = Walk { repository, odb: &odb, builder: &mut builder, entries: 0 };
    walk.folder(tree, "", 0)?;
    Ok(builder.finish())
}

fn below(names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!("{}/", names.join("/")) }
}

struct Walk<'a> {
    repository: &'a Repository,
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
                    let below =
                        self.repository.find_tree(entry.id()).map_err(|error| corrupt(&error))?;
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

fn add_blob(
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

fn corrupt(error: &git2::Error) -> ReadError {
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
