//! The single calls of a container engine that actions are made of.
//!
//! [`crate::steps`] turns an action into these calls, once for every engine, so
//! that a crash between any two of them can be tried on the fake and holds on
//! the real one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hades_plan::{ContainerFile, ContainerSpec, ContainerState, ObservedNetwork, ObservedVolume};
use ipnet::Ipv4Net;

use crate::{ProviderError, PullOptions};

/// Why a single call did not do what it was asked, in the cases that an action
/// goes on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// What the call is about isn't there (or no longer).
    #[error("it isn't there")]
    Absent,
    /// A container has the name.
    #[error("the name is taken")]
    NameTaken,
    /// The host lacks the image.
    #[error("no such image")]
    NoImage,
    /// The network to attach to isn't there.
    #[error("no such network")]
    NoNetwork,
    /// It is attached already.
    #[error("already attached")]
    AlreadyAttached,
    /// It is used by something else; the engine's words.
    #[error("{0}")]
    InUse(String),
    /// A host port is held by something else; the engine's words.
    #[error("{0}")]
    PortTaken(String),
    /// The subnet overlaps with another one; the engine's words.
    #[error("{0}")]
    Overlap(String),
    /// It is in a state that the call isn't for (paused, being removed); the
    /// engine's words.
    #[error("{0}")]
    WrongState(String),
    /// Its process can't be started (no such file, bad user); the engine's words.
    #[error("{0}")]
    CannotRun(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] ProviderError),
}

/// A container to be created. Holds secrets within `spec`.
#[derive(Debug, Clone, Copy)]
pub struct NewContainer<'a> {
    /// Name on the host.
    pub name: &'a str,
    /// How it runs.
    pub spec: &'a ContainerSpec,
    /// Image reference or id.
    pub image: &'a str,
    /// Network to attach to.
    pub network: &'a str,
    /// All labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// What an action needs to know of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDetail {
    /// Id that the engine gave.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Image reference that it was created from, for people.
    pub image: String,
    /// What it is doing.
    pub state: ContainerState,
    /// How long it may take to stop, in seconds, where it says so.
    pub stop_grace_seconds: Option<u64>,
}

/// The calls of a container engine. Each either took effect or didn't; each
/// ends within a time of its own, [`Engine::pull_image`] excepted.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Creates without starting; answers the id.
    async fn create_container(&self, new: NewContainer<'_>) -> Result<String, CallError>;
    /// By id or name; none when there is none.
    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerDetail>, CallError>;
    /// Puts files into a container that isn't running, over what it has there.
    /// The value of every file must be known.
    async fn put_files(
        &self,
        id: &str,
        files: &BTreeMap<String, ContainerFile>,
    ) -> Result<(), CallError>;
    /// Starts; one that runs already is no error.
    async fn start_container(&self, id: &str) -> Result<(), CallError>;
    /// Thaws; one that isn't paused is [`CallError::WrongState`].
    async fn unpause_container(&self, id: &str) -> Result<(), CallError>;
    /// Asks it to stop and kills it after so many seconds; one that has
    /// stopped is no error.
    async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<(), CallError>;
    /// Removes with its anonymous volumes, killing it if it runs.
    async fn remove_container(&self, id: &str) -> Result<(), CallError>;
    /// Every network of that name: engines allow several.
    async fn networks_named(&self, name: &str) -> Result<Vec<ObservedNetwork>, CallError>;
    /// By id; none when there is none.
    async fn inspect_network(&self, id: &str) -> Result<Option<ObservedNetwork>, CallError>;
    /// Whether the engine knows of any container on a network. No when there is no
    /// such network.
    async fn has_attached(&self, network: &str) -> Result<bool, CallError>;
    /// Makes a bridge network, also when there is one of that name.
    async fn create_network(
        &self,
        name: &str,
        subnet: Ipv4Net,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), CallError>;
    /// Attaches a container, running or not.
    async fn connect_network(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
    ) -> Result<(), CallError>;
    /// Removes by id.
    async fn remove_network(&self, id: &str) -> Result<(), CallError>;
    /// Makes a volume, or answers the one of that name with the labels it has.
    async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<ObservedVolume, CallError>;
    /// By name; none when there is none.
    async fn inspect_volume(&self, name: &str) -> Result<Option<ObservedVolume>, CallError>;
    /// Removes with its data.
    async fn remove_volume(&self, name: &str) -> Result<(), CallError>;
    /// Whether the host has the image.
    async fn has_image(&self, reference: &str) -> Result<bool, CallError>;
    /// Fetches from the registry; `host` is for messages.
    async fn pull_image(
        &self,
        reference: &str,
        host: &str,
        options: &PullOptions,
    ) -> Result<(), CallError>;
    /// Tags of the image of that id; none when there is none.
    async fn image_tags(&self, id: &str) -> Result<Option<Vec<String>>, CallError>;
    /// Takes a tag off an image, or removes it by its id; what has no name left is
    /// removed. [`CallError::InUse`] when a container has it, running or not.
    async fn remove_image(&self, reference: &str) -> Result<(), CallError>;
}
