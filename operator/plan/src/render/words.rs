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
            format!("{replacement}, which takes its place, doesn't run yet")
        }
    }
}

/// What a person can do about it; nothing when it passes by itself.
pub fn advice(cause: &WaitCause) -> Option<String> {
    match cause {
        WaitCause::HostUnreachable { .. } => {
            Some("Bring the engine back; everything goes on by itself then.".to_owned())
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
        WaitCause::ReplacementNotRunning { .. } => {
            Some("The old one stays until the new one runs.".to_owned())
        }
    }
}
