//! What an environment should be, validated and complete.

mod confinement;
mod engine_check;
mod file;
mod limits;
mod log_output;
mod lookup;
mod tmpfs_mount;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hades_api::name::EnvironmentName;
use hades_api::{
    DeletionPolicy, DockerHostSpec, EnvironmentSpec, ImagePullPolicy, PortMapping, RestartPolicy,
};
use ipnet::Ipv4Net;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::check::{Check, Rollout};
use crate::lint::Lint;
use crate::policy::Standing;

pub use confinement::Confinement;
pub use engine_check::{CommandCheck, EngineCheck};
pub use file::{ContainerFile, FileContent};
pub use limits::Limits;
pub use log_output::LogOutput;
pub use lookup::Lookup;
pub use tmpfs_mount::TmpfsMount;

/// What an environment should be: the validated form of its manifests. Made by
/// [`crate::resolve()`] alone, so that the planner need not doubt it.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Which environment.
    pub environment: EnvironmentName,
    /// UID of its object; goes into labels.
    pub uid: String,
    /// Id of this installation.
    pub installation: String,
    /// The environment is being deleted: nothing is desired, and volumes whose
    /// policy says so go too.
    pub deleting: bool,
    /// Hosts that may be used, by name.
    pub hosts: BTreeMap<String, HostSettings>,
    /// Volumes, in the order of host and key.
    pub volumes: Vec<DesiredVolume>,
    /// Containers, in the order of service and replica.
    pub containers: Vec<DesiredContainer>,
    /// Services that run no container: by `replicas: 0`, or as they are stopped.
    pub scaled_to_zero: BTreeSet<String>,
    /// Services that somebody has stopped: they have no container, however many
    /// the manifest says.
    pub stopped: BTreeSet<String>,
    /// Somebody asked to try again what failed.
    pub retry: bool,
    /// What its project allows; none only where that isn't known, or nothing is started.
    pub standing: Option<Standing>,
    /// Remarks on the manifest, for the plan to carry.
    pub lints: Vec<Lint>,
}

impl Desired {
    /// What is desired of an environment that is being deleted: nothing but
    /// that its volumes with the policy `Delete` go too. `spec` (merged where
    /// the template is still there) may be invalid in every other way; `hosts`
    /// are all that there are. Which hosts must answer before the environment
    /// counts as removed is up to what is observed: see [`crate::plan()`].
    pub fn for_deletion(
        environment: EnvironmentName,
        uid: &str,
        installation: &str,
        spec: &EnvironmentSpec,
        hosts: &BTreeMap<String, DockerHostSpec>,
    ) -> Self {
        crate::resolve::for_deletion(environment, uid, installation, spec, hosts)
    }
}

/// What the planner needs to know of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// Where subnets of environments are taken from.
    pub subnet_pool: Ipv4Net,
    /// Prefix length of each.
    pub subnet_prefix: u8,
    /// Nothing new is put there.
    pub unschedulable: bool,
}

/// A named volume on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredVolume {
    /// Host that it is on.
    pub host: String,
    /// Key in `spec.volumes`.
    pub key: String,
    /// Name on the host.
    pub name: String,
    /// What becomes of it with its environment.
    pub deletion_policy: DeletionPolicy,
}

/// One container.
#[derive(Debug, Clone)]
pub struct DesiredContainer {
    /// Host that it runs on.
    pub host: String,
    /// Service it belongs to.
    pub service: String,
    /// Which of the service's containers, counted from 1.
    pub replica: u32,
    /// Name on the host; ends in the beginning of `spec_hash`.
    pub name: String,
    /// Hash over identity and `spec`, hex SHA-256.
    pub spec_hash: String,
    /// How it runs.
    pub spec: ContainerSpec,
    /// Image id that the reference stood for when it was first run here. Runs
    /// as long as the host still has it.
    pub pinned_image: Option<String>,
    /// How Hades checks whether it does its work. Not part of the hash: another
    /// check is no reason to make a container anew.
    pub check: Option<Check>,
    /// How it takes the place of an older one.
    pub rollout: Rollout,
    /// Services that must work before it is made.
    pub depends_on: Vec<String>,
    /// Digest by which the registry has the image, where it is known: the same on
    /// every host.
    pub pinned_digest: Option<String>,
    /// The image is what a policy has found.
    pub by_policy: bool,
    /// Why it isn't known yet which image to run, if so.
    pub image_unresolved: Option<String>,
}

/// How a container runs. All of it, and nothing else, goes into the spec hash
/// and, with secrets as fingerprints, into a label of the container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSpec {
    /// Image reference.
    pub image: String,
    /// When to ask the registry. Not part of the hash: it changes nothing that runs.
    #[serde(skip)]
    pub image_pull_policy: ImagePullPolicy,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's entry point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// User to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Folder that the command starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvVar>,
    /// Published ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// Mounted volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Labels that the manifest sets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Names on the environment's network, the service's own first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What the engine does when the container ends.
    pub restart: RestartPolicy,
    /// Signal that asks it to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How long it may take to stop, in seconds, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_seconds: Option<u64>,
    /// Run an init as process 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// How much it may use.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What it may do.
    #[serde(skip_serializing_if = "Confinement::is_empty")]
    pub confinement: Confinement,
    /// Names that it knows.
    #[serde(skip_serializing_if = "Lookup::is_empty")]
    pub lookup: Lookup,
    /// Folders that live in memory, by absolute path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, TmpfsMount>,
    /// Files that are in it before it starts, by absolute path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, ContainerFile>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "LogOutput::is_empty")]
    pub logging: LogOutput,
    /// What the engine does in place of the image's own health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<EngineCheck>,
    /// RFC 3339 time of the latest restart that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<String>,
}

impl ContainerSpec {
    /// Whether two of these can't run side by side: they would want the same
    /// host port or write to the same data.
    pub fn is_exclusive(&self) -> bool {
        self.ports.iter().any(|port| port.host_port.is_some())
            || self.confinement.host_network
            || self.writes()
    }

    /// Whether it writes to a volume or to a folder of its host.
    pub fn writes(&self) -> bool {
        self.mounts.iter().any(|mount| !mount.read_only)
    }
}

/// A volume, or a folder or file of the host, in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Name of the volume on the host, or a path of the host.
    pub source: String,
    /// Absolute path in the container.
    pub path: String,
    /// Mounted read-only.
    #[serde(default)]
    pub read_only: bool,
    /// `source` is a path of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bind: bool,
}

/// Value of an environment variable.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvVar {
    /// Known to everybody who may read the manifest.
    Plain(String),
    /// From a Secret, or composed with one. Serialised as its fingerprint; what
    /// was deserialised can be compared and shown, never run.
    Secret {
        /// Keyed fingerprint of the value.
        fingerprint: String,
        /// The value; absent after a round trip through JSON.
        #[serde(skip)]
        value: Option<SecretString>,
    },
}

impl PartialEq for EnvVar {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a == b,
            (Self::Secret { fingerprint: a, .. }, Self::Secret { fingerprint: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "{text:?}"),
            Self::Secret { fingerprint, .. } => write!(f, "<secret {fingerprint}>"),
        }
    }
}
