//! Permissions in octal: `"0640"`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Permissions in octal, as `chmod` takes them. Always text: YAML tools don't
/// agree on what the number `0640` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMode {
    text: String,
    bits: u32,
}

impl FileMode {
    /// From text such as `0640` or `1777`.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = u32::from_str_radix(text, 8).ok().filter(|_| octal);
        let bits = bits.ok_or_else(|| {
            format!("{text:?} are no permissions: write three or four octal digits in quotes, such as \"0640\"")
        })?;
        Ok(Self { text: text.to_owned(), bits })
    }

    /// The permission bits.
    pub fn bits(&self) -> u32 {
        self.bits
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-7]{3,4}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_alone() {
        assert_eq!(FileMode::parse("0640").unwrap().bits(), 0o640);
        assert_eq!(FileMode::parse("1777").unwrap().bits(), 0o1777);
        for bad in ["", "64", "0800", "00640", "+640", "rw-"] {
            assert!(FileMode::parse(bad).is_err(), "{bad}");
        }
    }
}
