//! What is really there.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hades_api::{Protocol, label};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What was found on each host that concerns an environment.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// By name of the DockerHost.
    pub hosts: BTreeMap<String, HostView>,
    /// Hosts that nothing may be pulled onto as their disk is full, with why.
    pub full_disks: BTreeMap<String, String>,
}

/// What is known of a host.
#[derive(Debug, Clone)]
pub enum HostView {
    /// Everything on it at one moment.
    Snapshot(Arc<HostSnapshot>),
    /// It doesn't answer; nothing on it may be changed or thought gone.
    Unreachable {
        /// Why, for people.
        message: String,
    },
}

/// Everything on a host at one moment, what others made included: a plan must
/// see the names, ports and subnets that are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSnapshot {
    /// Containers in every state.
    pub containers: Vec<ObservedContainer>,
    /// Networks.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes.
    pub volumes: Vec<ObservedVolume>,
    /// Image id by every reference (`name:tag`, `name@digest`) and by id itself.
    pub images: BTreeMap<String, String>,
}

impl HostSnapshot {
    /// The digest by which the registry that `image` names has the image of that id,
    /// if it came from there.
    pub fn digest_of(&self, image: &str, id: &str) -> Option<String> {
        crate::reference::digest_of(&self.images, image, id)
    }
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// Id that the engine gave.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Image reference that it was created from.
    pub image: String,
    /// Image id that it runs.
    pub image_id: String,
    /// What it is doing.
    pub state: ContainerState,
    /// Exit status of its last end, where the engine tells.
    pub exit_code: Option<i64>,
    /// When it was made, where the engine tells.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Names of the networks that it is attached to.
    pub networks: Vec<String>,
    /// Ids of those networks in the same order, empty text for those that the
    /// engine doesn't tell; may be left out whole. A name alone doesn't say which
    /// of several networks of that name it is, or that the network it was
    /// attached to has been removed and made anew.
    #[serde(default)]
    pub network_ids: Vec<String>,
    /// Ports that it holds on the host, or will when it runs.
    pub ports: Vec<PublishedPort>,
    /// What the engine says in words (`Exited (1) 5 minutes ago`); for people only.
    pub status: String,
    /// Address on each network, by the network's name; a container that doesn't
    /// run has none.
    #[serde(default)]
    pub addresses: BTreeMap<String, IpAddr>,
    /// For how many seconds it has run without a break, rounded down as coarsely
    /// as the engine tells; none when it doesn't run or the engine doesn't tell.
    #[serde(default)]
    pub uptime_seconds: Option<u64>,
    /// What checks say of it: the engine's own, or those that Hades makes.
    #[serde(default)]
    pub health: ContainerHealth,
    /// Why it isn't healthy, for people.
    #[serde(default)]
    pub health_message: Option<String>,
    /// How often it has been seen to end and be started again lately.
    #[serde(default)]
    pub restarts_seen: u32,
}

/// What checks say of a container, in the words of the engine's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerHealth {
    /// Nothing checks it.
    #[default]
    None,
    /// It hasn't passed a check yet and may still do so.
    Starting,
    /// It passes.
    Healthy,
    /// It has failed several times in a row.
    Unhealthy,
}

/// What a container is doing, in the words of the engine's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Made and never started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended and about to be started again by the engine.
    Restarting,
    /// On its way out.
    Removing,
    /// Ended.
    Exited,
    /// Half removed; only removal is left.
    Dead,
}

impl ObservedContainer {
    /// Whether it is attached to this very network.
    pub fn is_attached_to(&self, network: &ObservedNetwork) -> bool {
        self.networks.iter().enumerate().any(|(index, name)| {
            match self.network_ids.get(index).map(String::as_str) {
                None | Some("") => *name == network.name,
                Some(id) => id == network.id,
            }
        })
    }
}

impl ContainerState {
    /// Whether it has its processes, and with them its ports and addresses.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// The word of the engine's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A port of the host that a container holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address on the host; every one when absent.
    pub host_ip: Option<IpAddr>,
    /// Port on the host.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNetwork {
    /// Id that the engine gave.
    pub id: String,
    /// Name; engines allow several networks of one name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedVolume {
    /// Name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether labels say that `installation` made the thing, for this environment.
pub fn is_owned(
    labels: &BTreeMap<String, String>,
    installation: &str,
    project: &str,
    environment: &str,
) -> bool {
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
    // What differs most comes first: every environment asks this of everything on
    // its hosts.
    is(label::ENVIRONMENT, environment)
        && is(label::PROJECT, project)
        && is(label::INSTALLATION, installation)
}
