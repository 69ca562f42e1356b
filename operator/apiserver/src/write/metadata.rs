//! The metadata that the server decides on, and the rules of what a client may
//! write there.

use serde_json::{Map, Value};

use crate::admission::{Cause, CauseReason};
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

/// Checks that apiVersion and kind are those of the path.
pub(super) fn check_type(resource: &Resource, object: &Value) -> Result<(), StatusError> {
    let expected = resource.info.api_version();
    let field = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (field("apiVersion"), field("kind"));
    if kind.is_empty() {
        return Err(StatusError::bad_request("Object 'Kind' is missing"));
    }
    if version == expected && kind == resource.info.kind {
        return Ok(());
    }
    Err(StatusError::bad_request(format!(
        "the object provided is {version}, Kind={kind}, but the path is of {expected}, Kind={}",
        resource.info.kind
    )))
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
    let ignored = |field: &str| field == "metadata" || (resource.info.status && field == "status");
    let fields = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        fields
            .filter(|(field, _)| !ignored(field))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect()
    };
    fields(old) != fields(new)
}

/// The finalizers of an object that is being deleted can only become fewer.
pub(super) fn finalizer_causes(old: &Value, new: &Value) -> Vec<Cause> {
    if !is_terminating(old) {
        return Vec::new();
    }
    let list = |object: &Value| -> Vec<Value> {
        object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default()
    };
    let before = list(old);
    let added: Vec<String> = list(new)
        .into_iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(|finalizer| finalizer.to_string())
        .collect();
    if added.is_empty() {
        return Vec::new();
    }
    vec![Cause::new(
        "metadata.finalizers",
        CauseReason::FieldValueForbidden,
        format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers {}",
            added.join(", ")
        ),
    )]
}

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
                          characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
                              alphanumeric characters, '-' or '.', and must start and end with an \
                              alphanumeric character";

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// What is wrong with a name.
pub(super) fn name_causes(resource: &Resource, name: &str) -> Vec<Cause> {
    let (rule, limit, valid) = if resource.nature == Nature::Namespace {
        (LABEL_RULE, 63, is_label(name))
    } else {
        (SUBDOMAIN_RULE, 253, name.split('.').all(is_label))
    };
    let mut causes = Vec::new();
    if !valid {
        causes.push(Cause::new(
            "metadata.name",
            CauseReason::FieldValueInvalid,
            format!("Invalid value: {name:?}: {rule}"),
        ));
    }
    if name.len() > limit {
        causes.push(Cause::new(
            "metadata.name",
            CauseReason::FieldValueInvalid,
            format!("Invalid value: {name:?}: must be no more than {limit} bytes"),
        ));
    }
    causes
}

/// What is wrong with the labels.
pub(super) fn label_causes(object: &Value) -> Vec<Cause> {
    let Some(labels) = object["metadata"]["labels"].as_object() else {
        return Vec::new();
    };
    let part = |text: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        bytes.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let mut causes = Vec::new();
    for (key, value) in labels {
        let valid_key = match key.split_once('/') {
            Some((prefix, name)) => {
                prefix.len() <= 253 && prefix.split('.').all(is_label) && part(name)
            }
            None => part(key),
        };
        let value = value.as_str().unwrap_or_default();
        if !valid_key || !(value.is_empty() || part(value)) {
            let wrong = if valid_key { value } else { key };
            causes.push(Cause::new(
                "metadata.labels",
                CauseReason::FieldValueInvalid,
                format!(
                    "Invalid value: {wrong:?}: a valid label must consist of at most 63 \
                     alphanumeric characters, '-', '_' or '.', and must start and end with an \
                     alphanumeric character"
                ),
            ));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_must_have_their_shape() {
        let object = json!({"metadata": {"labels": {
            "app.kubernetes.io/name": "shop", "tier": "", "bad key": "x", "a": "-x"}}});
        assert_eq!(label_causes(&object).len(), 2);
    }

    #[test]
    fn new_finalizers_are_refused_during_deletion() {
        let old = json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a", "b"]}});
        assert!(finalizer_causes(&old, &json!({"metadata": {"finalizers": ["b"]}})).is_empty());
        let causes = finalizer_causes(&old, &json!({"metadata": {"finalizers": ["b", "c"]}}));
        assert!(causes[0].message.contains("\"c\""));
    }
}
