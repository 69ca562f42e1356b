//! How long to leave a failed thing alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// First pause after a failure.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause: a registry or a host that is back should be seen within a
/// minute or so, and one call a minute bothers nobody.
const LONGEST: Duration = Duration::from_secs(60);

/// Pause after a failure that only a change of the input can mend. Not for
/// ever, as what the input names (an image in a registry) may change without it.
const HOPELESS: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
struct Failures<N> {
    count: u32,
    not_before: Instant,
    note: N,
}

/// Failures by key, each with a note, and with pauses that double from one
/// second to a minute.
#[derive(Debug)]
pub(crate) struct Backoff<K, N = ()> {
    failures: Mutex<HashMap<K, Failures<N>>>,
}

impl<K, N> Default for Backoff<K, N> {
    fn default() -> Self {
        Self { failures: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash + Clone, N: Clone> Backoff<K, N> {
    /// Notes a failure; returns the pause. `hopeless`: only a change of the input
    /// can mend it.
    pub(crate) fn failed(&self, key: &K, now: Instant, hopeless: bool, note: N) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.get(key).map_or(0, |known| known.count);
        let pause = if hopeless { HOPELESS } else { pause(count) };
        let failure = Failures { count: count.saturating_add(1), not_before: now + pause, note };
        failures.insert(key.clone(), failure);
        pause
    }

    /// Notes a success.
    pub(crate) fn succeeded(&self, key: &K) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Forgets all keys that `gone` says yes to.
    pub(crate) fn forget(&self, gone: impl Fn(&K) -> bool) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| !gone(key));
    }

    /// How long the thing is still to be left alone, and the note of its last
    /// failure.
    pub(crate) fn remaining(&self, key: &K, now: Instant) -> Option<(Duration, N)> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.get(key)?;
        let pause = known.not_before.checked_duration_since(now)?;
        (!pause.is_zero()).then(|| (pause, known.note.clone()))
    }
}

fn pause(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(6)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|n| pause(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn success_ends_the_pause() {
        let backoff = Backoff::default();
        let now = Instant::now();
        backoff.failed(&"a", now, false, "because");
        assert_eq!(backoff.remaining(&"a", now), Some((FIRST, "because")));
        assert_eq!(backoff.remaining(&"a", now + FIRST), None);
        backoff.succeeded(&"a");
        assert_eq!(backoff.remaining(&"a", now), None);
        assert_eq!(backoff.failed(&"a", now, false, "again"), FIRST);
        assert_eq!(backoff.failed(&"a", now, true, "for good"), HOPELESS);
    }
}
