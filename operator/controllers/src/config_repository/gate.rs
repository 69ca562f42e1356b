//! Gate: how many repositories are fetched and read at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Fetches at the same time from one host: more would be impolite, and a host that
/// hangs must not keep all of the others waiting.
const FETCHES_PER_HOST: usize = 4;
/// Fetches at the same time.
const FETCHES: usize = 32;
/// Repositories whose documents are all in memory at the same time.
const FULL_READS: usize = 4;
/// How long a pass that has fetched waits to be let in before it makes room for others.
/// Those inside work and wait for nobody.
const PATIENCE: Duration = Duration::from_secs(10);
/// Hosts that are remembered while nobody fetches from them.
const IDLE_HOSTS: usize = 256;

/// Who is let in.
pub(super) struct Gate {
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    fetches: Arc<Semaphore>,
    full_reads: Arc<Semaphore>,
}

/// Leave to go on until it is dropped.
pub(super) struct Leave {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            hosts: Mutex::default(),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            full_reads: Arc::new(Semaphore::new(FULL_READS)),
        }
    }
}

impl Gate {
    /// Leave to fetch from a host. None if it has to be asked for again later: passes
    /// that waited here for a host that hangs would take up all places for passes.
    pub(super) fn fetch(&self, host: &str) -> Option<Leave> {
        let host = self.host(host).try_acquire_owned().ok()?;
        let all = self.fetches.clone().try_acquire_owned().ok()?;
        Some(Leave { _permits: vec![host, all] })
    }

    /// Leave to hold all documents of a repository.
    pub(super) async fn full_read(&self) -> Option<Leave> {
        let permit = timeout(PATIENCE, self.full_reads.clone().acquire_owned()).await;
        Some(Leave { _permits: vec![permit.ok()?.ok()?] })
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= IDLE_HOSTS {
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        hosts
            .entry(host.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(FETCHES_PER_HOST)))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_hangs_holds_up_only_itself() {
        let gate = Gate::default();
        let mut hanging = Vec::new();
        for _ in 0..FETCHES_PER_HOST {
            hanging.push(gate.fetch("git.example.com").unwrap());
        }
        assert!(gate.fetch("git.example.com").is_none());
        assert!(gate.fetch("git.example.org").is_some());
        hanging.pop();
        assert!(gate.fetch("git.example.com").is_some());
    }
}
