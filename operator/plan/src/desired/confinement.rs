//! What a container may do.

use std::collections::BTreeMap;

use hades_api::DeviceMapping;
use serde::{Deserialize, Serialize};

/// What a container may do beyond, or short of, what the engine lets every one
/// do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Confinement {
    /// Capabilities without `CAP_`, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities without `CAP_`, sorted; `ALL` is every one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Further groups by number or name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// The container's own file system is read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Its processes are root on the host.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// It has the network of the host and none of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    /// It sees the processes of the host.
    #[serde(rename = "hostPID", skip_serializing_if = "std::ops::Not::not")]
    pub host_pid: bool,
    /// It shares memory and queues with the processes of the host.
    #[serde(rename = "hostIPC", skip_serializing_if = "std::ops::Not::not")]
    pub host_ipc: bool,
    /// Devices of the host, as the manifest writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceMapping>,
    /// Options of the engine's security modules, `key=value`, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Kernel settings of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
}

impl Confinement {
    /// Whether the engine's own rules hold.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
