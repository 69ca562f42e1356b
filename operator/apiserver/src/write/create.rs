//! Creation of objects.

use serde_json::{Value, json};

use super::limits::check_size;
use super::metadata::{settle_namespace, stamp_new};
use super::metadata_rules::{generate_name_causes, name_causes};
use super::{Call, Outcome, admit, check_type, inward, text, to_bytes};
use crate::admission::{Cause, CauseReason};
use crate::definitions;
use crate::random;
use crate::registry::Nature;
use crate::store::{Change, Expect, Key, NAMESPACES, Write, WriteError};
use crate::wire::apply::{Operation, track_update};
use crate::wire::status::StatusError;

/// How often a generated name is drawn anew when it is taken.
const NAME_ATTEMPTS: usize = 8;

/// Generated names are no longer than 63 bytes with their five random letters,
/// as on Kubernetes, so that they fit into labels.
const MAX_GENERATE_NAME: usize = 58;

/// Stores a new object. `duplicates` are keys that the body held twice.
pub(super) async fn create(
    call: Call<'_>,
    mut object: Value,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    check_type(call.resource, &mut object)?;
    settle_namespace(&mut object, call.namespace)?;
    if !text(&object, "resourceVersion").is_empty() {
        return Err(StatusError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let mut object = inward(call.resource, object);
    // Only the server knows who owned what before there was an object.
    object["metadata"]["managedFields"] = Value::Null;
    let prefix = text(&object, "generateName").to_owned();
    if !text(&object, "name").is_empty() || prefix.is_empty() {
        return create_named(call, object, duplicates, false).await;
    }
    let causes = generate_name_causes(call.resource, &prefix);
    if !causes.is_empty() {
        return Err(call.invalid("", causes));
    }
    let prefix: String = prefix.chars().take(MAX_GENERATE_NAME).collect();
    for attempt in 1.. {
        let mut named = object.clone();
        let suffix = random::name_suffix().map_err(StatusError::internal)?;
        named["metadata"]["name"] = Value::from(format!("{prefix}{suffix}"));
        match create_named(call, named, duplicates, false).await {
            Err(error) if error.reason() == "AlreadyExists" && attempt < NAME_ATTEMPTS => {}
            outcome => return outcome,
        }
    }
    let info = &call.resource.info;
    Err(StatusError::already_exists(&info.group, &info.plural, &prefix))
}

/// Stores a new object that has its name. `applied` says that managedFields are
/// settled already.
pub(super) async fn create_named(
    call: Call<'_>,
    mut object: Value,
    duplicates: &[String],
    applied: bool,
) -> Result<Outcome, StatusError> {
    let name = text(&object, "name").to_owned();
    if name.is_empty() {
        let cause = Cause::new(
            "metadata.name",
            CauseReason::FieldValueRequired,
            "Required value: name or generateName is required",
        );
        return Err(call.invalid("", vec![cause]));
    }
    let causes = name_causes(call.resource, &name);
    if !causes.is_empty() {
        return Err(call.invalid(&name, causes));
    }
    let now = call.state.now();
    let uid = random::uuid().map_err(StatusError::internal)?;
    stamp_new(call.resource, &mut object, uid, &now)?;
    initial_status(call, &mut object);
    let mut warnings = admit::admit(&call, &mut object, None, duplicates)?;
    definitions::finish(call, None, &mut object)?;
    if !applied {
        let manager = &call.options.manager;
        let schema = &call.resource.schema;
        track_update(None, &mut object, manager, Operation::Update, None, &now, schema);
    }
    warnings.extend(call.resource.to_stored(&mut object));
    check_size(&object)?;
    if call.options.dry_run {
        check_dry(call, &name)?;
        return Ok(Outcome { created: true, object: to_bytes(&object)?, warnings });
    }
    // Held until the object is there.
    let _pass = match &call.resource.custom {
        Some(custom) => Some(custom.gate.pass().await.ok_or_else(|| call.terminating())?),
        None => None,
    };
    let write = Write {
        key: call.key(&name),
        expect: Expect::Absent,
        needs_namespace: call.resource.info.namespaced,
        change: Change::Put(Box::new(object)),
    };
    match call.state.store.write(write).await {
        Ok(written) => Ok(Outcome { created: true, object: written.object, warnings }),
        Err(error) => Err(call.refused(&error, &name)),
    }
}

/// Status is not the client's to set on creation.
fn initial_status(call: Call<'_>, object: &mut Value) {
    match call.resource.nature {
        Nature::Namespace => {
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        _ if call.resource.info.status => {
            if let Some(fields) = object.as_object_mut() {
                fields.remove("status");
            }
        }
        _ => {}
    }
}

/// What the writer would check.
fn check_dry(call: Call<'_>, name: &str) -> Result<(), StatusError> {
    if call.state.store.get(&call.key(name))?.is_some() {
        return Err(call.refused(&WriteError::Exists, name));
    }
    if let Some(namespace) = call.namespace {
        let key = Key::new(&NAMESPACES.into(), "", namespace);
        match call.state.store.get(&key)? {
            None => return Err(call.refused(&WriteError::NamespaceMissing, name)),
            Some(row) if row.terminating => {
                return Err(call.refused(&WriteError::NamespaceTerminating, name));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
