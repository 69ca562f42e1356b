//! Keyed digests of values, and the keys that are made of the same secret.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{SealError, key_file};
use crate::audit::ChainKey;
use crate::{private_file, random};

/// The key of the fingerprints inside the data directory.
pub const FINGERPRINT_FILE: &str = "fingerprint.key";

/// Makes fingerprints that mean nothing outside of this installation.
#[derive(Clone)]
pub(crate) struct Fingerprints {
    /// Keyed and ready; cloned for every fingerprint.
    mac: Hmac<Sha256>,
}

impl Fingerprints {
    /// Reads the key of a data directory.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub fn load(directory: &Path) -> Result<Self, SealError> {
        let path = directory.join(FINGERPRINT_FILE);
        let text = key_file(&path)?.ok_or_else(|| SealError::KeyMissing(path.clone()))?;
        let key = parse_hex(text.trim()).ok_or_else(|| SealError::KeyUnreadable(path.clone()))?;
        let mac =
            Hmac::<Sha256>::new_from_slice(&key).map_err(|_| SealError::KeyUnreadable(path))?;
        Ok(Self { mac })
    }

    /// Makes a key in a data directory that has none.
    pub(super) fn make(directory: &Path) -> Result<(), SealError> {
        let path = directory.join(FINGERPRINT_FILE);
        if path.exists() {
            return Ok(());
        }
        random::bytes::<32>()
            .and_then(|key| {
                private_file::write(&path, format!("{}\n", random::hex(&key)).as_bytes())
            })
            .map_err(|source| SealError::File { path, source })
    }

    /// The key of the audit log: of its own, so that no fingerprint is a link of
    /// the chain.
    pub fn audit_key(&self) -> ChainKey {
        let mut mac = self.mac.clone();
        mac.update(b"\0hades.dev/audit");
        ChainKey::of_bytes(&mac.finalize().into_bytes().into())
    }

    /// See [`super::Keyring::fingerprint`].
    pub fn of(&self, place: &[&str], value: &[u8]) -> String {
        let mut mac = self.mac.clone();
        for part in place {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(value);
        random::hex(&mac.finalize().into_bytes()[..16])
    }
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
