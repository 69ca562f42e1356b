//! The `paths` of a document: every URL of a resource with its operations.

use serde_json::{Map, Value, json};

use super::{DELETE_OPTIONS, PATCH, SCALE, STATUS, document_path, group_version_kind, reference};
use crate::registry::ResourceInfo;

/// Verbs of a resource, what they do in OpenAPI's `x-kubernetes-action`, and the
/// HTTP method.
const ON_COLLECTION: &[(&str, &str, &str)] = &[
    ("list", "list", "get"),
    ("create", "post", "post"),
    ("deletecollection", "deletecollection", "delete"),
];

const ON_OBJECT: &[(&str, &str, &str)] = &[
    ("get", "get", "get"),
    ("update", "put", "put"),
    ("patch", "patch", "patch"),
    ("delete", "delete", "delete"),
];

/// Adds the paths of a resource.
pub(super) fn add(paths: &mut Map<String, Value>, resource: &ResourceInfo, schema: &str) {
    let root = format!("/{}", document_path(&resource.group, &resource.version));
    let plural = &resource.plural;
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{root}/{plural}")
    };
    let object = format!("{collection}/{{name}}");
    insert(paths, resource, schema, &collection, ON_COLLECTION);
    insert(paths, resource, schema, &object, ON_OBJECT);
    if resource.status {
        let status = format!("{object}/status");
        insert(paths, resource, schema, &status, &ON_OBJECT[..3]);
    }
    if resource.scale {
        let scale = format!("{object}/scale");
        insert(paths, resource, SCALE, &scale, &ON_OBJECT[..3]);
    }
    if resource.namespaced {
        let everywhere = format!("{root}/{plural}");
        insert(paths, resource, schema, &everywhere, &ON_COLLECTION[..1]);
    }
}

fn insert(
    paths: &mut Map<String, Value>,
    resource: &ResourceInfo,
    schema: &str,
    path: &str,
    operations: &[(&str, &str, &str)],
) {
    let mut item = Map::new();
    for (verb, action, method) in operations {
        if resource.verbs.contains(verb) {
            let operation = operation(resource, schema, path, action, method);
            item.insert((*method).to_owned(), operation);
        }
    }
    if item.is_empty() {
        return;
    }
    let parameters: Vec<Value> = ["namespace", "name"]
        .into_iter()
        .filter(|name| path.contains(&format!("{{{name}}}")))
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), Value::from(parameters));
    }
    paths.insert(path.to_owned(), Value::Object(item));
}

fn operation(
    resource: &ResourceInfo,
    schema: &str,
    path: &str,
    action: &str,
    method: &str,
) -> Value {
    let answer = match action {
        "list" => reference(&format!("{schema}List")),
        "delete" | "deletecollection" => reference(STATUS),
        _ => reference(schema),
    };
    let place = path.rsplit('/').next().unwrap_or_default();
    let suffix = match place {
        "status" => "Status",
        "scale" => "Scale",
        _ if action == "list" && !path.contains("{namespace}") && resource.namespaced => {
            "ForAllNamespaces"
        }
        _ => "",
    };
    let kind = if schema == SCALE {
        json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
    } else {
        group_version_kind(resource, &resource.kind)
    };
    let mut operation = json!({
        "operationId": format!(
            "{action}{}{}{suffix}",
            group_word(resource),
            resource.kind,
        ),
        "tags": [group_word(resource)],
        "parameters": query_parameters(action),
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": answer}}},
        },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    });
    if let Some(body) = request_body(schema, method, action) {
        operation["requestBody"] = body;
    }
    operation
}

/// A word for the group and version in operation ids.
fn group_word(resource: &ResourceInfo) -> String {
    let group = if resource.group.is_empty() { "core" } else { &resource.group };
    let mut word = String::new();
    for part in group.split(['.', '-']).chain([resource.version.as_str()]) {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            word.extend(first.to_uppercase());
            word.push_str(letters.as_str());
        }
    }
    word
}

fn query_parameters(action: &str) -> Vec<Value> {
    let query = |name: &str, kind: &str| {
        json!({
            "name": name,
            "in": "query",
            "schema": {"type": kind, "uniqueItems": true},
        })
    };
    let mut parameters = vec![query("pretty", "string")];
    match action {
        "list" | "deletecollection" => {
            for name in ["labelSelector", "fieldSelector", "resourceVersion"] {
                parameters.push(query(name, "string"));
            }
            parameters.push(query("limit", "integer"));
            if action == "list" {
                parameters.push(query("watch", "boolean"));
                parameters.push(query("allowWatchBookmarks", "boolean"));
                parameters.push(query("sendInitialEvents", "boolean"));
                parameters.push(query("timeoutSeconds", "integer"));
            }
        }
        "post" | "put" | "patch" => {
            for name in ["dryRun", "fieldManager", "fieldValidation"] {
                parameters.push(query(name, "string"));
            }
            if action == "patch" {
                parameters.push(query("force", "boolean"));
            }
        }
        "delete" => {
            parameters.push(query("dryRun", "string"));
            parameters.push(query("gracePeriodSeconds", "integer"));
            parameters.push(query("propagationPolicy", "string"));
        }
        _ => {}
    }
    parameters
}

fn request_body(schema: &str, method: &str, action: &str) -> Option<Value> {
    let content = |media_types: &[&str], name: &str| {
        let entries: Map<String, Value> = media_types
            .iter()
            .map(|media_type| ((*media_type).to_owned(), json!({"schema": reference(name)})))
            .collect();
        json!({"content": entries, "required": action != "delete"})
    };
    match method {
        "post" | "put" => Some(content(&["application/json", "application/yaml"], schema)),
        "patch" => Some(content(
            &[
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ],
            PATCH,
        )),
        "delete" if action == "delete" => Some(content(&["application/json"], DELETE_OPTIONS)),
        _ => None,
    }
}
