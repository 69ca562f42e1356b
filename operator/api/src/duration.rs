//! Lengths of time as people write them: `90s`, `2m30s`, `1h`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest that is taken: what is longer is a slip of the finger, and clocks end
/// somewhere.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(366 * 24 * 3600);

/// A length of time, a year at most, that keeps the text it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duration {
    text: String,
    value: std::time::Duration,
}

impl Duration {
    /// From text such as `90s`, `2m30s`, `500ms` or `1h`.
    ///
    /// # Errors
    /// A sentence for people when the text is no such length of time, or a longer one
    /// than 366 days.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refusal =
            || format!("{text:?} is not a duration: write it like 30s, 5m, 1h30m or 500ms");
        let signed: jiff::SignedDuration = text.parse().map_err(|_| refusal())?;
        let value = std::time::Duration::try_from(signed).map_err(|_| refusal())?;
        if value > LONGEST {
            return Err(format!("{text:?} is too long: 8784h (366 days) is the most"));
        }
        Ok(Self { text: text.to_owned(), value })
    }

    /// From whole seconds.
    pub fn from_secs(seconds: u64) -> Self {
        Self { text: format!("{seconds}s"), value: std::time::Duration::from_secs(seconds) }
    }

    /// The length.
    pub fn get(&self) -> std::time::Duration {
        self.value
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_text() {
        let parsed = Duration::parse("1m30s").unwrap();
        assert_eq!(parsed.get().as_secs(), 90);
        assert_eq!(parsed.to_string(), "1m30s");
        assert!(Duration::parse("soon").is_err());
        assert!(Duration::parse("-5s").is_err());
    }

    #[test]
    fn ends_with_a_year() {
        assert!(Duration::parse("8784h").is_ok());
        for long in ["8785h", "9223372036854775807s"] {
            let refusal = Duration::parse(long).unwrap_err();
            assert!(refusal.contains("8784h (366 days) is the most"), "{refusal}");
        }
    }
}
