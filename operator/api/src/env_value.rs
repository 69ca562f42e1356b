//! Values of environment variables: a scalar, or where to take one from.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// What an environment variable is set to.
#[derive(Debug, Clone, PartialEq)]
pub enum EnvValue {
    /// Written out in the manifest. `$(NAME)` in it is replaced by another
    /// variable of the same container; `$$(NAME)` stays as `$(NAME)`.
    Scalar(Scalar),
    /// Taken from elsewhere.
    From(EnvSource),
}

/// A scalar that is written back the way it came: `3000` stays a number.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(flag) => write!(f, "{flag}"),
        }
    }
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvSource {
    /// A key of a Secret in the project.
    pub secret_key_ref: SecretKeyRef,
}

/// A key of a Secret in the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key in its `data`.
    pub key: String,
}

impl EnvValue {
    /// A plain text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::String(text.into()))
    }
}

impl Serialize for EnvValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(Scalar::String(text)) => serializer.serialize_str(text),
            Self::Scalar(Scalar::Integer(number)) => serializer.serialize_i64(*number),
            Self::Scalar(Scalar::Number(number)) => serializer.serialize_f64(*number),
            Self::Scalar(Scalar::Bool(flag)) => serializer.serialize_bool(*flag),
            Self::From(source) => source.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refusal = |found: &str| {
            D::Error::custom(format!(
                "expected text, a number, true/false or {{secretKeyRef: {{name, key}}}}, found {found}"
            ))
        };
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Scalar(Scalar::String(text))),
            Value::Bool(flag) => Ok(Self::Scalar(Scalar::Bool(flag))),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Ok(Self::Scalar(Scalar::Integer(whole))),
                (None, Some(float)) => Ok(Self::Scalar(Scalar::Number(float))),
                (None, None) => Err(refusal("a number out of range")),
            },
            object @ Value::Object(_) => {
                serde_json::from_value(object).map(Self::From).map_err(D::Error::custom)
            }
            Value::Null => Err(refusal("nothing")),
            Value::Array(_) => Err(refusal("a list")),
        }
    }
}

impl JsonSchema for EnvValue {
    fn schema_name() -> Cow<'static, str> {
        "EnvValue".into()
    }

    /// A structural schema can't say "scalar or object", so the CRD leaves the
    /// type open and the server checks the value by reading it. Editors get
    /// the whole union; their schema is told apart by its meta schema, which
    /// the CRD generator leaves out.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let description = "Text, number or boolean, or {secretKeyRef: {name, key}}. \
            $(NAME) in text is replaced by another variable of the same container.";
        if generator.settings().meta_schema.is_none() {
            return json_schema!({
                "description": description,
                "x-kubernetes-preserve-unknown-fields": true,
            });
        }
        let source = generator.subschema_for::<EnvSource>().to_value();
        let any_of = json!([{"type": ["string", "number", "boolean"]}, source]);
        json_schema!({"description": description, "anyOf": any_of})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_come_back_as_they_went_in() {
        for text in [r#""x""#, "3000", "1.5", "true", r#"{"secretKeyRef":{"name":"a","key":"b"}}"#]
        {
            let value: EnvValue = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
    }

    #[test]
    fn refusals_say_what_is_expected() {
        let error = serde_json::from_str::<EnvValue>("[1]").unwrap_err().to_string();
        assert!(error.contains("secretKeyRef") && error.contains("a list"), "{error}");
        let error =
            serde_json::from_str::<EnvValue>(r#"{"secretRef":{}}"#).unwrap_err().to_string();
        assert!(error.contains("secretRef"), "{error}");
    }
}
