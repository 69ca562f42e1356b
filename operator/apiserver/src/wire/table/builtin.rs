//! The columns of the kinds that Kubernetes defines.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, Columns, Object, Source, age};

const fn column(
    name: &'static str,
    kind: &'static str,
    priority: i64,
    description: &'static str,
    compute: fn(Object<'_>, Timestamp) -> Value,
) -> Column {
    Column {
        name: Cow::Borrowed(name),
        kind: Cow::Borrowed(kind),
        format: Cow::Borrowed(""),
        description: Cow::Borrowed(description),
        priority,
        source: Source::Computed(compute),
    }
}

fn text(object: Object<'_>, pointer: &str) -> Value {
    object.at(pointer)
}

fn since(object: Object<'_>, pointer: &str, now: Timestamp) -> Value {
    match object.at(pointer) {
        Value::String(time) => Value::from(age(&time, now)),
        _ => Value::from("<unknown>"),
    }
}

/// `Name`, the first column of nearly every kind.
pub(super) fn name() -> Column {
    Column {
        format: Cow::Borrowed("name"),
        ..column(
            "Name",
            "string",
            0,
            "Name of the object, unique in its namespace.",
            |object, _| text(object, "/metadata/name"),
        )
    }
}

fn created() -> Column {
    column("Age", "date", 0, "Time since the object was created.", |object, now| {
        since(object, "/metadata/creationTimestamp", now)
    })
}

fn created_at() -> Column {
    column("Created At", "date", 0, "When the object was created.", |object, _| {
        text(object, "/metadata/creationTimestamp")
    })
}

pub(super) fn name_and_age() -> Columns {
    named([created()])
}

fn named(rest: impl IntoIterator<Item = Column>) -> Columns {
    Columns { columns: std::iter::once(name()).chain(rest).collect() }
}

/// The columns of a kind; name and age where it is not known.
pub(super) fn columns(group: &str, kind: &str) -> Columns {
    match (group, kind) {
        ("", "Namespace") => named([
            column("Status", "string", 0, "The status of the namespace.", |object, _| {
                text(object, "/status/phase")
            }),
            created(),
        ]),
        ("", "Secret") => named([
            column("Type", "string", 0, "What the secret is for.", |object, _| {
                text(object, "/type")
            }),
            column("Data", "string", 0, "How many values the secret has.", |object, _| {
                Value::from(object.count("data"))
            }),
            created(),
        ]),
        ("", "ConfigMap") => named([
            column("Data", "string", 0, "How many values the map has.", |object, _| {
                Value::from(object.count("data") + object.count("binaryData"))
            }),
            created(),
        ]),
        ("", "ServiceAccount") => named([
            column("Secrets", "string", 0, "How many secrets the account lists.", |object, _| {
                Value::from(object.count("secrets"))
            }),
            created(),
        ]),
        ("" | "events.k8s.io", "Event") => events(),
        ("coordination.k8s.io", "Lease") => named([
            column("Holder", "string", 0, "Who holds the lease.", |object, _| {
                text(object, "/spec/holderIdentity")
            }),
            created(),
        ]),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => named([created_at()]),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => named([created_at()]),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => named([
            column("Role", "string", 0, "The role that is bound.", |object, _| {
                Value::from(format!(
                    "{}/{}",
                    text(object, "/roleRef/kind").as_str().unwrap_or_default(),
                    text(object, "/roleRef/name").as_str().unwrap_or_default()
                ))
            }),
            created(),
            column("Users", "string", 1, "The users that it is bound to.", |binding, _| {
                subjects(binding, "User")
            }),
            column("Groups", "string", 1, "The groups that it is bound to.", |binding, _| {
                subjects(binding, "Group")
            }),
            column("ServiceAccounts", "string", 1, "The accounts it is bound to.", |binding, _| {
                subjects(binding, "ServiceAccount")
            }),
        ]),
        _ => name_and_age(),
    }
}

fn events() -> Columns {
    Columns {
        columns: vec![
            column("Last Seen", "string", 0, "Time since it last happened.", |event, now| {
                Value::from(last_seen(event, now))
            }),
            column("Type", "string", 0, "Normal or Warning.", |event, _| text(event, "/type")),
            column("Reason", "string", 0, "Why it happened, in one word.", |event, _| {
                text(event, "/reason")
            }),
            column("Object", "string", 0, "The object that it is about.", |event, _| {
                Value::from(object_of(event))
            }),
            column("Subobject", "string", 1, "The part of that object.", |event, _| {
                either(event, ["/involvedObject/fieldPath", "/regarding/fieldPath"])
            }),
            column("Source", "string", 1, "Who reports it.", |event, _| Value::from(source(event))),
            column("Message", "string", 0, "What happened.", |event, _| {
                match either(event, ["/message", "/note"]) {
                    Value::String(message) => Value::from(message.trim()),
                    other => other,
                }
            }),
            column("First Seen", "string", 1, "Time since it first happened.", |event, now| {
                Value::from(first_seen(event, now))
            }),
            column("Count", "string", 1, "How often it happened.", |event, _| {
                Value::from(times(event))
            }),
            Column { priority: 1, ..name() },
        ],
    }
}

/// The names of the subjects of one kind, service accounts with their namespace.
fn subjects(binding: Object<'_>, kind: &str) -> Value {
    let subjects = binding.at("/subjects");
    let names: Vec<String> = subjects
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter(|subject| subject["kind"] == kind)
        .map(|subject| {
            let name = subject["name"].as_str().unwrap_or_default();
            match subject["namespace"].as_str() {
                Some(namespace) if kind == "ServiceAccount" => format!("{namespace}/{name}"),
                _ => name.to_owned(),
            }
        })
        .collect();
    Value::from(names.join(", "))
}

/// The first of several pointers that leads to something: events come in two views.
fn either<const N: usize>(event: Object<'_>, pointers: [&str; N]) -> Value {
    pointers
        .iter()
        .map(|pointer| event.at(pointer))
        .find(|value| !value.is_null())
        .unwrap_or_default()
}

fn ago(time: &Value, now: Timestamp) -> Option<String> {
    time.as_str().map(|time| age(time, now))
}

fn first_seen(event: Object<'_>, now: Timestamp) -> String {
    let first = either(event, ["/firstTimestamp", "/deprecatedFirstTimestamp"]);
    ago(&first, now)
        .or_else(|| ago(&text(event, "/eventTime"), now))
        .unwrap_or_else(|| "<unknown>".to_owned())
}

fn last_seen(event: Object<'_>, now: Timestamp) -> String {
    let last = either(event, ["/lastTimestamp", "/deprecatedLastTimestamp"]);
    ago(&text(event, "/series/lastObservedTime"), now)
        .or_else(|| ago(&last, now))
        .unwrap_or_else(|| first_seen(event, now))
}

fn times(event: Object<'_>) -> i64 {
    either(event, ["/series/count", "/count", "/deprecatedCount"])
        .as_i64()
        .filter(|times| *times > 0)
        .unwrap_or(1)
}

fn object_of(event: Object<'_>) -> String {
    let part = |name: &str| {
        let core = format!("/involvedObject/{name}");
        let new = format!("/regarding/{name}");
        let value = either(event, [core.as_str(), new.as_str()]);
        value.as_str().unwrap_or_default().to_owned()
    };
    let (kind, name) = (part("kind").to_lowercase(), part("name"));
    if name.is_empty() { kind } else { format!("{kind}/{name}") }
}

fn source(event: Object<'_>) -> String {
    let component = either(
        event,
        [
            "/source/component",
            "/deprecatedSource/component",
            "/reportingComponent",
            "/reportingController",
        ],
    );
    let host = either(event, ["/source/host", "/deprecatedSource/host", "/reportingInstance"]);
    [component, host]
        .iter()
        .filter_map(Value::as_str)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}
