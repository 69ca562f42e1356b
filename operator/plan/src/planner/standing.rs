//! Whether a container does its work.

use std::time::Duration;

use super::scope::Found;
use super::slot::{Slot, Step};
use crate::desired::DesiredContainer;
use crate::observed::{ContainerHealth, ContainerState, ObservedContainer};
use crate::plan::WaitCause;

/// How long a new container that nothing checks must have run before the old
/// one goes: most that fail do so at once.
const UNCHECKED_MIN_READY: Duration = Duration::from_secs(2);

/// Ends within the time that the observer remembers that make a container one
/// that flaps. Once or twice is what a restart policy is for.
const FLAPS: u32 = 3;

/// Whether what is there for a slot does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is there.
    Absent,
    /// It does.
    Ready,
    /// It may yet.
    Pending {
        /// What is missing.
        why: String,
        /// In how many seconds time alone may have changed that.
        look_again: Option<u64>,
    },
    /// It runs and its check fails.
    Unhealthy {
        /// What the check says.
        why: String,
        /// It has had all the time that it may take.
        overdue: bool,
        /// In how many seconds that will be so.
        look_again: Option<u64>,
    },
}

impl Standing {
    /// What it waits for, if it does.
    pub(super) fn cause(&self) -> Option<WaitCause> {
        match self {
            Self::Absent | Self::Ready => None,
            Self::Pending { why, .. } => Some(WaitCause::NotReady { why: why.clone() }),
            Self::Unhealthy { why, overdue, .. } => {
                Some(WaitCause::Unhealthy { why: why.clone(), overdue: *overdue })
            }
        }
    }

    /// When to look again.
    pub(super) fn look_again(&self) -> Option<u64> {
        match self {
            Self::Absent | Self::Ready => None,
            Self::Pending { look_again, .. } | Self::Unhealthy { look_again, .. } => *look_again,
        }
    }
}

/// Of a container that is what is desired. `protects`: one that does its work
/// goes when this one does.
pub(super) fn of(
    desired: &DesiredContainer,
    container: &ObservedContainer,
    step: &Step,
    protects: bool,
) -> Standing {
    if container.state != ContainerState::Running {
        return match step {
            // It has done its work and ended.
            Step::Keep => Standing::Ready,
            _ => Standing::Pending {
                why: format!("the container isn't running ({})", container.state),
                look_again: None,
            },
        };
    }
    let health = match (container.health, &desired.check) {
        // Nobody has looked yet.
        (ContainerHealth::None, Some(_)) => ContainerHealth::Starting,
        (health, _) => health,
    };
    let left = |whole: Duration| {
        let whole = whole.as_secs() + u64::from(whole.subsec_nanos() > 0);
        container.uptime_seconds.and_then(|uptime| whole.checked_sub(uptime)).filter(|s| *s > 0)
    };
    let deadline = left(desired.rollout.progress_deadline);
    let overdue = container.uptime_seconds.is_some() && deadline.is_none();
    let says = || container.health_message.clone();
    match health {
        // Until then the old one does the work, and the engine's or the manifest's
        // patience with a failing container says nothing of a new one.
        ContainerHealth::Starting | ContainerHealth::Unhealthy
            if !overdue && (protects || health == ContainerHealth::Starting) =>
        {
            Standing::Pending {
                why: match says() {
                    Some(why) => format!("it isn't healthy yet: {why}"),
                    None => "it isn't healthy yet".to_owned(),
                },
                look_again: deadline,
            }
        }
        ContainerHealth::Starting | ContainerHealth::Unhealthy => Standing::Unhealthy {
            why: says().unwrap_or_else(|| "it doesn't pass".to_owned()),
            overdue,
            look_again: deadline,
        },
        ContainerHealth::None | ContainerHealth::Healthy => {
            let unchecked = health == ContainerHealth::None;
            let default = if unchecked { UNCHECKED_MIN_READY } else { Duration::ZERO };
            let needed = desired.rollout.min_ready.unwrap_or(default);
            match left(needed).filter(|_| protects) {
                None => Standing::Ready,
                Some(seconds) => Standing::Pending {
                    why: format!("it must run for {} before the old one goes", shown(needed)),
                    look_again: Some(seconds),
                },
            }
        }
    }
}

/// The step of a slot whose container is there, in view of how that does.
pub(super) fn judged(step: Step, slot: &Slot<'_>, current: &Found<'_>, retry: bool) -> Step {
    let container = current.container;
    let known = || container.health_message.clone();
    let code = || match container.exit_code {
        Some(code) => format!(" with exit status {code}"),
        None => String::new(),
    };
    let fail = |why: String, stop: bool| Step::Fail { why, stop };
    if !slot.protects {
        // What ran before has ended since: that makes the failed one no better.
        if let (Some(why), Some(_), ContainerState::Exited, false) =
            (known(), slot.fallback, container.state, retry)
        {
            return fail(why, false);
        }
        let flaps = container.restarts_seen >= FLAPS && container.state == ContainerState::Running;
        return match step {
            Step::Keep if flaps => Step::Wait(WaitCause::ContainerFailing {
                state: "it ends again and again".to_owned(),
                exit_code: None,
            }),
            step => step,
        };
    }
    match (container.state, step) {
        (ContainerState::Restarting, _) => {
            fail(known().unwrap_or_else(|| format!("it ended{}", code())), true)
        }
        (ContainerState::Running, _) if container.restarts_seen > 0 => {
            fail(known().unwrap_or_else(|| "it ended and was started again".to_owned()), true)
        }
        (ContainerState::Running, step) => match &slot.standing {
            Standing::Unhealthy { why, overdue: true, .. } => {
                let deadline = shown(slot.desired.rollout.progress_deadline);
                fail(format!("it wasn't healthy within {deadline}: {why}"), true)
            }
            _ => step,
        },
        // What was stopped as it failed stays so until somebody says otherwise.
        (ContainerState::Exited, Step::Revive { start: true, .. } | Step::Wait(_)) if !retry => {
            fail(known().unwrap_or_else(|| format!("it has ended{}", code())), false)
        }
        (ContainerState::Exited, Step::Wait(WaitCause::ContainerFailing { .. })) => {
            Step::Revive { unpause: false, connect: false, start: true }
        }
        (_, step) => step,
    }
}

/// `90s`, `1500ms`: as people write it.
fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}
