//! Encryption of what must not lie on disk in the clear, and the fingerprints
//! that stand for secret values where people read them.
//!
//! ```text
//! identity (age, a file) ─opens─▶ data key (in the store) ─opens─▶ row
//! ```
//! Invariants:
//! - Whatever is sealed in the store can be opened with the identities in the file,
//!   after a crash at any moment: an identity is on the disk before the first thing is
//!   sealed for it, and leaves it after the last thing is.
//! - A sealed row opens in its place and at its version only.

mod data_key;
mod fingerprints;
mod identity;
pub(crate) mod secret;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use age::x25519;

pub(crate) use data_key::DataKey;
pub(crate) use fingerprints::Fingerprints;
pub use identity::{IdentityPlace, IdentitySource};

use crate::audit::ChainKey;
use crate::{private_file, store};
use data_key::{DataKeys, KeyFault};
use identity::IdentityFile;

/// Why something can't be sealed or opened. Holds no key and no plaintext.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store exists, but not a key that belongs to it.
    #[error(
        "{0} is missing, and without it the Secrets in the store can't be read; restore the \
             file from a backup (a new key would not open them)"
    )]
    KeyMissing(PathBuf),
    /// The store exists, but not the identity that opens it.
    #[error(
        "{0} is missing, and without it the Secrets in the store can't be read; restore the \
         file from a backup (a new identity would not open them), or say where it is with \
         --identity-file"
    )]
    IdentityMissing(PathBuf),
    /// A key file does not hold a key.
    #[error("{0} does not hold a valid key; restore the file from a backup")]
    KeyUnreadable(PathBuf),
    /// A file of identities holds something else.
    #[error(
        "line {line} of {path} is no age identity (AGE-SECRET-KEY-1…); restore the file from a \
         backup"
    )]
    IdentityUnreadable {
        /// The file.
        path: PathBuf,
        /// Number of the line, from one on.
        line: usize,
    },
    /// A file of identities holds none.
    #[error("{0} holds no identity; restore the file from a backup")]
    NoIdentity(PathBuf),
    /// The identities are those of something else.
    #[error(
        "{path} holds another identity than the one that opens this store: the store is sealed \
         for {needed}, and the file is for {found}; put the right one there (a backup has it)"
    )]
    WrongIdentity {
        /// The file.
        path: PathBuf,
        /// The public half of the identity that opens the store.
        needed: String,
        /// The public halves of those in the file.
        found: String,
    },
    /// Others may read an identity.
    #[error(
        "{path} is open to others (mode {mode:04o}), and it opens every Secret; close it: \
         chmod 600 {path}; if somebody may have read it, make a new one with `hades identity \
         rotate` once the server runs"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// An identity belongs to somebody else.
    #[error(
        "{path} belongs to user {owner}, who can read it, and this hades runs as user {me}; run it \
         as that user: sudo -u '#{owner}' hades …; or, if the server is to run as user {me}, give \
         the file away: chown {me} {path}"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Number of the user that it belongs to.
        owner: u32,
        /// Number of the user that the process runs as.
        me: u32,
    },
    /// A passphrase is needed.
    #[error(
        "{0} is protected by a passphrase; name the file that holds it with \
         --identity-passphrase-file"
    )]
    NoPassphrase(PathBuf),
    /// A passphrase doesn't fit.
    #[error("the passphrase in {passphrase} does not open {identity}")]
    WrongPassphrase {
        /// The file of identities.
        identity: PathBuf,
        /// The file with the passphrase.
        passphrase: PathBuf,
    },
    /// A file with a passphrase has none.
    #[error("{0} holds no passphrase; write it on one line")]
    EmptyPassphrase(PathBuf),
    /// The file of identities can't be replaced.
    #[error(
        "hades can't change {0}, which is a credential of systemd or read-only: put the new \
         identity on the first line of it, the present one below, and start hades again; it goes \
         on from there"
    )]
    NotOurs(PathBuf),
    /// A key in the store is damaged.
    #[error(
        "data key {0} of the store is damaged, and what is sealed with it can't be opened; \
         restore a backup"
    )]
    DataKeyDamaged(u32),
    /// A row names a key that isn't there.
    #[error("a row is sealed with data key {0}, which the store does not have; restore a backup")]
    DataKeyUnknown(u32),
    /// The keys of the store were not read.
    #[error("the store has no data key yet")]
    NoDataKey,
    /// A key file can't be read or written.
    #[error("the key file {path} can't be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Encryption failed.
    #[error("a row could not be sealed: {0}")]
    Encrypt(String),
    /// A row of an earlier version can't be opened.
    #[error(
        "a sealed row could not be opened; the identity file does not belong to this store, \
             or the row is damaged: {0}"
    )]
    Decrypt(String),
    /// A row is not what was stored in its place.
    #[error(
        "a sealed row could not be opened: it is damaged, or was put in the place of another; a \
         backup has it whole"
    )]
    Damaged,
}

impl SealError {
    pub(crate) fn encrypt(error: &dyn std::fmt::Display) -> Self {
        Self::Encrypt(error.to_string())
    }
}

/// What is there of an installation's identity, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityInfo {
    /// The file that it lies in.
    pub path: PathBuf,
    /// The public half of the identity that is sealed for.
    pub recipient: String,
    /// The public halves of those that only open.
    pub former: Vec<String>,
    /// A passphrase protects the file.
    pub is_protected: bool,
}

impl IdentityInfo {
    /// Looks at the identity of a data directory, whether a server runs or not.
    ///
    /// # Errors
    /// When it is missing, unreadable or open to others.
    pub fn read(directory: &Path, source: &IdentitySource) -> Result<Self, SealError> {
        let file = IdentityFile::of(directory, source);
        let found = file.read()?.ok_or_else(|| SealError::IdentityMissing(file.path.clone()))?;
        let mut recipients = found.all.iter().map(recipient);
        Ok(Self {
            recipient: recipients.next().unwrap_or_default(),
            former: recipients.collect(),
            is_protected: found.is_protected,
            path: file.path,
        })
    }
}

/// The keys of one installation.
pub struct Keyring {
    file: IdentityFile,
    /// The first is sealed for, all of them open.
    identities: RwLock<Vec<x25519::Identity>>,
    keys: RwLock<DataKeys>,
    fingerprints: Fingerprints,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    /// [`Keyring::open`] with the identity in the data directory.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    #[cfg(test)]
    pub fn load_or_create(directory: &Path) -> Result<Self, SealError> {
        Self::open(directory, &IdentitySource::default())
    }

    /// Reads the keys of a data directory, or makes them where the directory has
    /// no store yet. An identity is protected from now on where a passphrase is given.
    ///
    /// # Errors
    /// When a key of an existing store is missing, unreadable or open to others.
    pub fn open(directory: &Path, source: &IdentitySource) -> Result<Self, SealError> {
        let file = IdentityFile::of(directory, source);
        let is_new = !directory.join(store::FILE).exists();
        match file.read()? {
            Some(found) => {
                if file.wants_passphrase() && !found.is_protected && !file.is_credential {
                    file.write(&found.all)?;
                    tracing::info!(path = %file.path.display(), "a passphrase protects the identity");
                }
            }
            None if is_new => file.write(&[x25519::Identity::generate()])?,
            None => return Err(SealError::IdentityMissing(file.path)),
        }
        if is_new {
            Fingerprints::make(directory)?;
        }
        Self::load(directory, source)
    }

    /// Reads the keys of a data directory, and changes nothing.
    ///
    /// # Errors
    /// When a key is missing, unreadable or open to others.
    pub fn load(directory: &Path, source: &IdentitySource) -> Result<Self, SealError> {
        let file = IdentityFile::of(directory, source);
        let found = file.read()?.ok_or_else(|| SealError::IdentityMissing(file.path.clone()))?;
        Ok(Self {
            file,
            identities: RwLock::new(found.all),
            keys: RwLock::default(),
            fingerprints: Fingerprints::load(directory)?,
        })
    }

    fn identities(&self) -> Vec<x25519::Identity> {
        self.identities.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The public half of the identity that is sealed for.
    pub fn recipient(&self) -> String {
        self.identities().first().map(recipient).unwrap_or_default()
    }

    /// Makes a data key for the identity that is sealed for, and the form of it that is
    /// stored. It is used once it was given to [`Keyring::install`].
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn make_key(&self, id: u32) -> Result<(DataKey, Vec<u8>), SealError> {
        let identities = self.identities();
        let identity = identities.first().ok_or(SealError::NoDataKey)?;
        DataKey::make(id, identity)
    }

    /// Opens a stored data key.
    ///
    /// # Errors
    /// When it is sealed for an identity that isn't there, or damaged.
    pub(crate) fn open_key(&self, id: u32, stored: &[u8]) -> Result<DataKey, SealError> {
        let identities = self.identities();
        DataKey::open(id, stored, &identities).map_err(|fault| match fault {
            KeyFault::Damaged => SealError::DataKeyDamaged(id),
            KeyFault::SealedFor(needed) => {
                let found: Vec<_> = identities.iter().map(recipient).collect();
                let found = found.join(", ");
                SealError::WrongIdentity { path: self.file.path.clone(), needed, found }
            }
        })
    }

    /// Uses a data key from now on; the one with the highest id seals.
    pub(crate) fn install(&self, key: DataKey) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).add(key);
    }

    /// The data key that seals.
    ///
    /// # Errors
    /// When none was installed.
    pub(crate) fn key(&self) -> Result<Arc<DataKey>, SealError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.current().cloned().ok_or(SealError::NoDataKey)
    }

    /// The data key of this id.
    ///
    /// # Errors
    /// When none of this id was installed.
    pub(crate) fn key_of(&self, id: u32) -> Result<Arc<DataKey>, SealError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).cloned().ok_or(SealError::DataKeyUnknown(id))
    }

    /// Opens what an earlier version sealed for the identity itself.
    ///
    /// # Errors
    /// When it was sealed for another identity, or changed since.
    pub(crate) fn open_age(&self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let decrypt = || {
            let identities = self.identities();
            let all = identities.iter().map(|identity| identity as &dyn age::Identity);
            let mut plaintext = Vec::new();
            let mut reader = age::Decryptor::new_buffered(sealed)?.decrypt(all)?;
            io::Read::read_to_end(&mut reader, &mut plaintext)?;
            Ok(plaintext)
        };
        decrypt().map_err(|error: age::DecryptError| SealError::Decrypt(error.to_string()))
    }

    /// Puts a new identity before those that are there: on the disk first, then in
    /// use. Where somebody put another one first in the file, that is the new one.
    /// Takes as long as the disk, and a passphrase, need for it; only whoever has the
    /// turn to rotate calls it.
    ///
    /// # Errors
    /// When the file can't be read or written; then nothing has changed.
    pub(crate) fn renew(&self) -> Result<(), SealError> {
        let identities = self.identities();
        let found = self.file.read()?;
        let found = found.ok_or_else(|| SealError::IdentityMissing(self.file.path.clone()))?;
        let mut wanted = found.all;
        let is_same = wanted.first().map(recipient) == identities.first().map(recipient);
        if is_same && !self.file.can_be_written() {
            return Err(SealError::NotOurs(self.file.path.clone()));
        }
        if is_same {
            wanted.insert(0, x25519::Identity::generate());
        }
        let count = wanted.len();
        for old in identities {
            if !wanted.iter().any(|one| recipient(one) == recipient(&old)) {
                wanted.push(old);
            }
        }
        if is_same || wanted.len() > count {
            self.file.write(&wanted)?;
        }
        self.use_identities(wanted);
        Ok(())
    }

    fn use_identities(&self, identities: Vec<x25519::Identity>) {
        *self.identities.write().unwrap_or_else(PoisonError::into_inner) = identities;
    }

    /// Whether there are identities that only open, and that can be removed.
    pub(crate) fn has_former(&self) -> bool {
        self.identities().len() > 1 && self.file.can_be_written()
    }

    /// Removes the identities that only open, in the file and from memory. Nothing may
    /// be sealed for them any more. Takes as long as [`Keyring::renew`], and is called as
    /// that is.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn forget_former(&self) -> Result<(), SealError> {
        let mut identities = self.identities();
        if identities.len() < 2 {
            return Ok(());
        }
        if self.file.can_be_written() {
            self.file.write(&identities[..1])?;
        } else {
            tracing::info!(
                path = %self.file.path.display(),
                "only the first identity in the file is needed from now on"
            );
        }
        identities.truncate(1);
        self.use_identities(identities);
        Ok(())
    }

    /// The key of the audit log.
    pub(crate) fn audit_key(&self) -> ChainKey {
        self.fingerprints.audit_key()
    }

    /// A keyed digest of a value, bound to where it stands: equal values of
    /// different Secrets don't look equal, and nobody without the key can try
    /// guesses.
    #[must_use]
    pub fn fingerprint(&self, place: &[&str], value: &[u8]) -> String {
        self.fingerprints.of(place, value)
    }
}

fn recipient(identity: &x25519::Identity) -> String {
    identity.to_public().to_string()
}

/// The text of a key file; `None` when there is none.
fn key_file(path: &Path) -> Result<Option<String>, SealError> {
    private_file::read(path).map_err(|source| SealError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
