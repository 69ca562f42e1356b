//! Custom resource definitions as objects of the API.
//!
//! ```text
//! create, PUT, PATCH ─▶ fill in, validate, compute the status ─▶ store ┐
//! DELETE ─▶ mark, finalizer ─▶ store ──────────────────────────────────┴▶ settle ─▶ Registry
//!                                lifecycle: delete the objects, then it ┘
//! ```
//!
//! Invariants:
//! - One write of a definition at a time, each followed by [`settle`]: when the
//!   client hears of its definition, its resources are served already.
//! - `settle` looks at what is stored and at nothing else. A start runs it, so
//!   that a crash between a write and its settling loses nothing.
//! - A definition holds its names until it goes; another that asks for them
//!   waits, and gets them then.
//! - The definitions that the server was opened with are installed at every
//!   start and carry the annotation [`INSTALLED`]. Their spec changes only by
//!   that. One that is given no longer goes at the next start, unless objects of
//!   it are left; then it stays like one that a user made, until it is deleted
//!   over the API or until a start finds it without objects.

mod columns;
mod install;
mod names;
mod schemas;
mod settle;
pub(crate) mod spec;
mod status;
mod validate;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use crate::admission::Cause;
use crate::admission::schema::UnknownField;
use crate::registry::{Definition, Nature};
use crate::state::State;
use crate::wire::status::StatusError;
use crate::write::{self, Call};
use names::Taken;
use spec::Spec;
use status::Surroundings;

pub use install::DefinitionError;
pub(crate) use install::{check, install};
pub(crate) use settle::settle;
pub(crate) use spec::fill_in;
pub(crate) use status::{accepted_names, deletion_waits, is_true};
pub(crate) use validate::dotted;

/// Where definitions are stored.
pub(crate) const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// Marks the definitions that came with the server.
pub(crate) const INSTALLED: &str = "hades.dev/installed";

/// The finalizer under which the objects of a deleted definition are deleted.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Groups that Kubernetes keeps for itself need this annotation, which says
/// where the API was reviewed.
const APPROVED: &str = "api-approved.kubernetes.io";

/// The right to write definitions. Only one task has it.
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, ()>);

/// Waits for the right to write definitions.
pub(crate) async fn turn(state: &State) -> Turn<'_> {
    Turn(state.definitions.lock().await)
}

/// Runs a write; one of definitions alone, and until what it changes is served.
pub(crate) async fn in_turn<T>(
    call: Call<'_>,
    write: impl Future<Output = Result<T, StatusError>>,
) -> Result<T, StatusError> {
    if call.resource.nature != Nature::Definition {
        return write.await;
    }
    let turn = turn(call.state).await;
    let answer = write.await;
    if let Err(error) = settle(call.state, &turn).await {
        // The write is done; the task of the definitions settles it later.
        tracing::warn!(%error, "the definitions could not be settled; trying again");
    }
    answer
}

/// The fields of schemas in a definition that are none, removed.
pub(crate) fn prune(definition: &mut Value) -> Vec<UnknownField> {
    schemas::prune(definition)
}

/// All that is wrong with a definition that a client writes. `old` is the stored
/// one. What a write leaves alone is not looked at again.
pub(crate) fn causes(state: &State, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let untouched = old.is_some_and(|old| {
        old["spec"] == new["spec"]
            && old["status"]["storedVersions"] == new["status"]["storedVersions"]
    });
    if untouched {
        return Vec::new();
    }
    let spec = match Spec::read(new) {
        Ok(spec) => spec,
        // The schema of the kind has been checked, so that this is rare.
        Err(error) => return vec![validate::invalid("spec", "\"\"", &error.to_string())],
    };
    let mut causes = validate::causes(new, &spec, old);
    if old.is_none() && !state.installed.contains(write::text(new, "name")) {
        causes.extend(group_causes(state, new, &spec.group));
    }
    causes
}

/// Nobody takes a group that the server owns.
fn group_causes(state: &State, definition: &Value, group: &str) -> Vec<Cause> {
    let registry = state.registry();
    let installed = registry
        .definitions()
        .iter()
        .filter(|definition| state.installed.contains(&definition.name));
    let inside = |owner: &str| {
        group == owner || group.strip_suffix(owner).is_some_and(|rest| rest.ends_with('.'))
    };
    if registry.has_builtin_group(group) || installed.into_iter().any(|one| inside(&one.group)) {
        let why = format!("the group {group:?} belongs to the server; choose a domain of your own");
        return vec![validate::forbidden("spec.group", &why)];
    }
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|owner| group == *owner || group.ends_with(&format!(".{owner}")));
    let approved = definition["metadata"]["annotations"][APPROVED].as_str().unwrap_or_default();
    if protected && approved.is_empty() {
        let hint = format!(
            "protected groups must have approval annotation {APPROVED:?}, see \
             https://github.com/kubernetes/enhancements/pull/1111"
        );
        return vec![validate::required(&format!("metadata.annotations[{APPROVED}]"), &hint)];
    }
    Vec::new()
}

/// The last steps of a write of a definition: what a client can't change is
/// refused or put back, and the status computed. Other kinds pass.
pub(crate) fn finish(
    call: Call<'_>,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<(), StatusError> {
    if call.resource.nature != Nature::Definition {
        return Ok(());
    }
    let name = write::text(new, "name").to_owned();
    if let Some(old) = old {
        if call.state.installed.contains(&name) {
            check_installed(call, old, new)?;
        }
        check_cleanup(old, new)?;
    }
    keep_mark(call.state, old, &name, new);
    // What /status may change is which versions are stored; the rest is ours.
    let stored = new.pointer_mut("/status/storedVersions").map(Value::take).unwrap_or_default();
    let mut status = old.map(|old| old["status"].clone()).unwrap_or_default();
    if !status.is_object() {
        status = json!({});
    }
    if old.is_some() && stored.is_array() {
        status["storedVersions"] = stored;
    }
    new["status"] = status;
    stamp(call.state, new)
}

/// Gives a definition the status that it has among the others.
pub(crate) fn stamp(state: &State, definition: &mut Value) -> Result<(), StatusError> {
    let spec = Spec::read(definition).map_err(StatusError::internal)?;
    let name = write::text(definition, "name");
    let registry = state.registry();
    let others = registry.definitions().iter().map(Arc::as_ref);
    let taken = taken(state, name, &spec.group, others);
    let now = state.now();
    let around = Surroundings { taken: &taken, violation: None, now: &now };
    definition["status"] = status::status(definition, &spec, &around);
    Ok(())
}

/// The names that a definition of the group can't have. What came with the
/// server gives way to nobody.
fn taken<'a>(
    state: &State,
    name: &str,
    group: &str,
    others: impl Iterator<Item = &'a Definition>,
) -> Taken {
    let installed = state.installed.contains(name);
    let mut taken = Taken::default();
    for other in others {
        let counts = !installed || state.installed.contains(&other.name);
        if other.group == group && other.name != name && counts {
            taken.add(&other.names);
        }
    }
    taken
}

/// Prepares a definition for its deletion: its objects go first.
pub(crate) fn mark(state: &State, definition: &mut Value) -> Result<(), StatusError> {
    let finalizers = &mut definition["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) if list.iter().any(|one| one == CLEANUP) => {}
        Some(list) => list.push(Value::from(CLEANUP)),
        None => *finalizers = json!([CLEANUP]),
    }
    stamp(state, definition)
}

/// Refuses to delete what came with the server.
pub(crate) fn check_deletion(call: Call<'_>, name: &str) -> Result<(), StatusError> {
    if call.resource.nature == Nature::Definition && call.state.installed.contains(name) {
        let why = "it comes with the server, which would install it again";
        return Err(refusal(call, name, why));
    }
    Ok(())
}

fn refusal(call: Call<'_>, name: &str, why: &str) -> StatusError {
    let info = &call.resource.info;
    StatusError::forbidden(&info.group, &info.plural, name, why)
}

/// Of an installed definition, only labels and annotations are the user's.
fn check_installed(call: Call<'_>, old: &Value, new: &Value) -> Result<(), StatusError> {
    let fixed = |object: &Value| {
        let metadata = &object["metadata"];
        (
            object["spec"].clone(),
            metadata["finalizers"].clone(),
            metadata["ownerReferences"].clone(),
        )
    };
    if fixed(old) == fixed(new) {
        return Ok(());
    }
    let why = "it comes with the server; only its labels and annotations can be changed";
    Err(refusal(call, write::text(old, "name"), why))
}

/// The cleanup ends when the last object is gone, not when somebody says so:
/// otherwise objects would be left that nobody can reach.
fn check_cleanup(old: &Value, new: &Value) -> Result<(), StatusError> {
    let cleans = |object: &Value| {
        let finalizers = object["metadata"]["finalizers"].as_array();
        finalizers.is_some_and(|list| list.iter().any(|one| one == CLEANUP))
    };
    if !write::is_terminating(old) || !cleans(old) || cleans(new) {
        return Ok(());
    }
    let why = format!(
        "{CLEANUP} goes by itself when the last object of the definition is gone; remove the \
         finalizers of the objects that are left"
    );
    let causes = vec![validate::forbidden("metadata.finalizers", &why)];
    let (group, kind) = ("apiextensions.k8s.io", "CustomResourceDefinition");
    Err(StatusError::invalid(group, kind, write::text(old, "name"), causes))
}

/// Nobody but the server says what came with it.
fn keep_mark(state: &State, old: Option<&Value>, name: &str, new: &mut Value) {
    let marked = state.installed.contains(name)
        || old.is_some_and(|old| old["metadata"]["annotations"][INSTALLED].is_string());
    if marked {
        new["metadata"]["annotations"][INSTALLED] = Value::from("true");
        return;
    }
    let annotations = new.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(INSTALLED);
    }
}
