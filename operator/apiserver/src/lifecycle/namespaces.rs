//! Deletion of namespaces with all that is inside.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cleanup::{self, Cleanup};
use super::rows;
use crate::state::State;
use crate::store::{Change, Expect, Key, NAMESPACES, Write, WriteError};
use crate::wire::status::StatusError;
use crate::write::has_finalizers;

/// Empties deleted namespaces.
pub(super) struct Namespaces;

impl Cleanup for Namespaces {
    const FAILED: &'static str = "a namespace could not be emptied";

    async fn sweep(state: &Arc<State>) -> Result<BTreeSet<String>, StatusError> {
        sweep(state).await
    }

    fn concerns(key: &Key, waiting: &BTreeSet<String>) -> bool {
        key.resource() == NAMESPACES || waiting.contains(key.namespace())
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
    let registry = state.registry();
    let mut waiting = 0;
    for resource in registry.stored().filter(|resource| resource.info.namespaced) {
        waiting += cleanup::empty(state, resource, Some(namespace)).await?;
    }
    Ok(waiting == 0)
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
