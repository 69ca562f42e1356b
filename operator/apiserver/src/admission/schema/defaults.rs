//! Defaulting of structural schemas.

use serde_json::{Map, Value};

use super::node::{Additional, Node};

/// How many bytes of defaults are filled in: an object with as many is larger
/// than any that is stored, and need not grow further to be refused.
const MAX_BYTES: usize = 4 << 20;

/// Fills in defaults below `value`.
pub(super) fn apply(node: &Node, value: &mut Value) {
    fill(node, value, &mut 0);
}

fn fill(node: &Node, value: &mut Value, filled: &mut usize) {
    match value {
        Value::Object(map) => object(node, map, filled),
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for item in list {
                    fill(items, item, filled);
                }
            }
        }
        _ => {}
    }
}

fn object(node: &Node, map: &mut Map<String, Value>, filled: &mut usize) {
    drop_refused_nulls(node, map);
    for (name, property) in &node.properties {
        if let Some(default) = &property.default
            && !map.contains_key(name)
            && *filled < MAX_BYTES
        {
            *filled += name.len() + default.to_string().len();
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        if let Some(child) = node.child(name) {
            fill(child, value, filled);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admission::schema::StructuralSchema;

    #[test]
    fn defaults_make_no_mountain_of_a_molehill() {
        let long = json!({"type": "string", "default": "x".repeat(10_000)});
        let item = json!({"type": "object", "properties": {"long": long}});
        let schema = StructuralSchema::compile(&json!({"type": "object", "properties": {
            "list": {"type": "array", "items": item},
        }}))
        .unwrap();
        let mut object = json!({"list": vec![json!({}); 100_000]});
        schema.apply_defaults(&mut object);
        let size = object.to_string().len();
        assert!((4 << 20..5 << 20).contains(&size), "{size}");
    }
}
