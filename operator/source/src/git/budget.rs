//! What a whole fetch may cost, however many servers it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::FetchError;

/// Time and bytes that are left of a fetch. Copies share the bytes.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    deadline: Instant,
    timeout: Duration,
    limit: u64,
    received: Arc<AtomicU64>,
}

impl Budget {
    /// Begins now.
    pub(super) fn new(timeout: Duration, limit: u64) -> Self {
        Budget { deadline: Instant::now() + timeout, timeout, limit, received: Arc::default() }
    }

    /// Time that is left; none when it is over.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Most bytes of the whole fetch.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Counts bytes. Says whether they still fit.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let before = self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        before.saturating_add(bytes as u64) <= self.limit
    }

    /// The error for a fetch whose time is over.
    pub(super) fn timed_out(&self, url: &str) -> FetchError {
        FetchError::Unreachable {
            url: url.to_owned(),
            reason: format!("it took longer than {} s", self.timeout.as_secs_f32()),
        }
    }
}
