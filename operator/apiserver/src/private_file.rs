//! Files that only the owner of the data directory may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory for its owner alone, with its parents; an existing one is
/// left as it is.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file with mode 0600 so that after a crash either the old or the
/// whole new content is there.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    // A leftover of a crash may have another mode.
    match std::fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    sync_folder(path)
}

/// The folder that a file lies in: the current one where the path names none.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename in the folder of `path` last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Reads a text file; `None` when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_in_the_current_folder() {
        for (path, expected) in [("key", "."), ("/data/key", "/data"), ("data/key", "data")] {
            assert_eq!(folder(Path::new(path)), Path::new(expected));
        }
        sync_folder(Path::new("key")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("new"));
    }
}
