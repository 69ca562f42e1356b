//! An object as a flat map from path to leaf, the form in which server-side
//! apply compares, owns and merges.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::field_set::{self, Element, Path};
use crate::admission::schema::{ListType, Node};

/// Leaves with their values; containers that are owned as such (list items and
/// map entries) have none.
pub(super) type Flat = BTreeMap<Path, Option<Value>>;

/// Fields of ObjectMeta that belong to the server, which nobody owns.
pub(super) const SERVER_METADATA: &[&str] = &[
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// How the parts of a value merge.
pub(super) enum Shape<'a> {
    /// One value.
    Leaf,
    /// An object whose members merge one by one.
    Members(&'a Map<String, Value>),
    /// A list whose items have identities, one element for each.
    Items(Vec<Element>, &'a [Value]),
}

/// The shape of a value under a schema; without a schema objects merge and
/// lists are single values.
pub(super) fn shape<'a>(node: Option<&Node>, value: &'a Value) -> Shape<'a> {
    match value {
        Value::Object(map) if !node.is_some_and(|node| node.atomic_map) => Shape::Members(map),
        Value::Array(list) => match node.and_then(|node| elements(node, list)) {
            Some(elements) => Shape::Items(elements, list),
            None => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
}

/// The identities of list items; `None` where the list is one value, because its
/// schema says so or because an item lacks its key or occurs twice.
fn elements(node: &Node, list: &[Value]) -> Option<Vec<Element>> {
    let elements: Vec<Element> = match &node.list_type {
        ListType::Atomic => return None,
        ListType::Set => list.iter().map(field_set::value).collect(),
        ListType::Map(keys) => {
            list.iter().map(|item| identity(node, keys, item)).collect::<Option<_>>()?
        }
    };
    let distinct: HashSet<&Element> = elements.iter().collect();
    (distinct.len() == elements.len()).then_some(elements)
}

fn identity(node: &Node, keys: &[String], item: &Value) -> Option<Element> {
    let item = item.as_object()?;
    let mut fields = Map::new();
    for key in keys {
        let default = || {
            node.items
                .as_deref()
                .and_then(|items| items.properties.get(key))
                .and_then(|property| property.default.as_ref())
        };
        if let Some(value) = item.get(key).or_else(default) {
            fields.insert(key.clone(), value.clone());
        }
    }
    (!fields.is_empty()).then(|| field_set::key(fields))
}

/// The schema of list items.
pub(super) fn items(node: Option<&Node>) -> Option<&Node> {
    node.and_then(|node| node.items.as_deref())
}

/// The schema of a member.
pub(super) fn member<'a>(node: Option<&'a Node>, name: &str) -> Option<&'a Node> {
    node.and_then(|node| node.child(name))
}

/// All leaves and owned containers of an object, without what the server owns.
/// `only` limits the result to one field of the root.
pub(super) fn object(root: &Node, object: &Value, only: Option<&str>) -> Flat {
    let mut flat = Flat::new();
    let Some(map) = object.as_object() else {
        return flat;
    };
    for (name, value) in map {
        let skipped =
            name == "apiVersion" || name == "kind" || only.is_some_and(|only| only != name);
        if skipped {
            continue;
        }
        let node = root.child(name);
        let mut path = vec![field_set::field(name)];
        match value.as_object() {
            Some(metadata) if name == "metadata" => {
                for (name, value) in metadata {
                    if !SERVER_METADATA.contains(&name.as_str()) {
                        one_member(node, name, value, &mut path, &mut flat);
                    }
                }
            }
            _ => {
                path.pop();
                one_member(Some(root), name, value, &mut path, &mut flat);
            }
        }
    }
    flat
}

fn one_member(node: Option<&Node>, name: &str, value: &Value, path: &mut Path, flat: &mut Flat) {
    path.push(field_set::field(name));
    // A declared field is only a place; the entry of a map is something owned.
    let declared = node.is_some_and(|node| node.properties.contains_key(name));
    walk(member(node, name), value, !declared, path, flat);
    path.pop();
}

fn walk(node: Option<&Node>, value: &Value, owned: bool, path: &mut Path, flat: &mut Flat) {
    match shape(node, value) {
        Shape::Members(map) if !map.is_empty() => {
            if owned {
                flat.insert(path.clone(), None);
            }
            for (name, value) in map {
                one_member(node, name, value, path, flat);
            }
        }
        Shape::Items(elements, list) if !list.is_empty() => {
            if owned {
                flat.insert(path.clone(), None);
            }
            for (element, item) in elements.into_iter().zip(list) {
                path.push(element);
                walk(items(node), item, true, path, flat);
                path.pop();
            }
        }
        Shape::Leaf | Shape::Members(_) | Shape::Items(..) => {
            flat.insert(path.clone(), Some(value.clone()));
        }
    }
}
