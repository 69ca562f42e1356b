//! What must wait for others to do their work: the next replica of a service
//! that is being replaced, and services that depend on others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scope::Scope;
use super::slot::{Slot, Step};
use super::standing::Standing;
use crate::desired::DesiredContainer;
use crate::plan::WaitCause;
use crate::render;

/// Whether the manifest says that a new container needs not to have shown
/// anything before the old one goes.
pub(super) fn is_ungated(desired: &DesiredContainer) -> bool {
    desired.check.is_none() && desired.rollout.min_ready == Some(Duration::ZERO)
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
        (_, None) => Some(format!("{} isn't there yet", slot.name())),
        (Step::Keep, Some(_)) => {
            slot.standing.cause().map(|cause| format!("{}: {}", slot.name(), render::cause(&cause)))
        }
        (Step::Wait(cause), Some(_)) => Some(format!("{}: {}", slot.name(), render::cause(cause))),
        (Step::Fail { why, .. }, Some(_)) => {
            Some(format!("the roll-out of {} failed: {why}", slot.name()))
        }
        (Step::Revive { .. } | Step::Create(_), Some(_)) => {
            Some(format!("{} isn't running", slot.name()))
        }
    }
}
