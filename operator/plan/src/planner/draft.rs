//! A plan in the making.

use std::collections::BTreeMap;

use crate::action::{Action, ActionId, Operation, Reason, Target, TargetKind};
use crate::lint::Lint;
use crate::plan::{ResourceState, WaitCause, Waiting};

/// A plan in the making: unordered.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) actions: BTreeMap<ActionId, Action>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) lints: Vec<Lint>,
    pub(super) resources: Vec<ResourceState>,
    /// Actions that others count on and that can't be had, with what they wait
    /// for.
    pub(super) withheld: BTreeMap<ActionId, WaitCause>,
    /// In how many seconds time alone will have changed something.
    pub(super) look_again_seconds: Option<u64>,
}

impl Draft {
    pub(super) fn new() -> Self {
        Self {
            actions: BTreeMap::new(),
            waiting: Vec::new(),
            lints: Vec::new(),
            resources: Vec::new(),
            withheld: BTreeMap::new(),
            look_again_seconds: None,
        }
    }

    /// Adds an action and says its id.
    pub(super) fn act(
        &mut self,
        target: Target,
        operation: Operation,
        reason: Reason,
        needs: Vec<ActionId>,
    ) -> ActionId {
        let id = id(&target, &operation);
        let action = Action { id: id.clone(), target, operation, reason, needs };
        self.actions.insert(id.clone(), action);
        id
    }

    pub(super) fn wait(&mut self, target: Target, cause: WaitCause) {
        self.waiting.push(Waiting { target, cause });
    }

    /// Time alone will have changed something then.
    pub(super) fn look_again(&mut self, seconds: Option<u64>) {
        let both = self.look_again_seconds.into_iter().chain(seconds);
        self.look_again_seconds = both.min();
    }

    /// Lets every action wait that counts on one that can't be had.
    pub(super) fn hold_back(&mut self) {
        loop {
            let held = self.actions.values().find_map(|action| {
                let cause = action.needs.iter().find_map(|need| self.withheld.get(need))?;
                Some((action.id.clone(), cause.clone()))
            });
            let Some((id, cause)) = held else { return };
            if let Some(action) = self.actions.remove(&id) {
                self.wait(action.target, cause.clone());
            }
            self.withheld.insert(id, cause);
        }
    }

    pub(super) fn lint(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.lints.push(Lint { field: field.into(), message: message.into() });
    }
}

/// The id of an action: what it does to what.
pub(super) fn id(target: &Target, operation: &Operation) -> ActionId {
    match operation {
        // Several networks may have one name.
        Operation::RemoveNetwork { id } => remove_network_id(&target.host, &target.name, id),
        operation => {
            let Target { host, kind, name, .. } = target;
            ActionId(format!("{} {kind} {host}/{name}", verb(operation)))
        }
    }
}

/// The id of the removal of a network.
pub(super) fn remove_network_id(host: &str, name: &str, id: &str) -> ActionId {
    ActionId(format!("remove network {host}/{name}@{id}"))
}

/// The id of the removal of a container.
pub(super) fn remove_container_id(host: &str, name: &str) -> ActionId {
    ActionId(format!("remove container {host}/{name}"))
}

/// What an operation is called.
fn verb(operation: &Operation) -> &'static str {
    match operation {
        Operation::PullImage => "pull",
        Operation::CreateNetwork { .. }
        | Operation::CreateVolume { .. }
        | Operation::CreateContainer { .. } => "create",
        Operation::RemoveNetwork { .. }
        | Operation::RemoveVolume
        | Operation::RemoveImage { .. }
        | Operation::RemoveContainer { .. } => "remove",
        Operation::StartContainer { .. } => "start",
        Operation::StopContainer { .. } => "stop",
        Operation::UnpauseContainer { .. } => "unpause",
        Operation::ConnectNetwork { .. } => "connect",
    }
}

/// A thing other than a container as a target.
pub(super) fn target(host: &str, kind: TargetKind, name: &str) -> Target {
    Target { host: host.to_owned(), kind, name: name.to_owned(), service: None }
}
