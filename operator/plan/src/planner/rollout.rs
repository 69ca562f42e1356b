//! What must wait for others to do their work: the next replica of a service
//! that is being replaced, and services that depend on others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scope::Scope;
use super::slot::{Slot, Step};
use super::standing::Standing;
use crate::desired::{DesiredContainer, EngineCheck};
use crate::plan::WaitCause;
use crate::render;

/// Whether the manifest says that a new container needs not to have shown
/// anything before the old one goes.
pub(super) fn is_ungated(desired: &DesiredContainer) -> bool {
    // Where the manifest says nothing of checks, the image may have one of its own.
    let unchecked =
        desired.check.is_none() && desired.spec.health_check == Some(EngineCheck::Disabled);
    unchecked && desired.rollout.min_ready == Some(Duration::ZERO)
}

/// Slots by service, in the order of their replicas.
type Services<'a> = BTreeMap<&'a str, Vec<usize>>;

/// Lets slots wait whose turn it isn't.
pub(super) fn gate<'a>(scope: &Scope<'a>, slots: &mut [Slot<'a>]) {
    let mut services = Services::new();
    for (index, slot) in slots.iter().enumerate() {
        services.entry(&slot.desired.service).or_default().push(index);
    }
    let mut held: Vec<(usize, WaitCause)> = Vec::new();
    for indices in services.values() {
        held.extend(held_back(scope, slots, &services, indices));
    }
    for (index, cause) in held {
        if let Some(slot) = slots.get_mut(index) {
            slot.step = Step::Wait(cause);
        }
    }
    hold_together(slots);
}

/// Lets all of a service that is made anew at once wait for one of it that can't be
/// replaced: its old container runs on, and no two versions are to run at a time.
pub(super) fn hold_together(slots: &mut [Slot<'_>]) {
    let stuck: BTreeMap<&str, WaitCause> = slots
        .iter()
        .filter(|slot| slot.desired.rollout.recreate)
        .filter(|slot| slot.olds.iter().any(|old| old.container.state.is_live()))
        .filter_map(|slot| match &slot.step {
            Step::Wait(cause) => Some((slot.desired.service.as_str(), for_others(cause))),
            _ => None,
        })
        .collect();
    for slot in slots.iter_mut().filter(|slot| matches!(slot.step, Step::Create(_))) {
        if let Some(cause) = stuck.get(slot.desired.service.as_str()) {
            slot.step = Step::Wait(cause.clone());
        }
    }
}

/// What others wait for that wait with the one that `cause` holds.
fn for_others(cause: &WaitCause) -> WaitCause {
    match cause {
        // Another host than theirs.
        WaitCause::HostUnreachable { .. } | WaitCause::HostUnschedulable => WaitCause::Turn,
        cause => cause.clone(),
    }
}

/// The slots of a service that would make a container and must not yet.
fn held_back(
    scope: &Scope<'_>,
    slots: &[Slot<'_>],
    services: &Services<'_>,
    indices: &[usize],
) -> Vec<(usize, WaitCause)> {
    let own = || indices.iter().filter_map(|index| Some((*index, slots.get(*index)?)));
    let creating = || own().filter(|(_, slot)| matches!(slot.step, Step::Create(_)));
    if creating().next().is_none() {
        return Vec::new();
    }
    let first = own().next().map(|(_, slot)| slot);
    let missing = first.and_then(|slot| missing_dependency(scope, slots, services, slot));
    if let Some(cause) = missing {
        return creating().map(|(index, _)| (index, cause.clone())).collect();
    }
    let failed = own().find(|(_, slot)| matches!(slot.step, Step::Fail { .. }));
    if let Some((_, failed)) = failed {
        let failed = failed.name();
        let cause = || WaitCause::RolloutHalted { failed: failed.to_owned() };
        return creating().map(|(index, _)| (index, cause())).collect();
    }
    // All at once comes only what has nothing to lose by it. Those that replace
    // something come first: they show whether the others are worth it.
    let replaces = |slot: &Slot<'_>| slot.olds.iter().any(|old| old.container.state.is_live());
    let in_turn = own().any(|(_, slot)| replaces(slot) && !slot.desired.rollout.recreate);
    if !in_turn {
        return Vec::new();
    }
    let first_replace = creating().filter(|(_, slot)| replaces(slot));
    let turns = first_replace.chain(creating().filter(|(_, slot)| !replaces(slot)));
    let busy = own().filter(|(_, slot)| slot.current.is_some() && slot.standing != Standing::Ready);
    let surge = first.map_or(1, |slot| slot.desired.rollout.max_surge) as usize;
    turns
        .skip(surge.saturating_sub(busy.count()))
        .map(|(index, _)| (index, WaitCause::Turn))
        .collect()
}

/// The first service that this one depends on and that doesn't work.
fn missing_dependency(
    scope: &Scope<'_>,
    slots: &[Slot<'_>],
    services: &Services<'_>,
    slot: &Slot<'_>,
) -> Option<WaitCause> {
    slot.desired.depends_on.iter().find_map(|service| {
        if scope.desired.scaled_to_zero.contains(service) {
            return None;
        }
        let others = services.get(service.as_str())?;
        let why = others.iter().filter_map(|index| slots.get(*index)).find_map(not_working)?;
        Some(WaitCause::DependencyNotReady { service: service.clone(), why })
    })
}

/// Why a slot doesn't do its work, if it doesn't.
fn not_working(slot: &Slot<'_>) -> Option<String> {
    match (&slot.step, slot.current) {
        (Step::Wait(cause), _) => Some(format!("{}: {}", slot.name(), render::cause(cause))),
        (_, None) => Some(format!("{} isn't there yet", slot.name())),
        (Step::Keep, Some(_)) => {
            slot.standing.cause().map(|cause| format!("{}: {}", slot.name(), render::cause(&cause)))
        }
        (Step::Fail { why, .. }, Some(_)) => {
            Some(format!("the roll-out of {} failed: {why}", slot.name()))
        }
        (Step::Revive { .. } | Step::Create(_), Some(_)) => {
            Some(format!("{} isn't running", slot.name()))
        }
    }
}
