//! Strategic merge patch without Go struct tags.
//!
//! Which lists merge, and by which key, is written in Go types; `lists` has those
//! of the built-in kinds. Kubernetes refuses such patches of custom resources.
//! Here they are merge patches, except that directives are obeyed: a list merges
//! that comes with `$setElementOrder/<name>` or `$patch` in its items.

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
        members.retain(|name, _| retained.iter().any(|kept| kept.as_str() == Some(name)));
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
        list.retain(|item| !gone.contains(item));
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
    let same = |a: &Value, b: &Value| {
        if keys.is_empty() {
            a == b
        } else {
            keys.iter().all(|key| a.get(key).is_some() && a.get(key) == b.get(key))
        }
    };
    let mut list = current.cloned().unwrap_or_default();
    for item in items {
        let position = list.iter().position(|one| same(one, item));
        let Value::Object(fields) = item else {
            if position.is_none() {
                list.push(item.clone());
            }
            continue;
        };
        let current = position.and_then(|index| list.get(index));
        match (changed(current, fields, &[])?, position) {
            (Change::Remove, Some(index)) => {
                list.remove(index);
            }
            (Change::Remove, None) => {}
            (Change::Set(value), Some(index)) => list[index] = value,
            (Change::Set(value), None) => list.push(value),
        }
    }
    if let Some(order) = order {
        // Stable: items that the order does not name stay behind those it does.
        list.sort_by_key(|item| {
            order.iter().position(|one| same(one, item)).unwrap_or(order.len())
        });
    }
    Ok(list)
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
