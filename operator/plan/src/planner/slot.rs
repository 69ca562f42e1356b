//! A slot: one desired container, what there is for it, and the smallest step
//! that makes it right.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{PortMapping, RestartPolicy};

use super::image::{self, Image};
use super::network::HostNetwork;
use super::scope::{Found, Scope};
use super::standing::{self, Standing};
use super::volume::Volumes;
use super::{port, rollout};
use crate::action::{Target, TargetKind};
use crate::desired::{ContainerSpec, DesiredContainer};
use crate::observed::ContainerState;
use crate::plan::WaitCause;

/// One desired container and what there is for it.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    pub(super) desired: &'a DesiredContainer,
    /// The container that is what is desired.
    pub(super) current: Option<&'a Found<'a>>,
    /// Others that are the same: too many.
    pub(super) surplus: Vec<&'a Found<'a>>,
    /// Those that it takes the place of, the one that most likely does its work
    /// first; on any host.
    pub(super) olds: Vec<&'a Found<'a>>,
    /// The old ones must be gone before the new one runs.
    pub(super) exclusive: bool,
    /// An old one does its work and stays until the new one does, too.
    pub(super) protects: bool,
    /// An old one that has ended and can be started again, where none does its work:
    /// what goes on when the new one has failed.
    pub(super) fallback: Option<&'a Found<'a>>,
    pub(super) step: Step,
    /// Whether `current` does its work.
    pub(super) standing: Standing,
}

/// The smallest step that makes a slot right.
#[derive(Debug)]
pub(super) enum Step {
    /// It is as described, or has done its work and ended.
    Keep,
    /// What is there can be made to run.
    Revive {
        /// It is frozen.
        unpause: bool,
        /// It isn't attached to the network.
        connect: bool,
        /// It has no process.
        start: bool,
    },
    /// It has to be made.
    Create(Image),
    /// It failed to take the place of one that does its work.
    Fail {
        /// How.
        why: String,
        /// It still has its process.
        stop: bool,
    },
    /// Nothing can be done.
    Wait(WaitCause),
}

impl Step {
    /// Whether the container takes its ports from now on.
    pub(super) fn takes_ports(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Revive { start: true, .. })
    }
}

impl Slot<'_> {
    /// The container that is there or will be.
    pub(super) fn target(&self) -> Target {
        Target {
            host: self.desired.host.clone(),
            kind: TargetKind::Container,
            name: self.name().to_owned(),
            service: Some(self.desired.service.clone()),
        }
    }

    /// Whether this plan removes an old one.
    pub(super) fn frees(&self, old: &Found<'_>) -> bool {
        let free = !(self.protects && works(old));
        match &self.step {
            Step::Wait(_) | Step::Fail { .. } => false,
            Step::Keep => free || self.standing == Standing::Ready,
            Step::Revive { .. } => free,
            Step::Create(_) => free || rollout::is_ungated(self.desired),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.current.map_or(&self.desired.name, |current| &current.container.name)
    }
}

/// Names and fixed ports that desired containers have, by host: an old one that
/// has any of them has to make room.
#[derive(Debug, Default)]
struct Wanted<'a> {
    names: BTreeSet<(&'a str, &'a str)>,
    ports: BTreeMap<&'a str, Vec<&'a PortMapping>>,
}

impl Wanted<'_> {
    fn touches(&self, found: &Found<'_>) -> bool {
        let ports = self.ports.get(found.host);
        self.names.contains(&(found.host, &found.container.name))
            || ports.into_iter().flatten().any(|port| port::holds(found, port))
    }
}

/// Looks at what there is for every desired container.
pub(super) fn survey<'a>(
    scope: &'a Scope<'a>,
    networks: &BTreeMap<&'a str, HostNetwork<'a>>,
    volumes: &Volumes<'a>,
) -> Vec<Slot<'a>> {
    let mut groups: BTreeMap<(&str, u32), Vec<&Found<'_>>> = BTreeMap::new();
    let all = scope.hosts.values().flat_map(|host| &host.containers);
    for found in all.filter(|found| found.owned) {
        if let (Some(service), Some(replica)) = (found.service(), found.replica()) {
            groups.entry((service, replica)).or_default().push(found);
        }
    }
    let mut wanted = Wanted::default();
    for desired in &scope.desired.containers {
        wanted.names.insert((&desired.host, &desired.name));
        let fixed = desired.spec.ports.iter().filter(|port| port.host_port.is_some());
        wanted.ports.entry(&desired.host).or_default().extend(fixed);
    }
    let slot = |desired: &'a DesiredContainer| {
        let group = groups.get(&(desired.service.as_str(), desired.replica));
        let network = own_network(desired, networks);
        let group = group.map(Vec::as_slice).unwrap_or_default();
        let mut slot = fill(desired, network, group);
        slot.exclusive = is_exclusive(&slot, network, &wanted);
        slot.protects = !slot.exclusive && slot.olds.iter().any(|old| works(old));
        if !slot.exclusive && !slot.protects {
            slot.fallback = slot.olds.iter().copied().find(|old| {
                can_go_on(old)
                    && is_allowed(scope, old)
                    && networks.get(old.host).is_some_and(|network| network.holds(old))
            });
        }
        slot.step = match slot.current {
            Some(current) => {
                let step = revive(desired, current, network);
                slot.standing = standing::of(desired, current.container, &step, slot.protects);
                standing::judged(step, &slot, current, scope.desired.retry)
            }
            None => create(scope, &slot, group, network, volumes),
        };
        slot
    };
    let mut slots: Vec<Slot<'_>> = scope.desired.containers.iter().map(slot).collect();
    slots.sort_by_key(|slot| (&slot.desired.service, slot.desired.replica, &slot.desired.host));
    slots
}

/// The environment's network on a container's host; none for one that has the
/// network of the host.
pub(super) fn own_network<'n, 'a>(
    desired: &DesiredContainer,
    networks: &'n BTreeMap<&'a str, HostNetwork<'a>>,
) -> Option<&'n HostNetwork<'a>> {
    match desired.spec.confinement.host_network {
        true => None,
        false => networks.get(desired.host.as_str()),
    }
}

/// Sorts the containers of a slot into what stays and what goes.
fn fill<'a>(
    desired: &'a DesiredContainer,
    network: Option<&HostNetwork<'a>>,
    group: &[&'a Found<'a>],
) -> Slot<'a> {
    // A dead one can only be removed, and one that is being removed is gone.
    let usable = group.iter().copied().filter(|found| {
        !matches!(found.container.state, ContainerState::Dead | ContainerState::Removing)
    });
    let (mut same, mut olds): (Vec<_>, Vec<_>) = usable.partition(|found| {
        found.host == desired.host
            && found.spec_hash() == Some(&desired.spec_hash)
            && !network.is_some_and(|network| network.doubles_hold(found))
    });
    let rank = |found: &Found<'_>| {
        let detached = !network.is_some_and(|network| network.holds(found));
        let renamed = found.container.name != desired.name;
        (liveliness(found.container.state), detached, renamed)
    };
    same.sort_by_key(|found| rank(found));
    olds.sort_by_key(|found| (liveliness(found.container.state), found.host != desired.host));
    let mut same = same.into_iter();
    Slot {
        desired,
        current: same.next(),
        surplus: same.collect(),
        olds,
        exclusive: false,
        protects: false,
        fallback: None,
        step: Step::Keep,
        standing: Standing::Absent,
    }
}

/// The lower, the nearer to doing its work. One that has ended comes before one
/// that was never started: a job isn't run twice.
fn liveliness(state: ContainerState) -> u8 {
    match state {
        ContainerState::Running => 0,
        ContainerState::Paused => 1,
        ContainerState::Restarting => 2,
        ContainerState::Exited => 3,
        ContainerState::Created => 4,
        ContainerState::Dead => 5,
        ContainerState::Removing => 6,
    }
}

/// Whether taking it away would take something down. One that the engine is about to
/// start again is nearer to its work than one that has shown nothing yet.
fn works(old: &Found<'_>) -> bool {
    old.container.state.is_live()
}

/// Whether one that has ended was to run on.
fn can_go_on(old: &Found<'_>) -> bool {
    let restart = old.spec().map_or(RestartPolicy::No, |spec| spec.restart);
    old.container.state == ContainerState::Exited && !stays_ended(restart, old)
}

/// Whether the project may still have what it was made from. What can't be read may
/// well ask for more.
fn is_allowed(scope: &Scope<'_>, old: &Found<'_>) -> bool {
    let Some(standing) = &scope.desired.standing else { return true };
    old.spec().is_some_and(|spec| standing.allows(old.host, &spec))
}

/// Whether its restart policy leaves one that has ended as it is.
fn stays_ended(restart: RestartPolicy, found: &Found<'_>) -> bool {
    match restart {
        RestartPolicy::No => true,
        RestartPolicy::OnFailure => found.container.exit_code == Some(0),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => false,
    }
}

fn is_exclusive(slot: &Slot<'_>, network: Option<&HostNetwork<'_>>, wanted: &Wanted<'_>) -> bool {
    // A port of another host is another port.
    let exclusive = |old: &Found<'_>, spec: &ContainerSpec| match old.host == slot.desired.host {
        true => spec.is_exclusive(),
        false => spec.writes(),
    };
    slot.desired.rollout.recreate
        || slot.olds.iter().any(|old| {
            exclusive(old, &slot.desired.spec)
                // What can't be read may well be exclusive.
                || old.spec().is_none_or(|spec| exclusive(old, &spec))
                || wanted.touches(old)
                || network.is_some_and(|network| network.doubles_hold(old))
        })
}

fn revive(
    desired: &DesiredContainer,
    current: &Found<'_>,
    network: Option<&HostNetwork<'_>>,
) -> Step {
    let container = current.container;
    let on_host = desired.spec.confinement.host_network;
    let connect = !on_host && !network.is_some_and(|network| network.holds(current));
    let failing = || {
        // The engine's own words change with every look.
        let state = container.state.to_string();
        Step::Wait(WaitCause::ContainerFailing { state, exit_code: container.exit_code })
    };
    let (unpause, start) = match container.state {
        ContainerState::Running if !connect => return Step::Keep,
        ContainerState::Running => (false, false),
        ContainerState::Paused => (true, false),
        ContainerState::Restarting => return failing(),
        ContainerState::Exited if stays_ended(desired.spec.restart, current) => {
            return if container.exit_code == Some(0) { Step::Keep } else { failing() };
        }
        ContainerState::Exited => (false, true),
        ContainerState::Created => (false, true),
        ContainerState::Dead | ContainerState::Removing => {
            return Step::Wait(WaitCause::RemovalInProgress);
        }
    };
    match network.and_then(HostNetwork::blocked) {
        Some(cause) if connect => Step::Wait(cause.clone()),
        _ => Step::Revive { unpause, connect, start },
    }
}

fn create(
    scope: &Scope<'_>,
    slot: &Slot<'_>,
    group: &[&Found<'_>],
    network: Option<&HostNetwork<'_>>,
    volumes: &Volumes<'_>,
) -> Step {
    let desired = slot.desired;
    let name = desired.host.as_str();
    let Some(host) = scope.hosts.get(name) else {
        let message = scope.unreachable.get(name).copied().unwrap_or_default().to_owned();
        return Step::Wait(WaitCause::HostUnreachable { message });
    };
    let is_leaving = |found: &Found<'_>| found.container.state == ContainerState::Removing;
    let settings = scope.desired.hosts.get(name);
    let moves_in = !slot.olds.iter().any(|old| old.host == name);
    if settings.is_some_and(|settings| settings.unschedulable) && moves_in {
        return Step::Wait(WaitCause::HostUnschedulable);
    }
    let holder = host.container(&desired.name);
    if holder.is_some_and(|holder| !holder.owned) {
        return Step::Wait(name_taken(desired));
    }
    // One that is on its way out still has its ports and its data.
    let leaving_exclusive = group.iter().any(|found| is_leaving(found))
        && (slot.exclusive || desired.spec.is_exclusive());
    if leaving_exclusive || holder.is_some_and(is_leaving) {
        return Step::Wait(WaitCause::RemovalInProgress);
    }
    if let Some(cause) = network.and_then(HostNetwork::blocked) {
        return Step::Wait(cause.clone());
    }
    for mount in &desired.spec.mounts {
        if let Some(Err(cause)) = volumes.get(&(name, mount.source.as_str())) {
            return Step::Wait(cause.clone());
        }
    }
    match image::find(scope, host, desired) {
        Ok(image) => Step::Create(image),
        Err(cause) => Step::Wait(cause),
    }
}

/// Somebody else has the name.
pub(super) fn name_taken(desired: &DesiredContainer) -> WaitCause {
    WaitCause::NameTaken { kind: TargetKind::Container.to_string(), name: desired.name.clone() }
}

/// What becomes of each of our containers.
#[derive(Debug)]
pub(super) struct Fates<'a>(BTreeMap<(&'a str, &'a str), Fate>);

#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is what a slot wants.
    Stays,
    /// A slot has one like it.
    Surplus,
    /// It goes when its slot has, or is about to have, another in its place.
    GoesWith(usize),
}

impl<'a> Fates<'a> {
    pub(super) fn of(slots: &[Slot<'a>]) -> Self {
        let mut fates = BTreeMap::new();
        for (index, slot) in slots.iter().enumerate() {
            fates.extend(slot.current.map(|found| (found.key(), Fate::Stays)));
            fates.extend(slot.surplus.iter().map(|found| (found.key(), Fate::Surplus)));
            fates.extend(slot.olds.iter().map(|found| (found.key(), Fate::GoesWith(index))));
        }
        Self(fates)
    }

    /// Whether this plan removes it.
    pub(super) fn goes(&self, slots: &[Slot<'_>], found: &Found<'_>) -> bool {
        found.owned
            && match self.0.get(&found.key()) {
                None | Some(Fate::Surplus) => true,
                Some(Fate::Stays) => false,
                Some(Fate::GoesWith(index)) => {
                    slots.get(*index).is_some_and(|slot| slot.frees(found))
                }
            }
    }

    /// Whether no slot has anything to do with it.
    pub(super) fn is_left_over(&self, found: &Found<'_>) -> bool {
        found.owned && !self.0.contains_key(&found.key())
    }
}
