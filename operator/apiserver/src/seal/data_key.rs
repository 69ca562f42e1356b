//! The keys that rows are sealed with. They lie in the store, each sealed for the
//! identity of the installation.

use std::collections::BTreeMap;
use std::sync::Arc;

use age::x25519;
use chacha20poly1305::aead::{Aead, AeadInPlace, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::SealError;
use crate::random;

const KEY: usize = 32;
/// Long enough to be drawn by chance for every row.
const NONCE: usize = 24;
const TAG: usize = 16;

/// Between the recipient and the sealed key.
const SEPARATOR: u8 = b'\n';

/// One key, ready for use. It is wiped from memory when it is dropped.
pub(crate) struct DataKey {
    id: u32,
    /// The public half of the identity that opens it.
    recipient: String,
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl DataKey {
    /// Makes a key, and the form of it that may be stored: the recipient, a newline,
    /// and the key as an age file for that recipient.
    pub fn make(id: u32, identity: &x25519::Identity) -> Result<(Self, Vec<u8>), SealError> {
        let key: [u8; KEY] = random::bytes().map_err(|error| SealError::encrypt(&error))?;
        let recipient = identity.to_public();
        let sealed = age::encrypt(&recipient, &key).map_err(|error| SealError::encrypt(&error))?;
        let recipient = recipient.to_string();
        let mut stored = recipient.clone().into_bytes();
        stored.push(SEPARATOR);
        stored.extend_from_slice(&sealed);
        let cipher = XChaCha20Poly1305::new(&key.into());
        Ok((Self { id, recipient, cipher }, stored))
    }

    /// Opens a stored key with the identity that it is sealed for.
    pub fn open(id: u32, stored: &[u8], identities: &[x25519::Identity]) -> Result<Self, KeyFault> {
        let mut parts = stored.splitn(2, |byte| *byte == SEPARATOR);
        let (recipient, sealed) = (parts.next(), parts.next());
        let recipient = recipient.and_then(|text| std::str::from_utf8(text).ok());
        let (recipient, sealed) = recipient.zip(sealed).ok_or(KeyFault::Damaged)?;
        let identity = identities
            .iter()
            .find(|identity| identity.to_public().to_string() == recipient)
            .ok_or_else(|| KeyFault::SealedFor(recipient.to_owned()))?;
        let key = age::decrypt(identity, sealed).map_err(|_| KeyFault::Damaged)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| KeyFault::Damaged)?;
        Ok(Self { id, recipient: recipient.to_owned(), cipher })
    }

    /// What rows name it by.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The public half of the identity that opens it.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// Seals bytes for one place: they open nowhere else.
    pub fn seal(&self, place: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE] = random::bytes().map_err(|error| SealError::encrypt(&error))?;
        let mut sealed = Vec::with_capacity(NONCE + plaintext.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let tag = self
            .cipher
            .encrypt_in_place_detached(&nonce.into(), place, &mut sealed[NONCE..])
            .map_err(|error| SealError::encrypt(&error))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`DataKey::seal`] made for the same place.
    pub fn unseal(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
        let payload = Payload { msg: text, aad: place };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Damaged)
    }
}

/// Why a stored key can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// None of the identities is the one of this recipient.
    SealedFor(String),
    /// It isn't what was stored.
    Damaged,
}

/// The keys of a store.
#[derive(Debug, Default)]
pub(super) struct DataKeys(BTreeMap<u32, Arc<DataKey>>);

impl DataKeys {
    /// The one that rows are sealed with: the latest.
    pub fn current(&self) -> Option<&Arc<DataKey>> {
        self.0.last_key_value().map(|(_, key)| key)
    }

    /// The one of this id.
    pub fn get(&self, id: u32) -> Option<&Arc<DataKey>> {
        self.0.get(&id)
    }

    /// Adds one.
    pub fn add(&mut self, key: DataKey) {
        self.0.insert(key.id, Arc::new(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_opens_what_it_sealed_where_it_was_sealed() {
        let identity = x25519::Identity::generate();
        let (key, stored) = DataKey::make(3, &identity).unwrap();
        let other = x25519::Identity::generate();
        let again = DataKey::open(3, &stored, &[other.clone(), identity.clone()]).unwrap();
        for plaintext in [&b""[..], b"hunter2", b"line\n\0\xff", &vec![7; 1 << 20]] {
            let sealed = key.seal(b"shop/db", plaintext).unwrap();
            assert_eq!(again.unseal(b"shop/db", &sealed).unwrap(), plaintext);
            assert_ne!(sealed, key.seal(b"shop/db", plaintext).unwrap(), "no two are the same");
            let moved = again.unseal(b"blog/db", &sealed).unwrap_err();
            assert!(matches!(moved, SealError::Damaged), "{moved}");
            let mut changed = sealed.clone();
            let last = changed.len() - 1;
            changed[last] ^= 1;
            again.unseal(b"shop/db", &changed).unwrap_err();
            again.unseal(b"shop/db", &sealed[..last.min(20)]).unwrap_err();
        }
        let fault = DataKey::open(3, &stored, &[other]).unwrap_err();
        assert_eq!(fault, KeyFault::SealedFor(identity.to_public().to_string()));
        let fault = DataKey::open(3, &stored[..100], std::slice::from_ref(&identity)).unwrap_err();
        assert_eq!(fault, KeyFault::Damaged);
        assert_eq!(DataKey::open(3, b"", &[identity]).unwrap_err(), KeyFault::Damaged);
    }
}
