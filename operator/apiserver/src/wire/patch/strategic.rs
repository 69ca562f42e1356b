//! Strategic merge patch without Go struct tags.
//!
//! Which lists merge, and by which key, is written in Go types; `lists` has those
//! of the built-in kinds. Kubernetes refuses such patches of custom resources.
//! Here they are merge patches, except that directives are obeyed: a list merges
//! that comes with `$setElementOrder/<name>` or `$patch` in its items.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::lists::{ListMerge, MergeRule, below};
use crate::wire::status::StatusError;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch; its directives never reach the object.
/// `rules` are the lists that merge.
///
/// # Errors
/// 400 when the patch or a directive has the wrong form.
pub fn strategic(
    target: &mut Value,
    patch: &Value,
    rules: &[MergeRule],
) -> Result<(), StatusError> {
    let Value::Object(patch) = patch else {
        return Err(StatusError::bad_request("a strategic merge patch must be a JSON object"));
    };
    if let Change::Set(value) = changed(Some(target), patch, rules)? {
        *target = value;
    }
    Ok(())
}

/// Whether a patch holds a list or a directive: what a merge patch would do
/// differently.
#[must_use]
pub fn is_more_than_merge(patch: &Value) -> bool {
    match patch {
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.starts_with('$') || is_more_than_merge(value))
        }
        Value::Array(_) => true,
        _ => false,
    }
}

enum Change {
    Set(Value),
    Remove,
}

/// What becomes of `current` under the patch.
fn changed(
    current: Option<&Value>,
    patch: &Map<String, Value>,
    rules: &[MergeRule],
) -> Result<Change, StatusError> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str()) {
        None | Some(Some("merge")) => {}
        Some(Some("delete")) => return Ok(Change::Remove),
        Some(Some("replace")) => return Ok(Change::Set(Value::Object(without_directives(patch)))),
        Some(_) => {
            return Err(StatusError::bad_request(
                "unknown $patch directive: use merge, replace or delete",
            ));
        }
    }
    let mut members = current.and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        let Some(retained) = retained.as_array() else {
            return Err(StatusError::bad_request("$retainKeys must be a list of field names"));
        };
        let retained: HashSet<&str> = retained.iter().filter_map(Value::as_str).collect();
        members.retain(|name, _| retained.contains(name.as_str()));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_PRIMITIVES) {
            delete_primitives(&mut members, list, value);
        }
    }
    for (name, value) in patch {
        if name.starts_with('$') {
            continue;
        }
        match value {
            Value::Null => {
                members.remove(name);
            }
            Value::Object(value) => match changed(members.get(name), value, &below(rules, name))? {
                Change::Set(value) => {
                    members.insert(name.clone(), value);
                }
                Change::Remove => {
                    members.remove(name);
                }
            },
            Value::Array(items) => {
                let order = patch.get(&format!("{ELEMENT_ORDER}{name}")).and_then(Value::as_array);
                let current = members.get(name).and_then(Value::as_array);
                let rules = below(rules, name);
                let merge = rules.iter().find(|(path, _)| path.is_empty()).map(|(_, merge)| *merge);
                let list = changed_list(current, items, order, merge)?;
                members.insert(name.clone(), Value::Array(list));
            }
            scalar => {
                members.insert(name.clone(), scalar.clone());
            }
        }
    }
    Ok(Change::Set(Value::Object(members)))
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn delete_primitives(members: &mut Map<String, Value>, list: &str, gone: &Value) {
    if let (Some(list), Some(gone)) =
        (members.get_mut(list).and_then(Value::as_array_mut), gone.as_array())
    {
        let gone: HashSet<String> = gone.iter().map(Value::to_string).collect();
        list.retain(|item| !gone.contains(&item.to_string()));
    }
}

fn directive(item: &Value) -> Option<&str> {
    item.get(DIRECTIVE).and_then(Value::as_str)
}

/// The fields that identify the items of a merging list: the declared one, those
/// of the entries of `$setElementOrder`, or those that a `$patch: delete` item
/// names.
fn merge_keys<'a>(
    items: &'a [Value],
    order: Option<&'a Vec<Value>>,
    merge: Option<ListMerge>,
) -> Vec<&'a str> {
    match merge {
        Some(ListMerge::Key(key)) => return vec![key],
        Some(ListMerge::Values) => return Vec::new(),
        None => {}
    }
    let first = order.and_then(|order| order.first()).and_then(Value::as_object).or_else(|| {
        items.iter().find(|item| directive(item) == Some("delete")).and_then(Value::as_object)
    });
    first
        .map(|fields| fields.keys().map(String::as_str).filter(|name| *name != DIRECTIVE).collect())
        .unwrap_or_default()
}

fn changed_list(
    current: Option<&Vec<Value>>,
    items: &[Value],
    order: Option<&Vec<Value>>,
    merge: Option<ListMerge>,
) -> Result<Vec<Value>, StatusError> {
    let replaces = items.iter().any(|item| directive(item) == Some("replace"));
    let merges =
        merge.is_some() || order.is_some() || items.iter().any(|item| directive(item).is_some());
    if replaces || !merges {
        return Ok(items.iter().filter(|item| directive(item).is_none()).map(plain).collect());
    }
    let keys = merge_keys(items, order, merge);
    if let Some(ListMerge::Key(key)) = merge
        && let Some(item) = items.iter().find(|item| item.get(key).is_none())
    {
        return Err(StatusError::bad_request(format!(
            "the list item {item} does not contain the declared merge key {key:?}"
        )));
    }
    let mut list: Vec<Option<Value>> =
        current.into_iter().flatten().map(|item| Some(item.clone())).collect();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for (index, item) in list.iter().enumerate() {
        if let Some(identity) = item.as_ref().and_then(|item| identity(&keys, item)) {
            positions.entry(identity).or_insert(index);
        }
    }
    for item in items {
        let identity = identity(&keys, item);
        let position = identity.as_ref().and_then(|identity| positions.get(identity)).copied();
        let current = position.and_then(|index| list.get(index)?.as_ref());
        let change = match item {
            Value::Object(fields) => changed(current, fields, &[])?,
            _ if current.is_some() => continue,
            scalar => Change::Set(scalar.clone()),
        };
        let value = match change {
            Change::Set(value) => Some(value),
            Change::Remove => None,
        };
        match position.and_then(|index| list.get_mut(index)) {
            Some(place) => *place = value,
            None => {
                if let Some(identity) = identity {
                    positions.insert(identity, list.len());
                }
                list.push(value);
            }
        }
    }
    let mut list: Vec<Value> = list.into_iter().flatten().collect();
    if let Some(order) = order {
        let mut places: HashMap<String, usize> = HashMap::new();
        for (index, item) in order.iter().enumerate() {
            if let Some(identity) = identity(&keys, item) {
                places.entry(identity).or_insert(index);
            }
        }
        // Stable: items that the order does not name stay behind those it does.
        list.sort_by_cached_key(|item| {
            identity(&keys, item)
                .and_then(|identity| places.get(&identity).copied())
                .unwrap_or(order.len())
        });
    }
    Ok(list)
}

/// What tells an item of a merging list from the others: its key fields, or all
/// of it where there are none. An item without its keys is like no other.
fn identity(keys: &[&str], item: &Value) -> Option<String> {
    if keys.is_empty() {
        return Some(item.to_string());
    }
    let parts: Vec<String> =
        keys.iter().map(|key| item.get(key).map(Value::to_string)).collect::<Option<_>>()?;
    Some(parts.join(","))
}

/// A value with every directive taken out.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            without_directives(map)
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
        ),
        Value::Array(list) => {
            Value::Array(list.iter().filter(|item| directive(item).is_none()).map(plain).collect())
        }
        scalar => scalar.clone(),
    }
}
