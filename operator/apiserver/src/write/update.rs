//! Changes of stored objects: replace, patch and apply.

use serde_json::Value;

use super::create::{create, create_named};
use super::limits::{check_depth, check_size};
use super::metadata::{
    has_finalizers, is_terminating, keep_server_fields, settle_namespace, spec_changed,
};
use super::metadata_rules::added_finalizers;
use super::roles::is_of_rights;
use super::{Call, Outcome, admit, check_type, from_bytes, inward, outward, text, to_bytes};
use crate::admission::{Cause, CauseReason};
use crate::definitions;
use crate::registry::{Nature, Resource};
use crate::seal::secret;
use crate::state::MODIFIED;
use crate::store::{Change, Expect, Write, WriteError};
use crate::wire::apply::{ApplyRequest, Operation, apply, equal_ignoring_times, track_update};
use crate::wire::patch;
use crate::wire::status::StatusError;

/// How often a change is computed anew because another writer was first. Each
/// round lets at least one writer through, so this is how many may stand in
/// line for one object.
const ATTEMPTS: usize = 256;

/// Kubernetes refuses such patches with 415; people mean a merge patch.
const STRATEGIC_WARNING: &str = "custom resources have no strategic merge patch: lists were \
                                 replaced as in a merge patch (kubectl patch --type=merge)";

/// A PATCH body.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(bytes::Bytes),
    /// RFC 7396.
    Merge(Value),
    /// Strategic merge.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

/// How managedFields follow a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracking {
    /// The manager takes over what it changed.
    Update,
    /// Apply did it.
    Settled,
}

/// What to do with a computed change.
enum Decision {
    /// Nothing changes; written only to bring it into the storage version.
    Keep(Value),
    Put(Value),
    Remove(Value),
}

pub(super) struct Candidate {
    pub object: Value,
    pub tracking: Tracking,
}

/// PUT: stores the whole object anew.
pub(super) async fn replace(
    call: Call<'_>,
    name: &str,
    subresource: Option<&str>,
    mut object: Value,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    check_type(call.resource, &mut object)?;
    settle_namespace(&mut object, call.namespace)?;
    if subresource.is_none()
        && creates_on_update(call.resource)
        && let Some(outcome) = create_absent(call, name, &mut object, duplicates).await?
    {
        return Ok(outcome);
    }
    require_version(call, name, &object)?;
    let compute = |_: &Value| -> Result<Candidate, StatusError> {
        Ok(Candidate { object: object.clone(), tracking: Tracking::Update })
    };
    modify(call, name, subresource, duplicates, compute).await
}

/// PATCH in all its forms.
pub(super) async fn patch(
    call: Call<'_>,
    name: &str,
    subresource: Option<&str>,
    body: Patch,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    match body {
        Patch::Apply(applied) => apply_object(call, name, subresource, applied, duplicates).await,
        body => {
            let compute = |old: &Value| patched(call, old, &body);
            let mut outcome = modify(call, name, subresource, duplicates, compute).await?;
            if let Patch::Strategic(body) = &body
                && call.resource.nature == Nature::Custom
                && patch::is_more_than_merge(body)
            {
                outcome.warnings.push(STRATEGIC_WARNING.to_owned());
            }
            Ok(outcome)
        }
    }
}

/// The kinds that Kubernetes creates by PUT where they are absent.
fn creates_on_update(resource: &Resource) -> bool {
    is_lease(resource)
        || is_of_rights(resource)
        || matches!(resource.nature, Nature::Event | Nature::CoreEvent)
}

fn is_lease(resource: &Resource) -> bool {
    resource.nature == Nature::Plain && resource.info.kind == "Lease"
}

/// Creates what a PUT replaces and isn't there; `None` where it is.
async fn create_absent(
    call: Call<'_>,
    name: &str,
    object: &mut Value,
    duplicates: &[String],
) -> Result<Option<Outcome>, StatusError> {
    if call.state.store.get(&call.key(name))?.is_some() {
        return Ok(None);
    }
    // Who names a uid or version means an object that was there.
    if !text(object, "uid").is_empty() || !text(object, "resourceVersion").is_empty() {
        return Err(call.refused(&WriteError::Changed, name));
    }
    let given = text(object, "name");
    if !given.is_empty() && given != name {
        return Err(other_name(given, name));
    }
    call.may_create(name)?;
    object["metadata"]["name"] = Value::from(name);
    match create(call, object.clone(), duplicates).await {
        Err(error) if error.reason() == "AlreadyExists" => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn other_name(given: &str, name: &str) -> StatusError {
    StatusError::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({name})"
    ))
}

/// As on Kubernetes, custom resources and leases are not replaced by somebody
/// who doesn't say what he has seen.
fn require_version(call: Call<'_>, name: &str, object: &Value) -> Result<(), StatusError> {
    let conditional = matches!(call.resource.nature, Nature::Custom | Nature::Definition)
        || is_lease(call.resource);
    if !conditional || !text(object, "resourceVersion").is_empty() {
        return Ok(());
    }
    if call.state.store.get(&call.key(name))?.is_none() {
        return Err(call.not_found(name));
    }
    let cause = Cause::new(
        "metadata.resourceVersion",
        CauseReason::FieldValueInvalid,
        "Invalid value: 0x0: must be specified for an update",
    );
    Err(call.invalid(name, vec![cause]))
}

/// An object as the caller sees it. What a patch tests, copies and moves is no more
/// than that; the values behind fingerprints come back when the change is admitted.
fn seen(call: Call<'_>, old: &Value) -> Value {
    let mut object = old.clone();
    if call.resource.nature == Nature::Secret && !call.caller.reads_secrets() {
        secret::mask(&call.state.keyring, &mut object);
    }
    object
}

pub(super) fn patched(call: Call<'_>, old: &Value, body: &Patch) -> Result<Candidate, StatusError> {
    let mut object = seen(call, old);
    match body {
        Patch::Json(operations) => object = patch::json(&object, operations)?,
        Patch::Merge(body) => patch::merge(&mut object, body),
        Patch::Strategic(body) => {
            let info = &call.resource.info;
            let rules = match call.resource.nature {
                Nature::Custom => Vec::new(),
                _ => patch::merge_rules(&info.group, &info.kind),
            };
            patch::strategic(&mut object, body, &rules)?;
        }
        Patch::Apply(_) => return Err(StatusError::internal("an apply is no plain patch")),
    }
    check_type(call.resource, &mut object)?;
    Ok(Candidate { object, tracking: Tracking::Update })
}

/// Server-side apply, which also creates.
async fn apply_object(
    call: Call<'_>,
    name: &str,
    subresource: Option<&str>,
    mut applied: Value,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    check_type(call.resource, &mut applied)?;
    settle_namespace(&mut applied, call.namespace)?;
    let given = text(&applied, "name");
    if !given.is_empty() && given != name {
        return Err(other_name(given, name));
    }
    applied["metadata"]["name"] = Value::from(name);
    let mut warnings = settle_applied(call, &mut applied, subresource, duplicates)?;
    // Between the look and the creation another client may create or delete it.
    for _ in 0..ATTEMPTS {
        let exists = call.state.store.get(&call.key(name))?.is_some();
        let outcome = if exists || subresource.is_some() {
            let compute = |old: &Value| applied_over(call, Some(old), &applied, subresource);
            modify(call, name, subresource, &[], compute).await
        } else {
            if !text(&applied, "resourceVersion").is_empty() {
                return Err(call.refused(&WriteError::Changed, name));
            }
            refuse_uid_of_nothing(call, name, &applied)?;
            call.may_create(name)?;
            let object = applied_over(call, None, &applied, None)?.object;
            create_named(call, inward(call.resource, object), &[], true).await
        };
        match outcome {
            Err(error) if !exists && error.reason() == "AlreadyExists" => {}
            Err(error) if exists && subresource.is_none() && error.code() == 404 => {}
            Ok(mut outcome) => {
                warnings.append(&mut outcome.warnings);
                return Ok(Outcome { warnings, ..outcome });
            }
            error => return error,
        }
    }
    Err(call.refused(&WriteError::Changed, name))
}

/// Makes an applied configuration what it can own: without fields that nobody
/// knows, without nulls where they mean nothing (who leaves a field out and who
/// sets it to null gives it up alike), and without the status, which has a door
/// of its own.
fn settle_applied(
    call: Call<'_>,
    applied: &mut Value,
    subresource: Option<&str>,
    duplicates: &[String],
) -> Result<Vec<String>, StatusError> {
    // Events are stored in another form than this one, whose schema is not here.
    if call.resource.nature == Nature::CoreEvent {
        return Ok(Vec::new());
    }
    check_depth(applied)?;
    if call.resource.nature == Nature::Custom {
        call.resource.schema.drop_nulls(applied);
    } else {
        admit::drop_nulls(applied);
    }
    if let Some(metadata) = applied["metadata"].as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
    let warnings = admit::unknown_fields(&call, applied, duplicates)?;
    if call.resource.info.status
        && subresource.is_none()
        && let Some(fields) = applied.as_object_mut()
    {
        fields.remove("status");
    }
    Ok(warnings)
}

fn refuse_uid_of_nothing(call: Call<'_>, name: &str, applied: &Value) -> Result<(), StatusError> {
    let (info, uid) = (&call.resource.info, text(applied, "uid"));
    if uid.is_empty() {
        return Ok(());
    }
    Err(StatusError::conflict(
        &info.group,
        &info.plural,
        name,
        format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        ),
    ))
}

pub(super) fn applied_over(
    call: Call<'_>,
    old: Option<&Value>,
    applied: &Value,
    subresource: Option<&str>,
) -> Result<Candidate, StatusError> {
    let mut applied = applied.clone();
    if call.resource.nature == Nature::Secret {
        // Compared as values, or a repeated fingerprint would look like a change.
        let causes = secret::unmask(&call.state.keyring, &mut applied, old);
        if !causes.is_empty() {
            return Err(call.invalid(text(&applied, "name"), causes));
        }
    }
    if let Some(old) = old {
        let (given, stored) = (text(&applied, "resourceVersion"), text(old, "resourceVersion"));
        if !given.is_empty() && given != stored {
            let info = &call.resource.info;
            return Err(StatusError::conflict(
                &info.group,
                &info.plural,
                text(old, "name"),
                MODIFIED,
            ));
        }
    }
    let object = apply(ApplyRequest {
        current: old,
        applied: &applied,
        manager: &call.options.manager,
        force: call.options.force,
        subresource,
        now: &call.state.now(),
        schema: &call.resource.schema,
    })?;
    Ok(Candidate { object, tracking: Tracking::Settled })
}

/// Computes a change against the stored object and commits it, again and again
/// while other writers come first.
pub(super) async fn modify(
    call: Call<'_>,
    name: &str,
    subresource: Option<&str>,
    duplicates: &[String],
    compute: impl Fn(&Value) -> Result<Candidate, StatusError> + Send + Sync,
) -> Result<Outcome, StatusError> {
    let key = call.key(name);
    for _ in 0..ATTEMPTS {
        let row = call.state.store.get(&key)?.ok_or_else(|| call.not_found(name))?;
        let mut old = from_bytes(&row.object)?;
        // What a later definition fills in or drops is no change by this client.
        let outdated = call.resource.to_shown(&mut old);
        call.resource.schema.apply_defaults(&mut old);
        let candidate = match call.resource.nature {
            Nature::CoreEvent => compute(&outward(call.resource, old.clone()))?,
            _ => compute(&old)?,
        };
        let object = inward(call.resource, candidate.object);
        let (mut decision, mut warnings) =
            settle(call, &old, object, subresource, candidate.tracking, duplicates)?;
        match &mut decision {
            Decision::Keep(object) | Decision::Put(object) | Decision::Remove(object) => {
                warnings.extend(call.resource.to_stored(object));
            }
        }
        let outcome = |object| Ok(Outcome { created: false, object, warnings: warnings.clone() });
        let change = match decision {
            Decision::Keep(_) if !outdated || call.options.dry_run => return outcome(row.object),
            Decision::Put(object) | Decision::Remove(object) if call.options.dry_run => {
                return outcome(to_bytes(&object)?);
            }
            Decision::Keep(object) | Decision::Put(object) => Change::Put(Box::new(object)),
            Decision::Remove(last) => Change::Delete { last: Some(Box::new(last)) },
        };
        let write = Write {
            key: key.clone(),
            expect: Expect::Version(row.version),
            needs_namespace: false,
            change,
        };
        match call.state.store.write(write).await {
            Ok(written) => return outcome(written.object),
            Err(WriteError::Changed) => {}
            Err(error) => return Err(call.refused(&error, name)),
        }
    }
    Err(call.refused(&WriteError::Changed, name))
}

/// Turns what the client wants into what is stored.
fn settle(
    call: Call<'_>,
    old: &Value,
    mut new: Value,
    subresource: Option<&str>,
    tracking: Tracking,
    duplicates: &[String],
) -> Result<(Decision, Vec<String>), StatusError> {
    keep_server_fields(call.resource, old, &mut new)?;
    if call.resource.info.status {
        new = with_subresource(old, new, subresource);
    }
    if call.resource.nature == Nature::Namespace {
        new["spec"] = old["spec"].clone();
    }
    let warnings = admit::admit(&call, &mut new, Some(old), duplicates)?;
    let causes = added_finalizers(old, &new);
    if !causes.is_empty() {
        return Err(call.invalid(text(old, "name"), causes));
    }
    definitions::finish(call, Some(old), &mut new)?;
    if call.resource.nature.has_generation() && spec_changed(call.resource, old, &new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        new["metadata"]["generation"] = Value::from(generation);
    }
    if tracking == Tracking::Update {
        let manager = &call.options.manager;
        let now = call.state.now();
        let schema = &call.resource.schema;
        track_update(Some(old), &mut new, manager, Operation::Update, subresource, &now, schema);
    }
    check_size(&new)?;
    // A namespace goes when the last object in it went, not with its finalizers.
    let released =
        call.resource.nature != Nature::Namespace && is_terminating(old) && !has_finalizers(&new);
    let decision = if released {
        Decision::Remove(new)
    } else if equal_ignoring_times(old, &new) {
        Decision::Keep(new)
    } else {
        Decision::Put(new)
    };
    Ok((decision, warnings))
}

/// A write of `/status` touches only the status, and every other write leaves it
/// alone.
fn with_subresource(old: &Value, mut new: Value, subresource: Option<&str>) -> Value {
    if subresource == Some("status") {
        let status = new["status"].take();
        let managed = new["metadata"]["managedFields"].take();
        let mut object = old.clone();
        set(&mut object, "status", status);
        set(&mut object["metadata"], "managedFields", managed);
        object
    } else {
        let status = old["status"].clone();
        set(&mut new, "status", status);
        new
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        if value.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
    }
}
