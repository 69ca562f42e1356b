//! The metadata that the server decides on, and the rules of what a client may
//! write there.

use serde_json::{Map, Value};

use crate::registry::{Nature, Resource};
use crate::wire::status::StatusError;

/// Metadata that only the server sets.
const SERVER_FIELDS: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
];

/// A metadata string, empty where absent.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Whether any finalizer holds the object.
pub(crate) fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// Whether the object is being deleted.
pub(crate) fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The metadata of a written object, made where it is absent.
///
/// # Errors
/// 400 where the object or its metadata are no JSON objects.
pub(super) fn metadata_mut(object: &mut Value) -> Result<&mut Map<String, Value>, StatusError> {
    let object = object
        .as_object_mut()
        .ok_or_else(|| StatusError::bad_request("the body must be a single object"))?;
    let metadata = object.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().ok_or_else(|| StatusError::bad_request("metadata: must be an object"))
}

/// Fills in the namespace of the path, or refuses another one.
pub(super) fn settle_namespace(
    object: &mut Value,
    namespace: Option<&str>,
) -> Result<(), StatusError> {
    let metadata = metadata_mut(object)?;
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    match namespace {
        Some(namespace) if given.is_empty() || given == namespace => {
            metadata.insert("namespace".to_owned(), Value::from(namespace));
            Ok(())
        }
        None if given.is_empty() => {
            metadata.remove("namespace");
            Ok(())
        }
        _ => Err(StatusError::bad_request(format!(
            "the namespace of the provided object ({given:?}) does not match the namespace sent \
             on the request ({:?})",
            namespace.unwrap_or_default()
        ))),
    }
}

/// Gives a new object what only the server sets.
pub(super) fn stamp_new(
    resource: &Resource,
    object: &mut Value,
    uid: String,
    now: &str,
) -> Result<(), StatusError> {
    let name = text(object, "name").to_owned();
    let metadata = metadata_mut(object)?;
    metadata.retain(|field, value| !value.is_null() && !SERVER_FIELDS.contains(&field.as_str()));
    metadata.insert("uid".to_owned(), Value::from(uid));
    metadata.insert("creationTimestamp".to_owned(), Value::from(now));
    if resource.nature.has_generation() {
        metadata.insert("generation".to_owned(), Value::from(1));
    }
    if resource.nature == Nature::Namespace {
        let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/metadata.name".to_owned(), Value::from(name));
        }
    }
    Ok(())
}

/// Puts back what a client can't change, and checks what it may only repeat.
pub(super) fn keep_server_fields(
    resource: &Resource,
    old: &Value,
    new: &mut Value,
) -> Result<(), StatusError> {
    let (group, plural) = (&resource.info.group, &resource.info.plural);
    let name = text(old, "name");
    for field in ["name", "namespace"] {
        let (given, stored) = (text(new, field), text(old, field));
        if !given.is_empty() && given != stored {
            return Err(StatusError::bad_request(format!(
                "the {field} of the object ({given}) does not match the {field} on the URL \
                 ({stored})"
            )));
        }
    }
    let (given, stored) = (text(new, "uid"), text(old, "uid"));
    if !given.is_empty() && given != stored {
        return Err(StatusError::conflict(
            group,
            plural,
            name,
            format!(
                "Precondition failed: UID in precondition: {given}, UID in object meta: {stored}"
            ),
        ));
    }
    let (given, stored) = (text(new, "resourceVersion"), text(old, "resourceVersion"));
    if !given.is_empty() && given != stored {
        return Err(StatusError::conflict(group, plural, name, crate::state::MODIFIED));
    }
    let old = &old["metadata"];
    let metadata = metadata_mut(new)?;
    metadata.retain(|_, value| !value.is_null());
    for field in SERVER_FIELDS.iter().chain(&["name", "namespace", "generateName"]) {
        match old.get(*field) {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
    // A client that leaves managedFields out does not mean to reset them.
    if let (None, Some(managed)) = (metadata.get("managedFields"), old.get("managedFields")) {
        metadata.insert("managedFields".to_owned(), managed.clone());
    }
    Ok(())
}

/// Whether anything but metadata and status differs: what a new generation
/// means.
pub(super) fn spec_changed(resource: &Resource, old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old != new;
    };
    let counts = |field: &str| field != "metadata" && !(resource.info.status && field == "status");
    let fields = |object: &Map<String, Value>| object.keys().filter(|field| counts(field)).count();
    fields(old) != fields(new)
        || new.iter().any(|(field, value)| counts(field) && old.get(field) != Some(value))
}
