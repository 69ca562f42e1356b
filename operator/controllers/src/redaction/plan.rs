//! Texts in plans: what came from outside, and what somebody may have written into
//! a manifest although it is a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use hades_plan::{
    Action, Change, ContainerSpec, EngineCheck, EnvVar, HostView, Lint, Observed, Operation, Plan,
    Reason, ResourceState, SpecError, WaitCause, Waiting,
};

use super::Texts;
use crate::environment::PlanReply;

impl Texts for PlanReply {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.plan.texts(each);
        self.errors.texts(each);
    }
}

/// What a plan says of how things are now.
pub(crate) struct Before<'a>(pub &'a mut PlanReply);

impl Texts for Before<'_> {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        for action in self.0.plan.iter_mut().flat_map(|plan| &mut plan.actions) {
            if let Reason::SpecChanged { changes } = &mut action.reason {
                changes.iter_mut().for_each(|change| change.from.texts(each));
            }
        }
    }
}

/// What checks say; the rest isn't for people or told by other words.
impl Texts for Observed {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        for view in self.hosts.values_mut() {
            if let HostView::Snapshot(snapshot) = view {
                if snapshot.containers.iter().all(|found| found.health_message.is_none()) {
                    continue;
                }
                let containers = Arc::make_mut(snapshot).containers.iter_mut();
                containers.for_each(|found| found.health_message.texts(each));
            }
        }
    }
}

impl Texts for Plan {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.actions.texts(each);
        self.waiting.texts(each);
        self.lints.texts(each);
        self.resources.texts(each);
    }
}

impl Texts for SpecError {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
    }
}

impl Texts for Lint {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        each(&mut self.message);
    }
}

impl Texts for ResourceState {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.message.texts(each);
        self.failure.texts(each);
    }
}

impl Texts for Waiting {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        match &mut self.cause {
            WaitCause::HostUnreachable { message }
            | WaitCause::ImageUnresolved { message, .. }
            | WaitCause::DiskFull { message, .. } => each(message),
            WaitCause::NotReady { why }
            | WaitCause::Unhealthy { why, .. }
            | WaitCause::RolloutFailed { why }
            | WaitCause::DependencyNotReady { why, .. } => each(why),
            WaitCause::NameTaken { .. }
            | WaitCause::PortTaken { .. }
            | WaitCause::SubnetPoolExhausted { .. }
            | WaitCause::ImageAbsent { .. }
            | WaitCause::ContainerFailing { .. }
            | WaitCause::RemovalInProgress
            | WaitCause::InUse { .. }
            | WaitCause::ReplacementNotRunning { .. }
            | WaitCause::RolloutHalted { .. }
            | WaitCause::Turn
            | WaitCause::HostUnschedulable => {}
        }
    }
}

impl Texts for Action {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        match &mut self.reason {
            Reason::SpecChanged { changes } => changes.texts(each),
            Reason::RolloutFailed { why } => each(why),
            Reason::Absent
            | Reason::NotRunning { .. }
            | Reason::Paused
            | Reason::Detached
            | Reason::RestartRequested { .. }
            | Reason::Superseded { .. }
            | Reason::Dead
            | Reason::NotDesired
            | Reason::EnvironmentDeleted
            | Reason::Unused { .. }
            | Reason::NeededBy { .. } => {}
        }
        if let Operation::CreateContainer { spec, labels, .. } = &mut self.operation {
            spec.texts(each);
            values(labels, each);
        }
    }
}

impl Texts for Change {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.from.texts(each);
        self.to.texts(each);
    }
}

/// What people write by hand. Files are shown by their digests.
impl Texts for ContainerSpec {
    fn texts(&mut self, each: &mut dyn FnMut(&mut String)) {
        self.command.texts(each);
        self.entrypoint.texts(each);
        for value in self.env.values_mut() {
            match value {
                EnvVar::Plain(text) => each(text),
                EnvVar::Secret { .. } => {}
            }
        }
        values(&mut self.labels, each);
        values(&mut self.logging.options, each);
        if let Some(EngineCheck::Command(check)) = &mut self.health_check {
            check.command.texts(each);
        }
    }
}

fn values(map: &mut BTreeMap<String, String>, each: &mut dyn FnMut(&mut String)) {
    map.values_mut().for_each(each);
}
