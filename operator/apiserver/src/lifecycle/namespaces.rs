//! Deletion of namespaces with all that is inside.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{RETRY, delete_key, rows};
use crate::state::State;
use crate::store::{Change, Expect, Key, NAMESPACES, Write, WriteError};
use crate::wire::status::StatusError;
use crate::write::{DeleteOptions, Deleted, Propagation, has_finalizers};

/// Empties namespaces until shutdown.
pub(super) async fn run(state: Arc<State>) {
    let mut latest = state.store.ring().subscribe();
    loop {
        let seen = *latest.borrow_and_update();
        let waiting = match sweep(&state).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "a namespace could not be emptied; trying again");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => continue,
                    () = state.shutdown.cancelled() => return,
                }
            }
        };
        if !wait_for_change(&state, &mut latest, seen, &waiting).await {
            return;
        }
    }
}

/// Sleeps until a namespace changed, or something in one that is being deleted.
/// `false` at shutdown.
async fn wait_for_change(
    state: &State,
    latest: &mut tokio::sync::watch::Receiver<u64>,
    mut seen: u64,
    waiting: &BTreeSet<String>,
) -> bool {
    let concerns = |key: &Key| key.resource() == NAMESPACES || waiting.contains(key.namespace());
    loop {
        match state.store.ring().since(seen, concerns) {
            Ok((events, version)) if events.is_empty() => seen = version,
            _ => return true,
        }
        tokio::select! {
            changed = latest.changed() => if changed.is_err() { return false },
            () = state.shutdown.cancelled() => return false,
        }
    }
}

/// Looks at every namespace that is being deleted, and answers those that wait
/// for finalizers.
async fn sweep(state: &Arc<State>) -> Result<BTreeSet<String>, StatusError> {
    let pick = |row: crate::store::Row| row.terminating.then(|| row.key.name().to_owned());
    let names = rows(state, NAMESPACES, None, pick).await?;
    let mut waiting = BTreeSet::new();
    for name in names.into_iter().flatten() {
        if !empty(state, &name).await? || !remove(state, &name).await? {
            waiting.insert(name);
        }
    }
    Ok(waiting)
}

/// Deletes everything in a namespace. `true` when nothing is left. New objects
/// can't come: the writer refuses them since the namespace is marked.
async fn empty(state: &Arc<State>, namespace: &str) -> Result<bool, StatusError> {
    let mut empty = true;
    // Everything in here goes; nothing need wait for anything else.
    let how =
        DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let resources: Vec<_> =
        state.registry().stored().filter(|resource| resource.info.namespaced).cloned().collect();
    for resource in resources {
        let pick = |row: crate::store::Row| (row.key, row.terminating);
        for (key, terminating) in rows(state, &resource.storage, Some(namespace), pick).await? {
            if terminating {
                empty = false;
            } else if let Some(Deleted::Waiting(_)) =
                delete_key(state, &resource, &key, &how).await?
            {
                empty = false;
            }
        }
    }
    Ok(empty)
}

/// Removes an emptied namespace unless it has finalizers of its own.
async fn remove(state: &State, name: &str) -> Result<bool, StatusError> {
    let key = Key::new(&NAMESPACES.into(), "", name);
    let Some(row) = state.store.get(&key)? else {
        return Ok(true);
    };
    let object = serde_json::from_slice(&row.object).map_err(StatusError::internal)?;
    if has_finalizers(&object) {
        return Ok(false);
    }
    let write = Write {
        key,
        expect: Expect::Version(row.version),
        needs_namespace: false,
        change: Change::Delete { last: None },
    };
    match state.store.write(write).await {
        Ok(_) | Err(WriteError::Missing) => Ok(true),
        // The change wakes the next look.
        Err(WriteError::Changed) => Ok(false),
        Err(error) => Err(StatusError::internal(error)),
    }
}
