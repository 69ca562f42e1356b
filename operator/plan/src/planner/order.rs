//! Actions in an order in which they can be carried out.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{Action, ActionId, Operation};

/// Every action behind all that it needs, and as people would do it where
/// nothing else decides: fetch, make, remove what is in the way, run, tidy up.
pub(super) fn sorted(actions: BTreeMap<ActionId, Action>) -> Vec<Action> {
    let mut rest: BTreeMap<(u8, ActionId), Action> = actions
        .into_values()
        .map(|mut action| {
            action.needs.sort();
            action.needs.dedup();
            ((rank(&action.operation), action.id.clone()), action)
        })
        .collect();
    let mut done = BTreeSet::new();
    let mut sorted = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let ready = rest
            .iter()
            .find(|(_, action)| action.needs.iter().all(|need| done.contains(need)))
            .map(|(key, _)| key.clone());
        debug_assert!(ready.is_some(), "actions need one another: {:?}", rest.keys());
        // The planner makes no cycles; were there one, a step of it done too
        // early fails and is planned again.
        let Some(key) = ready.or_else(|| rest.keys().next().cloned()) else {
            break;
        };
        let Some(action) = rest.remove(&key) else {
            break;
        };
        done.insert(action.id.clone());
        sorted.push(action);
    }
    sorted
}

fn rank(operation: &Operation) -> u8 {
    match operation {
        Operation::PullImage => 0,
        Operation::CreateNetwork { .. } => 1,
        Operation::CreateVolume { .. } => 2,
        Operation::UnpauseContainer { .. } => 3,
        Operation::ConnectNetwork { .. } => 4,
        Operation::StopContainer { .. } => 5,
        Operation::RemoveContainer { .. } => 6,
        Operation::StartContainer { .. } => 7,
        Operation::CreateContainer { .. } => 8,
        Operation::RemoveNetwork { .. } => 9,
        Operation::RemoveVolume => 10,
        Operation::RemoveImage { .. } => 11,
    }
}
