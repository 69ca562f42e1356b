//! Steps of a plan: the closed sets of what is done and why.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::desired::{ContainerFile, ContainerSpec};

/// Names an action within its plan; the same in every plan that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub String);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its name within the plan.
    pub id: ActionId,
    /// What it changes.
    pub target: Target,
    /// What is done.
    pub operation: Operation,
    /// Why.
    pub reason: Reason,
    /// Actions that must have been done before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<ActionId>,
}

/// A thing on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// DockerHost.
    pub host: String,
    /// What kind of thing.
    pub kind: TargetKind,
    /// Name on the host; for images the reference.
    pub name: String,
    /// Service, for containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What kind of thing an action changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TargetKind {
    /// An image of a host.
    Image,
    /// A network.
    Network,
    /// A named volume.
    Volume,
    /// A container.
    Container,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Container => "container",
        })
    }
}

/// What is done. Each is idempotent: done twice it is as if done once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verb")]
pub enum Operation {
    /// Fetch `target.name` from its registry.
    PullImage,
    /// Remove an image that nothing needs any more.
    RemoveImage {
        /// Image id.
        id: String,
        /// Its tags, all of which Hades pulled.
        names: Vec<String>,
    },
    /// Make a bridge network.
    CreateNetwork {
        /// Its subnet.
        subnet: Ipv4Net,
        /// Ownership labels.
        labels: BTreeMap<String, String>,
    },
    /// Remove a network that nothing desired is attached to.
    RemoveNetwork {
        /// Id that the engine gave.
        id: String,
    },
    /// Make a named volume.
    CreateVolume {
        /// Ownership labels.
        labels: BTreeMap<String, String>,
    },
    /// Remove a volume with its data.
    RemoveVolume,
    /// Make a container, attach it to the environment's network and start it.
    CreateContainer {
        /// How it runs.
        spec: Box<ContainerSpec>,
        /// Image id to run instead of what the reference stands for by now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image_id: Option<String>,
        /// Network to attach to.
        network: String,
        /// Ownership labels, with the manifest's own.
        labels: BTreeMap<String, String>,
        /// Name of the container that it takes the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    /// Start a container that isn't running.
    StartContainer {
        /// Id that the engine gave.
        id: String,
        /// Files to put in first, by path, where it was never started: nobody
        /// can tell whether they are in.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        files: BTreeMap<String, ContainerFile>,
    },
    /// Stop a container within its grace period and keep it.
    StopContainer {
        /// Id that the engine gave.
        id: String,
        /// How long it may take to stop, in seconds, where its spec says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_grace_seconds: Option<u64>,
    },
    /// Thaw a paused container.
    UnpauseContainer {
        /// Id that the engine gave.
        id: String,
    },
    /// Attach a container to the environment's network again.
    ConnectNetwork {
        /// Id that the engine gave to the container.
        id: String,
        /// Network to attach to.
        network: String,
        /// Names on that network.
        aliases: Vec<String>,
    },
    /// Stop a container within its grace period and remove it.
    RemoveContainer {
        /// Id that the engine gave.
        id: String,
        /// How long it may take to stop, in seconds, where its spec says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_grace_seconds: Option<u64>,
    },
}

/// Why an action is in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "code")]
pub enum Reason {
    /// It is in the manifest and not on the host.
    Absent,
    /// It isn't running although it should.
    NotRunning {
        /// What the engine says of it.
        state: String,
    },
    /// It is frozen.
    Paused,
    /// It lost its network.
    Detached,
    /// It runs something else than the manifest says.
    SpecChanged {
        /// Fields that differ.
        changes: Vec<Change>,
    },
    /// Somebody asked for a restart.
    RestartRequested {
        /// When, RFC 3339.
        at: String,
    },
    /// Another container has taken its place.
    Superseded {
        /// By which one.
        by: String,
    },
    /// It was to take the place of another and failed.
    RolloutFailed {
        /// How, for people.
        why: String,
    },
    /// The engine left it half removed.
    Dead,
    /// It is no longer in the manifest.
    NotDesired,
    /// Its environment is being deleted.
    EnvironmentDeleted,
    /// Nothing uses it.
    Unused {
        /// Since when, RFC 3339.
        since: String,
    },
    /// A container needs it.
    NeededBy {
        /// Which one.
        container: String,
    },
}

/// A field that differs. Secrets are shown as fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Path, such as `env.LOG_LEVEL` or `image`.
    pub field: String,
    /// What it is; absent when it isn't set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it will be; absent when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}
