//! What a client may write into metadata.

use serde_json::{Map, Value};

use super::is_terminating;
use super::names::{label_value_errors, object_name_errors, qualified_name_errors};
use super::propagation::{FOREGROUND, ORPHAN};
use crate::admission::{Cause, CauseReason};
use crate::registry::Resource;

/// All keys and values of annotations together, as Kubernetes allows.
const MAX_ANNOTATIONS: usize = 256 << 10;

fn invalid(field: &str, value: &str, message: &str) -> Cause {
    let message = format!("Invalid value: {value:?}: {message}");
    Cause::new(field, CauseReason::FieldValueInvalid, message)
}

fn members<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object["metadata"][field].as_object().into_iter().flatten()
}

fn items<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object["metadata"][field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What is wrong with the name of a new object.
pub(super) fn name_causes(resource: &Resource, name: &str) -> Vec<Cause> {
    object_name_errors(resource, name, false)
        .iter()
        .map(|error| invalid("metadata.name", name, error))
        .collect()
}

/// What is wrong with the start of a generated name.
pub(super) fn generate_name_causes(resource: &Resource, prefix: &str) -> Vec<Cause> {
    object_name_errors(resource, prefix, true)
        .iter()
        .map(|error| invalid("metadata.generateName", prefix, error))
        .collect()
}

/// What is wrong with labels, annotations, finalizers and owners, as far as it
/// was not so before.
pub(super) fn causes(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let changed =
        |field: &str| old.is_none_or(|old| old["metadata"][field] != new["metadata"][field]);
    let mut causes = Vec::new();
    if changed("labels") {
        labels(new, &mut causes);
    }
    if changed("annotations") {
        annotations(new, &mut causes);
    }
    if changed("finalizers") {
        finalizers(new, &mut causes);
    }
    if changed("ownerReferences") {
        owners(new, &mut causes);
    }
    causes
}

fn labels(object: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in members(object, "labels") {
        let wrong = qualified_name_errors(key);
        causes.extend(wrong.iter().map(|error| invalid("metadata.labels", key, error)));
        let value = value.as_str().unwrap_or_default();
        let wrong = label_value_errors(value);
        causes.extend(wrong.iter().map(|error| invalid("metadata.labels", value, error)));
    }
}

fn annotations(object: &Value, causes: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.annotations";
    let mut size = 0;
    for (key, value) in members(object, "annotations") {
        let wrong = qualified_name_errors(&key.to_lowercase());
        causes.extend(wrong.iter().map(|error| invalid(FIELD, key, error)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        let message = format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes");
        causes.push(Cause::new(FIELD, CauseReason::FieldValueTooLong, message));
    }
}

fn finalizers(object: &Value, causes: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.finalizers";
    let names = || items(object, "finalizers").iter().filter_map(Value::as_str);
    for name in names() {
        let wrong = qualified_name_errors(name);
        causes.extend(wrong.iter().map(|error| invalid(FIELD, name, error)));
    }
    if names().any(|name| name == ORPHAN) && names().any(|name| name == FOREGROUND) {
        let all = Value::from(names().collect::<Vec<_>>());
        let message =
            format!("Invalid value: {all}: finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        causes.push(Cause::new(FIELD, CauseReason::FieldValueInvalid, message));
    }
}

fn owners(object: &Value, causes: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.ownerReferences";
    let mut controller: Option<&Map<String, Value>> = None;
    for owner in items(object, "ownerReferences").iter().filter_map(Value::as_object) {
        let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(field).is_empty() {
                let path = format!("{FIELD}.{field}");
                causes.push(invalid(&path, "", "must not be empty"));
            }
        }
        if text("kind") == "Event" && matches!(text("apiVersion"), "v1" | "events.k8s.io/v1") {
            let kind = format!("{}, Kind=Event", text("apiVersion"));
            causes.push(invalid(FIELD, &kind, "is disallowed from being an owner"));
        }
        if owner.get("controller") == Some(&Value::Bool(true)) {
            match controller {
                Some(first) => {
                    let first = first.get("name").and_then(Value::as_str).unwrap_or_default();
                    let message = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in \
                         references for {first} and {}",
                        text("name")
                    );
                    causes.push(invalid(FIELD, text("name"), &message));
                }
                None => controller = Some(owner),
            }
        }
    }
}

/// Advice on finalizers that others may write too.
pub(super) fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(|old| items(old, "finalizers")).unwrap_or_default();
    items(new, "finalizers")
        .iter()
        .filter(|name| !before.contains(name))
        .filter_map(Value::as_str)
        .filter(|name| !name.contains('/') && !matches!(*name, ORPHAN | FOREGROUND | "kubernetes"))
        .map(|name| {
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name including \
                 a path (/) to avoid accidental conflicts with other finalizer writers"
            )
        })
        .collect()
}

/// The finalizers of an object that is being deleted can only become fewer.
pub(super) fn added_finalizers(old: &Value, new: &Value) -> Vec<Cause> {
    if !is_terminating(old) {
        return Vec::new();
    }
    let before = items(old, "finalizers");
    let added: Vec<String> = items(new, "finalizers")
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(ToString::to_string)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(metadata: Value) -> Vec<String> {
        causes(&json!({"metadata": metadata}), None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn labels_and_annotations_must_have_their_shape() {
        let found = fields(json!({"labels": {
            "app.kubernetes.io/name": "shop", "tier": "", "bad key": "x", "a": "-x"}}));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|text| text.starts_with("metadata.labels: Invalid value: ")));
        let found = fields(json!({"annotations": {"Fine.example/UPPER": "any text\n", "a b": ""}}));
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn annotations_have_a_limit_together() {
        let half = "x".repeat(MAX_ANNOTATIONS / 2);
        let found = fields(json!({"annotations": {"a": half, "b": half}}));
        assert_eq!(found, ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
    }

    #[test]
    fn owners_are_whole_and_one_of_them_controls() {
        let owner = |name: &str, controller: bool| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name,
                "controller": controller})
        };
        assert!(
            fields(json!({"ownerReferences": [owner("a", true), owner("b", false)]})).is_empty()
        );
        let found = fields(json!({"ownerReferences": [owner("a", true), owner("b", true)]}));
        assert!(found[0].contains("references for a and b"), "{found:?}");
        let found = fields(json!({"ownerReferences": [
            {"apiVersion": "v1", "kind": "Event", "name": "", "uid": "u"}]}));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn what_was_wrong_before_is_let_through() {
        let object = json!({"metadata": {"labels": {"bad key": "x"}}});
        assert!(causes(&object, Some(&object)).is_empty());
    }

    #[test]
    fn finalizers_are_named_with_care() {
        let found = fields(json!({"finalizers": ["orphan", "foregroundDeletion"]}));
        assert!(found[0].contains("cannot be both set"), "{found:?}");
        assert_eq!(fields(json!({"finalizers": ["a b"]})).len(), 1);
        let new = json!({"metadata": {"finalizers": ["plain", "a.example/b", "orphan", "old"]}});
        let old = json!({"metadata": {"finalizers": ["old"]}});
        let warnings = finalizer_warnings(&new, Some(&old));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("\"plain\""));
    }

    #[test]
    fn new_finalizers_are_refused_during_deletion() {
        let old = json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a", "b"]}});
        assert!(added_finalizers(&old, &json!({"metadata": {"finalizers": ["b"]}})).is_empty());
        let causes = added_finalizers(&old, &json!({"metadata": {"finalizers": ["b", "c"]}}));
        assert!(causes[0].message.contains("\"c\""));
    }
}
