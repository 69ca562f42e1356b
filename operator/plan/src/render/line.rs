//! One line an action, for status, events and logs.

use super::words;
use crate::action::{Action, Operation, Target};
use crate::plan::{Plan, Waiting};

/// One action in one line, secrets masked.
pub fn line(action: &Action) -> String {
    format!("{}: {}", head(action), words::reason(&action.reason))
}

/// A line an action.
pub fn lines(plan: &Plan) -> Vec<String> {
    plan.actions.iter().map(line).collect()
}

/// What is waited for, in one line.
pub fn waiting_line(waiting: &Waiting) -> String {
    format!("{} waits: {}", thing(&waiting.target), words::cause(&waiting.cause))
}

/// What is done, without why.
pub(super) fn head(action: &Action) -> String {
    let thing = thing(&action.target);
    match &action.operation {
        Operation::PullImage => format!("pull {thing}"),
        Operation::CreateNetwork { .. } | Operation::CreateVolume { .. } => {
            format!("create {thing}")
        }
        Operation::CreateContainer { replaces: Some(old), .. } => {
            format!("create {thing} in place of {old}")
        }
        Operation::CreateContainer { replaces: None, .. } => format!("create {thing}"),
        Operation::StartContainer { .. } => format!("start {thing}"),
        Operation::StopContainer { .. } => format!("stop {thing}"),
        Operation::UnpauseContainer { .. } => format!("unpause {thing}"),
        Operation::ConnectNetwork { network, .. } => {
            format!("attach {thing} to network {network}")
        }
        Operation::RemoveNetwork { .. }
        | Operation::RemoveVolume
        | Operation::RemoveImage { .. }
        | Operation::RemoveContainer { .. } => format!("remove {thing}"),
    }
}

/// `container shop_production_web-1-3f2a9c1d on local`.
pub(super) fn thing(target: &Target) -> String {
    let Target { host, kind, name, service: _ } = target;
    format!("{kind} {name} on {host}")
}
