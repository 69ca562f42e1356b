//! Deletion, with finalizers, preconditions and the fate of dependents.

use bytes::Bytes;
use serde_json::Value;

use super::options::{DeleteOptions, Propagation};
use super::{Call, from_bytes, has_finalizers, is_terminating, text, to_bytes};
use crate::registry::Nature;
use crate::state::State;
use crate::store::{Change, Expect, Key, Row, Write, WriteError};
use crate::wire::status::StatusError;

/// Namespaces that the server itself needs.
pub(crate) const SYSTEM_NAMESPACES: [&str; 3] = ["default", "hades-system", "kube-system"];

/// A deletion is computed anew this often when another writer was first.
const ATTEMPTS: usize = 64;

/// What became of an object.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Bytes),
    /// It waits for its finalizers, or for what is inside it.
    Waiting(Bytes),
}

/// Deletes one object, or marks it where something holds it.
pub(crate) async fn delete(
    call: Call<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, StatusError> {
    let info = &call.resource.info;
    if call.resource.nature == Nature::Namespace && SYSTEM_NAMESPACES.contains(&name) {
        return Err(StatusError::forbidden(
            &info.group,
            &info.plural,
            name,
            "this namespace may not be deleted",
        ));
    }
    let key = call.key(name);
    for _ in 0..ATTEMPTS {
        let row = call.state.store.get(&key)?.ok_or_else(|| call.not_found(name))?;
        let old = from_bytes(&row.object)?;
        check_preconditions(call, name, &old, options)?;
        if !options.dry_run && options.propagation == Propagation::Orphan {
            orphan_dependents(call.state, text(&old, "uid")).await?;
        }
        let held = has_finalizers(&old) || call.resource.nature == Nature::Namespace;
        if held && is_terminating(&old) {
            return Ok(Deleted::Waiting(row.object));
        }
        let change = if held {
            Change::Put(Box::new(marked(call, old)))
        } else {
            Change::Delete { last: None }
        };
        if options.dry_run {
            return Ok(match change {
                Change::Put(object) => Deleted::Waiting(to_bytes(&object)?),
                Change::Delete { .. } => Deleted::Gone(row.object),
            });
        }
        let expect = Expect::Version(row.version);
        let write = Write { key: key.clone(), expect, needs_namespace: false, change };
        match call.state.store.write(write).await {
            Ok(written) if held => return Ok(Deleted::Waiting(written.object)),
            Ok(written) => return Ok(Deleted::Gone(written.object)),
            Err(WriteError::Changed) => {}
            Err(error) => return Err(call.refused(&error, name)),
        }
    }
    Err(call.refused(&WriteError::Changed, name))
}

fn check_preconditions(
    call: Call<'_>,
    name: &str,
    old: &Value,
    options: &DeleteOptions,
) -> Result<(), StatusError> {
    let info = &call.resource.info;
    let checks =
        [("UID", "uid", &options.uid), ("ResourceVersion", "resourceVersion", &options.version)];
    for (title, field, expected) in checks {
        let stored = text(old, field);
        if let Some(expected) = expected
            && expected != stored
        {
            return Err(StatusError::conflict(
                &info.group,
                &info.plural,
                name,
                format!(
                    "Precondition failed: {title} in precondition: {expected}, {title} in object \
                     meta: {stored}"
                ),
            ));
        }
    }
    Ok(())
}

/// The object with a deletionTimestamp.
fn marked(call: Call<'_>, mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = Value::from(call.state.now());
    object["metadata"]["deletionGracePeriodSeconds"] = Value::from(0);
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = Value::from(generation + 1);
    }
    if call.resource.nature == Nature::Namespace {
        object["status"]["phase"] = Value::from("Terminating");
    }
    object
}

/// Takes the reference to an owner out of all that name it.
async fn orphan_dependents(state: &State, uid: &str) -> Result<(), StatusError> {
    for key in state.store.dependents(uid) {
        strip_owners(state, &key, |owner| owner["uid"].as_str() == Some(uid)).await?;
    }
    Ok(())
}

/// Removes the owner references that `gone` picks. An object that changes or
/// goes meanwhile is tried again or left.
pub(crate) async fn strip_owners(
    state: &State,
    key: &Key,
    gone: impl Fn(&Value) -> bool,
) -> Result<(), StatusError> {
    for _ in 0..ATTEMPTS {
        let Some(Row { version, object, .. }) = state.store.get(key)? else {
            return Ok(());
        };
        let mut object = from_bytes(&object)?;
        let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() else {
            return Ok(());
        };
        let before = owners.len();
        owners.retain(|owner| !gone(owner));
        if owners.len() == before {
            return Ok(());
        }
        let write = Write {
            key: key.clone(),
            expect: Expect::Version(version),
            needs_namespace: false,
            change: Change::Put(Box::new(object)),
        };
        match state.store.write(write).await {
            Ok(_) | Err(WriteError::Missing) => return Ok(()),
            Err(WriteError::Changed) => {}
            Err(error) => return Err(StatusError::internal(error)),
        }
    }
    Err(StatusError::timeout("the dependents of the object change too often"))
}
