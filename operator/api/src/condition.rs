//! Condition types, after kstatus, and the one way to change a list of them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The object is as its spec says.
pub const READY: &str = "Ready";
/// Work towards the spec is under way.
pub const RECONCILING: &str = "Reconciling";
/// No progress until somebody changes something.
pub const STALLED: &str = "Stalled";
/// What runs was found to differ from the spec without the spec having changed.
pub const DRIFTED: &str = "Drifted";
/// The disk of a host is nearly full.
pub const DISK_PRESSURE: &str = "DiskPressure";
/// `spec.suspend` holds changes back.
pub const SUSPENDED: &str = "Suspended";
/// Objects are as a hand edit left them, and not as git says.
pub const OVERRIDDEN: &str = "Overridden";

/// A condition's new value; the transition time is worked out by [`set`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// One of this module's types.
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: bool,
    /// CamelCase word from [`crate::reason`].
    pub reason: String,
    /// One sentence for people.
    pub message: String,
}

/// Puts `value` into `conditions`. `lastTransitionTime` moves only when the
/// status does. Says whether anything changed.
pub fn set(
    conditions: &mut Vec<Condition>,
    value: Value,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let status = if value.status { "True" } else { "False" }.to_owned();
    if let Some(existing) = conditions.iter_mut().find(|c| c.type_ == value.type_) {
        let before = existing.clone();
        if existing.status != status {
            existing.last_transition_time = Time(now);
            existing.status = status;
        }
        existing.reason = value.reason;
        existing.message = value.message;
        existing.observed_generation = generation;
        return *existing != before;
    }
    conditions.push(Condition {
        last_transition_time: Time(now),
        message: value.message,
        observed_generation: generation,
        reason: value.reason,
        status,
        type_: value.type_.to_owned(),
    });
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    true
}

/// Removes a condition; says whether it was there.
pub fn clear(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != type_);
    conditions.len() != before
}

/// The condition of that type, if it is there.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: bool, message: &str) -> Value {
        Value { type_: READY, status, reason: "Because".into(), message: message.into() }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let t0: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let t1: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let mut conditions = vec![];
        assert!(set(&mut conditions, ready(false, "a"), Some(1), t0));
        assert!(!set(&mut conditions, ready(false, "a"), Some(1), t1));
        assert!(set(&mut conditions, ready(false, "b"), Some(1), t1));
        assert_eq!(conditions[0].last_transition_time.0, t0);
        assert!(set(&mut conditions, ready(true, "b"), Some(1), t1));
        assert_eq!(conditions[0].last_transition_time.0, t1);
    }
}
