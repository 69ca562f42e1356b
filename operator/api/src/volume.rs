//! Named volumes and where services mount them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// `VOLUME:/path[:ro|rw]`, the short form of the compose specification. The
/// volume is a key of `spec.volumes`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeMount {
    /// Key in `spec.volumes`.
    pub volume: String,
    /// Absolute path in the container.
    pub path: String,
    /// Mounted read-only.
    pub read_only: bool,
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
        Ok(Self { volume: volume.to_owned(), path: path.to_owned(), read_only })
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
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VolumeMount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for VolumeMount {
    fn schema_name() -> Cow<'static, str> {
        "VolumeMount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?:/[^:]*(:(ro|rw))?$",
        })
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
}
