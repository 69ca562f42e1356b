//! Where the output of a container goes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IntOrString;

/// Where the output of a container goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Log driver; the engine's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<LogDriver>,

    /// Options of the driver, such as `max-size: 10m` and `max-file: 3`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, IntOrString>,
}

/// Log drivers of Docker. Those that use credentials of the host aren't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Files of JSON lines.
    JsonFile,
    /// Files in a form of Docker's own, rotated and compressed.
    Local,
    /// The host's journal.
    Journald,
    /// A syslog server.
    Syslog,
    /// A server that takes GELF.
    Gelf,
    /// A Fluentd or Fluent Bit server.
    Fluentd,
    /// Nowhere: `hadesctl logs` has nothing to show.
    None,
}

impl LogDriver {
    /// As Docker and manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::Journald => "journald",
            Self::Syslog => "syslog",
            Self::Gelf => "gelf",
            Self::Fluentd => "fluentd",
            Self::None => "none",
        }
    }
}
