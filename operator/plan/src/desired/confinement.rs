//! What a container may do.

use std::collections::BTreeMap;

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
