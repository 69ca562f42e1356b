//! Named volumes and where services mount them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// What becomes of data when the thing that holds it leaves the manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The data stays on its host.
    #[default]
    Retain,
    /// The data is deleted with its environment. A volume whose key leaves the
    /// manifest stays: the wish to delete it has left with it.
    Delete,
}

/// A named volume of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSpec {
    /// What becomes of the data when the environment is deleted: `Retain` (the
    /// default) or `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// `VOLUME:/path[:ro|rw]`, the short form of the compose specification, or
/// `{source, target, readOnly}`, its long form. The volume is a key of
/// `spec.volumes`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeMount {
    /// Key in `spec.volumes`.
    pub volume: String,
    /// Absolute path in the container.
    pub path: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// Written in the long form; kept so that it is written back the same.
    pub is_long: bool,
}

/// The long form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LongForm {
    /// Key in `spec.volumes`.
    source: String,
    /// Absolute path in the container.
    target: String,
    /// Mount read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

impl VolumeMount {
    /// From the short form.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (volume, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let read_only = match (parts.next(), parts.next()) {
            (None | Some("rw"), None) => false,
            (Some("ro"), None) => true,
            _ => return Err(format!("{text:?} is not a mount: write data:/path or data:/path:ro")),
        };
        if volume.starts_with(['/', '.', '~']) {
            return Err(format!(
                "{text:?} mounts a folder of the host, which is not supported: name a volume of spec.volumes"
            ));
        }
        if crate::name::check_label(volume).is_err() || !path.starts_with('/') {
            return Err(format!("{text:?} is not a mount: write data:/path or data:/path:ro"));
        }
        let (volume, path) = (volume.to_owned(), path.to_owned());
        Ok(Self { volume, path, read_only, is_long: false })
    }
}

impl fmt::Display for VolumeMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{}:{}{mode}", self.volume, self.path)
    }
}

impl Serialize for VolumeMount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.is_long {
            return serializer.collect_str(self);
        }
        let Self { volume, path, read_only, is_long: _ } = self.clone();
        LongForm { source: volume, target: path, read_only }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VolumeMount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text).map_err(D::Error::custom),
            object @ Value::Object(_) => {
                let LongForm { source, target, read_only } =
                    serde_json::from_value(object).map_err(D::Error::custom)?;
                if target.contains(':') {
                    return Err(D::Error::custom(format!(
                        "{target:?} is not a path: it holds ':'"
                    )));
                }
                // By way of the short form, whose rules are the same.
                let mount = Self::parse(&format!("{source}:{target}")).map_err(D::Error::custom)?;
                Ok(Self { read_only, is_long: true, ..mount })
            }
            _ => {
                Err(D::Error::custom("expected text like data:/path or {source, target, readOnly}"))
            }
        }
    }
}

impl JsonSchema for VolumeMount {
    fn schema_name() -> Cow<'static, str> {
        "VolumeMount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// A structural schema can't say "text or object": see `EnvValue`.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.settings().meta_schema.is_none() {
            return json_schema!({"x-kubernetes-preserve-unknown-fields": true});
        }
        let short = json!({
            "type": "string",
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?:/[^:]*(:(ro|rw))?$",
        });
        let long = generator.subschema_for::<LongForm>().to_value();
        json_schema!({"anyOf": json!([short, long])})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        assert_eq!(VolumeMount::parse("data:/x:ro").unwrap().to_string(), "data:/x:ro");
        assert_eq!(VolumeMount::parse("data:/x:rw").unwrap().to_string(), "data:/x");
        for bad in ["data", "data:x", "/etc:/x", "./x:/y", "a:/b:c", "a:/b:ro:z", ":/x"] {
            assert!(VolumeMount::parse(bad).is_err(), "{bad}");
        }
        assert!(VolumeMount::parse("/etc:/x").unwrap_err().contains("host"));
    }

    #[test]
    fn both_forms_come_back_as_they_went_in() {
        for text in [
            r#""data:/x:ro""#,
            r#"{"source":"data","target":"/x"}"#,
            r#"{"source":"data","target":"/x","readOnly":true}"#,
        ] {
            let mount: VolumeMount = serde_json::from_str(text).unwrap();
            assert_eq!((mount.volume.as_str(), mount.path.as_str()), ("data", "/x"));
            assert_eq!(mount.read_only, text.contains("ro\"") || text.contains("true"), "{text}");
            assert_eq!(serde_json::to_string(&mount).unwrap(), text);
        }
        for bad in [
            r#"{"source":"/etc","target":"/x"}"#,
            r#"{"source":"data","target":"/x:rw"}"#,
            r#"{"source":"data","target":"/x","type":"bind"}"#,
            r#"{"source":"data"}"#,
            "1",
        ] {
            assert!(serde_json::from_str::<VolumeMount>(bad).is_err(), "{bad}");
        }
    }
}
