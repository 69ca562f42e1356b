//! The chain of records: how a line is sealed and how it is checked.
//!
//! A line is the JSON of an event whose last two annotations are its number and
//! its HMAC:
//! ```text
//! {"kind":"Event",…,"annotations":{…,"hades.dev/number":"7","hades.dev/chain":"9f…"}}
//! └────────────────────────── body ──────────────────────┘└───── tail, 85 bytes ─────┘
//! ```
//! The HMAC-SHA256 is over the HMAC of the record before (32 bytes; zeros before
//! the very first) and the body.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::annotations::{CHAIN, NUMBER};
use crate::random;

/// The HMAC of a record.
pub type Hash = [u8; 32];

/// Where in the chain a record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Counted from one.
    pub number: u64,
    pub hash: Hash,
}

/// The key of the chain.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainKey")
    }
}

impl ChainKey {
    /// A key of these bytes, which are used for nothing else.
    pub fn of_bytes(bytes: &[u8; 32]) -> Self {
        // As long as a block of the hash, which is the key as it is.
        let mut block = [0; 64];
        block[..32].copy_from_slice(bytes);
        Self(Hmac::new(&block.into()))
    }

    fn hash(&self, previous: &Hash, body: &[u8]) -> Hash {
        let mut mac = self.0.clone();
        mac.update(previous);
        mac.update(body);
        mac.finalize().into_bytes().into()
    }

    /// The MAC of a text that stands for itself.
    pub fn seal_text(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(b"head\0");
        mac.update(text.as_bytes());
        random::hex(&mac.finalize().into_bytes())
    }

    /// Appends an event to `out` as a line that follows on `previous`. The event is
    /// JSON that ends with its annotations.
    pub fn append(&self, previous: &Link, event: &[u8], out: &mut Vec<u8>) -> Link {
        let number = previous.number + 1;
        let start = out.len();
        let open = event.strip_suffix(b"}}").unwrap_or(event);
        out.extend_from_slice(open);
        if !open.ends_with(b"{") {
            out.push(b',');
        }
        out.extend_from_slice(format!("{NUMBER:?}:\"{number}\"").as_bytes());
        let hash = self.hash(&previous.hash, &out[start..]);
        out.extend_from_slice(format!(",{CHAIN:?}:\"{}\"}}}}\n", random::hex(&hash)).as_bytes());
        Link { number, hash }
    }

    /// Whether a line follows on a record of that hash as it says.
    pub fn follows(&self, previous: &Hash, line: &Line<'_>) -> bool {
        bool::from(self.hash(previous, line.body).ct_eq(&line.link.hash))
    }
}

/// A line taken apart, not checked yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    body: &'a [u8],
    pub link: Link,
}

impl<'a> Line<'a> {
    /// Takes a line apart, given without its newline; `None` where it has not the
    /// form of one.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_suffix(b"\"}}")?;
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        let body = rest.strip_suffix(format!(",{CHAIN:?}:\"").as_bytes())?;
        let digits = body.strip_suffix(b"\"")?;
        let start = digits.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
        digits[..start].strip_suffix(format!("{NUMBER:?}:\"").as_bytes())?;
        let number = std::str::from_utf8(&digits[start..]).ok()?.parse().ok()?;
        Some(Self { body, link: Link { number, hash: parse_hash(hash)? } })
    }
}

/// A hash in hexadecimal.
pub fn parse_hash(text: &[u8]) -> Option<Hash> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 64 && text.is_ascii())?;
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_that_says_where_it_stands_and_follows_on_one_alone() {
        let key = ChainKey::of_bytes(&[7; 32]);
        let mut out = Vec::new();
        let first = key.append(&Link::default(), br#"{"a":1,"annotations":{}}"#, &mut out);
        let second = key.append(&first, br#"{"a":2,"annotations":{"x":"y"}}"#, &mut out);
        let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
        let value: serde_json::Value = serde_json::from_slice(lines[1]).unwrap();
        assert_eq!(value["annotations"]["x"], "y");
        assert_eq!(value["annotations"][NUMBER], "2");
        let line = Line::read(lines[1]).unwrap();
        assert_eq!(line.link, second);
        assert!(key.follows(&first.hash, &line));
        assert!(!key.follows(&second.hash, &line));
        assert!(!ChainKey::of_bytes(&[8; 32]).follows(&first.hash, &line));
        for index in 0..lines[1].len() {
            let mut changed = lines[1].to_vec();
            changed[index] ^= 1;
            let holds = Line::read(&changed).is_some_and(|line| key.follows(&first.hash, &line));
            assert!(!holds, "byte {index} changed");
        }
        assert_eq!(Line::read(b""), None);
        assert_eq!(Line::read(&lines[1][..lines[1].len() - 1]), None);
    }
}
