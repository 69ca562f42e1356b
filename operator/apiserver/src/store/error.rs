//! Why the store can't be used, and why it refuses a write.

use std::io;
use std::path::PathBuf;

use crate::seal::SealError;

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another server in this one, has the file open.
    #[error(
        "{0} is in use by another hades; stop that one first, or choose another data directory"
    )]
    InUse(PathBuf),
    /// redb failed.
    #[error("the store failed: {0}")]
    Database(Box<redb::Error>),
    /// The file can't be reached.
    #[error("{path} can't be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file failed and could not be opened again yet.
    #[error("the store's file failed and can't be opened again yet: {0}")]
    Broken(String),
    /// The file was written by a later version.
    #[error("the store has format {0}, which this version of hades can't read; upgrade hades")]
    Format(u64),
    /// The copy that an upgrade keeps of the old file can't be made.
    #[error(
        "the store has to be upgraded from format {format}, and the copy of the old file, {path}, \
         can't be made: {source}; make room, or move the data directory to where there is room"
    )]
    Copy {
        /// Format of the file as it is.
        format: u64,
        /// Where the copy should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no room on the disk.
    #[error("the disk of the store is full; make room on it")]
    Full,
    /// A row has bytes that this program did not write.
    #[error(
        "the store holds a row that can't be read; `hades store verify` says which, and a backup \
         has it whole"
    )]
    CorruptRow,
    /// A row can't be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The writer thread could not be started.
    #[error("the store's writer thread could not be started: {0}")]
    Thread(io::Error),
    /// The snapshot of a long read went away while the store changed.
    #[error("the list could not be read to its end as of one version; list again")]
    SnapshotGone,
    /// The store was closed.
    #[error("the server is shutting down")]
    Closed,
}

impl StoreError {
    pub(super) fn database(error: impl Into<redb::Error>) -> Self {
        Self::Database(Box::new(error.into()))
    }

    /// Whether the disk, or a quota on it, has no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => matches!(&**error, redb::Error::Io(error) if is_full(error)),
            Self::File { source, .. } | Self::Copy { source, .. } => is_full(source),
            Self::Full => true,
            _ => false,
        }
    }

    /// Whether the open file is unusable from now on, so that only opening it
    /// anew can help: redb refuses everything after one failed access.
    pub(super) fn needs_reopening(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Database(error) => matches!(
                &**error,
                redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed
            ),
            _ => false,
        }
    }
}

/// Whether the system says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why one write was refused. Nothing was written unless the text says
/// otherwise.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name is taken.
    #[error("the object exists already")]
    Exists,
    /// The object is gone.
    #[error("the object does not exist")]
    Missing,
    /// The object has another version than the write expects.
    #[error("the object has been modified")]
    Changed,
    /// The namespace of a new object does not exist.
    #[error("the namespace does not exist")]
    NamespaceMissing,
    /// The namespace of a new object is being deleted.
    #[error("the namespace is being terminated")]
    NamespaceTerminating,
    /// There is no room on the disk.
    #[error(
        "the disk that holds the data directory of the server is full; make room on it, or delete \
         objects: reading goes on, and writing works again by itself"
    )]
    Full,
    /// The store failed.
    #[error("{0}")]
    Store(String),
}
