//! The schemas inside a definition: documents that describe documents.
//!
//! `JSONSchemaProps` is recursive, which a structural schema can't be. So one
//! schema of a single level is kept, and every level of a document is held
//! against it.

use std::sync::LazyLock;

use serde_json::Value;

use super::validate::{forbidden, invalid, invalid_text, required};
use crate::admission::Cause;
use crate::admission::schema::{StructuralSchema, UnknownField, child_path, index_path};
use crate::wire::openapi;

/// One level of a schema document; what is below is open.
static LEVEL: LazyLock<StructuralSchema> = LazyLock::new(|| {
    StructuralSchema::compile_part(&openapi::schema_level()).unwrap_or_else(|error| {
        tracing::error!(%error, "the fields of schemas are not checked");
        StructuralSchema::open()
    })
});

/// How a path into a map of schemas is written: `properties.spec` where fields
/// are unknown, `properties[spec]` in causes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Dots,
    Brackets,
}

impl Style {
    fn entry(self, path: &str, name: &str) -> String {
        match self {
            Self::Dots => child_path(path, name),
            Self::Brackets => format!("{path}[{name}]"),
        }
    }
}

/// Where a schema stands.
struct Place<'a> {
    path: &'a str,
    style: Style,
    /// Inside of `allOf`, `anyOf`, `oneOf` or `not`.
    in_junctor: bool,
}

impl Place<'_> {
    fn at<'b>(&self, path: &'b str, in_junctor: bool) -> Place<'b> {
        Place { path, style: self.style, in_junctor }
    }
}

/// Calls `visit` for the schema at a place and for every one below it.
fn walk(schema: &mut Value, place: Place<'_>, visit: &mut impl FnMut(&mut Value, &Place<'_>)) {
    visit(schema, &place);
    let Place { path, style, in_junctor } = place;
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    for (field, value) in fields {
        let below = child_path(path, field);
        match (field.as_str(), value) {
            (
                "properties" | "patternProperties" | "definitions" | "dependencies",
                Value::Object(map),
            ) => {
                for (name, schema) in map.iter_mut().filter(|(_, schema)| schema.is_object()) {
                    walk(schema, place.at(&style.entry(&below, name), in_junctor), visit);
                }
            }
            ("items" | "additionalProperties" | "additionalItems", schema)
                if schema.is_object() =>
            {
                walk(schema, place.at(&below, in_junctor), visit);
            }
            ("not", schema) if schema.is_object() => walk(schema, place.at(&below, true), visit),
            ("allOf" | "anyOf" | "oneOf" | "items", Value::Array(list)) => {
                let in_junctor = in_junctor || field != "items";
                for (index, schema) in list.iter_mut().enumerate() {
                    walk(schema, place.at(&index_path(&below, index), in_junctor), visit);
                }
            }
            _ => {}
        }
    }
}

/// Every schema of the versions of a definition, with its path.
fn each(definition: &mut Value, style: Style, visit: &mut impl FnMut(&mut Value, &Place<'_>)) {
    let versions = definition.pointer_mut("/spec/versions");
    let Some(versions) = versions.and_then(Value::as_array_mut) else {
        return;
    };
    for (index, version) in versions.iter_mut().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            walk(schema, Place { path: &path, style, in_junctor: false }, visit);
        }
    }
}

/// Removes the fields that schemas don't have and answers them.
pub(super) fn prune(definition: &mut Value) -> Vec<UnknownField> {
    let mut unknown = Vec::new();
    each(definition, Style::Dots, &mut |schema, place| {
        let found = LEVEL.prune(schema).into_iter();
        unknown.extend(found.map(|field| UnknownField {
            path: format!("{}.{}", place.path, field.path),
            nearest: field.nearest,
        }));
    });
    unknown
}

/// What is wrong with the schema of one version; `path` is that of the field
/// that holds `openAPIV3Schema`.
pub(super) fn causes(schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let root = format!("{path}.openAPIV3Schema");
    // The walk changes nothing; it only shares its code with the pruning.
    let mut copy = schema.clone();
    let place = Place { path: &root, style: Style::Brackets, in_junctor: false };
    walk(&mut copy, place, &mut |schema, place| {
        let wrong = LEVEL.validate(schema, None);
        causes.extend(wrong.into_iter().map(|cause| below(place.path, cause)));
        level_causes(schema, place.path, &mut causes);
        if !place.in_junctor {
            junctors(schema, schema, place.path, &mut causes);
            list_causes(schema, place.path, &mut causes);
        }
    });
    if schema["type"] != "object" {
        let found = schema["type"].as_str().unwrap_or_default();
        let field = format!("{root}.type");
        causes.push(if found.is_empty() {
            required(&field, "must not be empty at the root")
        } else {
            invalid_text(&field, found, "must be object at the root")
        });
    }
    if !causes.is_empty() {
        return causes;
    }
    match StructuralSchema::compile(schema) {
        Ok(compiled) => {
            causes.extend(compiled.declaration_causes(&root));
        }
        Err(error) => {
            let field = format!("{path}.{}", error.path);
            causes.push(if error.message.starts_with("must not be empty") {
                required(&field, &error.message)
            } else {
                invalid(&field, "\"\"", &error.message)
            });
        }
    }
    causes
}

fn below(path: &str, cause: Cause) -> Cause {
    let field = match cause.field.as_str() {
        "" => path.to_owned(),
        field if field.starts_with('[') => format!("{path}{field}"),
        field => format!("{path}.{field}"),
    };
    Cause { field, ..cause }
}

/// The rules that hold for each level by itself.
fn level_causes(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let field = |name: &str| format!("{path}.{name}");
    if schema["uniqueItems"] == Value::Bool(true) {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(forbidden(&field("uniqueItems"), why));
    }
    let has_properties = schema["properties"].as_object().is_some_and(|map| !map.is_empty());
    let additional = &schema["additionalProperties"];
    if has_properties && (additional.is_object() || *additional == Value::Bool(false)) {
        let why = "additionalProperties and properties are mutual exclusive";
        causes.push(forbidden(&field("additionalProperties"), why));
    }
    if schema["items"].is_array() {
        let why = "items must be a schema object and not an array";
        causes.push(forbidden(&field("items"), why));
    }
    for name in ["patternProperties", "definitions", "dependencies", "additionalItems"] {
        if !schema[name].is_null() {
            causes.push(forbidden(&field(name), &format!("{name} is not supported")));
        }
    }
    for name in ["deprecated", "discriminator", "id", "$schema", "$ref"] {
        if !schema[name].is_null() {
            causes.push(forbidden(&field(name), &format!("{name} is not supported")));
        }
    }
}

/// Looks at the branches of `schema`, a schema or a branch of `outer`.
fn junctors(outer: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in schema[junctor].as_array().into_iter().flatten().enumerate() {
            let path = index_path(&format!("{path}.{junctor}"), index);
            validation_only(outer, branch, &path, causes);
        }
    }
    if schema["not"].is_object() {
        validation_only(outer, &schema["not"], &format!("{path}.not"), causes);
    }
}

/// Inside of junctors a schema may only restrict what stands outside.
fn validation_only(outer: &Value, branch: &Value, path: &str, causes: &mut Vec<Cause>) {
    let int_or_string = outer["x-kubernetes-int-or-string"] == Value::Bool(true);
    let structure = [
        "type",
        "default",
        "nullable",
        "additionalProperties",
        "title",
        "description",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    ];
    for name in structure {
        let allowed = name == "type" && int_or_string;
        if !branch[name].is_null() && branch[name] != Value::Bool(false) && !allowed {
            let why = "must be undefined to be structural";
            causes.push(forbidden(&format!("{path}.{name}"), why));
        }
    }
    junctors(outer, branch, path, causes);
    let open = outer["x-kubernetes-preserve-unknown-fields"] == Value::Bool(true);
    let entries = Some(&outer["additionalProperties"]).filter(|schema| schema.is_object());
    for (name, child) in branch["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.properties[{name}]");
        match outer["properties"].get(name).or(entries) {
            Some(declared) => validation_only(declared, child, &path, causes),
            None if open || matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {}
            None => {
                let hint = "because it is restricted here, it must be declared outside of allOf, \
                            anyOf, oneOf and not";
                causes.push(required(&path, hint));
            }
        }
    }
    if branch["items"].is_object() && outer["items"].is_object() {
        validation_only(&outer["items"], &branch["items"], &format!("{path}.items"), causes);
    }
}

/// The rules of lists with identities.
fn list_causes(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let list_type = schema["x-kubernetes-list-type"].as_str().unwrap_or_default();
    let keys = schema["x-kubernetes-list-map-keys"].as_array().map(Vec::as_slice);
    let field = format!("{path}.x-kubernetes-list-map-keys");
    if !list_type.is_empty() && schema["type"] != "array" {
        let found = schema["type"].as_str().unwrap_or_default();
        let rule = "must be array if x-kubernetes-list-type is specified";
        causes.push(invalid_text(&format!("{path}.type"), found, rule));
        return;
    }
    if list_type != "map" {
        if keys.is_some_and(|keys| !keys.is_empty()) {
            causes.push(forbidden(&field, "must not be set if x-kubernetes-list-type is not map"));
        }
        return;
    }
    let items = &schema["items"];
    for (index, key) in keys.unwrap_or_default().iter().filter_map(Value::as_str).enumerate() {
        let field = index_path(&field, index);
        let Some(property) = items["properties"].get(key) else {
            let rule = "entries must all be names of item properties";
            causes.push(invalid_text(&field, key, rule));
            continue;
        };
        let required_there =
            items["required"].as_array().is_some_and(|names| names.iter().any(|name| name == key));
        if property["default"].is_null() && !required_there {
            let field = format!("{path}.items.properties[{key}].default");
            let hint = "this property is in x-kubernetes-list-map-keys, so it must have a default \
                        or be a required property";
            causes.push(required(&field, hint));
        }
    }
}
