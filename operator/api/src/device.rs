//! Devices of the host in the short form of the compose specification.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a container may do with a device when nothing is said: read, write and
/// make it.
const ALL_PERMISSIONS: &str = "rwm";

/// `HOST_PATH[:CONTAINER_PATH[:PERMISSIONS]]`, as in the compose specification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceMapping {
    /// Path on the host, below `/dev`.
    pub host_path: String,
    /// Path in the container; that on the host when absent.
    pub container_path: Option<String>,
    /// Some of `r`, `w` and `m` (make nodes); all of them when absent.
    pub permissions: Option<String>,
}

impl DeviceMapping {
    /// From the short form.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refusal = || {
            format!(
                "{text:?} is no device: write /dev/ttyUSB0, /dev/sda:/dev/xvda or /dev/sda:/dev/xvda:r"
            )
        };
        let mut parts = text.split(':');
        let host_path = parts.next().unwrap_or_default().to_owned();
        let container_path = parts.next().map(str::to_owned);
        let permissions = parts.next().map(str::to_owned);
        let plain = |path: &str| {
            path.strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
        };
        let is_permissions = |text: &String| {
            !text.is_empty()
                && text.chars().all(|c| ALL_PERMISSIONS.contains(c))
                && ALL_PERMISSIONS.chars().all(|c| text.matches(c).count() <= 1)
        };
        let fits = plain(&host_path)
            && host_path.starts_with("/dev/")
            && container_path.as_deref().is_none_or(plain)
            && permissions.as_ref().is_none_or(is_permissions)
            && parts.next().is_none();
        if fits { Ok(Self { host_path, container_path, permissions }) } else { Err(refusal()) }
    }

    /// Path in the container.
    pub fn container_path(&self) -> &str {
        self.container_path.as_deref().unwrap_or(&self.host_path)
    }

    /// Some of `r`, `w` and `m`.
    pub fn permissions(&self) -> &str {
        self.permissions.as_deref().unwrap_or(ALL_PERMISSIONS)
    }
}

impl fmt::Display for DeviceMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host_path)?;
        for part in self.container_path.iter().chain(&self.permissions) {
            write!(f, ":{part}")?;
        }
        Ok(())
    }
}

impl Serialize for DeviceMapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceMapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for DeviceMapping {
    fn schema_name() -> Cow<'static, str> {
        "DeviceMapping".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^/dev/[^:]+(:/[^:]+(:[rwm]{1,3})?)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        for text in ["/dev/fuse", "/dev/sda:/dev/xvda", "/dev/sda:/dev/xvda:r", "/dev/a:/b:mrw"] {
            assert_eq!(DeviceMapping::parse(text).unwrap().to_string(), text);
        }
        let device = DeviceMapping::parse("/dev/fuse").unwrap();
        assert_eq!((device.container_path(), device.permissions()), ("/dev/fuse", "rwm"));
        for bad in [
            "",
            "fuse",
            "/dev",
            "/dev/",
            "/etc/passwd",
            "/dev/../etc",
            "/dev//a",
            "/dev/a:b",
            "/dev/a:/b:x",
            "/dev/a:/b:rr",
            "/dev/a:/b:",
            "/dev/a:/b:r:w",
            "vendor.com/gpu=all",
        ] {
            assert!(DeviceMapping::parse(bad).is_err(), "{bad}");
        }
    }
}
