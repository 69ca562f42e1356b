//! The `paths` of a document: every URL of a resource with its operations.

use serde_json::{Map, Value, json};

use super::operation::{pretty, query_parameters, request_body, responses};
use super::{SCALE, TOKEN_REQUEST, document_path, group_version_kind};
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

/// Groups whose kinds Kubernetes defines.
const BUILTIN_GROUPS: [&str; 7] = [
    "",
    "apiextensions.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "rbac.authorization.k8s.io",
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
    if resource.token {
        let token = format!("{object}/token");
        insert(paths, resource, TOKEN_REQUEST, &token, &ON_COLLECTION[1..2]);
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
            let operation = operation(resource, schema, path, action);
            item.insert((*method).to_owned(), operation);
        }
    }
    if item.is_empty() {
        return;
    }
    let mut parameters: Vec<Value> = ["namespace", "name"]
        .into_iter()
        .filter(|name| path.contains(&format!("{{{name}}}")))
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    parameters.push(pretty());
    item.insert("parameters".to_owned(), Value::from(parameters));
    paths.insert(path.to_owned(), Value::Object(item));
}

fn operation(resource: &ResourceInfo, schema: &str, path: &str, action: &str) -> Value {
    let place = path.rsplit('/').next().unwrap_or_default();
    let suffix = match place {
        "status" => "Status",
        "scale" => "Scale",
        "token" => "Token",
        _ if action == "list" && !path.contains("{namespace}") && resource.namespaced => {
            "ForAllNamespaces"
        }
        _ => "",
    };
    let kind = match schema {
        SCALE => json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
        TOKEN_REQUEST => {
            json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"})
        }
        _ => group_version_kind(resource, &resource.kind),
    };
    let mut operation = json!({
        "operationId": format!(
            "{action}{}{}{suffix}",
            group_word(resource),
            resource.kind,
        ),
        "tags": [group_word(resource)],
        "parameters": query_parameters(action),
        "responses": responses(action, schema),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    });
    let builtin = BUILTIN_GROUPS.contains(&resource.group.as_str());
    if let Some(body) = request_body(schema, action, builtin) {
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
