//! Defaulting of structural schemas.

use serde_json::{Map, Value};

use super::node::{Additional, Node};

/// Fills in defaults below `value`.
pub(super) fn apply(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => object(node, map),
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for item in list {
                    apply(items, item);
                }
            }
        }
        _ => {}
    }
}

fn object(node: &Node, map: &mut Map<String, Value>) {
    drop_refused_nulls(node, map);
    for (name, property) in &node.properties {
        if let Some(default) = &property.default
            && !map.contains_key(name)
        {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        if let Some(child) = node.child(name) {
            apply(child, value);
        }
    }
}

/// Takes out the nulls that count as absent, below `value`.
pub(super) fn drop_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => {
            drop_refused_nulls(node, map);
            for (name, value) in map.iter_mut() {
                if let Some(child) = node.child(name) {
                    drop_nulls(child, value);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                list.iter_mut().for_each(|item| drop_nulls(items, item));
            }
        }
        _ => {}
    }
}

/// A null that its schema doesn't allow counts as absent.
fn drop_refused_nulls(node: &Node, map: &mut Map<String, Value>) {
    map.retain(|name, value| {
        !value.is_null()
            || match node.properties.get(name) {
                Some(property) => allows_null(property),
                None => match &node.additional {
                    Additional::Schema(values) => allows_null(values),
                    Additional::Denied | Additional::Any => true,
                },
            }
    });
}

fn allows_null(node: &Node) -> bool {
    // A node without a type and with unknown fields preserved takes any value.
    node.nullable || (node.json_type.is_none() && node.preserve_unknown)
}
