//! Deletion of custom resource definitions with all their objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::cleanup::{self, Cleanup};
use super::rows;
use crate::definitions::{self, CLEANUP, DEFINITIONS, deletion_waits};
use crate::state::State;
use crate::store::{Change, Expect, Key, Write, WriteError};
use crate::wire::status::StatusError;
use crate::write;

/// Deletes the objects of deleted definitions.
pub(super) struct Definitions;

impl Cleanup for Definitions {
    const FAILED: &'static str = "a definition could not be deleted";

    async fn sweep(state: &Arc<State>) -> Result<BTreeSet<String>, StatusError> {
        sweep(state).await
    }

    fn concerns(key: &Key, waiting: &BTreeSet<String>) -> bool {
        key.resource() == DEFINITIONS || waiting.contains(key.resource())
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
    cleanup::empty(state, resource, None).await
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
