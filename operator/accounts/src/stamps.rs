//! Stamps: texts that come back from a browser are known to be this process's own.
//!
//! The key dies with the process. What was under way then is begun again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::random;

/// Makes and checks stamps.
pub(crate) struct Stamps([u8; BLOCK]);

/// A key of one block of the hash is used as it is (RFC 2104).
const BLOCK: usize = 64;

impl std::fmt::Debug for Stamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stamps")
    }
}

impl Stamps {
    /// With a key of their own.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        random::bytes().map(Self)
    }

    /// What only this process can make of these texts for this purpose: 43
    /// characters of base 64.
    pub fn make(&self, purpose: &str, texts: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        // No two lists of texts are one text.
        for text in std::iter::once(&purpose).chain(texts) {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Whether a stamp is the one of these texts.
    pub fn check(&self, stamp: &str, purpose: &str, texts: &[&str]) -> bool {
        self.make(purpose, texts).as_bytes().ct_eq(stamp.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_for_its_purpose_and_texts() {
        let stamps = Stamps::new().unwrap();
        let stamp = stamps.make("login", &["a", "bc"]);
        assert_eq!(stamp.len(), 43);
        assert!(stamps.check(&stamp, "login", &["a", "bc"]));
        for (purpose, texts) in
            [("logout", &["a", "bc"][..]), ("login", &["ab", "c"]), ("login", &["a", "bc", ""])]
        {
            assert!(!stamps.check(&stamp, purpose, texts));
        }
        assert!(!stamps.check("", "login", &["a", "bc"]));
        assert!(!Stamps::new().unwrap().check(&stamp, "login", &["a", "bc"]));
    }
}
