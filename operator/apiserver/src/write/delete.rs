//! Deletion, with finalizers, preconditions and the fate of dependents.

use bytes::Bytes;
use serde_json::Value;

use super::options::DeleteOptions;
use super::propagation::finalizers_after;
use super::{Call, from_bytes, has_finalizers, is_terminating, text, to_bytes};
use crate::definitions;
use crate::registry::Nature;
use crate::store::{Change, Expect, Write, WriteError};
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
pub(super) async fn delete(
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
    definitions::check_deletion(call, name)?;
    let key = call.key(name);
    for _ in 0..ATTEMPTS {
        let row = call.state.store.get(&key)?.ok_or_else(|| call.not_found(name))?;
        let old = from_bytes(&row.object)?;
        check_preconditions(call, name, &old, options)?;
        let change = match decide(call, old, options)? {
            Decision::Keep => return Ok(Deleted::Waiting(row.object)),
            Decision::Mark(object) => Change::Put(Box::new(object)),
            Decision::Remove => Change::Delete { last: None },
        };
        let held = matches!(change, Change::Put(_));
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

/// What a deletion does to an object.
enum Decision {
    /// It is being deleted already, in this way.
    Keep,
    /// It is marked, or told another way to go.
    Mark(Value),
    Remove,
}

fn decide(
    call: Call<'_>,
    mut old: Value,
    options: &DeleteOptions,
) -> Result<Decision, StatusError> {
    let finalizers = finalizers_after(&old, options.propagation);
    let settled = finalizers.is_none();
    if let Some(finalizers) = finalizers {
        old["metadata"]["finalizers"] = Value::Array(finalizers);
    }
    let contains = matches!(call.resource.nature, Nature::Namespace | Nature::Definition);
    let held = has_finalizers(&old) || contains;
    Ok(match (held, is_terminating(&old)) {
        (false, _) => Decision::Remove,
        (true, true) if settled => Decision::Keep,
        (true, true) => Decision::Mark(old),
        (true, false) => Decision::Mark(marked(call, old)?),
    })
}

fn check_preconditions(
    call: Call<'_>,
    name: &str,
    old: &Value,
    options: &DeleteOptions,
) -> Result<(), StatusError> {
    let info = &call.resource.info;
    let checks = [
        ("UID", "uid", &options.uid, "deleted and then recreated"),
        ("ResourceVersion", "resourceVersion", &options.version, "modified"),
    ];
    for (title, field, expected, fate) in checks {
        let stored = text(old, field);
        if let Some(expected) = expected
            && expected != stored
        {
            return Err(StatusError::conflict(
                &info.group,
                &info.plural,
                name,
                format!(
                    "the {title} in the precondition ({expected}) does not match the {title} in \
                     record ({stored}). The object might have been {fate}"
                ),
            ));
        }
    }
    Ok(())
}

/// The object with a deletionTimestamp.
fn marked(call: Call<'_>, mut object: Value) -> Result<Value, StatusError> {
    object["metadata"]["deletionTimestamp"] = Value::from(call.state.now());
    object["metadata"]["deletionGracePeriodSeconds"] = Value::from(0);
    if let Some(generation) = object["metadata"]["generation"].as_i64() {
        object["metadata"]["generation"] = Value::from(generation + 1);
    }
    if call.resource.nature == Nature::Namespace {
        object["status"]["phase"] = Value::from("Terminating");
    }
    if call.resource.nature == Nature::Definition {
        definitions::mark(call.state, &mut object)?;
    }
    Ok(object)
}
