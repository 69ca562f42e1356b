//! Instance: whether a data directory is the one that was started before, or a
//! copy of it, such as a backup that was restored. Two that run with one
//! installation id would take each other's containers for their own, so a copy does
//! nothing until somebody says that it is the only one.
//!
//! The directory holds a file that says of itself what no copy of it can have: its
//! inode and the time that the inode was made, and the id of the machine. A copy by
//! `cp`, `tar` or `rsync` has another inode; a directory that was moved within its
//! file system has the same. A clone of a whole disk on a machine with the same id
//! isn't noticed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
const FILE: &str = "instance.json";

/// Where systemd keeps the id of a machine.
const MACHINE_ID: &str = "/etc/machine-id";

/// The file that says where it is can't be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}, which tells a data directory from a copy of it", path.display())]
pub(crate) struct InstanceError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What no copy has in common with the original.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    machine: Option<String>,
    inode: u64,
    /// Nanoseconds since 1970; absent where the file system doesn't say.
    made: Option<u64>,
}

impl Place {
    fn of(metadata: &Metadata) -> Self {
        let made = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let machine = fs::read_to_string(MACHINE_ID).ok().map(|text| text.trim().to_owned());
        Self {
            machine: machine.filter(|id| !id.is_empty()),
            inode: metadata.ino(),
            made: made.and_then(|made| u64::try_from(made.as_nanos()).ok()),
        }
    }
}

/// Whether the directory is a copy of the one that was started before. One that was
/// never started, or by a version that made no such file, is none from now on.
pub(crate) fn is_copy(data_dir: &Path) -> Result<bool, InstanceError> {
    let path = data_dir.join(FILE);
    let failed = |source| InstanceError { verb: "read", path: path.clone(), source };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    if text.is_empty() {
        // Empty: the first start was cut off between making and writing it.
        adopt(data_dir)?;
        return Ok(false);
    }
    let here = Place::of(&fs::metadata(&path).map_err(failed)?);
    Ok(serde_json::from_slice::<Place>(&text).ok().as_ref() != Some(&here))
}

/// Takes the directory for the only one from now on.
pub(crate) fn adopt(data_dir: &Path) -> Result<(), InstanceError> {
    let path = data_dir.join(FILE);
    let write = || {
        // Written in place: a file that is put in the place of another has an
        // inode of its own.
        let mut file = open(&path)?;
        let place = Place::of(&file.metadata()?);
        file.write_all(&serde_json::to_vec(&place)?)?;
        file.sync_all()
    };
    write().map_err(|source| InstanceError { verb: "write", path: path.clone(), source })
}

/// Makes a directory that was restored start as a copy does, wherever it is.
pub(crate) fn suspend(data_dir: &Path) -> Result<(), InstanceError> {
    let path = data_dir.join(FILE);
    let write = || {
        // No file has this inode.
        let nowhere = Place { machine: None, inode: 0, made: None };
        let mut file = open(&path)?;
        file.write_all(&serde_json::to_vec(&nowhere)?)?;
        file.sync_all()
    };
    write().map_err(|source| InstanceError { verb: "write", path: path.clone(), source })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_the_original_and_can_be_adopted() {
        let directory = tempfile::tempdir().unwrap();
        let original = directory.path().join("data");
        fs::create_dir(&original).unwrap();
        assert!(!is_copy(&original).unwrap(), "it is new");
        assert!(!is_copy(&original).unwrap(), "it is started again");
        let copy = directory.path().join("copy");
        fs::create_dir(&copy).unwrap();
        fs::copy(original.join(FILE), copy.join(FILE)).unwrap();
        assert!(is_copy(&copy).unwrap());
        assert!(is_copy(&copy).unwrap(), "starting it changes nothing");
        assert!(!is_copy(&original).unwrap());
        adopt(&copy).unwrap();
        assert!(!is_copy(&copy).unwrap());
        // Moved, it is the same.
        let moved = directory.path().join("moved");
        fs::rename(&copy, &moved).unwrap();
        assert!(!is_copy(&moved).unwrap());
        // Put back over the original, as a restored backup is.
        let backup = fs::read(original.join(FILE)).unwrap();
        fs::remove_file(original.join(FILE)).unwrap();
        fs::write(directory.path().join("in-between"), "takes the inode that got free").unwrap();
        fs::write(original.join(FILE), backup).unwrap();
        assert!(is_copy(&original).unwrap());
    }

    #[test]
    fn what_was_restored_is_a_copy_until_it_is_adopted() {
        let directory = tempfile::tempdir().unwrap();
        suspend(directory.path()).unwrap();
        assert!(is_copy(directory.path()).unwrap());
        assert!(is_copy(directory.path()).unwrap());
        adopt(directory.path()).unwrap();
        assert!(!is_copy(directory.path()).unwrap());
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_made_good() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "").unwrap();
        assert!(!is_copy(directory.path()).unwrap());
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert!(is_copy(directory.path()).unwrap(), "what can't be read is no proof");
    }
}
