//! Backups in a folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::{BackupError, BackupName, Gathered, Recipient, Written};

/// Ends the names of files that aren't whole.
const PARTIAL: &str = ".partial";

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none. It isn't made: a disk that isn't mounted would go unnoticed, and
    /// the backups fill the one below.
    #[error("{0} is no folder; make it, or mount the disk that holds it")]
    None(PathBuf),
    /// The backup can't be made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The system refuses.
    #[error(
        "{path} can't be used for backups; the user that hades runs as must be able to write \
             there, and its service too (ReadWritePaths=)"
    )]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FolderError + '_ {
    move |source| FolderError::File { path: path.to_owned(), source }
}

/// Sees that there is a folder.
pub(crate) fn check(folder: &Path) -> Result<(), FolderError> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(FolderError::None(folder.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(FolderError::None(folder.to_owned()))
        }
        Err(error) => Err(failed(folder)(error)),
    }
}

/// The backups of an installation there.
pub(crate) fn list(folder: &Path, installation: &str) -> Result<Vec<BackupName>, FolderError> {
    check(folder)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name();
        names.extend(name.to_str().and_then(|name| BackupName::read(name, installation)));
    }
    Ok(names)
}

/// Writes a backup. It gets its name when it is on the disk.
pub(crate) fn store(
    folder: &Path,
    name: &BackupName,
    gathered: Gathered,
    recipients: &[Recipient],
) -> Result<Written, FolderError> {
    // What can't be removed is in nobody's way.
    if let Err(error) = clear(folder, &name.installation) {
        tracing::warn!(%error, "what is left of a backup could not be removed");
    }
    let path = folder.join(name.to_string());
    let partial = folder.join(format!("{name}{PARTIAL}"));
    let write = || -> Result<Written, FolderError> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(failed(&partial))?;
        let written = gathered.write(recipients, &mut file).map_err(|error| match error {
            BackupError::Write(source) => failed(&partial)(source),
            other => FolderError::Backup(other),
        })?;
        file.flush().and_then(|()| file.sync_all()).map_err(failed(&partial))?;
        std::fs::rename(&partial, &path).map_err(failed(&path))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
        Ok(written)
    };
    let written = write();
    if written.is_err() {
        // The reason is what counts; the next one tries again.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// Removes what a crash left of earlier ones.
fn clear(folder: &Path, installation: &str) -> Result<(), FolderError> {
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let name = entry.file_name();
        let whole = name.to_str().and_then(|name| name.strip_suffix(PARTIAL));
        if whole.and_then(|name| BackupName::read(name, installation)).is_some() {
            std::fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
        }
    }
    Ok(())
}

/// Removes the oldest after that one was made, so that `keep` are left. How many it
/// were. What can't be removed is told when all others are.
pub(crate) fn prune(folder: &Path, made: &BackupName, keep: usize) -> Result<usize, FolderError> {
    let gone = BackupName::superfluous(list(folder, &made.installation)?, made, keep);
    let mut outcome = Ok(gone.len());
    for name in &gone {
        let path = folder.join(name.to_string());
        let removed = std::fs::remove_file(&path).map_err(failed(&path));
        outcome = outcome.and_then(|count| removed.map(|()| count));
    }
    outcome
}
