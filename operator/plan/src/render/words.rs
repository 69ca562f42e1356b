//! Reasons, causes and changes in words.

use crate::action::{Change, Reason};
use crate::plan::WaitCause;

/// Longest value that is shown whole.
const LONGEST_SHOWN: usize = 120;

/// Why, as the end of a sentence that names the thing.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Absent => "it isn't there".to_owned(),
        Reason::NotRunning { state } => format!("it isn't running ({state})"),
        Reason::Paused => "it is paused".to_owned(),
        Reason::Detached => "it isn't attached to its network".to_owned(),
        Reason::SpecChanged { changes } => match changes.as_slice() {
            [] => "it was made by another version of Hades".to_owned(),
            changes => changes.iter().map(change).collect::<Vec<_>>().join(", "),
        },
        Reason::RestartRequested { at } => format!("a restart was asked for at {at}"),
        Reason::Superseded { by } => format!("{by} takes its place"),
        Reason::RolloutFailed { why } => why.clone(),
        Reason::Dead => "the engine left it half removed".to_owned(),
        Reason::NotDesired => "it is no longer in the manifest".to_owned(),
        Reason::EnvironmentDeleted => "its environment is being deleted".to_owned(),
        Reason::Unused { since } => format!("nothing has used it since {since}"),
        Reason::NeededBy { container } => format!("{container} needs it"),
    }
}

/// A field that differs: `env.LOG_LEVEL: "info" → "debug"`.
pub fn change(change: &Change) -> String {
    let Change { field, from, to } = change;
    let value = |value: &String| shown(field, value);
    match (from.as_ref().map(value), to.as_ref().map(value)) {
        (Some(from), Some(to)) => format!("{field}: {from} → {to}"),
        (None, Some(to)) => format!("{field}: not set → {to}"),
        (Some(from), None) => format!("{field}: {from} → not set"),
        (None, None) => field.clone(),
    }
}

/// Free text is quoted; words of Hades's own are not.
fn shown(field: &str, value: &str) -> String {
    let free = field.starts_with("env.") || field.starts_with("labels.");
    match free && !value.starts_with("(secret) ") {
        true => quoted(value),
        false => shortened(value),
    }
}

/// Text in quotes, so that its end can be told from what follows.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is waited for, as a sentence without its end.
pub fn cause(cause: &WaitCause) -> String {
    match cause {
        WaitCause::HostUnreachable { message } => format!("its host doesn't answer: {message}"),
        WaitCause::NameTaken { kind, name } => {
            format!("the host has a {kind} {name:?} that this environment didn't make")
        }
        WaitCause::PortTaken { port, holder } => {
            format!("container {holder:?} holds the host port of {port}")
        }
        WaitCause::SubnetPoolExhausted { pool } => {
            format!("no subnet of the host's pool {pool} is free")
        }
        WaitCause::ImageAbsent { image } => {
            format!("the host doesn't have the image {image}, and imagePullPolicy is Never")
        }
        WaitCause::ImageUnresolved { image, message } => {
            format!("it isn't known yet which image {image} is to be: {message}")
        }
        WaitCause::DiskFull { image, message } => {
            format!("the host doesn't have the image {image}, and pulling is held back: {message}")
        }
        WaitCause::ContainerFailing { state, exit_code } => match exit_code {
            Some(code) => format!("the container fails: {state}, exit status {code}"),
            None => format!("the container fails: {state}"),
        },
        WaitCause::RemovalInProgress => "the engine is still removing it".to_owned(),
        WaitCause::InUse { by } => format!("it is used by {}", by.join(", ")),
        WaitCause::ReplacementNotRunning { replacement } => {
            format!("it stays until {replacement}, which takes its place, does its work")
        }
        WaitCause::NotReady { why } => why.clone(),
        WaitCause::Unhealthy { why, .. } => format!("its health check fails: {why}"),
        WaitCause::RolloutFailed { why } => {
            format!("the roll-out failed, and what ran before goes on: {why}")
        }
        WaitCause::RolloutHalted { failed } => {
            format!("the roll-out is halted, as {failed} of the same description failed")
        }
        WaitCause::Turn => "others of its service are replaced first".to_owned(),
        WaitCause::DependencyNotReady { service, why } => {
            format!("it depends on service {service}: {why}")
        }
        WaitCause::HostUnschedulable => {
            "its host is unschedulable: nothing new is put there".to_owned()
        }
    }
}

/// What a person can do about it; nothing when it passes by itself.
pub fn advice(cause: &WaitCause) -> Option<String> {
    match cause {
        WaitCause::HostUnreachable { .. } => {
            Some("Bring the engine back; everything goes on by itself then. What runs there is not moved, as it may still run; if it doesn't, drain the host.".to_owned())
        }
        WaitCause::NameTaken { kind, name } => Some(format!(
            "Rename or remove the {kind} {name:?}, or rename what is in the manifest."
        )),
        WaitCause::PortTaken { holder, .. } => {
            Some(format!("Stop container {holder:?}, or choose another host port in the manifest."))
        }
        WaitCause::SubnetPoolExhausted { .. } => Some(
            "Remove networks that nobody uses, or set a larger spec.subnetPool on the DockerHost."
                .to_owned(),
        ),
        WaitCause::ImageAbsent { .. } => Some(
            "Load or build the image on the host, or set imagePullPolicy: IfNotPresent.".to_owned(),
        ),
        WaitCause::ImageUnresolved { .. } => {
            Some("The registry is asked again; what runs goes on running.".to_owned())
        }
        WaitCause::DiskFull { .. } => Some(
            "Make room on the host's disk (`docker system df` shows what takes it) or raise spec.disk.criticalPercent of the DockerHost."
                .to_owned(),
        ),
        WaitCause::ContainerFailing { .. } => {
            Some("See its logs; a change to its service makes it anew.".to_owned())
        }
        WaitCause::InUse { .. } => Some(
            "Detach or remove what uses it; Hades touches nothing that it didn't make.".to_owned(),
        ),
        WaitCause::RemovalInProgress => None,
        WaitCause::ReplacementNotRunning { .. } | WaitCause::NotReady { .. } | WaitCause::Turn => {
            None
        }
        WaitCause::Unhealthy { .. } => {
            Some("See its logs; correct the service or its healthCheck.".to_owned())
        }
        WaitCause::RolloutFailed { .. } => Some(
            "See its logs, which are kept with it. Change the service, or try the same again with hadesctl sync."
                .to_owned(),
        ),
        WaitCause::RolloutHalted { failed } => {
            Some(format!("See the logs of {failed}; change the service, or try again with hadesctl sync."))
        }
        WaitCause::DependencyNotReady { service, .. } => {
            Some(format!("It goes on by itself when service {service} works."))
        }
        WaitCause::HostUnschedulable => Some(
            "Set spec.unschedulable of the DockerHost to false, or let the service run elsewhere."
                .to_owned(),
        ),
    }
}
