//! Merging an applied configuration into the live object, and taking out what
//! its manager gave up.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::field_set::{self, Element, FieldSet};
use super::flatten::{self, Shape, shape};
use crate::admission::schema::{ListType, Node};

/// The live value with the applied one merged over it.
pub(super) fn merged(node: Option<&Node>, live: &Value, applied: &Value) -> Value {
    match (shape(node, live), shape(node, applied)) {
        (Shape::Members(live), Shape::Members(applied)) => {
            let mut result = live.clone();
            for (name, value) in applied {
                let value = match live.get(name) {
                    Some(live) => merged(flatten::member(node, name), live, value),
                    None => value.clone(),
                };
                result.insert(name.clone(), value);
            }
            Value::Object(result)
        }
        (Shape::Items(live_elements, live), Shape::Items(applied_elements, applied)) => {
            let node = flatten::items(node);
            Value::Array(merged_items(node, (&live_elements, live), (&applied_elements, applied)))
        }
        _ => applied.clone(),
    }
}

/// Items in the order of the applied list; items that only the live list has
/// keep their place before the next item that both have.
fn merged_items(
    node: Option<&Node>,
    (live_elements, live): (&[Element], &[Value]),
    (applied_elements, applied): (&[Element], &[Value]),
) -> Vec<Value> {
    let positions: HashMap<&Element, usize> =
        live_elements.iter().enumerate().map(|(index, element)| (element, index)).collect();
    let applied_set: HashSet<&Element> = applied_elements.iter().collect();
    let mut result = Vec::with_capacity(live.len() + applied.len());
    let mut next = 0;
    let mut take_live_only = |result: &mut Vec<Value>, until: usize| {
        while next < until {
            if !applied_set.contains(&live_elements[next]) {
                result.push(live[next].clone());
            }
            next += 1;
        }
    };
    for (element, item) in applied_elements.iter().zip(applied) {
        match positions.get(element).copied() {
            Some(index) => {
                take_live_only(&mut result, index);
                result.push(merged(node, &live[index], item));
            }
            None => result.push(item.clone()),
        }
    }
    take_live_only(&mut result, live.len());
    result
}

/// What is to be taken out below one place.
#[derive(Clone, Copy)]
pub(super) struct GivenUp<'a> {
    /// What the manager owned before.
    pub(super) last: &'a FieldSet,
    /// What it owns now.
    pub(super) now: &'a FieldSet,
    /// What all others own.
    pub(super) others: &'a FieldSet,
}

/// Takes out of `value` what is in `last` and neither in `now` nor in `others`,
/// parents first: an item that nobody wants goes whole, defaults included.
pub(super) fn prune(node: Option<&Node>, value: &mut Value, sets: GivenUp<'_>) {
    let keys: &[String] = &[];
    prune_below(node, value, sets, keys);
}

fn prune_below(node: Option<&Node>, value: &mut Value, sets: GivenUp<'_>, keys: &[String]) {
    let empty = FieldSet::default();
    let positions = positions(node, value);
    // Items go at the end, so that positions stay what they are.
    let mut gone = HashSet::new();
    for (element, last) in sets.last.children() {
        if keys.iter().any(|key| field_set::field(key) == *element) {
            // The identity of an item lives as long as the item.
            continue;
        }
        let now = sets.now.child(element);
        let others = sets.others.child(element);
        if last.is_member() && now.is_none() && others.is_none() {
            remove(node, value, element, &positions, &mut gone);
            continue;
        }
        let sets = GivenUp { last, now: now.unwrap_or(&empty), others: others.unwrap_or(&empty) };
        let Some((child_node, child, child_keys)) = descend(node, value, element, &positions)
        else {
            continue;
        };
        if matches!(shape(child_node, child), Shape::Leaf) || is_empty(child) {
            continue;
        }
        prune_below(child_node, child, sets, child_keys);
        if is_empty(child) && !sets.now.is_member() && !sets.others.is_member() {
            remove(node, value, element, &positions, &mut gone);
        }
    }
    if !gone.is_empty()
        && let Some(list) = value.as_array_mut()
    {
        let mut index = 0;
        list.retain(|_| {
            index += 1;
            !gone.contains(&(index - 1))
        });
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The part of a value that an element names, with its schema and, where it is an
/// item of a list, the names of its key fields.
fn descend<'a, 'n>(
    node: Option<&'n Node>,
    value: &'a mut Value,
    element: &str,
    positions: &Positions,
) -> Option<(Option<&'n Node>, &'a mut Value, &'n [String])> {
    if let Some(name) = element.strip_prefix("f:") {
        let child = value.as_object_mut()?.get_mut(name)?;
        return Some((flatten::member(node, name), child, &[]));
    }
    let index = *positions.get(element)?;
    let keys: &[String] = match node.map(|node| &node.list_type) {
        Some(ListType::Map(keys)) => keys,
        _ => &[],
    };
    let child = value.as_array_mut()?.get_mut(index)?;
    Some((flatten::items(node), child, keys))
}

type Positions = HashMap<Element, usize>;

/// Where the items of a list with identities are.
fn positions(node: Option<&Node>, value: &Value) -> Positions {
    match shape(node, value) {
        Shape::Items(elements, _) => {
            elements.into_iter().enumerate().map(|(index, element)| (element, index)).collect()
        }
        Shape::Leaf | Shape::Members(_) => Positions::new(),
    }
}

fn remove(
    node: Option<&Node>,
    value: &mut Value,
    element: &str,
    positions: &Positions,
    gone: &mut HashSet<usize>,
) {
    if let Some(name) = element.strip_prefix("f:") {
        if let Some(map) = value.as_object_mut()
            && !node.is_some_and(|node| node.atomic_map)
        {
            map.remove(name);
        }
    } else {
        gone.extend(positions.get(element));
    }
}
