//! The common part of the tasks that empty what is being deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::{RETRY, rows};
use crate::registry::Resource;
use crate::state::State;
use crate::store::{Key, Row};
use crate::wire::status::StatusError;
use crate::write::{DeleteOptions, Deleted, Propagation, delete_key};

/// How many objects are deleted at a time; the store commits them together.
const AT_ONCE: usize = 32;

/// A kind whose deletion takes other objects along.
pub(super) trait Cleanup {
    /// What the log says when it fails.
    const FAILED: &'static str;

    /// Looks at everything that is being deleted, and answers what waits for
    /// finalizers.
    fn sweep(
        state: &Arc<State>,
    ) -> impl Future<Output = Result<BTreeSet<String>, StatusError>> + Send;

    /// Whether a change of this object may begin a deletion, or end a wait.
    fn concerns(key: &Key, waiting: &BTreeSet<String>) -> bool;
}

/// Cleans up until shutdown.
pub(super) async fn run<C: Cleanup>(state: Arc<State>) {
    let mut latest = state.store.ring().subscribe();
    loop {
        let seen = *latest.borrow_and_update();
        let waiting = match C::sweep(&state).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "{}; trying again", C::FAILED);
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => continue,
                    () = state.shutdown.cancelled() => return,
                }
            }
        };
        if !wait_for_change::<C>(&state, &mut latest, seen, &waiting).await {
            return;
        }
    }
}

/// Sleeps until something changed that concerns the task. `false` at shutdown.
async fn wait_for_change<C: Cleanup>(
    state: &State,
    latest: &mut tokio::sync::watch::Receiver<u64>,
    mut seen: u64,
    waiting: &BTreeSet<String>,
) -> bool {
    loop {
        match state.store.ring().since(seen, |key| C::concerns(key, waiting)) {
            Ok((events, version)) if events.is_empty() => seen = version,
            _ => return true,
        }
        tokio::select! {
            changed = latest.changed() => if changed.is_err() { return false },
            () = state.shutdown.cancelled() => return false,
        }
    }
}

/// Deletes all objects of a resource, in one namespace or in all, and answers how
/// many wait for finalizers. Everything goes; nothing need wait for anything else.
pub(super) async fn empty(
    state: &Arc<State>,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<usize, StatusError> {
    let how =
        &DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let pick = |row: Row| (row.key, row.terminating);
    let objects = rows(state, &resource.storage, namespace, pick).await?;
    futures::stream::iter(objects)
        .map(|(key, terminating)| async move {
            if terminating {
                return Ok(1);
            }
            let deleted = delete_key(state, resource, &key, how).await?;
            Ok(usize::from(matches!(deleted, Some(Deleted::Waiting(_)))))
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |sum, one| async move { Ok(sum + one) })
        .await
}
