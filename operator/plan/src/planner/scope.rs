//! What is where, in an order of its own, and what of it is ours.

use std::collections::BTreeMap;

use hades_api::label;

use crate::action::{Target, TargetKind};
use crate::desired::{ContainerSpec, Desired};
use crate::naming;
use crate::observed::{
    HostSnapshot, HostView, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, is_owned,
};

/// All that a plan is made from, indexed.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) desired: &'a Desired,
    /// Hosts that answer, by name.
    pub(super) hosts: BTreeMap<&'a str, Host<'a>>,
    /// Why the others don't, by name.
    pub(super) unreachable: BTreeMap<&'a str, &'a str>,
    /// Why nothing may be pulled onto some hosts, by name.
    pub(super) full_disks: &'a BTreeMap<String, String>,
    /// Name of the environment's network on every host.
    pub(super) network: String,
}

/// A host that answers.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) snapshot: &'a HostSnapshot,
    /// Sorted by name and id.
    pub(super) containers: Vec<Found<'a>>,
    /// Sorted by name and id.
    pub(super) networks: Vec<&'a ObservedNetwork>,
}

/// A container on a host that answers.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) host: &'a str,
    pub(super) container: &'a ObservedContainer,
    /// Made by this installation, for this environment.
    pub(super) owned: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut scope = Self {
            desired,
            hosts: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            full_disks: &observed.full_disks,
            network: naming::network(&desired.environment),
        };
        for (name, view) in &observed.hosts {
            match view {
                HostView::Snapshot(snapshot) => {
                    scope.hosts.insert(name, host(desired, name, snapshot));
                }
                HostView::Unreachable { message } => {
                    scope.unreachable.insert(name, message);
                }
            }
        }
        let named = desired.containers.iter().map(|container| &container.host);
        if !desired.deleting {
            for name in named.chain(desired.volumes.iter().map(|volume| &volume.host)) {
                if !observed.hosts.contains_key(name) {
                    scope.unreachable.insert(name, "it hasn't been looked at yet");
                }
            }
        }
        scope
    }

    /// Whether labels say that a thing is this environment's.
    pub(super) fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        owns(self.desired, labels)
    }

    /// Ownership labels for a new thing.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let Desired { installation, environment, uid, .. } = self.desired;
        naming::ownership(installation, environment, uid)
    }
}

fn owns(desired: &Desired, labels: &BTreeMap<String, String>) -> bool {
    let environment = &desired.environment;
    is_owned(labels, &desired.installation, &environment.project, &environment.environment)
}

fn host<'a>(desired: &Desired, name: &'a str, snapshot: &'a HostSnapshot) -> Host<'a> {
    let mut containers: Vec<Found<'a>> = snapshot
        .containers
        .iter()
        .map(|container| Found { host: name, container, owned: owns(desired, &container.labels) })
        .collect();
    containers.sort_by(|a, b| {
        (&a.container.name, &a.container.id).cmp(&(&b.container.name, &b.container.id))
    });
    let mut networks: Vec<&ObservedNetwork> = snapshot.networks.iter().collect();
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Host { snapshot, containers, networks }
}

impl<'a> Host<'a> {
    /// The volume of that name.
    pub(super) fn volume(&self, name: &str) -> Option<&'a ObservedVolume> {
        self.snapshot.volumes.iter().find(|volume| volume.name == name)
    }

    /// The container of that name.
    pub(super) fn container(&self, name: &str) -> Option<&Found<'a>> {
        self.containers.iter().find(|found| found.container.name == name)
    }
}

impl<'a> Found<'a> {
    fn label(&self, key: &str) -> Option<&'a str> {
        self.container.labels.get(key).map(String::as_str)
    }

    /// The service that it was made for.
    pub(super) fn service(&self) -> Option<&'a str> {
        self.label(label::SERVICE)
    }

    /// Which of the service's containers it was made as.
    pub(super) fn replica(&self) -> Option<u32> {
        self.label(label::REPLICA)?.parse().ok()
    }

    /// The hash that it was made from.
    pub(super) fn spec_hash(&self) -> Option<&'a str> {
        self.label(label::SPEC_HASH)
    }

    /// What it was made from, as far as its label still says so.
    pub(super) fn spec(&self) -> Option<ContainerSpec> {
        serde_json::from_str(self.label(label::SPEC)?).ok()
    }

    /// It as the target of an action.
    pub(super) fn target(&self) -> Target {
        Target {
            host: self.host.to_owned(),
            kind: TargetKind::Container,
            name: self.container.name.clone(),
            service: self.service().map(str::to_owned),
        }
    }

    /// Tells it from every other container.
    pub(super) fn key(&self) -> (&'a str, &'a str) {
        (self.host, &self.container.id)
    }
}
