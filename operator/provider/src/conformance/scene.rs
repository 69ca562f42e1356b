//! What each check works with: an environment of its own and its actions.

use std::collections::BTreeMap;

use hades_api::label;
use hades_api::name::EnvironmentName;
use hades_plan::{
    Action, ActionId, ContainerSpec, ContainerState, HostSnapshot, ObservedContainer, Operation,
    Reason, Target, TargetKind, naming,
};
use ipnet::Ipv4Net;

use crate::{Outcome, Provider, ProviderError};

use super::Testbed;

/// Name of the host in every action.
const HOST: &str = "testbed";
/// Polls of a snapshot until something is so, and the pause between two.
const POLLS: u32 = 100;
const POLL_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// An environment of its own on a testbed, and the actions that make it.
pub struct Scene<'a> {
    bed: &'a dyn Testbed,
    /// The environment.
    pub environment: EnvironmentName,
    /// Subnet of its network.
    pub subnet: Ipv4Net,
}

impl<'a> Scene<'a> {
    /// An environment that nothing has been made of.
    pub fn new(bed: &'a dyn Testbed) -> Self {
        let environment = EnvironmentName::new(bed.project(), "main");
        Self { bed, environment, subnet: bed.subnet() }
    }

    /// The provider under test.
    pub fn provider(&self) -> &'a dyn Provider {
        self.bed.provider()
    }

    /// Name of its network.
    pub fn network(&self) -> String {
        naming::network(&self.environment)
    }

    /// Name of its volume `data`.
    pub fn volume(&self) -> String {
        naming::volume(&self.environment, "data")
    }

    /// Name of the one container of a service.
    pub fn container(&self, service: &str) -> String {
        naming::container(&self.environment, service, 1, &spec_hash(service))
    }

    /// Labels of what belongs to it.
    pub fn labels(&self) -> BTreeMap<String, String> {
        naming::ownership(self.bed.installation(), &self.environment, "uid-of-the-testbed")
    }

    /// Labels of the container of a service.
    pub fn container_labels(&self, service: &str) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(label::SERVICE.to_owned(), service.to_owned());
        labels.insert(label::REPLICA.to_owned(), "1".to_owned());
        labels.insert(label::SPEC_HASH.to_owned(), spec_hash(service));
        labels
    }

    /// An action; its reason plays no part in carrying it out.
    pub fn action(&self, kind: TargetKind, name: &str, operation: Operation) -> Action {
        Action {
            id: ActionId(format!("{kind}/{name}")),
            target: Target { host: HOST.to_owned(), kind, name: name.to_owned(), service: None },
            operation,
            reason: Reason::Absent,
            needs: Vec::new(),
        }
    }

    /// Makes its network.
    pub fn create_network(&self) -> Action {
        let operation = Operation::CreateNetwork { subnet: self.subnet, labels: self.labels() };
        self.action(TargetKind::Network, &self.network(), operation)
    }

    /// Makes its volume `data`.
    pub fn create_volume(&self) -> Action {
        let mut labels = self.labels();
        labels.insert(label::VOLUME.to_owned(), "data".to_owned());
        self.action(TargetKind::Volume, &self.volume(), Operation::CreateVolume { labels })
    }

    /// Makes and starts the container of a service.
    pub fn create_container(&self, service: &str, spec: ContainerSpec) -> Action {
        let spec = ContainerSpec { aliases: vec![service.to_owned()], ..spec };
        let operation = Operation::CreateContainer {
            spec: Box::new(spec),
            image_id: None,
            network: self.network(),
            labels: self.container_labels(service),
            replaces: None,
        };
        self.action(TargetKind::Container, &self.container(service), operation)
    }

    /// Something done to the container of a service.
    pub fn container_action(&self, service: &str, operation: Operation) -> Action {
        self.action(TargetKind::Container, &self.container(service), operation)
    }

    /// Removes a container by id, giving it a second to stop.
    pub fn remove_container(&self, service: &str, id: &str) -> Action {
        let id = id.to_owned();
        self.container_action(
            service,
            Operation::RemoveContainer { id, stop_grace_seconds: Some(1) },
        )
    }

    /// Carries out an action that must come to its end.
    pub async fn done(&self, action: &Action) {
        let outcome = self.provider().execute(action).await;
        assert_eq!(outcome, Ok(Outcome::Done), "{}", action.id);
    }

    /// Carries out an action that must find the world other than planned.
    pub async fn changed(&self, action: &Action) {
        let outcome = self.provider().execute(action).await;
        assert_eq!(outcome, Ok(Outcome::Changed), "{}", action.id);
    }

    /// Carries out an action that must fail.
    pub async fn refused(&self, action: &Action) -> ProviderError {
        let outcome = self.provider().execute(action).await;
        outcome.expect_err("the action must be refused")
    }

    /// Makes network and container of the service `web`; answers its id.
    pub async fn web(&self) -> String {
        self.done(&self.create_network()).await;
        self.done(&self.create_container("web", self.bed.running_spec())).await;
        self.seen("web").await.id
    }

    /// Everything on the host.
    pub async fn observe(&self) -> HostSnapshot {
        let snapshot = self.provider().observe().await;
        std::sync::Arc::unwrap_or_clone(snapshot.expect("the host answers"))
    }

    /// What on the host belongs to the environment, without words that change
    /// by themselves.
    pub async fn own(&self) -> HostSnapshot {
        let labels = self.labels();
        let is_own =
            |found: &BTreeMap<String, String>| crate::ownership::same_owner(found, &labels);
        let mut snapshot = self.observe().await;
        snapshot.containers.retain(|c| is_own(&c.labels));
        snapshot.networks.retain(|n| is_own(&n.labels));
        snapshot.volumes.retain(|v| is_own(&v.labels));
        snapshot.images.clear();
        for container in &mut snapshot.containers {
            container.status.clear();
            container.uptime_seconds = None;
        }
        snapshot
    }

    /// The container of a service, if it is there.
    pub async fn find(&self, service: &str) -> Option<ObservedContainer> {
        let name = self.container(service);
        self.observe().await.containers.into_iter().find(|c| c.name == name)
    }

    /// The container of a service, which must be there.
    pub async fn seen(&self, service: &str) -> ObservedContainer {
        self.find(service).await.expect("the container is there")
    }

    /// Waits until the container of a service is in one of these states.
    pub async fn until(&self, service: &str, states: &[ContainerState]) -> ObservedContainer {
        for _ in 0..POLLS {
            let seen = self.seen(service).await;
            if states.contains(&seen.state) {
                return seen;
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        let seen = self.seen(service).await;
        assert!(
            states.contains(&seen.state),
            "{} is {} and not {states:?}",
            seen.name,
            seen.status
        );
        seen
    }
}

/// A hash as long as a real one; the same for a service.
fn spec_hash(service: &str) -> String {
    let hash = service.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    format!("{hash:016x}").repeat(4)
}
