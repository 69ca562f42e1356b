//! Encryption of what must not lie on disk in the clear, and the fingerprints
//! that stand for secret values where people read them.

pub(crate) mod secret;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::audit::ChainKey;
use crate::{private_file, random, store};

/// The age identity inside the data directory.
pub const IDENTITY_FILE: &str = "identity.age";
/// The key of the fingerprints inside the data directory.
pub const FINGERPRINT_FILE: &str = "fingerprint.key";

/// Why something can't be sealed or opened. Holds no key and no plaintext.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store exists, but not the key that opens it.
    #[error(
        "{0} is missing, and without it the Secrets in the store can't be read; restore the \
             file from a backup (a new key would not open them)"
    )]
    KeyMissing(PathBuf),
    /// A key file does not hold a key.
    #[error("{0} does not hold a valid key; restore the file from a backup")]
    KeyUnreadable(PathBuf),
    /// A key file can't be read or written.
    #[error("the key file {path} can't be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Encryption failed.
    #[error("a row could not be sealed: {0}")]
    Encrypt(String),
    /// Decryption failed.
    #[error(
        "a sealed row could not be opened; the identity file does not belong to this store, \
             or the row is damaged: {0}"
    )]
    Decrypt(String),
}

/// The keys of one installation.
pub struct Keyring {
    identity: x25519::Identity,
    recipient: x25519::Recipient,
    /// Keyed and ready; cloned for every fingerprint.
    fingerprints: Hmac<Sha256>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring")
    }
}

impl Keyring {
    /// Reads the keys of a data directory, or makes them where the directory has
    /// no store yet.
    ///
    /// # Errors
    /// When a key of an existing store is missing or unreadable.
    pub fn load_or_create(directory: &Path) -> Result<Self, SealError> {
        Self::read(directory, directory.join(store::FILE).exists())
    }

    /// Reads the keys of a data directory, and makes none.
    ///
    /// # Errors
    /// When a key is missing or unreadable.
    pub fn load(directory: &Path) -> Result<Self, SealError> {
        Self::read(directory, true)
    }

    fn read(directory: &Path, store_exists: bool) -> Result<Self, SealError> {
        let identity = key_text(&directory.join(IDENTITY_FILE), store_exists, || {
            let identity = x25519::Identity::generate();
            Ok(format!(
                "# Opens the Secrets of this installation. Keep a copy elsewhere, and keep it secret.\n\
                 # public key: {}\n{}\n",
                identity.to_public(),
                identity.to_string().expose_secret()
            ))
        })?;
        let fingerprint = key_text(&directory.join(FINGERPRINT_FILE), store_exists, || {
            Ok(format!("{}\n", random::hex(&random::bytes::<32>()?)))
        })?;
        let identity = identity
            .lines()
            .find(|line| !line.starts_with('#') && !line.is_empty())
            .and_then(|line| x25519::Identity::from_str(line.trim()).ok())
            .ok_or_else(|| SealError::KeyUnreadable(directory.join(IDENTITY_FILE)))?;
        let fingerprint_key = parse_hex(fingerprint.trim())
            .ok_or_else(|| SealError::KeyUnreadable(directory.join(FINGERPRINT_FILE)))?;
        let fingerprints = Hmac::<Sha256>::new_from_slice(&fingerprint_key)
            .map_err(|_| SealError::KeyUnreadable(directory.join(FINGERPRINT_FILE)))?;
        Ok(Self { recipient: identity.to_public(), identity, fingerprints })
    }

    /// Encrypts the bytes of a row.
    ///
    /// # Errors
    /// When the encryption fails.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        age::encrypt(&self.recipient, plaintext)
            .map_err(|error| SealError::Encrypt(error.to_string()))
    }

    /// Decrypts what [`Keyring::seal`] made.
    ///
    /// # Errors
    /// When the bytes were sealed for another key, or changed since.
    pub fn open(&self, ciphertext: &[u8]) -> Result<Vec<u8>, SealError> {
        age::decrypt(&self.identity, ciphertext)
            .map_err(|error| SealError::Decrypt(error.to_string()))
    }

    /// The key of the audit log: of its own, so that no fingerprint is a link of
    /// the chain.
    pub(crate) fn audit_key(&self) -> ChainKey {
        let mut mac = self.fingerprints.clone();
        mac.update(b"\0hades.dev/audit");
        ChainKey::of_bytes(&mac.finalize().into_bytes().into())
    }

    /// A keyed digest of a value, bound to where it stands: equal values of
    /// different Secrets don't look equal, and nobody without the key can try
    /// guesses.
    #[must_use]
    pub fn fingerprint(&self, place: &[&str], value: &[u8]) -> String {
        let mut mac = self.fingerprints.clone();
        for part in place {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(value);
        random::hex(&mac.finalize().into_bytes()[..16])
    }
}

fn key_text(
    path: &Path,
    store_exists: bool,
    make: impl FnOnce() -> Result<String, std::io::Error>,
) -> Result<String, SealError> {
    let failed = |source| SealError::File { path: path.to_owned(), source };
    if let Some(text) = private_file::read(path).map_err(failed)? {
        return Ok(text);
    }
    if store_exists {
        return Err(SealError::KeyMissing(path.to_owned()));
    }
    let text = make().map_err(failed)?;
    private_file::write(path, text.as_bytes()).map_err(failed)?;
    Ok(text)
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let sealed = Keyring::load_or_create(directory.path()).unwrap().seal(b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        let again = Keyring::load_or_create(directory.path()).unwrap();
        assert_eq!(again.open(&sealed).unwrap(), b"hunter2");
    }

    #[test]
    fn a_store_without_its_key_is_refused_instead_of_given_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(store::FILE), b"rows").unwrap();
        let error = Keyring::load_or_create(directory.path()).unwrap_err();
        assert!(matches!(error, SealError::KeyMissing(_)), "{error}");
    }

    #[test]
    fn fingerprints_depend_on_key_place_and_value() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = Keyring::load_or_create(one.path()).unwrap();
        let two = Keyring::load_or_create(two.path()).unwrap();
        let base = one.fingerprint(&["shop", "db", "password"], b"x");
        assert_eq!(base, one.fingerprint(&["shop", "db", "password"], b"x"));
        assert_ne!(base, one.fingerprint(&["shop", "db", "password"], b"y"));
        assert_ne!(base, one.fingerprint(&["shop", "db2", "password"], b"x"));
        assert_ne!(base, two.fingerprint(&["shop", "db", "password"], b"x"));
    }
}
