//! Bearer: the form of the tokens that this crate gives out.
//!
//! `hdt_` (API tokens) or `hds_` (sessions), 43 characters of base 62 that hold
//! 256 random bits, and six that are a checksum of all before them, so that a
//! scanner for leaked secrets knows one for certain without asking the server.

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::random;

/// SHA-256 of a token. Enough, because tokens are random and no passwords.
pub(crate) type Digest = [u8; 32];

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An API token.
    Token,
    /// A session.
    Session,
}

/// 62^43 is just above 2^256.
const RANDOM: usize = 43;
/// 62^6 is above 2^32.
const CHECK: usize = 6;
const PREFIX: usize = 4;

impl Form {
    fn prefix(self) -> &'static str {
        match self {
            Self::Token => "hdt_",
            Self::Session => "hds_",
        }
    }

    /// A new token and what is kept of it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn make(self) -> Result<(SecretString, Digest), getrandom::Error> {
        let mut text = format!("{}{}", self.prefix(), random::text::<RANDOM>()?);
        text.push_str(&checksum(&text));
        let digest = digest(&text);
        Ok((SecretString::from(text), digest))
    }

    /// The digest of a text that has this form.
    pub fn read(self, text: &str) -> Option<Digest> {
        if text.len() != PREFIX + RANDOM + CHECK || !text.is_ascii() {
            return None;
        }
        let (body, check) = text.split_at(PREFIX + RANDOM);
        (body.starts_with(self.prefix()) && checksum(body) == check).then(|| digest(text))
    }
}

fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// Six digits of base 62. It proves nothing, it only tells a token from other
/// text; so it needn't be compared in constant time.
fn checksum(text: &str) -> String {
    let digest = digest(text);
    let mut number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let mut digits = [0; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = random::LETTERS[(number % 62) as usize];
        number /= 62;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn tokens_are_known_by_their_form() {
        let (token, digest) = Form::Token.make().unwrap();
        let text = token.expose_secret();
        assert_eq!(text.len(), 53);
        assert_eq!(Form::Token.read(text), Some(digest));
        assert_eq!(Form::Session.read(text), None);
        let last = if text.ends_with('0') { "1" } else { "0" };
        for bad in [
            "",
            "hdt_",
            "hdt_ü",
            &format!("{text} "),
            &format!("{}{last}", &text[..52]),
            &text.to_uppercase(),
            &"hdt_".repeat(100_000),
        ] {
            assert_eq!(Form::Token.read(bad), None, "{bad:.60}");
        }
        assert!(!format!("{token:?}").contains(text));
        assert_ne!(Form::Token.make().unwrap().1, digest);
    }
}
