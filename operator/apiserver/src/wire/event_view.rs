//! Two views of one event.
//!
//! Recorders write `events.k8s.io/v1`, `kubectl describe` reads `core/v1`. The
//! store holds the events.k8s.io form. Every field of either view has its place in
//! the other (the `deprecated…` fields are there for that), so that turning one into
//! the other and back loses nothing. Fields that neither view knows pass through.

use serde_json::{Map, Value};

/// Names in events.k8s.io/v1, and the same thing in core/v1.
const RENAMED: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

const EVENTS_VERSION: &str = "events.k8s.io/v1";
const CORE_VERSION: &str = "v1";

/// The events.k8s.io/v1 view, which is the stored form, from either view.
#[must_use]
pub fn to_events(event: &Value) -> Value {
    convert(event, EVENTS_VERSION, |name| {
        RENAMED.iter().find(|(_, core)| *core == name).map(|(events, _)| *events)
    })
}

/// The core/v1 view, from either view.
#[must_use]
pub fn to_core(event: &Value) -> Value {
    convert(event, CORE_VERSION, |name| {
        RENAMED.iter().find(|(events, _)| *events == name).map(|(_, core)| *core)
    })
}

fn convert(
    event: &Value,
    api_version: &str,
    renamed: impl Fn(&str) -> Option<&'static str>,
) -> Value {
    let Some(fields) = event.as_object() else {
        return event.clone();
    };
    let mut result = Map::new();
    for (name, value) in fields {
        let name = match renamed(name) {
            // The object has this field twice, once in each view: the name of the
            // target view wins.
            Some(target) if fields.contains_key(target) => continue,
            Some(target) => target,
            None => name,
        };
        result.insert(name.to_owned(), value.clone());
    }
    result.insert("apiVersion".to_owned(), Value::from(api_version));
    if !result.contains_key("kind") {
        result.insert("kind".to_owned(), Value::from("Event"));
    }
    Value::Object(result)
}

#[cfg(test)]
mod tests;
