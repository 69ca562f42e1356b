//! Limits of a process (`ulimit`).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// A limit of a process: a number, or `{soft, hard}`. -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    /// One number for both.
    Both(i64),
    /// What holds, and how far a process may raise it.
    Range(UlimitRange),
}

/// What holds, and how far a process may raise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UlimitRange {
    /// What holds at first.
    pub soft: i64,
    /// How far a process may raise it.
    pub hard: i64,
}

impl Ulimit {
    /// Soft and hard limit.
    pub fn range(self) -> UlimitRange {
        match self {
            Self::Both(limit) => UlimitRange { soft: limit, hard: limit },
            Self::Range(range) => range,
        }
    }
}

impl Serialize for Ulimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Both(limit) => serializer.serialize_i64(*limit),
            Self::Range(range) => range.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_i64().map(Self::Both).ok_or_else(|| {
                D::Error::custom(format!("expected a whole number, found {number}"))
            }),
            object @ Value::Object(_) => {
                serde_json::from_value(object).map(Self::Range).map_err(D::Error::custom)
            }
            _ => Err(D::Error::custom("expected a whole number or {soft, hard}")),
        }
    }
}

impl JsonSchema for Ulimit {
    fn schema_name() -> Cow<'static, str> {
        "Ulimit".into()
    }

    /// A structural schema can't say "number or object": see `EnvValue`.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let description = "A whole number, or {soft, hard}. -1 is no limit.";
        if generator.settings().meta_schema.is_none() {
            return json_schema!({
                "description": description,
                "x-kubernetes-preserve-unknown-fields": true,
            });
        }
        let range = generator.subschema_for::<UlimitRange>().to_value();
        let any_of = json!([{"type": "integer"}, range]);
        json_schema!({"description": description, "anyOf": any_of})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went_in() {
        for text in ["65536", "-1", r#"{"soft":1024,"hard":4096}"#] {
            let value: Ulimit = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
        for bad in ["1.5", "\"1\"", "[1]", r#"{"soft":1}"#] {
            assert!(serde_json::from_str::<Ulimit>(bad).is_err(), "{bad}");
        }
    }
}
