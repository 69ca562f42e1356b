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

/// `SOURCE:/path[:ro|rw]`, the short form of the compose specification, or
/// `{type, source, target, readOnly}`, its long form. The source is a key of
/// `spec.volumes`, or the absolute path of a folder or file of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeMount {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path in the container.
    pub path: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// How it was written; kept so that it is written back the same.
    pub form: MountForm,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MountSource {
    /// Key in `spec.volumes`.
    Volume(String),
    /// Absolute path on the host, as it was written.
    HostPath(String),
}

/// How a mount is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MountForm {
    /// As text.
    Short,
    /// As an object without `type`.
    Long,
    /// As an object with `type`.
    Typed,
}

/// What the long form says the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum MountType {
    /// A key of `spec.volumes`.
    Volume,
    /// A folder or file of the host.
    Bind,
}

/// The long form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LongForm {
    /// `volume` or `bind`; what the source looks like when absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<MountType>,
    /// Key in `spec.volumes`, or an absolute path on the host.
    source: String,
    /// Absolute path in the container.
    target: String,
    /// Mount read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

impl MountSource {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::HostPath(text.to_owned()));
        }
        if text.contains('\\') {
            return Err(format!("{text:?} is a path of Windows, and hosts run Linux: write /path"));
        }
        if text.starts_with(['.', '~']) {
            return Err(format!(
                "{text:?} is no absolute path: write the whole path of a folder of the host, or name a volume of spec.volumes"
            ));
        }
        match crate::name::check_label(text) {
            Ok(()) => Ok(Self::Volume(text.to_owned())),
            Err(_) => Err(format!("{text:?} is neither a name of a volume nor an absolute path")),
        }
    }

    /// As manifests write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Volume(text) | Self::HostPath(text) => text,
        }
    }
}

impl VolumeMount {
    /// From the short form.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\\') {
            return Err(format!("{text:?} holds a path of Windows, and hosts run Linux"));
        }
        let mut parts = text.split(':');
        let (source, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let refusal =
            || format!("{text:?} is not a mount: write data:/path, data:/path:ro or /srv/x:/path");
        let read_only = match (parts.next(), parts.next()) {
            (None | Some("rw"), None) => false,
            (Some("ro"), None) => true,
            _ => return Err(refusal()),
        };
        if source.is_empty() || !path.starts_with('/') {
            return Err(refusal());
        }
        let source = MountSource::parse(source)?;
        Ok(Self { source, path: path.to_owned(), read_only, form: MountForm::Short })
    }

    fn of_long(long: LongForm) -> Result<Self, String> {
        let LongForm { type_, source, target, read_only } = long;
        for path in [&source, &target] {
            if path.contains(':') {
                return Err(format!("{path:?} can't be mounted: it holds ':'"));
            }
        }
        // By way of the short form, whose rules are the same.
        let mount = Self::parse(&format!("{source}:{target}"))?;
        let form = match (type_, &mount.source) {
            (None, _) => MountForm::Long,
            (Some(MountType::Volume), MountSource::Volume(_))
            | (Some(MountType::Bind), MountSource::HostPath(_)) => MountForm::Typed,
            (Some(MountType::Volume), MountSource::HostPath(path)) => {
                return Err(format!("{path:?} is no volume: write type bind, or the name of one"));
            }
            (Some(MountType::Bind), MountSource::Volume(name)) => {
                return Err(format!("{name:?} is no absolute path, which type bind wants"));
            }
        };
        Ok(Self { read_only, form, ..mount })
    }

    /// Key in `spec.volumes`; none for a folder or file of the host.
    pub fn volume(&self) -> Option<&str> {
        match &self.source {
            MountSource::Volume(key) => Some(key),
            MountSource::HostPath(_) => None,
        }
    }

    /// Path on the host, as it was written; none for a volume.
    pub fn host_path(&self) -> Option<&str> {
        match &self.source {
            MountSource::Volume(_) => None,
            MountSource::HostPath(path) => Some(path),
        }
    }
}

impl fmt::Display for VolumeMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{}:{}{mode}", self.source.as_str(), self.path)
    }
}

impl Serialize for VolumeMount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let type_ = match (self.form, &self.source) {
            (MountForm::Short, _) => return serializer.collect_str(self),
            (MountForm::Long, _) => None,
            (MountForm::Typed, MountSource::Volume(_)) => Some(MountType::Volume),
            (MountForm::Typed, MountSource::HostPath(_)) => Some(MountType::Bind),
        };
        let Self { source, path, read_only, form: _ } = self.clone();
        let source = source.as_str().to_owned();
        LongForm { type_, source, target: path, read_only }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VolumeMount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text).map_err(D::Error::custom),
            object @ Value::Object(_) => {
                let long = serde_json::from_value(object).map_err(D::Error::custom)?;
                Self::of_long(long).map_err(D::Error::custom)
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
            "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?|/[^:]*):/[^:]*(:(ro|rw))?$",
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
        for (text, expected) in [
            ("data:/x:ro", "data:/x:ro"),
            ("data:/x:rw", "data:/x"),
            ("/srv/shop:/x:ro", "/srv/shop:/x:ro"),
        ] {
            assert_eq!(VolumeMount::parse(text).unwrap().to_string(), expected);
        }
        assert_eq!(VolumeMount::parse("/etc:/x").unwrap().host_path(), Some("/etc"));
        assert_eq!(VolumeMount::parse("c:/data").unwrap().volume(), Some("c"));
        for bad in [
            "data",
            "data:x",
            "./x:/y",
            "~/x:/y",
            "a:/b:c",
            "a:/b:ro:z",
            ":/x",
            "A:/x",
            "/a:b",
            r"C:\x:/data",
            r"C:/x:/data",
            r"\\server\share:/data",
            "//:",
            "/srv:/x:rshared",
        ] {
            assert!(VolumeMount::parse(bad).is_err(), "{bad}");
        }
        assert!(VolumeMount::parse(r"C:\x:/data").unwrap_err().contains("Windows"));
        assert!(VolumeMount::parse("./x:/y").unwrap_err().contains("absolute"));
    }

    #[test]
    fn both_forms_come_back_as_they_went_in() {
        for text in [
            r#""data:/x:ro""#,
            r#"{"source":"data","target":"/x"}"#,
            r#"{"source":"data","target":"/x","readOnly":true}"#,
            r#"{"type":"volume","source":"data","target":"/x"}"#,
        ] {
            let mount: VolumeMount = serde_json::from_str(text).unwrap();
            assert_eq!((mount.volume(), mount.path.as_str()), (Some("data"), "/x"));
            assert_eq!(mount.read_only, text.contains("ro\"") || text.contains("true"), "{text}");
            assert_eq!(serde_json::to_string(&mount).unwrap(), text);
        }
        for text in [
            r#""/srv/x:/x:ro""#,
            r#"{"source":"/srv/x","target":"/x","readOnly":true}"#,
            r#"{"type":"bind","source":"/srv/x","target":"/x","readOnly":true}"#,
        ] {
            let mount: VolumeMount = serde_json::from_str(text).unwrap();
            assert_eq!((mount.host_path(), mount.read_only), (Some("/srv/x"), true));
            assert_eq!(serde_json::to_string(&mount).unwrap(), text);
        }
        for bad in [
            r#"{"type":"volume","source":"/etc","target":"/x"}"#,
            r#"{"source":"data","target":"/x:rw"}"#,
            r#"{"source":"/etc:/y","target":"/x"}"#,
            r#"{"source":"data","target":"/x","type":"bind"}"#,
            r#"{"source":"C:\\x","target":"/x","type":"bind"}"#,
            r#"{"source":"/x","target":"/x","type":"npipe"}"#,
            r#"{"source":"/x","target":"/x","bind":{"propagation":"rshared"}}"#,
            r#"{"source":"data"}"#,
            "1",
        ] {
            assert!(serde_json::from_str::<VolumeMount>(bad).is_err(), "{bad}");
        }
    }
}
