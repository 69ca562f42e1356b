//! OpenAPI v3, by which kubectl explains, validates and picks its patches.
//!
//! One document for each group and version: `components.schemas` with the kinds
//! (found by `x-kubernetes-group-version-kind`) and `paths`, of which kubectl reads
//! the query parameters of `patch` to learn that the server validates fields and
//! can do dry runs. The index names each document with the hash of its content, so
//! that clients may keep it.

mod builtin;
mod definition;
mod operation;
mod parts;
mod paths;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::registry::ResourceInfo;

pub use builtin::builtin_schema;

/// The body of `GET /openapi/v2`: the protobuf `Document{swagger: "2.0"}`, enough
/// for kubectl before 1.29, which insists on that endpoint.
pub const V2_STUB: &[u8] = b"\x0a\x032.0";

/// The Content-Type of [`V2_STUB`].
pub const V2_CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
const TOKEN_REQUEST: &str = "io.k8s.api.authentication.v1.TokenRequest";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// The groups and versions that have documents, by the paths of those below
/// `/openapi/v3/`.
#[must_use]
pub fn versions(resources: &[ResourceInfo]) -> BTreeMap<String, (&str, &str)> {
    resources
        .iter()
        .map(|resource| {
            let (group, version) = (resource.group.as_str(), resource.version.as_str());
            (document_path(group, version), (group, version))
        })
        .collect()
}

/// `GET /openapi/v3`, from the paths and hashes of the documents.
#[must_use]
pub fn index<'a>(documents: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let paths: Map<String, Value> = documents
        .map(|(path, hash)| (path.to_owned(), json!({"serverRelativeURL": url(path, hash)})))
        .collect();
    json!({"paths": paths})
}

/// The address of a document with this content.
#[must_use]
pub fn url(path: &str, hash: &str) -> String {
    format!("/openapi/v3/{path}?hash={hash}")
}

/// `api/v1` or `apis/{group}/{version}`.
fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Content hash of a document, for `?hash=` and `ETag`.
#[must_use]
pub fn hash(document: &[u8]) -> String {
    let digest = Sha256::digest(document);
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// `GET /openapi/v3/api/v1` and `GET /openapi/v3/apis/{group}/{version}`; `None`
/// where nothing is served there.
#[must_use]
pub fn document(resources: &[ResourceInfo], group: &str, version: &str) -> Option<Value> {
    let mut schemas = shared_schemas();
    let mut all_paths = Map::new();
    let mut found = false;
    for resource in resources {
        if resource.group != group || resource.version != version {
            continue;
        }
        found = true;
        let name = schema_name(resource);
        schemas.insert(format!("{name}List"), list_schema(resource, &name));
        schemas.insert(name.clone(), kind_schema(resource));
        if resource.scale {
            schemas.insert(SCALE.to_owned(), scale_schema());
        }
        if resource.token {
            schemas.insert(TOKEN_REQUEST.to_owned(), token_request_schema());
        }
        if is_definition(&resource.group, &resource.kind) {
            schemas.extend(definition::components());
        }
        paths::add(&mut all_paths, resource, &name);
    }
    parts::name_all(&mut schemas);
    found.then(|| {
        json!({
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "unversioned"},
            "paths": all_paths,
            "components": {"schemas": schemas},
        })
    })
}

fn is_definition(group: &str, kind: &str) -> bool {
    (group, kind) == ("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// The schema by which clients learn of a built-in kind. For most kinds the one
/// that objects are checked with.
#[must_use]
pub fn published_schema(group: &str, kind: &str) -> Option<Value> {
    if is_definition(group, kind) { Some(definition::kind()) } else { builtin_schema(group, kind) }
}

/// One level of a schema document, as definitions hold them.
#[must_use]
pub fn schema_level() -> Value {
    definition::level()
}

/// The object of the scale subresource (autoscaling/v1).
#[must_use]
pub fn scale_schema() -> Value {
    of_kind(builtin::scale(), "autoscaling", "Scale")
}

fn token_request_schema() -> Value {
    of_kind(builtin::token_request(), "authentication.k8s.io", "TokenRequest")
}

fn of_kind(mut schema: Value, group: &str, kind: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        let kind = json!([{"group": group, "version": "v1", "kind": kind}]);
        schema.insert("x-kubernetes-group-version-kind".to_owned(), kind);
    }
    schema
}

/// The name of a schema: the reversed group, the version and the kind, as
/// Kubernetes names those of custom resources.
fn schema_name(resource: &ResourceInfo) -> String {
    let group = match resource.group.as_str() {
        "" => "io.k8s.api.core".to_owned(),
        group => group.rsplit('.').collect::<Vec<_>>().join("."),
    };
    format!("{group}.{}.{}", resource.version, resource.kind)
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn group_version_kind(resource: &ResourceInfo, kind: &str) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": kind})
}

const API_VERSION_TEXT: &str = "APIVersion defines the versioned schema of this representation of \
     an object: the group and the version of the kind.";
const KIND_TEXT: &str = "Kind is the name of the kind of this object, in CamelCase.";
const METADATA_TEXT: &str = "Standard object metadata: name, namespace, labels, annotations.";

fn kind_schema(resource: &ResourceInfo) -> Value {
    let mut schema = match resource.schema_json.as_object() {
        Some(schema) => schema.clone(),
        None => Map::new(),
    };
    let mut properties =
        schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, text) in [("apiVersion", API_VERSION_TEXT), ("kind", KIND_TEXT)] {
        properties.insert(name.to_owned(), json!({"type": "string", "description": text}));
    }
    properties.insert(
        "metadata".to_owned(),
        json!({"allOf": [reference(OBJECT_META)], "description": METADATA_TEXT, "default": {}}),
    );
    schema.insert("type".to_owned(), Value::from("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        json!([group_version_kind(resource, &resource.kind)]),
    );
    Value::Object(schema)
}

fn list_schema(resource: &ResourceInfo, name: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION_TEXT},
            "kind": {"type": "string", "description": KIND_TEXT},
            "metadata": {"allOf": [reference(LIST_META)], "default": {}},
            "items": {"type": "array", "items": {"allOf": [reference(name)], "default": {}}},
        },
        "x-kubernetes-group-version-kind": [group_version_kind(resource, &resource.list_kind)],
    })
}

/// The schemas that every document refers to.
fn shared_schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    let mut add = |name: &str, schema| schemas.insert(name.to_owned(), schema);
    add(OBJECT_META, builtin::object_meta());
    add(
        LIST_META,
        json!({
            "type": "object",
            "description": "ListMeta describes a list of objects.",
            "properties": {
                "continue": {"type": "string"},
                "remainingItemCount": {"type": "integer", "format": "int64"},
                "resourceVersion": {"type": "string"},
                "selfLink": {"type": "string"},
            },
        }),
    );
    add(DELETE_OPTIONS, builtin::delete_options());
    add(
        PATCH,
        json!({"type": "object", "description": "A patch in one of the four patch formats."}),
    );
    add(
        STATUS,
        json!({
            "type": "object",
            "description": "Status is the outcome of a request that answers no object.",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "code": {"type": "integer", "format": "int32"},
                "details": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "message": {"type": "string"},
                "metadata": {"allOf": [reference(LIST_META)]},
                "reason": {"type": "string"},
                "status": {"type": "string"},
            },
            "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Status"}],
        }),
    );
    schemas
}

#[cfg(test)]
mod tests;
