//! Keys: the ones that servers show, and the ones that log in.

use std::fmt;
use std::str::FromStr;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey, decode_secret_key};
use secrecy::{ExposeSecret, SecretString};

use crate::Error;

/// The public key of a server.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

impl HostKey {
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn new(key: &PublicKey) -> Self {
        // Without the comment, which is no part of the identity.
        Self(PublicKey::new(key.key_data().clone(), ""))
    }

    /// The algorithms by which a server proves that it has this key.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        match self.0.algorithm() {
            Algorithm::Rsa { .. } => vec![
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ],
            other => vec![other],
        }
    }
}

/// The kind and the key, as a `.pub` file has them: `ssh-ed25519 AAAA… comment`.
impl FromStr for HostKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        PublicKey::from_openssh(text.trim())
            .map(|key| Self::new(&key))
            .map_err(|_| Error::PublicKey { text: text.trim().to_owned() })
    }
}

/// As a `.pub` file has it, without a comment.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_openssh().map_err(|_| fmt::Error)?.trim_end())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

/// A new key pair.
pub struct KeyPair {
    /// In OpenSSH format, without a passphrase.
    pub private: SecretString,
    /// A line for `authorized_keys`.
    pub public: String,
}

impl KeyPair {
    /// A new ed25519 pair with this comment.
    ///
    /// # Errors
    /// When the pair can't be written down, which doesn't happen with a comment
    /// of one line.
    pub fn generate(comment: &str) -> Result<Self, Error> {
        let failed =
            |error: russh::keys::ssh_key::Error| Error::PrivateKey { reason: error.to_string() };
        let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(failed)?;
        key.set_comment(comment);
        let public = key.public_key().to_openssh().map_err(failed)?;
        let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
        Ok(Self { private: SecretString::from(private.as_str()), public })
    }
}

/// The public key of a private one, as a line of `authorized_keys`.
///
/// # Errors
/// [`Error::PrivateKey`] when it can't be read or has a passphrase.
pub fn public_key(private: &SecretString) -> Result<String, Error> {
    let key = read_private(private)?;
    key.public_key().to_openssh().map_err(|error| Error::PrivateKey { reason: error.to_string() })
}

pub(crate) fn read_private(private: &SecretString) -> Result<PrivateKey, Error> {
    let unusable = |reason: &str| Error::PrivateKey { reason: reason.to_owned() };
    let text = private.expose_secret();
    let key = decode_secret_key(text, None).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => unusable(
            "it has a passphrase, which nobody is there to type; take the passphrase off \
             (`ssh-keygen -p -f KEY`) or make a key for Hades alone",
        ),
        // The library's own words could quote the key.
        _ => unusable(
            "it is not a private key in OpenSSH or PEM format (the whole file, from \
             -----BEGIN to -----END and the line end after it)",
        ),
    })?;
    if key.is_encrypted() {
        return Err(unusable(
            "it has a passphrase, which nobody is there to type; take the passphrase off \
             (`ssh-keygen -p -f KEY`) or make a key for Hades alone",
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_pair_can_be_read_again() {
        let pair = KeyPair::generate("hades@studio").unwrap();
        assert!(pair.public.starts_with("ssh-ed25519 "), "{}", pair.public);
        assert!(pair.public.ends_with(" hades@studio"), "{}", pair.public);
        assert_eq!(public_key(&pair.private).unwrap(), pair.public);
    }

    #[test]
    fn host_keys_without_their_comment() {
        let pair = KeyPair::generate("one").unwrap();
        let key: HostKey = pair.public.parse().unwrap();
        let bare = pair.public.strip_suffix(" one").unwrap();
        assert_eq!(key, bare.parse().unwrap());
        assert_eq!(key.to_string(), bare);
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert!("ssh-ed25519 nonsense".parse::<HostKey>().is_err());
    }

    #[test]
    fn unusable_keys_are_explained_and_not_shown() {
        let error = public_key(&"hunter2".into()).unwrap_err().to_string();
        assert!(error.contains("OpenSSH") && !error.contains("hunter2"), "{error}");
    }
}
