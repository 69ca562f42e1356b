//! Why a backup can't be made or restored.

use std::io;
use std::path::PathBuf;

use hades_apiserver::bootstrap::BootstrapError;
use hades_apiserver::{SealError, StoreError};

use crate::ManifestError;

/// Why a backup can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nobody could open it.
    #[error(
        "a backup is encrypted, and nobody is named who could open it: give --recipient age1…, or \
         start the server with --backup-recipient; `hades backup keygen FILE` makes a key"
    )]
    NoRecipient,
    /// A file of the data directory can't be read.
    #[error("{path} can't be read for the backup")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that each data directory has isn't there.
    #[error("{0} is missing; is that the data directory of a server that was started before?")]
    Missing(PathBuf),
    /// A key file is larger than any.
    #[error("{0} is much larger than it should be")]
    Large(PathBuf),
    /// The store can't be copied.
    #[error("the store can't be copied for the backup")]
    Store(#[from] StoreError),
    /// The keys change all the time.
    #[error("the keys of the installation change all the time; try again later")]
    Restless,
    /// A file changed between its first and its second reading.
    #[error("{0} changed while it was read; try again")]
    Changed(String),
    /// The copy of the store can't be written.
    #[error("{path} can't be used, where the copy of the store is made")]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The manifest would be refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It can't be encrypted.
    #[error("the backup can't be encrypted: {0}")]
    Encrypt(String),
    /// It can't be written.
    #[error("the backup can't be written")]
    Write(#[source] io::Error),
    /// There is no room for it until it is sent.
    #[error("{path} can't be used, where the backup is kept until it is sent")]
    Spool {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a backup can't be read or restored. Nothing was restored then, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file can't be read.
    #[error("the backup can't be read")]
    Read(#[source] io::Error),
    /// It isn't encrypted by age.
    #[error("that is no backup: it isn't a file of age ({0})")]
    NotEncrypted(String),
    /// No key fits.
    #[error(
        "none of the keys in the identity file opens the backup; it takes the private half of the \
         key that --recipient named when it was made (identity.age of the data directory is \
         another one)"
    )]
    WrongIdentity,
    /// It ends early.
    #[error("the backup is cut off: its end is missing")]
    Truncated,
    /// It isn't as it was written.
    #[error("the backup is damaged or cut off, or somebody changed it: {0}")]
    Damaged(String),
    /// It is no backup of hades.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file in it isn't as its manifest says.
    #[error("{name} in the backup isn't what its manifest says: {why}")]
    Entry {
        /// The file.
        name: String,
        /// What differs.
        why: String,
    },
    /// Something is in the directory already.
    #[error("{0} isn't empty; a backup is restored into a new directory or an empty one")]
    NotEmpty(PathBuf),
    /// A restore was cut off while it put the files in their place.
    #[error(
        "a restore into {0} was cut off at its end, and it holds a part of the files; remove \
         everything in it, restore.partial too, and restore again"
    )]
    Half(PathBuf),
    /// The files can't be put in their place.
    #[error(
        "{path} holds a part of the files only; remove everything in it, restore.partial too, and \
         restore again"
    )]
    Settle {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A server or another restore has the directory.
    #[error(transparent)]
    InUse(#[from] BootstrapError),
    /// The directory can't be used.
    #[error("{path} can't be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What opens the Secrets isn't in the backup.
    #[error(
        "the installation keeps the identity that opens its Secrets elsewhere, and so it isn't in \
         the backup; name your copy of it with --store-identity-file"
    )]
    IdentityElsewhere,
    /// There is no such identity.
    #[error(
        "{0} isn't there; it should be the identity that opens the Secrets of the installation"
    )]
    IdentityMissing(PathBuf),
    /// What opens the Secrets needs a passphrase.
    #[error(
        "a passphrase protects the identity that opens the Secrets of the installation; name the \
         file that holds it with --store-identity-passphrase-file"
    )]
    Passphrase,
    /// What opens the Secrets can't be used.
    #[error("the identity that opens the Secrets of the installation can't be used")]
    Identity(#[source] SealError),
    /// The restored store can't be looked through.
    #[error("the store in the backup can't be used")]
    Store(#[from] StoreError),
    /// The restored store isn't whole.
    #[error("the store in the backup isn't whole: {}", .0.join("; "))]
    Problems(Vec<String>),
}
