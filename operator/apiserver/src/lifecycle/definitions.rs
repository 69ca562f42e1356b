//! Deletion of custom resource definitions with all their objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

use super::{RETRY, delete_key, rows};
use crate::definitions::{self, CLEANUP, DEFINITIONS, deletion_waits};
use crate::state::State;
use crate::store::{Change, Expect, Key, Row, Write, WriteError};
use crate::wire::status::StatusError;
use crate::write::{self, DeleteOptions, Deleted, Propagation};

/// How many objects are deleted at a time; the store commits them together.
const AT_ONCE: usize = 32;

/// Deletes the objects of deleted definitions until shutdown.
pub(super) async fn run(state: Arc<State>) {
    let mut latest = state.store.ring().subscribe();
    loop {
        let seen = *latest.borrow_and_update();
        let waiting = match sweep(&state).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "a definition could not be deleted; trying again");
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

/// Sleeps until a definition changed, or an object that one waits for. `false` at
/// shutdown.
async fn wait_for_change(
    state: &State,
    latest: &mut tokio::sync::watch::Receiver<u64>,
    mut seen: u64,
    waiting: &BTreeSet<String>,
) -> bool {
    let concerns = |key: &Key| key.resource() == DEFINITIONS || waiting.contains(key.resource());
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

/// Brings what is served in line, looks at every definition that is being
/// deleted, and answers the storages whose objects wait for finalizers.
async fn sweep(state: &Arc<State>) -> Result<BTreeSet<String>, StatusError> {
    let turn = definitions::turn(state).await;
    definitions::settle(state, &turn).await?;
    drop(turn);
    let mut waiting = BTreeSet::new();
    // The gates are closed: settling does that before it serves.
    let registry = state.registry();
    for definition in registry.definitions().iter().filter(|definition| definition.terminating) {
        let left = empty(state, &definition.storage).await?;
        if left > 0 {
            waiting.insert(definition.storage.clone());
        }
        finish(state, &definition.name, left).await?;
    }
    Ok(waiting)
}

/// Deletes all objects of a storage and answers how many wait for finalizers.
async fn empty(state: &Arc<State>, storage: &str) -> Result<usize, StatusError> {
    let registry = state.registry();
    let Some(resource) = registry.find_storage(storage) else {
        // Never established, so that nobody could create any; or its schema can't
        // be used any more, and has to be mended before the objects can go.
        return Ok(rows(state, storage, None, |_| ()).await?.len());
    };
    // Everything goes; nothing need wait for anything else.
    let how =
        &DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let pick = |row: Row| (row.key, row.terminating);
    let objects = rows(state, storage, None, pick).await?;
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

/// Ends the cleanup of a definition when nothing is left, or says what it waits
/// for.
async fn finish(state: &State, name: &str, left: usize) -> Result<(), StatusError> {
    let turn = definitions::turn(state).await;
    let key = Key::new(&DEFINITIONS.into(), "", name);
    let Some(row) = state.store.get(&key)? else {
        return Ok(());
    };
    let mut object = write::from_bytes(&row.object)?;
    let change = if left > 0 {
        if !deletion_waits(&mut object, left, &state.now()) {
            return Ok(());
        }
        Change::Put(Box::new(object))
    } else if without_cleanup(&mut object) {
        Change::Put(Box::new(object))
    } else {
        Change::Delete { last: Some(Box::new(object)) }
    };
    let expect = Expect::Version(row.version);
    let write = Write { key, expect, needs_namespace: false, change };
    match state.store.write(write).await {
        // Its change wakes the next look.
        Ok(_) | Err(WriteError::Missing | WriteError::Changed) => {}
        Err(error) => return Err(StatusError::internal(error)),
    }
    definitions::settle(state, &turn).await
}

/// Takes the cleanup off the finalizers. `true` where others are left.
fn without_cleanup(definition: &mut Value) -> bool {
    let finalizers = definition.pointer_mut("/metadata/finalizers");
    let Some(finalizers) = finalizers.and_then(Value::as_array_mut) else {
        return false;
    };
    finalizers.retain(|finalizer| finalizer != CLEANUP);
    !finalizers.is_empty()
}
