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

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    not_before: Instant,
}

/// Failures by key, with pauses that double from one second to a minute.
#[derive(Debug)]
pub(crate) struct Backoff<K> {
    failures: Mutex<HashMap<K, Failures>>,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self { failures: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash + Clone> Backoff<K> {
    /// Notes a failure; returns the pause.
    pub(crate) fn failed(&self, key: &K, now: Instant) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = failures.entry(key.clone()).or_insert(Failures { count: 0, not_before: now });
        let pause = pause(entry.count);
        entry.count = entry.count.saturating_add(1);
        entry.not_before = now + pause;
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

    /// How long the thing is still to be left alone.
    pub(crate) fn remaining(&self, key: &K, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let not_before = failures.get(key)?.not_before;
        not_before.checked_duration_since(now).filter(|pause| !pause.is_zero())
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
        backoff.failed(&"a", now);
        assert_eq!(backoff.remaining(&"a", now), Some(FIRST));
        assert_eq!(backoff.remaining(&"a", now + FIRST), None);
        backoff.succeeded(&"a");
        assert_eq!(backoff.remaining(&"a", now), None);
        assert_eq!(backoff.failed(&"a", now), FIRST);
    }
}
