//! Manifests from the local disk and standard input, for checks without a server.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::set::SetBuilder;
use super::stack::with_stack;
use super::{IGNORE_FILE, Limits, ManifestSet, ReadError};

/// What standard input is called in errors.
pub const STDIN_NAME: &str = "<stdin>";

/// Folders and files looked at, manifests or not.
const MAX_ENTRIES: usize = 200_000;

/// Reads one text, such as standard input ([`STDIN_NAME`]). It may be YAML or JSON;
/// called `*.json` it must be JSON.
pub fn read_bytes(name: &str, bytes: &[u8], limits: &Limits) -> Result<ManifestSet, ReadError> {
    with_stack(limits, || {
        let mut builder = SetBuilder::new(limits.clone(), String::new());
        builder.add(name, &content_id(bytes), bytes)?;
        Ok(builder.finish())
    })
}

/// Reads a file, whatever its name, or a folder as [`read_dir`].
pub fn read_path(path: &Path, limits: &Limits) -> Result<ManifestSet, ReadError> {
    let metadata = fs::metadata(path).map_err(at(path))?;
    if metadata.is_dir() {
        return read_dir(path, limits);
    }
    let name = path.display().to_string();
    with_stack(limits, || {
        let mut builder = SetBuilder::new(limits.clone(), String::new());
        // A pipe has no size yet, so reading is bounded by itself.
        if let Some(bytes) = read_bounded(path, &mut builder, &name)? {
            builder.add(&name, &content_id(&bytes), &bytes)?;
        }
        Ok(builder.finish())
    })
}

/// Reads all `.yaml`, `.yml` and `.json` files below a folder, as they are read out
/// of a commit: hidden files and folders and those that the folder's `.hadesignore`
/// names are left out, symbolic links are not followed. The paths in documents and
/// errors begin with `dir` as given.
pub fn read_dir(dir: &Path, limits: &Limits) -> Result<ManifestSet, ReadError> {
    with_stack(limits, || read_folder(dir, limits))
}

fn read_folder(dir: &Path, limits: &Limits) -> Result<ManifestSet, ReadError> {
    let shown = dir.display().to_string();
    let shown = shown.strip_prefix("./").unwrap_or(&shown);
    let prefix = match shown.trim_end_matches('/') {
        "." => String::new(),
        trimmed => format!("{trimmed}/"),
    };
    let mut builder = SetBuilder::new(limits.clone(), prefix);
    match fs::read(dir.join(IGNORE_FILE)) {
        Ok(bytes) => builder.ignore(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(&dir.join(IGNORE_FILE))(error)),
    }
    let mut walk = Walk { builder: &mut builder, entries: 0 };
    walk.folder(dir, "", 0)?;
    Ok(builder.finish())
}

struct Walk<'a> {
    builder: &'a mut SetBuilder,
    entries: usize,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Path, relative: &str, depth: usize) -> Result<(), ReadError> {
        let mut entries =
            fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(at(dir))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        self.entries += entries.len();
        if self.entries > MAX_ENTRIES || depth > self.builder.limits().depth {
            return Err(ReadError::TooManyEntries { path: dir.display().to_string() });
        }
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let below = format!("{relative}{name}");
            if self.builder.is_ignored(&below) {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(at(&path))?;
            if kind.is_dir() {
                self.folder(&path, &format!("{below}/"), depth + 1)?;
            } else if kind.is_symlink() {
                self.builder.meet_link(&below);
            } else if self.builder.wants(&below)
                && let Some(bytes) = read_bounded(&path, self.builder, &below)?
            {
                self.builder.add(&below, &content_id(&bytes), &bytes)?;
            }
        }
        Ok(())
    }
}

impl SetBuilder {
    /// A symbolic link: not followed. Where a manifest is expected it is an error,
    /// elsewhere (it may lead to a folder of manifests) it is noted.
    pub(crate) fn meet_link(&mut self, path: &str) {
        if self.wants(path) {
            self.refuse(
                path,
                "a symbolic link, which is not followed: put the manifest itself here",
            );
        } else {
            self.note(path, "a symbolic link, which is not followed");
        }
    }
}

/// Reads a file up to the limit. None if it is larger, which is then reported.
fn read_bounded(
    path: &Path,
    builder: &mut SetBuilder,
    name: &str,
) -> Result<Option<Vec<u8>>, ReadError> {
    let limit = builder.limits().file_bytes;
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(at(path))?;
    let admitted = builder.admits(name, bytes.len() as u64)?;
    Ok(admitted.then_some(bytes))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    let path = PathBuf::from(path);
    move |source| ReadError::Io { path, source }
}

/// The id that git would give the content, so that a set read from disk has the
/// digest of the commit it becomes.
fn content_id(bytes: &[u8]) -> String {
    git2::Oid::hash_object(git2::ObjectType::Blob, bytes)
        .map(|id| id.to_string())
        .unwrap_or_default()
}
