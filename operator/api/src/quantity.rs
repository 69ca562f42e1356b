//! Amounts in the notation of Kubernetes: `500m`, `0.5`, `256Mi`, `2G`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::IntOrString;

/// Thousand-millionths in one: what amounts are counted in, so that no
/// arithmetic on fractions rounds.
const NANO: i128 = 1_000_000_000;
/// Digits behind the point that still count.
const FRACTION_DIGITS: usize = 9;
/// Longest text that is read; more digits than any real amount has.
const LONGEST: usize = 32;

/// An amount of something, never negative, that keeps the form it was written
/// in. Binary suffixes are `Ki`, `Mi`, `Gi`, `Ti`, decimal ones `k`, `M`, `G`,
/// `T`; `m` is a thousandth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    written: IntOrString,
    nanos: i128,
}

impl Quantity {
    /// From text such as `500m`, `1.5` or `256Mi`.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(IntOrString::String(text.to_owned()))
    }

    fn read(written: IntOrString) -> Result<Self, String> {
        let text = written.to_string();
        let nanos = nanos(&text).ok_or_else(|| {
            format!("{text:?} is not an amount: write it like 500m, \"1.5\", 256Mi or 2Gi")
        })?;
        Ok(Self { written, nanos })
    }

    /// In thousand-millionths, which is how Docker counts processors
    /// (`NanoCpus`).
    pub fn nanos(&self) -> i128 {
        self.nanos
    }

    /// Whole units (bytes, processes), rounded up; none when too large for the
    /// engine's numbers.
    pub fn whole(&self) -> Option<i64> {
        i64::try_from(self.nanos.checked_add(NANO - 1)? / NANO).ok()
    }
}

/// `text` in thousand-millionths, rounded up.
fn nanos(text: &str) -> Option<i128> {
    if text.len() > LONGEST {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty()
        || digits.ends_with('.')
        || fraction.contains('.')
        || fraction.len() > FRACTION_DIGITS
    {
        return None;
    }
    // By numerator and denominator: 1.5m has neither a whole number of units
    // nor of thousandths.
    let (numerator, denominator): (i128, i128) = match suffix {
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        _ => return None,
    };
    let padded = format!("{whole}{fraction:0<FRACTION_DIGITS$}");
    let value = padded.parse::<i128>().ok()?.checked_mul(numerator)?;
    Some(value.checked_add(denominator - 1)? / denominator)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = IntOrString::deserialize(deserializer)?;
        Self::read(written).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = IntOrString::json_schema(generator);
        let pattern = json_schema!({"pattern": r"^[0-9]+(\.[0-9]{1,9})?([num]|[kMGT]|[KMGT]i)?$"});
        if let Some(object) = schema.as_object_mut() {
            object.extend(pattern.as_object().cloned().unwrap_or_default());
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_kubernetes() {
        for (text, expected) in [
            ("500m", NANO / 2),
            ("0.5", NANO / 2),
            ("2", 2 * NANO),
            ("1.5m", 1_500_000),
            ("1n", 1),
            ("0.5n", 1),
            ("256Mi", 256 * 1_048_576 * NANO),
            ("1.5Gi", 1_610_612_736 * NANO),
            ("2G", 2_000_000_000 * NANO),
            ("0", 0),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().nanos(), expected, "{text}");
        }
        for bad in ["", "-1", "m", ".5", "1.", "1.2.3", "1mb", "1 Gi", "1e3", "5Mb", "1.0123456789"]
        {
            assert!(Quantity::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Quantity::parse("256m").unwrap().whole(), Some(1));
        assert_eq!(Quantity::parse("99999999999Ti").unwrap().whole(), None);
        // As large as counting goes, and a little larger.
        assert!(Quantity::parse("170141183460469231731687303715n").is_err());
        assert_eq!(Quantity::parse("170141183460469231731687303715").unwrap().whole(), None);
    }

    #[test]
    fn comes_back_as_it_went_in() {
        for text in ["2", r#""256Mi""#] {
            let value: Quantity = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
    }
}
