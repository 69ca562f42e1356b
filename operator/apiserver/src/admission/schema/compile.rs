//! From an OpenAPI v3 document to a tree of nodes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::node::{Additional, Bound, Checks, JsonType, ListType, Node};
use super::rules::Rules;
use super::{SchemaError, weight};

/// Deeper schemas are refused; validation recurses as deep as the schema.
const MAX_DEPTH: usize = 64;

/// ObjectMeta as the wire has it, with the merge semantics that Kubernetes
/// gives it.
fn object_meta() -> Value {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer", "format": "int64"});
    let time = json!({"type": "string", "format": "date-time", "nullable": true});
    let texts =
        json!({"type": "object", "additionalProperties": {"type": "string"}, "nullable": true});
    json!({
        "type": "object",
        "properties": {
            "annotations": texts,
            "creationTimestamp": time,
            "deletionGracePeriodSeconds": {"type": "integer", "format": "int64", "nullable": true},
            "deletionTimestamp": time,
            "finalizers": {
                "type": "array",
                "nullable": true,
                "items": text,
                "x-kubernetes-list-type": "set",
            },
            "generateName": text,
            "generation": number,
            "labels": texts,
            "managedFields": {
                "type": "array",
                "nullable": true,
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
            "name": text,
            "namespace": text,
            "ownerReferences": {
                "type": "array",
                "nullable": true,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["uid"],
                "items": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "required": ["apiVersion", "kind", "name", "uid"],
                    "properties": {
                        "apiVersion": text,
                        "blockOwnerDeletion": {"type": "boolean", "nullable": true},
                        "controller": {"type": "boolean", "nullable": true},
                        "kind": text,
                        "name": text,
                        "uid": text,
                    },
                },
            },
            "resourceVersion": text,
            "selfLink": text,
            "uid": text,
        },
    })
}

/// Compiles the schema of a whole resource: the root of a kind, or an embedded
/// resource.
pub(super) fn resource(schema: &Value, path: &str, depth: usize) -> Result<Node, SchemaError> {
    let mut root = node(schema, path, depth, Place::Structural)?;
    let text = || json!({"type": "string"});
    let mut metadata = node(&object_meta(), path, depth, Place::Structural)?;
    if let Some(own) = root.properties.remove("metadata") {
        // A kind may restrict the name; it can't change the shape.
        metadata.all_of.push(value_validations_only(own));
    }
    root.properties.insert("metadata".to_owned(), metadata);
    for name in ["apiVersion", "kind"] {
        if !root.properties.contains_key(name) {
            let known = node(&text(), path, depth, Place::Structural)?;
            root.properties.insert(name.to_owned(), known);
        }
    }
    Ok(root)
}

/// Compiles the schema of a value that is no resource.
pub(super) fn part(schema: &Value, path: &str) -> Result<Node, SchemaError> {
    node(schema, path, 0, Place::Structural)
}

/// Keeps what a declared `metadata` may say about `name` and `generateName`.
fn value_validations_only(mut own: Node) -> Node {
    own.properties.retain(|name, _| name == "name" || name == "generateName");
    own
}

/// Where a node stands: value validations inside `allOf` and its like need no
/// type and declare no structure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Structural,
    Validation,
}

fn node(schema: &Value, path: &str, depth: usize, place: Place) -> Result<Node, SchemaError> {
    let Some(map) = schema.as_object() else {
        return Err(error(path, "must be an object"));
    };
    if depth > MAX_DEPTH {
        return Err(error(path, format!("nested deeper than {MAX_DEPTH} levels")));
    }
    if map.contains_key("$ref") {
        return Err(error(path, "$ref is not supported in a structural schema: inline it"));
    }
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    let int_or_string = flag("x-kubernetes-int-or-string");
    let preserve_unknown = flag("x-kubernetes-preserve-unknown-fields");
    let json_type = match map.get("type") {
        None => None,
        Some(Value::String(word)) => Some(
            JsonType::parse(word)
                .ok_or_else(|| error(&format!("{path}.type"), format!("unknown type {word:?}")))?,
        ),
        Some(other) => {
            return Err(error(
                &format!("{path}.type"),
                format!("must be one type name, not {other}; use nullable for null"),
            ));
        }
    };
    if json_type.is_none() && place == Place::Structural && !int_or_string && !preserve_unknown {
        return Err(error(
            &format!("{path}.type"),
            "must not be empty for specified object fields",
        ));
    }
    let (all_of, any_of, one_of, not) = junctors(map, path, depth)?;
    Ok(Node {
        json_type,
        nullable: flag("nullable"),
        int_or_string,
        preserve_unknown,
        default: map.get("default").cloned(),
        properties: properties(map, path, depth, place)?,
        additional: additional(map, path, depth, place)?,
        items: items(map, path, depth, place)?.map(Box::new),
        list_type: list_type(map, path)?,
        atomic_map: map.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
        checks: checks(map, path)?,
        all_of,
        any_of,
        one_of,
        not,
        rules: Rules::compile(schema, path)?,
    })
}

/// A child node, as a resource of its own where it is marked so.
fn child(schema: &Value, path: &str, depth: usize, place: Place) -> Result<Node, SchemaError> {
    let embedded =
        schema.get("x-kubernetes-embedded-resource").and_then(Value::as_bool).unwrap_or(false);
    if embedded && place == Place::Structural {
        if depth > MAX_DEPTH {
            return Err(error(path, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        resource(schema, path, depth)
    } else {
        node(schema, path, depth, place)
    }
}

fn properties(
    map: &Map<String, Value>,
    path: &str,
    depth: usize,
    place: Place,
) -> Result<BTreeMap<String, Node>, SchemaError> {
    let Some(declared) = map.get("properties") else {
        return Ok(BTreeMap::new());
    };
    let Some(declared) = declared.as_object() else {
        return Err(error(&format!("{path}.properties"), "must be an object"));
    };
    declared
        .iter()
        .map(|(name, schema)| {
            let path = format!("{path}.properties[{name}]");
            Ok((name.clone(), child(schema, &path, depth + 1, place)?))
        })
        .collect()
}

fn additional(
    map: &Map<String, Value>,
    path: &str,
    depth: usize,
    place: Place,
) -> Result<Additional, SchemaError> {
    match map.get("additionalProperties") {
        None | Some(Value::Bool(false)) => Ok(Additional::Denied),
        Some(Value::Bool(true)) => Ok(Additional::Any),
        Some(schema) => {
            let path = format!("{path}.additionalProperties");
            let node = child(schema, &path, depth + 1, place)?;
            Ok(Additional::Schema(Box::new(node)))
        }
    }
}

fn items(
    map: &Map<String, Value>,
    path: &str,
    depth: usize,
    place: Place,
) -> Result<Option<Node>, SchemaError> {
    map.get("items")
        .map(|schema| child(schema, &format!("{path}.items"), depth + 1, place))
        .transpose()
}

fn list_type(map: &Map<String, Value>, path: &str) -> Result<ListType, SchemaError> {
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        None | Some("atomic") => Ok(ListType::Atomic),
        Some("set") => Ok(ListType::Set),
        Some("map") => {
            let keys: Vec<String> = map
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .map(|keys| keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default();
            if keys.is_empty() {
                return Err(error(
                    &format!("{path}.x-kubernetes-list-map-keys"),
                    "must name at least one field when x-kubernetes-list-type is map",
                ));
            }
            Ok(ListType::Map(keys))
        }
        Some(other) => Err(error(
            &format!("{path}.x-kubernetes-list-type"),
            format!("must be atomic, set or map, not {other:?}"),
        )),
    }
}

type Junctors = (Vec<Node>, Vec<Node>, Vec<Node>, Option<Box<Node>>);

fn junctors(map: &Map<String, Value>, path: &str, depth: usize) -> Result<Junctors, SchemaError> {
    let branches = |key: &str| -> Result<Vec<Node>, SchemaError> {
        let Some(list) = map.get(key).and_then(Value::as_array) else {
            return Ok(Vec::new());
        };
        list.iter()
            .enumerate()
            .map(|(index, schema)| {
                let path = format!("{path}.{key}[{index}]");
                node(schema, &path, depth + 1, Place::Validation)
            })
            .collect()
    };
    let not = map
        .get("not")
        .map(|schema| node(schema, &format!("{path}.not"), depth + 1, Place::Validation))
        .transpose()?
        .map(Box::new);
    Ok((branches("allOf")?, branches("anyOf")?, branches("oneOf")?, not))
}

fn checks(map: &Map<String, Value>, path: &str) -> Result<Checks, SchemaError> {
    let size = |key: &str| -> Result<Option<usize>, SchemaError> {
        let Some(value) = map.get(key) else {
            return Ok(None);
        };
        // schemars writes some bounds as floats.
        whole_number(value)
            .map(Some)
            .ok_or_else(|| error(&format!("{path}.{key}"), "must be a whole number from 0"))
    };
    let bound = |key: &str, exclusive: &str| {
        let value = map.get(key).and_then(Value::as_f64);
        match map.get(exclusive) {
            // OpenAPI 3.1 writes the exclusive bound as a number of its own.
            Some(Value::Number(number)) => {
                number.as_f64().map(|value| Bound { value, exclusive: true })
            }
            flag => value.map(|value| Bound {
                value,
                exclusive: flag.and_then(Value::as_bool).unwrap_or(false),
            }),
        }
    };
    let pattern = map
        .get("pattern")
        .and_then(Value::as_str)
        .map(|text| {
            weight::pattern(text).map_err(|problem| {
                error(
                    &format!("{path}.pattern"),
                    format!("must be a valid regular expression: {problem}"),
                )
            })
        })
        .transpose()?;
    let mut allowed = map.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    // schemars lists null among the values of an optional enum.
    if map.get("nullable").and_then(Value::as_bool) == Some(true) {
        allowed.retain(|value| !value.is_null());
    }
    Ok(Checks {
        required: map
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default(),
        allowed,
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: map.get("multipleOf").and_then(Value::as_f64),
        min_length: size("minLength")?,
        max_length: size("maxLength")?,
        min_items: size("minItems")?,
        max_items: size("maxItems")?,
        unique_items: map.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false),
        min_properties: size("minProperties")?,
        max_properties: size("maxProperties")?,
        pattern,
        format: map.get("format").and_then(Value::as_str).map(str::to_owned),
    })
}

fn whole_number(value: &Value) -> Option<usize> {
    if let Some(number) = value.as_u64() {
        return usize::try_from(number).ok();
    }
    let number = value.as_f64()?;
    // Bounds above 2^53 can't be told apart as floats and are of no use.
    (number >= 0.0 && number.fract() == 0.0 && number <= 9_007_199_254_740_992.0)
        .then_some(number as usize)
}

pub(super) fn error(path: &str, message: impl Into<String>) -> SchemaError {
    SchemaError { path: path.to_owned(), message: message.into() }
}
