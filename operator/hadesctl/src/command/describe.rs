//! `hadesctl describe`.

use clap::Args;
use hades_client::object::{self, Owner};
use hades_client::wait::{Standing, conditions, standing};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::age::age;
use crate::command::events;
use crate::context::Context;
use crate::error::Error;
use crate::layout::{columns, indented};
use crate::output;
use crate::target::{self, Search, Target};
use crate::terminal::Paint;

/// Fields of a status that have a section of their own, or are nobody's concern.
const SHOWN_STATUS: [&str; 10] = [
    "conditions",
    "errors",
    "images",
    "inventory",
    "lastHandledReconcileAt",
    "lastPlan",
    "observedGeneration",
    "ready",
    "resources",
    "syncedCommit",
];

/// Show one object with its conditions, resources and events
#[derive(Debug, Args)]
pub struct Arguments {
    /// PROJECT/ENVIRONMENT, KIND NAME… or KIND/[PROJECT/]NAME
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Describes the objects.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let session = context.session().await?;
    let targets = target::targets(context, &arguments.targets, Search::AllProjects).await?;
    let [first, ..] = targets.as_slice() else {
        let kind = arguments.targets.first().map(String::as_str).unwrap_or_default();
        return Err(Error::usage(
            "a kind alone says too little",
            format!("write `hadesctl describe {kind} NAME`, or list them by `hadesctl get {kind}`"),
        ));
    };
    for target in &targets {
        let Target { kind, namespace, name } = target;
        let Some(object) = object::get(session, kind, namespace.as_deref(), name).await? else {
            return Err(target::not_found(session, target).await);
        };
        let events = events::of_target(session, target).await?;
        if target != first {
            context.terminal.line("\n---\n")?;
        }
        let text = text(target, &object, &events, context.now(), context.terminal.paint)?;
        context.terminal.print(&text)?;
    }
    Ok(())
}

/// The whole description.
fn text(
    target: &Target,
    object: &DynamicObject,
    events: &[Event],
    now: Timestamp,
    paint: Paint,
) -> Result<String, Error> {
    let mut text = columns(&head(target, object, now), 0);
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            text.push_str(&format!("\n{}\n{body}", paint.bold(&format!("{title}:"))));
        }
    };
    for (key, value) in object.data.as_object().into_iter().flatten() {
        let is_secret = target.kind.resource.kind == "Secret";
        match (key.as_str(), value) {
            ("status", _) => {}
            // Kubernetes hands the values out; a screen is no place for them.
            ("data" | "stringData", Value::Object(values)) if is_secret => {
                section("Keys", values.keys().map(|key| format!("  {key}\n")).collect());
            }
            _ => section(&capitalised(key), indented(&output::yaml(value)?, 2)),
        }
    }
    section("Reported", other_status(object)?);
    section("Conditions", conditions_table(object, now));
    section("Resources", resources_table(object));
    section("Inventory", inventory_table(object));
    section("Errors in the repository", problems(object));
    if let Some((title, body)) = last_plan(object, now) {
        section(&title, body);
    }
    section("Events", events_table(events, now));
    Ok(text)
}

fn head(target: &Target, object: &DynamicObject, now: Timestamp) -> Vec<Vec<String>> {
    let meta = &object.metadata;
    let kind = &target.kind.resource;
    let mut rows = vec![];
    let mut row = |key: &str, value: String| rows.push(vec![format!("{key}:"), value]);
    row("Name", target.name.clone());
    if let Some(project) = &meta.namespace {
        row("Project", project.clone());
    }
    row("Kind", format!("{} ({})", kind.kind, kind.api_version));
    if let Some(created) = &meta.creation_timestamp {
        row("Created", moment(created.0, now));
    }
    let labels = meta.labels.clone().unwrap_or_default();
    if let Some(owner) = Owner::of(object) {
        row("Owned by", format!("repository {owner}"));
    }
    let pairs = |map: std::collections::BTreeMap<String, String>| -> Vec<String> {
        map.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    };
    for (title, pairs) in [
        ("Labels", pairs(labels)),
        ("Annotations", pairs(meta.annotations.clone().unwrap_or_default())),
    ] {
        for (index, pair) in pairs.into_iter().enumerate() {
            let title = if index == 0 { format!("{title}:") } else { String::new() };
            rows.push(vec![title, pair]);
        }
    }
    let mut row = |key: &str, value: String| rows.push(vec![format!("{key}:"), value]);
    if target.kind.has_status || meta.deletion_timestamp.is_some() {
        row(
            "Status",
            match standing(object, target.kind.has_status) {
                Standing::Ready => "ready".to_owned(),
                Standing::Stalled(why) => format!("stalled, {why}"),
                other => format!("not ready, {}", other.message()),
            },
        );
    }
    if let Some(ready) = object.data.pointer("/status/ready").and_then(Value::as_str) {
        row("Containers", format!("{ready} as described"));
    }
    if let Some(commit) = object.data.pointer("/status/syncedCommit").and_then(Value::as_str) {
        row("Commit", commit.to_owned());
    }
    rows
}

/// `2026-06-01 00:00:00 UTC, 5m ago`.
fn moment(time: Timestamp, now: Timestamp) -> String {
    format!("{}, {} ago", time.strftime("%Y-%m-%d %H:%M:%S UTC"), age(time, now))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What the status holds that no other section shows.
fn other_status(object: &DynamicObject) -> Result<String, Error> {
    let Some(status) = object.data.get("status").and_then(Value::as_object) else {
        return Ok(String::new());
    };
    let mut rest = status.clone();
    for shown in SHOWN_STATUS {
        rest.remove(shown);
    }
    if rest.is_empty() { Ok(String::new()) } else { Ok(indented(&output::yaml(&rest)?, 2)) }
}

/// A table, or nothing when it would be empty.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut all = vec![head.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    all.extend(rows);
    columns(&all, 2)
}

fn conditions_table(object: &DynamicObject, now: Timestamp) -> String {
    let rows = conditions(object).into_iter().map(|condition| {
        vec![
            condition.type_,
            condition.status,
            age(condition.last_transition_time.0, now),
            condition.reason,
            condition.message.replace('\n', " "),
        ]
    });
    table(&["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"], rows.collect())
}

/// Text of a field, or of all items of a list.
fn field(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.replace('\n', " "),
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn rows_at(object: &DynamicObject, pointer: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let items = object.data.pointer(pointer).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .map(|item| fields.iter().map(|name| field(item, name)).collect())
        .collect()
}

fn resources_table(object: &DynamicObject) -> String {
    let fields = ["kind", "name", "host", "state", "health", "drift", "ports", "message"];
    let head = ["KIND", "NAME", "HOST", "STATE", "HEALTH", "DRIFT", "PORTS", "MESSAGE"];
    table(&head, rows_at(object, "/status/resources", &fields))
}

fn inventory_table(object: &DynamicObject) -> String {
    let fields = ["kind", "namespace", "name"];
    table(&["KIND", "PROJECT", "NAME"], rows_at(object, "/status/inventory", &fields))
}

/// What is wrong with the manifests of a repository: `file:line:column: message`.
fn problems(object: &DynamicObject) -> String {
    let items = object.data.pointer("/status/errors").and_then(Value::as_array);
    let lines = items.into_iter().flatten().map(|item| {
        let place: Vec<String> = ["file", "line", "column"]
            .iter()
            .map(|name| field(item, name))
            .filter(|text| !text.is_empty())
            .collect();
        let message = field(item, "message");
        let line =
            if place.is_empty() { message } else { format!("{}: {message}", place.join(":")) };
        format!("  {line}\n")
    });
    lines.collect()
}

fn last_plan(object: &DynamicObject, now: Timestamp) -> Option<(String, String)> {
    let plan = object.data.pointer("/status/lastPlan")?;
    let time: Option<Timestamp> = field(plan, "time").parse().ok();
    let when = time.map_or_else(String::new, |time| format!(", {}", moment(time, now)));
    let digest = field(plan, "digest");
    let short = digest.get(..12).unwrap_or(&digest);
    let actions = plan.get("actions").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines = actions.iter().filter_map(Value::as_str).map(|line| format!("  {line}\n"));
    Some((format!("Last plan ({short}{when})"), lines.collect()))
}

fn events_table(events: &[Event], now: Timestamp) -> String {
    let rows = events.iter().map(|event| {
        vec![
            events::when(event, now),
            event.type_.clone().unwrap_or_default(),
            event.reason.clone().unwrap_or_default(),
            events::message(event),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        "  none\n".to_owned()
    } else {
        table(&["LAST SEEN", "TYPE", "REASON", "MESSAGE"], rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hades_client::catalog;
    use serde_json::json;

    fn describe(kind: hades_client::Kind, object: Value, events: &[Event]) -> String {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let target = Target {
            kind,
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone().unwrap(),
        };
        let now = "2026-06-01T00:05:00Z".parse().unwrap();
        text(&target, &object, events, now, Paint::default()).unwrap()
    }

    #[test]
    fn environment() {
        let text = describe(
            catalog::environment(),
            json!({
                "apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
                "metadata": {
                    "name": "production", "namespace": "shop", "generation": 3,
                    "creationTimestamp": "2026-05-01T00:00:00Z",
                    "labels": {"hades.dev/config-repository": "hades-system.fleet", "tier": "web"},
                },
                "spec": {"services": {"api": {"image": "api:1", "ports": ["8080:80"]}}},
                "status": {
                    "observedGeneration": 3, "ready": "1/2",
                    "conditions": [{
                        "type": "Ready", "status": "False", "reason": "ContainerFailed",
                        "message": "api-2 ended with status 1",
                        "lastTransitionTime": "2026-06-01T00:01:00Z",
                    }],
                    "lastPlan": {"digest": "0123456789abcdef", "time": "2026-06-01T00:00:00Z",
                                 "actions": ["+ container shop_production_api-1"]},
                    "resources": [
                        {"kind": "Container", "name": "shop_production_api-1", "host": "local",
                         "service": "api", "state": "running", "health": "Healthy",
                         "drift": "InSync", "ports": ["8080:80"]},
                        {"kind": "Container", "name": "shop_production_api-2", "host": "local",
                         "service": "api", "state": "exited", "health": "Degraded",
                         "drift": "InSync", "message": "exit status 1"},
                    ],
                },
            }),
            &events::tests::two(),
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn secrets_keep_their_values() {
        let kind = hades_client::Catalog::built_in().kind("secret").unwrap().clone();
        let text = describe(
            kind,
            json!({"metadata": {"name": "db", "namespace": "shop"}, "type": "Opaque",
                   "data": {"password": "aHVudGVyMg=="}}),
            &[],
        );
        assert!(text.contains("password") && !text.contains("aHVudGVyMg"), "{text}");
    }

    #[test]
    fn docker_host() {
        let kind = hades_client::Catalog::built_in().kind("dh").unwrap().clone();
        let text = describe(
            kind,
            json!({"metadata": {"name": "local"}, "spec": {"endpoint": "unix:///var/run/docker.sock"},
                   "status": {"version": "20.10", "containers": 3, "capacity": {"cpus": 2, "memory": 1024}}}),
            &[],
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn repository_with_errors() {
        let text = describe(
            catalog::config_repository(),
            json!({
                "metadata": {"name": "fleet", "namespace": "hades-system"},
                "spec": {"url": "file:///srv/fleet"},
                "status": {
                    "syncedCommit": "4f2a",
                    "errors": [{"file": "shop/production.yaml", "line": 3, "column": 5, "message": "no such field"},
                               {"message": "no manifests"}],
                    "inventory": [{"apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject", "name": "shop"}],
                },
            }),
            &[],
        );
        insta::assert_snapshot!(text);
    }
}
