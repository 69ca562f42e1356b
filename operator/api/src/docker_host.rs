//! DockerHost: an engine that containers run on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DiskStatus, DiskThresholds, ImageCleanup, PulledImage};

/// An engine that containers run on.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "DockerHost",
    plural = "dockerhosts",
    shortname = "dh",
    category = "hades",
    status = "DockerHostStatus",
    derive = "PartialEq",
    doc = "A DockerHost is a Docker engine that services run on.",
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Containers", type_ = "integer", json_path = ".status.containers"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DockerHostSpec {
    /// Where the engine listens: `unix:///var/run/docker.sock`.
    #[x_kube(validation = ("self.startsWith('unix:///')", "write unix:///path/to/docker.sock: other ways to reach an engine are not supported yet"))]
    pub endpoint: String,

    /// Addresses to take the networks of environments from. Each gets a subnet
    /// of its own out of it, of the size `subnetPrefix`. `10.213.0.0/16` when
    /// absent; networks that are there keep what they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$"))]
    pub subnet_pool: Option<String>,

    /// Prefix length of the subnet of each environment; 24 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 29))]
    pub subnet_prefix: Option<u8>,

    /// When images that Hades pulled and that nothing needs any more are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_cleanup: Option<ImageCleanup>,

    /// When the disk counts as full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskThresholds>,
}

/// Pool that subnets are taken from when a DockerHost names none.
pub const DEFAULT_SUBNET_POOL: &str = "10.213.0.0/16";
/// Prefix length of an environment's subnet when a DockerHost names none.
pub const DEFAULT_SUBNET_PREFIX: u8 = 24;

impl DockerHostSpec {
    /// The pool, or its default.
    pub fn pool(&self) -> &str {
        self.subnet_pool.as_deref().unwrap_or(DEFAULT_SUBNET_POOL)
    }

    /// The prefix length, or its default.
    pub fn prefix(&self) -> u8 {
        self.subnet_prefix.unwrap_or(DEFAULT_SUBNET_PREFIX)
    }
}

/// What Hades found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DockerHostStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: the engine answers. `DiskPressure`: its disk is nearly full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Version of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// What the machine has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,

    /// Containers that this installation runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<u32>,

    /// The disk that it keeps images and volumes on, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,

    /// Images that Hades pulled there, the latest 500: these and no others it
    /// removes when nothing needs them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<PulledImage>,
}

/// What a machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: i64,
}
