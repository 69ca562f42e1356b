//! Snapshots that lists in pages may come back to.
//!
//! The store has no history: what is asked for as of an earlier version needs a
//! snapshot from then, unless nothing changed since. Snapshots make the file grow,
//! so that they are few and live short.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::state::State;
use crate::store::Snapshot;

/// How many lists may be open between two pages; the longest unused one goes first.
const MOST: usize = 32;

/// How long a client may take to ask for the next page. Programs ask at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many changes of the store a snapshot survives. A change costs some 30 KB of
/// pages that can't be used again meanwhile, which makes a quarter of a gigabyte.
const CHANGES: u64 = 8192;

/// How often it is looked after snapshots that are too old.
const SWEEP: Duration = Duration::from_secs(1);

/// The snapshots of one server.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Snapshots>);

#[derive(Debug, Default)]
struct Snapshots {
    kept: Vec<Kept>,
    sweeping: bool,
    closed: bool,
}

#[derive(Debug)]
struct Kept {
    /// Of which resource it shows the version. For others it may be too late.
    resource: Arc<str>,
    version: u64,
    snapshot: Arc<Snapshot>,
    /// How many lists are under way.
    lists: usize,
    used: Instant,
}

impl Held {
    fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resource as it was at a version, where that is still there.
    pub fn find(&self, resource: &str, version: u64) -> Option<Arc<Snapshot>> {
        let mut snapshots = self.snapshots();
        let kept = snapshots.position(resource, version)?;
        kept.used = Instant::now();
        Some(Arc::clone(&kept.snapshot))
    }

    /// Keeps a snapshot for the next page. `begins` is said with the first page.
    fn keep(&self, resource: &Arc<str>, version: u64, snapshot: &Arc<Snapshot>, begins: bool) {
        let mut snapshots = self.snapshots();
        if snapshots.closed {
            return;
        }
        if let Some(kept) = snapshots.position(resource, version) {
            kept.used = Instant::now();
            kept.lists += usize::from(begins);
            return;
        }
        if snapshots.kept.len() >= MOST
            && let Some(oldest) =
                (0..snapshots.kept.len()).min_by_key(|at| snapshots.kept[*at].used)
        {
            snapshots.kept.swap_remove(oldest);
        }
        snapshots.kept.push(Kept {
            resource: Arc::clone(resource),
            version,
            snapshot: Arc::clone(snapshot),
            lists: 1,
            used: Instant::now(),
        });
    }

    /// Says that one of the lists came to its end.
    pub fn release(&self, resource: &str, version: u64) {
        let mut snapshots = self.snapshots();
        if let Some(kept) = snapshots.position(resource, version) {
            kept.lists = kept.lists.saturating_sub(1);
        }
        snapshots.kept.retain(|kept| kept.lists > 0);
    }

    /// Drops what is too old; whether something is left to look after.
    fn sweep(&self, current: u64) -> bool {
        let mut snapshots = self.snapshots();
        snapshots.kept.retain(|kept| {
            kept.used.elapsed() < PATIENCE
                && current.saturating_sub(kept.snapshot.version()) <= CHANGES
        });
        snapshots.sweeping = !snapshots.kept.is_empty();
        snapshots.sweeping
    }

    /// Drops everything for good: the file can be closed.
    pub fn close(&self) {
        let mut snapshots = self.snapshots();
        snapshots.closed = true;
        snapshots.kept.clear();
    }
}

impl Snapshots {
    fn position(&mut self, resource: &str, version: u64) -> Option<&mut Kept> {
        self.kept.iter_mut().find(|kept| kept.version == version && *kept.resource == *resource)
    }
}

/// Keeps a snapshot for the next page, and looks after it.
pub(super) fn keep(
    state: &Arc<State>,
    resource: &Arc<str>,
    version: u64,
    snapshot: &Arc<Snapshot>,
    begins: bool,
) {
    state.held.keep(resource, version, snapshot, begins);
    if std::mem::replace(&mut state.held.snapshots().sweeping, true) {
        return;
    }
    let watched = Arc::downgrade(state);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            let Some(state) = watched.upgrade() else {
                return;
            };
            if !state.held.sweep(state.store.ring().latest()) {
                return;
            }
        }
    });
}
