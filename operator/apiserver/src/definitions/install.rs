//! The definitions that the server is opened with.

use std::collections::HashSet;
use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use super::names::Taken;
use super::spec::{Spec, fill_in};
use super::status::{self, Surroundings, stored_versions};
use super::{CLEANUP, DEFINITIONS, INSTALLED, Turn, validate};
use crate::admission::Cause;
use crate::http::list::blocking;
use crate::random;
use crate::state::State;
use crate::store::{Change, Expect, Key, Row, Write};
use crate::wire::status::StatusError;
use crate::write::{self, from_bytes};

/// Why a custom resource definition that the server is opened with can't be
/// served.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// It breaks the rules of definitions.
    #[error("the definition {name} can't be served: {}", list(.causes))]
    Invalid {
        /// Name of the definition.
        name: String,
        /// What is wrong with it.
        causes: Vec<Cause>,
    },
    /// It can't be written as JSON.
    #[error("the definition {name} can't be written as JSON")]
    Json {
        /// Name of the definition.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
}

fn list(causes: &[Cause]) -> String {
    causes.iter().enumerate().fold(String::new(), |mut text, (index, cause)| {
        let _ = write!(text, "{}{cause}", if index == 0 { "" } else { "; " });
        text
    })
}

/// The objects of the given definitions, checked.
///
/// # Errors
/// The first definition that can't be served, with all that is wrong with it.
pub(crate) fn check(
    definitions: &[CustomResourceDefinition],
) -> Result<Vec<Value>, DefinitionError> {
    definitions.iter().map(check_one).collect()
}

fn check_one(definition: &CustomResourceDefinition) -> Result<Value, DefinitionError> {
    let spec = &definition.spec;
    let name = match &definition.metadata.name {
        Some(name) => name.clone(),
        None => format!("{}.{}", spec.names.plural, spec.group),
    };
    let json = |source| DefinitionError::Json { name: name.clone(), source };
    let mut object = serde_json::to_value(definition).map_err(json)?;
    object["apiVersion"] = Value::from("apiextensions.k8s.io/v1");
    object["kind"] = Value::from("CustomResourceDefinition");
    object["metadata"]["name"] = Value::from(name.clone());
    object["metadata"]["annotations"][INSTALLED] = Value::from("true");
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    fill_in(&mut object);
    let spec = Spec::read(&object).map_err(json)?;
    let causes = validate::causes(&object, &spec, None);
    if causes.is_empty() { Ok(object) } else { Err(DefinitionError::Invalid { name, causes }) }
}

/// Writes the definitions where they changed, and removes those that came with
/// an earlier start, are given no longer and have no objects.
///
/// # Errors
/// When the store fails.
pub(crate) async fn install(
    state: &State,
    turn: &Turn<'_>,
    definitions: Vec<Value>,
) -> Result<(), StatusError> {
    let given: HashSet<String> =
        definitions.iter().map(|object| write::text(object, "name").to_owned()).collect();
    for object in definitions {
        install_one(state, object).await?;
    }
    for row in former(state, given).await? {
        let definition = from_bytes(&row.object)?;
        let spec = Spec::read(&definition).map_err(StatusError::internal)?;
        let storage = format!("{}/{}", spec.group, spec.names.plural);
        let mut objects = state.store.scan(&storage, None)?;
        let left = blocking(move || objects.next_page(1)).await??;
        if !left.is_empty() {
            tracing::warn!(
                definition = row.key.name(),
                "it doesn't come with the server any more and stays because objects of it are left"
            );
            continue;
        }
        let expect = Expect::Version(row.version);
        let change = Change::Delete { last: None };
        let write = Write { key: row.key, expect, needs_namespace: false, change };
        state.store.write(write).await.map_err(StatusError::internal)?;
    }
    super::settle(state, turn).await
}

/// The definitions that an earlier start installed and this one doesn't.
async fn former(state: &State, given: HashSet<String>) -> Result<Vec<Row>, StatusError> {
    let mut scan = state.store.scan(DEFINITIONS, None)?;
    let rows = blocking(move || {
        let mut rows = Vec::new();
        loop {
            let page = scan.next_page(1 << 20)?;
            if page.is_empty() {
                return Ok::<_, StatusError>(rows);
            }
            rows.extend(page.into_iter().filter(|row| !given.contains(row.key.name())));
        }
    });
    let mut former = Vec::new();
    for row in rows.await?? {
        if from_bytes(&row.object)?["metadata"]["annotations"][INSTALLED].is_string() {
            former.push(row);
        }
    }
    Ok(former)
}

async fn install_one(state: &State, mut object: Value) -> Result<(), StatusError> {
    let key = Key::new(&DEFINITIONS.into(), "", write::text(&object, "name"));
    let row = state.store.get(&key)?;
    let expect = match &row {
        None => {
            let metadata = &mut object["metadata"];
            metadata["uid"] = Value::from(random::uuid().map_err(StatusError::internal)?);
            metadata["creationTimestamp"] = Value::from(state.now());
            metadata["generation"] = Value::from(1);
            Expect::Absent
        }
        Some(row) => {
            let old = from_bytes(&row.object)?;
            object = renewed(old.clone(), object);
            if object == old {
                return Ok(());
            }
            Expect::Version(row.version)
        }
    };
    // Its names are its own whoever else asks for them.
    let spec = Spec::read(&object).map_err(StatusError::internal)?;
    let (taken, now) = (Taken::default(), state.now());
    let around = Surroundings { taken: &taken, violation: None, now: &now };
    object["status"] = status::status(&object, &spec, &around);
    let change = Change::Put(Box::new(object));
    let write = Write { key, expect, needs_namespace: false, change };
    state.store.write(write).await.map_err(StatusError::internal)?;
    Ok(())
}

/// The stored definition with the spec that is given now. Labels, annotations
/// and the status stay; a deletion is called off.
fn renewed(mut old: Value, given: Value) -> Value {
    let changed = old["spec"] != given["spec"];
    let stored = stored_versions(&old);
    for field in ["labels", "annotations"] {
        for (name, value) in given["metadata"][field].as_object().into_iter().flatten() {
            old["metadata"][field][name] = value.clone();
        }
    }
    old["spec"] = given["spec"].clone();
    if let Some(metadata) = old["metadata"].as_object_mut() {
        let terminating = metadata.remove("deletionTimestamp").is_some();
        metadata.remove("deletionGracePeriodSeconds");
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| finalizer != CLEANUP);
            if finalizers.is_empty() {
                metadata.remove("finalizers");
            }
        }
        if changed || terminating {
            let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
            metadata.insert("generation".to_owned(), Value::from(generation + 1));
        }
    }
    if !old["status"].is_object() {
        old["status"] = json!({});
    }
    if !stored.is_empty() {
        old["status"]["storedVersions"] = Value::from(stored);
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_changes_the_spec_and_keeps_what_users_added() {
        let old = json!({
            "metadata": {"name": "x", "generation": 3, "labels": {"mine": "1"},
                         "deletionTimestamp": "t", "finalizers": [CLEANUP, "mine"]},
            "spec": {"group": "a"}, "status": {"storedVersions": ["v1"]},
        });
        let given = json!({
            "metadata": {"name": "x", "annotations": {INSTALLED: "true"}},
            "spec": {"group": "b"},
        });
        let new = renewed(old, given.clone());
        assert_eq!(
            new,
            json!({
                "metadata": {"name": "x", "generation": 4, "labels": {"mine": "1"},
                             "annotations": {INSTALLED: "true"}, "finalizers": ["mine"]},
                "spec": {"group": "b"}, "status": {"storedVersions": ["v1"]},
            })
        );
        assert_eq!(renewed(new.clone(), given), new, "the same again changes nothing");
    }
}
