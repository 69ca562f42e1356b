//! Changes that the server itself makes to the metadata of stored objects.

use serde_json::{Map, Value};

use super::{from_bytes, has_finalizers, is_terminating};
use crate::server::MANAGER;
use crate::state::State;
use crate::store::{Change, Expect, Key, NAMESPACES, Write, WriteError};
use crate::wire::apply::{Operation, track_update};
use crate::wire::status::StatusError;

/// A change is computed anew this often when another writer was first.
const ATTEMPTS: usize = 64;

/// Removes the owner references that `gone` picks. An object that changes or
/// goes meanwhile is tried again or left.
pub(crate) async fn strip_owners(
    state: &State,
    key: &Key,
    gone: impl Fn(&Value) -> bool,
) -> Result<(), StatusError> {
    rewrite(state, key, |metadata| {
        let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else {
            return false;
        };
        let before = owners.len();
        owners.retain(|owner| !gone(owner));
        let changed = owners.len() != before;
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        }
        changed
    })
    .await
}

/// Lets every owner of an object go before it.
pub(crate) async fn unblock_owners(state: &State, key: &Key) -> Result<(), StatusError> {
    rewrite(state, key, |metadata| {
        let owners = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut);
        let mut changed = false;
        for owner in owners.into_iter().flatten() {
            if owner["blockOwnerDeletion"] == Value::Bool(true) {
                owner["blockOwnerDeletion"] = Value::Bool(false);
                changed = true;
            }
        }
        changed
    })
    .await
}

/// Takes a finalizer off an object that is being deleted; it goes with the last.
pub(crate) async fn remove_finalizer(
    state: &State,
    key: &Key,
    finalizer: &str,
) -> Result<(), StatusError> {
    rewrite(state, key, |metadata| {
        let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) else {
            return false;
        };
        let before = list.len();
        list.retain(|one| one.as_str() != Some(finalizer));
        let changed = list.len() != before;
        if list.is_empty() {
            metadata.remove("finalizers");
        }
        changed
    })
    .await
}

/// Changes the metadata of an object; `change` tells whether it did.
async fn rewrite(
    state: &State,
    key: &Key,
    change: impl Fn(&mut Map<String, Value>) -> bool,
) -> Result<(), StatusError> {
    for _ in 0..ATTEMPTS {
        let Some(row) = state.store.get(key)? else {
            return Ok(());
        };
        let old = from_bytes(&row.object)?;
        let mut new = old.clone();
        if !new["metadata"].as_object_mut().is_some_and(&change) {
            return Ok(());
        }
        if let Some(resource) = state.registry().find_storage(key.resource()) {
            let (now, schema) = (state.now(), &resource.schema);
            let operation = Operation::Update;
            track_update(Some(&old), &mut new, MANAGER, operation, None, &now, schema);
        }
        // A namespace goes when the last object in it went.
        let gone = key.resource() != NAMESPACES && is_terminating(&new) && !has_finalizers(&new);
        let change = if gone {
            Change::Delete { last: Some(Box::new(new)) }
        } else {
            Change::Put(Box::new(new))
        };
        let write = Write {
            key: key.clone(),
            expect: Expect::Version(row.version),
            needs_namespace: false,
            change,
        };
        match state.store.write(write).await {
            Ok(_) | Err(WriteError::Missing) => return Ok(()),
            Err(WriteError::Changed) => {}
            Err(error) => return Err(StatusError::internal(error)),
        }
    }
    Err(StatusError::timeout("the object changes too often"))
}
