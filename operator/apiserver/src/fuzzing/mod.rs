//! What fuzzers and the replay of their finds call: each target takes any bytes,
//! and panics where the server would make a mistake. Not part of the library.
//!
//! Inputs of several parts are separated by a NUL.

#![allow(missing_docs)]

use std::fmt::Debug;

use serde_json::{Value, json};

use crate::admission::schema::StructuralSchema;
use crate::http::path;
use crate::wire::accept::{
    BodyForm, MetaVersion, aggregated_discovery, body_form, decode_body, decode_body_strict,
    negotiate, patch_form,
};
use crate::wire::apply::{ApplyRequest, Operation, apply as apply_object, track_update};
use crate::wire::selector::{FieldSelector, LabelSelector};
use crate::wire::status::StatusError;
use crate::wire::{event_view, patch, protobuf, raw, table};

/// What is done with the bytes that a fuzzer made up.
pub type Target = fn(&[u8]);

/// Every target with its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("accept", accept),
    ("apply", apply),
    ("body", body),
    ("columns", columns),
    ("json_patch", json_patch),
    ("merge_patch", merge_patch),
    ("path", resource_path),
    ("protobuf", protobuf_body),
    ("raw", raw_fields),
    ("rules", rules),
    ("schema", schema),
    ("selectors", selectors),
    ("strategic_patch", strategic_patch),
];

const NOW: &str = "2026-01-01T00:00:00Z";

/// What patches may add to an object besides their own bytes.
const SLACK: usize = 4 << 20;

fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn value(data: &[u8]) -> Option<Value> {
    decode_body(BodyForm::Json, data).ok()
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// An error must be the client's, and small enough to be sent.
fn refused<T: Debug>(result: Result<T, StatusError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!((400..500).contains(&error.code()), "{error:?}");
            let length = error.to_value().to_string().len();
            assert!(length < 8 << 20, "an error of {length} bytes");
            None
        }
    }
}

fn accept(data: &[u8]) {
    let header = text(data);
    refused(negotiate(header));
    let _ = aggregated_discovery(header);
    refused(body_form(header));
    refused(patch_form(header));
}

fn resource_path(data: &[u8]) {
    let Some(Ok(Some(parsed))) = text(data).map(path::parse) else { return };
    for part in [Some(&parsed.plural), parsed.namespace.as_ref(), parsed.name.as_ref()] {
        let is_trick = |part: &String| {
            matches!(part.as_str(), "" | "." | "..") || part.contains(['\0', '/', '%'])
        };
        assert!(!part.is_some_and(is_trick), "{parsed:?}");
    }
}

fn selectors(data: &[u8]) {
    let [selector, object] = parts(data);
    let Some(selector) = text(selector) else { return };
    let object = value(object).unwrap_or_else(
        || json!({"metadata": {"name": "a", "labels": {"a": "b", "n": "7", "x.y/z": ""}}}),
    );
    if let Some(labels) = refused(LabelSelector::parse(selector)) {
        let _ = labels.matches_object(&object);
    }
    if let Some(fields) = refused(FieldSelector::parse(selector)) {
        let _ = fields.matches(&object);
    }
}

fn protobuf_body(data: &[u8]) {
    if let Some(object) = refused(protobuf::decode(data)) {
        assert!(size(&object) <= 1000 + data.len() * 64, "{} bytes", size(&object));
        // Whatever kubectl may send as protobuf is an object of the API.
        assert!(object["kind"].is_string() && object["apiVersion"].is_string());
    }
}

fn body(data: &[u8]) {
    let json = refused(decode_body_strict(BodyForm::Json, data));
    let plain = serde_json::from_slice::<Value>(data).ok();
    if let Some(json) = &json {
        if let Some(plain) = &plain {
            assert_eq!(&json.value, plain, "read differently than serde_json reads it");
        }
        let _ = event_view::to_core(&event_view::to_events(&json.value));
    }
    if let Some(yaml) = refused(decode_body_strict(BodyForm::Yaml, data)) {
        assert!(size(&yaml.value) <= SLACK * 4, "{} bytes of YAML", size(&yaml.value));
    }
    refused(decode_body_strict(BodyForm::Protobuf, data));
}

fn raw_fields(data: &[u8]) {
    // Whatever it is, it is looked through without harm.
    let _ = raw::Members::of(data).count();
    let _ = (raw::count(data), raw::text(data), raw::is_name(data, "a"));
    let Ok(Value::Object(object)) = serde_json::from_slice(data) else { return };
    // As the server writes it, what is found is what is there.
    let bytes = Value::Object(object.clone()).to_string();
    assert_eq!(raw::count(bytes.as_bytes()), object.len());
    for (name, value) in &object {
        let found = raw::find(bytes.as_bytes(), &[name]).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<Value>(found).ok().as_ref(), Some(value), "{name:?}");
    }
}

fn json_patch(data: &[u8]) {
    let [target, operations] = parts(data);
    let Some(target) = value(target) else { return };
    if let Some(patched) = refused(patch::json(&target, operations)) {
        assert!(size(&patched) <= size(&target) + operations.len() * 2 + SLACK);
    }
}

fn merge_patch(data: &[u8]) {
    let [target, changes] = parts(data);
    let (Some(target), Some(changes)) = (value(target), value(changes)) else { return };
    let mut once = target.clone();
    patch::merge(&mut once, &changes);
    assert!(size(&once) <= size(&target) + size(&changes));
    let mut twice = once.clone();
    patch::merge(&mut twice, &changes);
    assert_eq!(once, twice, "a merge patch that is applied again changes something");
}

fn strategic_patch(data: &[u8]) {
    let [target, changes, kind] = parts(data);
    let (Some(target), Some(changes)) = (value(target), value(changes)) else { return };
    let rules = patch::merge_rules("", text(kind).unwrap_or_default());
    let mut patched = target.clone();
    match patch::strategic(&mut patched, &changes, &rules) {
        Ok(()) => assert!(size(&patched) <= size(&target) + size(&changes)),
        Err(error) => {
            assert!((400..500).contains(&error.code()), "{error:?}");
            assert_eq!(patched, target, "a refused patch changed something");
        }
    }
}

fn usual_schema() -> Value {
    json!({"type": "object", "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "default": 1, "minimum": 0},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "list": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a", "b"],
                    "items": {"type": "object", "required": ["a"], "properties": {
                        "a": {"type": "string"}, "b": {"type": "integer", "default": 2},
                        "c": {"type": "string"}}},
                },
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "atomic": {"type": "object", "x-kubernetes-map-type": "atomic",
                           "x-kubernetes-preserve-unknown-fields": true},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
                "intOrString": {"x-kubernetes-int-or-string": true},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }})
}

fn compiled(data: &[u8]) -> Option<StructuralSchema> {
    let schema = value(data).filter(Value::is_object).unwrap_or_else(usual_schema);
    StructuralSchema::compile(&schema).ok()
}

fn schema(data: &[u8]) {
    let [schema, new, old] = parts(data);
    let Some(schema) = compiled(schema) else { return };
    let old = value(old);
    let Some(mut new) = value(new) else { return };
    let unknown = schema.prune(&mut new);
    assert!(unknown.len() <= 100);
    assert!(schema.prune(&mut new).is_empty(), "pruning twice finds more");
    schema.drop_nulls(&mut new);
    schema.apply_defaults(&mut new);
    let filled = new.clone();
    schema.apply_defaults(&mut new);
    if size(&new) < SLACK {
        assert_eq!(new, filled, "defaulting twice fills in more");
    }
    let causes = schema.validate(&new, old.as_ref());
    assert!(causes.len() <= 210, "{} causes", causes.len());
    let _ = schema.validate(&new, Some(&new));
}

fn apply(data: &[u8]) {
    let [schema, current, applied] = parts(data);
    let Some(schema) = compiled(schema) else { return };
    let Some(applied) = value(applied).filter(Value::is_object) else { return };
    let current = value(current).filter(Value::is_object);
    let applied_over = |current: Option<&Value>, force| {
        apply_object(ApplyRequest {
            current,
            applied: &applied,
            manager: "fuzzer",
            force,
            subresource: None,
            now: NOW,
            schema: &schema,
        })
    };
    refused(applied_over(current.as_ref(), false));
    if let Some(once) = refused(applied_over(current.as_ref(), true))
        && let Some(twice) = refused(applied_over(Some(&once), false))
    {
        assert_eq!(once, twice, "applying again changes something");
    }
    let mut new = applied.clone();
    track_update(current.as_ref(), &mut new, "fuzzer", Operation::Update, None, NOW, &schema);
}

fn rules(data: &[u8]) {
    let [rule, new, old] = parts(data);
    let Some(rule) = text(rule) else { return };
    let document = json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"spec": {
            "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-validations": [
                {"rule": rule, "messageExpression": rule, "optionalOldSelf": true},
            ],
        }},
    });
    let Ok(schema) = StructuralSchema::compile(&document) else { return };
    let new = value(new).unwrap_or_else(|| json!({"a": 1, "list": [1, 2, 3], "text": "abc"}));
    let old = value(old);
    let _ = schema.validate(&json!({"spec": new}), old.map(|old| json!({"spec": old})).as_ref());
}

fn columns(data: &[u8]) {
    let [path, object, kind] = parts(data);
    let (Some(path), Some(object)) = (text(path), value(object)) else { return };
    let kind = text(kind).filter(|kind| !kind.is_empty()).unwrap_or("string");
    let column = json!({"name": "C", "type": kind, "jsonPath": path});
    let Ok(columns) = table::Columns::compile(&[column]) else { return };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let bytes = object.to_string();
    let (object, version) = (bytes.as_bytes(), MetaVersion::V1);
    let mut out = Vec::new();
    let _ = table::row(&mut out, &columns, object, table::IncludeObject::Metadata, version, now);
    let _ = table::partial_metadata(&mut out, object, version);
}

#[cfg(test)]
mod tests;
