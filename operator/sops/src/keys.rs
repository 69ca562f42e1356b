//! age keys: identities that open, recipients to seal to.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format as Armor};
use age::secrecy::ExposeSecret;
use age::x25519;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::SopsError;

/// Identities that are read at a time.
pub const MAX_IDENTITIES: usize = 32;
/// Bytes of an encrypted data key. It has one recipient, which takes about 400, and 750 with
/// what some writers add at random; each further one costs an attempt.
const MAX_ENCRYPTED_KEY: usize = 1024;
/// Bytes of a data key, or of a part of one (which has one byte more).
const MAX_DATA_KEY: u64 = 64;

/// Identities that open files. `Debug` prints none of them.
#[derive(Clone, Default)]
pub struct Keys {
    /// With the public halves.
    identities: Vec<(Recipient, x25519::Identity)>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.identities.iter().map(|(public, _)| public.as_str())).finish()
    }
}

/// The public half of an identity: `age1…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient(String);

impl Recipient {
    /// As age writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Recipient {
    type Err = SopsError;

    fn from_str(text: &str) -> Result<Self, SopsError> {
        let text = text.trim();
        x25519::Recipient::from_str(text)
            .map(|recipient| Self(recipient.to_string()))
            .map_err(|_| SopsError::Recipient { text: shown(text) })
    }
}

/// The beginning of what should have been a public key. A private one given by
/// mistake isn't repeated.
fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.to_ascii_uppercase().contains("SECRET") {
        true => "(a secret key)".to_owned(),
        false => text.chars().take(LONGEST).collect(),
    }
}

/// Makes an identity: its text, as `age-keygen` writes it, and its public half.
#[must_use]
pub fn new_identity() -> (SecretString, Recipient) {
    let identity = x25519::Identity::generate();
    let text = SecretString::from(identity.to_string().expose_secret());
    (text, Recipient(identity.to_public().to_string()))
}

impl Keys {
    /// Reads the text of an age key file: identities, one a line, and `#` comments.
    ///
    /// # Errors
    /// When a line is something else, which isn't shown, or there are more than
    /// [`MAX_IDENTITIES`].
    pub fn parse(text: &str) -> Result<Self, SopsError> {
        let mut identities = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if identities.len() == MAX_IDENTITIES {
                return Err(SopsError::TooManyIdentities { limit: MAX_IDENTITIES });
            }
            let identity = x25519::Identity::from_str(line)
                .map_err(|_| SopsError::Identity { line: number + 1 })?;
            identities.push((Recipient(identity.to_public().to_string()), identity));
        }
        Ok(Self { identities })
    }

    /// Takes in further keys.
    pub fn extend(&mut self, other: Self) {
        self.identities.extend(other.identities);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// The public halves, in order.
    #[must_use]
    pub fn recipients(&self) -> Vec<Recipient> {
        self.identities.iter().map(|(public, _)| public.clone()).collect()
    }

    /// Opens a data key that was encrypted to a recipient. None if there is no identity for
    /// that one, or it isn't an encrypted key. No other identity is tried: every attempt
    /// costs, and a file may name many recipients.
    pub(crate) fn unwrap(&self, recipient: &str, encrypted: &str) -> Option<Zeroizing<Vec<u8>>> {
        let recipient = recipient.trim();
        let (_, identity) = self.identities.iter().find(|(of, _)| of.as_str() == recipient)?;
        if encrypted.len() > MAX_ENCRYPTED_KEY {
            return None;
        }
        let decryptor =
            age::Decryptor::new_buffered(ArmoredReader::new(encrypted.as_bytes())).ok()?;
        let reader = decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?;
        let mut key = Zeroizing::new(Vec::with_capacity(33));
        reader.take(MAX_DATA_KEY).read_to_end(&mut key).ok()?;
        Some(key)
    }
}

impl Recipient {
    /// Encrypts a data key.
    pub(crate) fn wrap(&self, key: &[u8]) -> Result<String, SopsError> {
        const FAILED: SopsError = SopsError::Encrypt("the data key can't be sealed");
        let recipient = x25519::Recipient::from_str(&self.0)
            .map_err(|_| SopsError::Recipient { text: self.0.clone() })?;
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _))
            .map_err(|_| FAILED)?;
        let armored =
            ArmoredWriter::wrap_output(Vec::new(), Armor::AsciiArmor).map_err(|_| FAILED)?;
        let mut writer = encryptor.wrap_output(armored).map_err(|_| FAILED)?;
        writer.write_all(key).map_err(|_| FAILED)?;
        let bytes = writer.finish().and_then(ArmoredWriter::finish).map_err(|_| FAILED)?;
        String::from_utf8(bytes).map_err(|_| FAILED)
    }
}
