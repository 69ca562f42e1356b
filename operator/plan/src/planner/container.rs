//! From slots to actions.

use std::collections::BTreeMap;

use hades_api::{Drift, Health, label};

use super::draft::{self, Draft};
use super::image::{self, Image};
use super::network::HostNetwork;
use super::scope::{Found, Scope};
use super::slot::{self, Fates, Slot, Step};
use super::volume::Volumes;
use super::{difference, port, resource};
use crate::action::{ActionId, Operation, Reason};
use crate::desired::DesiredContainer;
use crate::observed::ContainerState;
use crate::plan::WaitCause;
use crate::render;

/// What the actions of containers depend on.
struct Ground<'s, 'a> {
    scope: &'s Scope<'a>,
    networks: &'s BTreeMap<&'a str, HostNetwork<'a>>,
    volumes: &'s Volumes<'a>,
    slots: &'s [Slot<'a>],
}

/// Takes every slot as far as it can go.
pub(super) fn advance<'a>(
    scope: &Scope<'a>,
    networks: &BTreeMap<&'a str, HostNetwork<'a>>,
    volumes: &Volumes<'a>,
    slots: &[Slot<'a>],
    draft: &mut Draft,
) {
    let ground = Ground { scope, networks, volumes, slots };
    for slot in slots {
        draft.look_again(slot.standing.look_again());
        match (&slot.step, slot.current) {
            (Step::Keep, Some(current)) => keep(slot, current, draft),
            (Step::Revive { unpause, connect, start }, Some(current)) => {
                revive(&ground, slot, current, (*unpause, *connect, *start), draft);
            }
            (Step::Create(image), None) => create(&ground, slot, image, draft),
            (Step::Wait(cause), _) => wait(slot, cause, draft),
            (Step::Fail { why, stop }, Some(current)) => fail(slot, current, why, *stop, draft),
            (Step::Keep | Step::Revive { .. } | Step::Fail { .. }, None)
            | (Step::Create(_), Some(_)) => {
                debug_assert!(false, "a step that doesn't fit its slot: {slot:?}");
            }
        }
        for surplus in &slot.surplus {
            remove(surplus, superseded(slot), Vec::new(), draft);
        }
    }
}

fn superseded(slot: &Slot<'_>) -> Reason {
    Reason::Superseded { by: slot.name().to_owned() }
}

fn keep(slot: &Slot<'_>, current: &Found<'_>, draft: &mut Draft) {
    let mut state = resource::container(current, Drift::InSync);
    if current.container.state == ContainerState::Exited {
        state.health = Health::Healthy;
        state.message = Some("completed".to_owned());
    }
    if let Some(cause) = slot.standing.cause() {
        state.health = match cause {
            WaitCause::Unhealthy { .. } => Health::Degraded,
            _ => Health::Progressing,
        };
        state.message = Some(render::cause(&cause));
        draft.wait(slot.target(), cause);
    }
    draft.resources.push(state);
    settle_olds(slot, &[], draft);
}

/// Removes the old ones of a slot that may go behind `needs`, and lets the
/// others stay.
fn settle_olds(slot: &Slot<'_>, needs: &[ActionId], draft: &mut Draft) {
    for old in &slot.olds {
        match slot.frees(old) {
            true => {
                remove(old, superseded(slot), needs.to_vec(), draft);
            }
            false => stay(slot, old, draft),
        }
    }
}

/// An old one that does the work until the new one does.
fn stay(slot: &Slot<'_>, old: &Found<'_>, draft: &mut Draft) {
    let stays = WaitCause::ReplacementNotRunning { replacement: slot.name().to_owned() };
    let mut state = resource::container(old, Drift::OutOfSync);
    state.message = Some(render::cause(&stays));
    draft.resources.push(state);
    draft.wait(old.target(), stays);
}

/// Stops what failed and keeps it for its logs; what ran before runs on, or is
/// started again if it has ended.
fn fail(slot: &Slot<'_>, current: &Found<'_>, why: &str, stop: bool, draft: &mut Draft) {
    let cause = WaitCause::RolloutFailed { why: why.to_owned() };
    let mut state = resource::container(current, Drift::InSync);
    state.health = Health::Degraded;
    state.message = Some(render::cause(&cause));
    state.failure = Some(why.to_owned());
    draft.resources.push(state);
    if stop {
        let operation = Operation::StopContainer {
            id: current.container.id.clone(),
            stop_grace_seconds: slot.desired.spec.stop_grace_seconds,
        };
        let reason = Reason::RolloutFailed { why: why.to_owned() };
        draft.act(slot.target(), operation, reason, Vec::new());
    }
    draft.wait(slot.target(), cause);
    settle_olds(slot, &[], draft);
    if let Some(old) = slot.fallback {
        let operation =
            Operation::StartContainer { id: old.container.id.clone(), files: BTreeMap::new() };
        let reason = Reason::NotRunning { state: old.container.state.to_string() };
        draft.act(old.target(), operation, reason, Vec::new());
    }
}

fn revive(
    ground: &Ground<'_, '_>,
    slot: &Slot<'_>,
    current: &Found<'_>,
    (unpause, connect, start): (bool, bool, bool),
    draft: &mut Draft,
) {
    let container = current.container;
    let id = container.id.clone();
    let mut needs: Vec<ActionId> = match slot.exclusive {
        true => {
            slot.olds.iter().map(|old| remove(old, superseded(slot), Vec::new(), draft)).collect()
        }
        false => Vec::new(),
    };
    let mut why = Vec::new();
    if unpause {
        why.push(Reason::Paused);
        let operation = Operation::UnpauseContainer { id: id.clone() };
        needs = vec![draft.act(slot.target(), operation, Reason::Paused, needs)];
    }
    if connect {
        why.push(Reason::Detached);
        if let Some(network) = ground.networks.get(current.host) {
            needs.extend(network.made_by(ground.scope, current.host));
            needs.extend(network.unambiguous_by(current.host));
        }
        let operation = Operation::ConnectNetwork {
            id: id.clone(),
            network: ground.scope.network.clone(),
            aliases: slot.desired.spec.aliases.clone(),
        };
        needs = vec![draft.act(slot.target(), operation, Reason::Detached, needs)];
    }
    if start {
        let reason = Reason::NotRunning { state: container.state.to_string() };
        why.push(reason.clone());
        needs.extend(port::freed_by(ground.scope, slot));
        let files = match container.state {
            ContainerState::Created => slot.desired.spec.files.clone(),
            _ => BTreeMap::new(),
        };
        let operation = Operation::StartContainer { id, files };
        needs = vec![draft.act(slot.target(), operation, reason, needs)];
    }
    let mut state = resource::container(current, Drift::OutOfSync);
    if connect && state.health == Health::Healthy {
        state.health = Health::Degraded;
    }
    state.message = Some(why.iter().map(render::reason).collect::<Vec<_>>().join("; "));
    draft.resources.push(state);
    if !slot.exclusive {
        settle_olds(slot, &needs, draft);
    }
}

fn create(ground: &Ground<'_, '_>, slot: &Slot<'_>, image: &Image, draft: &mut Draft) {
    let desired = slot.desired;
    let host = desired.host.as_str();
    let network = slot::own_network(desired, ground.networks);
    // Made before an old container goes, so that what can't be had never takes
    // a service down.
    let mut ready = image::pull(desired, image, draft);
    ready.extend(network.into_iter().flat_map(|network| network.made_by(ground.scope, host)));
    for mount in &desired.spec.mounts {
        if let Some(Ok(made)) = ground.volumes.get(&(host, mount.source.as_str())) {
            ready.extend(made.iter().cloned());
        }
    }
    let mut needs = ready.clone();
    needs.extend(network.into_iter().flat_map(|network| network.unambiguous_by(host)));
    needs.extend(port::freed_by(ground.scope, slot));
    if slot.exclusive {
        for old in &slot.olds {
            // One that has the very name of the new one would go for itself.
            let reason = match old.container.name == desired.name && old.host == host {
                true => difference::reason(old, desired),
                false => superseded(slot),
            };
            needs.push(remove(old, reason, ready.clone(), draft));
        }
    }
    if desired.rollout.recreate {
        needs.extend(others_gone(ground, slot));
    }
    let reason = slot.olds.first().map_or(Reason::Absent, |old| difference::reason(old, desired));
    let operation = Operation::CreateContainer {
        spec: Box::new(desired.spec.clone()),
        image_id: match image {
            Image::Pinned(id) => Some(id.clone()),
            Image::Absent(reference) => {
                Some(reference.clone()).filter(|r| *r != desired.spec.image)
            }
            Image::Present => None,
        },
        network: ground.scope.network.clone(),
        labels: labels(ground.scope, desired),
        replaces: slot
            .olds
            .iter()
            .find(|old| old.host == host)
            .map(|old| old.container.name.clone()),
    };
    let mut state = resource::absent_container(slot.target(), desired);
    state.message = Some(render::reason(&reason));
    draft.resources.push(state);
    let created = draft.act(slot.target(), operation, reason, needs);
    if !slot.exclusive {
        settle_olds(slot, &[created], draft);
    }
}

/// The removals of all old ones of the service that this plan removes: with
/// `Recreate` no two versions of it run at a time.
fn others_gone<'s>(
    ground: &'s Ground<'s, '_>,
    slot: &'s Slot<'_>,
) -> impl Iterator<Item = ActionId> + 's {
    let creates = |other: &&Slot<'_>| {
        other.desired.service == slot.desired.service && matches!(other.step, Step::Create(_))
    };
    ground
        .slots
        .iter()
        .filter(creates)
        .flat_map(|other| &other.olds)
        .map(|old| draft::remove_container_id(old.host, &old.container.name))
}

/// Labels of a new container: the manifest's, and ours over them.
fn labels(scope: &Scope<'_>, desired: &DesiredContainer) -> BTreeMap<String, String> {
    let mut labels = desired.spec.labels.clone();
    labels.extend(scope.labels());
    labels.insert(label::SERVICE.to_owned(), desired.service.clone());
    labels.insert(label::REPLICA.to_owned(), desired.replica.to_string());
    labels.insert(label::SPEC_HASH.to_owned(), desired.spec_hash.clone());
    // Plain data always serialises; without the label a plan says less, no more.
    if let Ok(spec) = serde_json::to_string(&desired.spec) {
        labels.insert(label::SPEC.to_owned(), spec);
    }
    labels
}

fn wait(slot: &Slot<'_>, cause: &WaitCause, draft: &mut Draft) {
    if let WaitCause::HostUnreachable { message } = cause {
        resource::unreachable(slot.target(), message, draft);
    } else {
        let mut state = match slot.current {
            Some(current) => resource::container(current, Drift::OutOfSync),
            None => resource::absent_container(slot.target(), slot.desired),
        };
        // What the engine keeps starting, or what is to stay ended, is what the
        // manifest describes; it just doesn't work.
        if matches!(cause, WaitCause::ContainerFailing { .. }) {
            state.drift = Drift::InSync;
        }
        state.message = Some(render::cause(cause));
        draft.resources.push(state);
        draft.wait(slot.target(), cause.clone());
    }
    for old in &slot.olds {
        let stays = WaitCause::ReplacementNotRunning { replacement: slot.name().to_owned() };
        let mut state = resource::container(old, Drift::OutOfSync);
        state.message = Some(render::cause(&stays));
        draft.resources.push(state);
        if slot.current.is_some() {
            draft.wait(old.target(), stays);
        }
    }
}

/// Removes what no slot has anything to do with.
pub(super) fn remove_rest(scope: &Scope<'_>, fates: &Fates<'_>, draft: &mut Draft) {
    let containers = scope.hosts.values().flat_map(|host| &host.containers);
    for found in containers.filter(|found| fates.is_left_over(found)) {
        match found.container.state {
            ContainerState::Removing => {
                let mut state = resource::container(found, Drift::OutOfSync);
                state.message = Some(render::cause(&WaitCause::RemovalInProgress));
                draft.resources.push(state);
                draft.wait(found.target(), WaitCause::RemovalInProgress);
            }
            ContainerState::Dead => {
                remove(found, Reason::Dead, Vec::new(), draft);
            }
            _ => {
                let reason = match scope.desired.deleting {
                    true => Reason::EnvironmentDeleted,
                    false => Reason::NotDesired,
                };
                remove(found, reason, Vec::new(), draft);
            }
        }
    }
}

fn remove(found: &Found<'_>, reason: Reason, needs: Vec<ActionId>, draft: &mut Draft) -> ActionId {
    let mut state = resource::container(found, Drift::OutOfSync);
    state.message = Some(render::reason(&reason));
    draft.resources.push(state);
    let operation = Operation::RemoveContainer {
        id: found.container.id.clone(),
        stop_grace_seconds: found.spec().and_then(|spec| spec.stop_grace_seconds),
    };
    let id = draft.act(found.target(), operation, reason, needs);
    debug_assert_eq!(id, draft::remove_container_id(found.host, &found.container.name));
    id
}
