//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, aes::Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::zeroize::Zeroizing;

use crate::SopsError;

/// Bytes of a data key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a nonce: sops's own choice, not the usual 12.
const NONCE_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// How an encrypted value begins.
pub(crate) const PREFIX: &str = "ENC[AES256_GCM,";

/// Encrypts and decrypts the values of one file.
pub(crate) struct Cipher(AesGcm<Aes256, U32>);

/// Why a value can't be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It isn't an encrypted value.
    NotEncrypted,
    /// It wasn't encrypted with this key for this place.
    Tampered,
}

/// A value that was decrypted.
pub(crate) struct Plain<'a> {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// `str`, `int`, `float`, `bool`, `bytes`, `time`, `comment`.
    pub(crate) kind: &'a str,
}

impl Cipher {
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        AesGcm::<Aes256, U32>::new_from_slice(key).ok().map(Self)
    }

    /// Decrypts a value that stands at `place`.
    pub(crate) fn decrypt<'a>(&self, text: &'a str, place: &str) -> Result<Plain<'a>, Refusal> {
        let parts = parse(text).ok_or(Refusal::NotEncrypted)?;
        let Parts { mut data, nonce, tag, kind } = parts;
        self.0
            .decrypt_inout_detached(
                &Array::from(nonce),
                place.as_bytes(),
                data.as_mut_slice().into(),
                &Array::from(tag),
            )
            .map_err(|_| Refusal::Tampered)?;
        Ok(Plain { bytes: data, kind })
    }

    /// Encrypts a value that stands at `place`.
    pub(crate) fn encrypt(
        &self,
        bytes: &[u8],
        kind: &str,
        place: &str,
        random: impl Fn(&mut [u8]) -> Result<(), SopsError>,
    ) -> Result<String, SopsError> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let mut data = Zeroizing::new(bytes.to_vec());
        let tag = self
            .0
            .encrypt_inout_detached(
                &Array::from(nonce),
                place.as_bytes(),
                data.as_mut_slice().into(),
            )
            .map_err(|_| SopsError::Encrypt("a value is too long"))?;
        Ok(format!(
            "{PREFIX}data:{},iv:{},tag:{},type:{kind}]",
            BASE64.encode(data.as_slice()),
            BASE64.encode(nonce),
            BASE64.encode(tag)
        ))
    }
}

struct Parts<'a> {
    data: Zeroizing<Vec<u8>>,
    nonce: [u8; NONCE_BYTES],
    tag: [u8; TAG_BYTES],
    kind: &'a str,
}

fn parse(text: &str) -> Option<Parts<'_>> {
    let rest = text.strip_prefix(PREFIX)?.strip_suffix(']')?;
    let rest = rest.strip_prefix("data:")?;
    let (data, rest) = rest.split_once(",iv:")?;
    let (nonce, rest) = rest.split_once(",tag:")?;
    let (tag, kind) = rest.split_once(",type:")?;
    Some(Parts {
        data: Zeroizing::new(BASE64.decode(data).ok()?),
        nonce: BASE64.decode(nonce).ok()?.try_into().ok()?,
        tag: BASE64.decode(tag).ok()?.try_into().ok()?,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(bytes: &mut [u8]) -> Result<(), SopsError> {
        getrandom::fill(bytes).map_err(|_| SopsError::Encrypt("no random numbers"))
    }

    #[test]
    fn a_value_opens_in_its_place_only() {
        let cipher = Cipher::new(&[7; KEY_BYTES]).unwrap();
        let sealed = cipher.encrypt(b"hunter2", "str", "data:password:", random).unwrap();
        let plain = cipher.decrypt(&sealed, "data:password:").unwrap();
        assert_eq!((plain.bytes.as_slice(), plain.kind), (&b"hunter2"[..], "str"));
        assert_eq!(cipher.decrypt(&sealed, "data:user:").err(), Some(Refusal::Tampered));
        let other = Cipher::new(&[8; KEY_BYTES]).unwrap();
        assert_eq!(other.decrypt(&sealed, "data:password:").err(), Some(Refusal::Tampered));
        for broken in ["", "hunter2", "ENC[AES256_GCM,data:,iv:,tag:,type:str]", &sealed[..40]] {
            assert_eq!(cipher.decrypt(broken, "").err(), Some(Refusal::NotEncrypted), "{broken}");
        }
        // The type isn't bound to the value; the MAC is over what it comes to.
        let retyped = sealed.replace("type:str", "type:int");
        assert_eq!(cipher.decrypt(&retyped, "data:password:").unwrap().kind, "int");
    }
}
