//! Server-side apply and managedFields.
//!
//! ```text
//! live object ─┐                                  ┌─ conflicts? ──▶ 409 with a cause per field
//!              ├─ merge ─▶ prune what was given up ┤
//! applied ─────┘            (nobody else owns it)  └─▶ new object + managedFields
//! ```
//!
//! An object is compared and owned as a flat map from FieldsV1 path to leaf
//! (`flatten`), in which the schema says what is one value (atomic), what merges by
//! name (objects) and what merges by identity (list-type set and map).
//!
//! Invariants: applying the same configuration twice changes nothing, times
//! included; a forced apply leaves every applied leaf with the applied value;
//! managers of disjoint fields never conflict.

mod field_set;
mod flatten;
mod managers;
mod merge;

use std::ops::Bound;

use serde_json::{Map, Value};

use self::field_set::{FieldSet, Path};
use self::flatten::{Flat, SERVER_METADATA};
use self::managers::Manager;
use super::status::StatusError;
use crate::admission::schema::StructuralSchema;
use crate::admission::{Cause, CauseReason};

/// The manager that owns what an object held before anyone applied to it.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// What an apply patch asks for.
#[derive(Clone, Copy, Debug)]
pub struct ApplyRequest<'a> {
    /// The stored object, `None` where the apply creates it.
    pub current: Option<&'a Value>,
    /// The applied configuration, with unknown fields pruned and, for a kind with
    /// a status subresource, without `status` (the main resource ignores it).
    pub applied: &'a Value,
    /// Field manager; the caller has refused an empty one.
    pub manager: &'a str,
    /// Take fields over from other managers instead of answering 409.
    pub force: bool,
    /// `status` for the status subresource: nothing but that field is applied.
    pub subresource: Option<&'a str>,
    /// Time of the request, RFC 3339 in UTC with whole seconds.
    pub now: &'a str,
    /// Schema of the kind.
    pub schema: &'a StructuralSchema,
}

impl ApplyRequest<'_> {
    /// The field that alone is applied. The scale subresource, too, has entries
    /// of its own in managedFields, but its field may be anywhere.
    fn only(&self) -> Option<&str> {
        self.subresource.filter(|name| *name == "status")
    }
}

/// How a manager wrote fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Create, update or a patch other than apply.
    Update,
    /// Server-side apply.
    Apply,
}

impl Operation {
    /// The word in managedFields.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "Update",
            Self::Apply => "Apply",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "Update" => Some(Self::Update),
            "Apply" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// The object after the apply, managedFields included. Defaults and validation
/// are the caller's next steps.
///
/// # Errors
/// 400 when the configuration holds managedFields, 409 when other managers own
/// fields with other values and `force` is not set.
pub fn apply(request: ApplyRequest<'_>) -> Result<Value, StatusError> {
    let managed = request.applied.pointer("/metadata/managedFields");
    if managed.is_some_and(|managed| !managed.is_null()) {
        return Err(StatusError::bad_request("metadata.managedFields must be nil"));
    }
    let root = request.schema.root();
    let subresource = request.subresource.unwrap_or_default();
    let applied = flatten::object(root, request.applied, request.only());
    let applied_set = FieldSet::from_paths(applied.keys());
    let mut managers = known_managers(&request);
    let index =
        managers.iter().position(|one| one.is(request.manager, Operation::Apply, subresource, ""));
    let own = index.map(|index| managers.remove(index));
    let last = own.as_ref().map(|own| own.fields.clone()).unwrap_or_default();

    let mut object = merged_object(&request);
    let mut others = FieldSet::default();
    for manager in &managers {
        others.extend(&manager.fields);
    }
    let sets = merge::GivenUp { last: &last, now: &applied_set, others: &others };
    merge::prune(Some(root), &mut object, sets);

    let before =
        request.current.map(|current| flatten::object(root, current, None)).unwrap_or_default();
    let after = flatten::object(root, &object, None);
    let conflicts = conflicts(&managers, &before, &after, &applied_set);
    if !conflicts.is_empty() && !request.force {
        return Err(conflict_error(&managers, &conflicts));
    }
    for (index, path) in &conflicts {
        if let Some(manager) = managers.get_mut(*index) {
            manager.fields.remove_part(path);
        }
    }
    forget_removed(&mut managers, &before, &after);

    let unchanged = before == after && last == applied_set;
    let time = match own.and_then(|own| own.time) {
        Some(time) if unchanged => time,
        _ => request.now.to_owned(),
    };
    managers.push(Manager {
        name: request.manager.to_owned(),
        operation: Operation::Apply,
        subresource: subresource.to_owned(),
        api_version: api_version(&object),
        time: Some(time),
        fields: applied_set,
    });
    managers::write(&mut object, managers);
    Ok(object)
}

/// Updates `new.metadata.managedFields` after a create, an update or a patch that
/// is not an apply: what changed belongs to `manager`, what went belongs to nobody.
///
/// managedFields in `new` count when they are valid, so that clients can rewrite
/// ownership (kubectl does); `[{}]` clears it; absent, empty or malformed ones
/// leave that of `old` standing, so that clients that don't know the field don't
/// lose it. A subresource can't rewrite ownership.
pub fn track_update(
    old: Option<&Value>,
    new: &mut Value,
    manager: &str,
    operation: Operation,
    subresource: Option<&str>,
    now: &str,
    schema: &StructuralSchema,
) {
    let root = schema.root();
    let of_old = || old.and_then(managers::read).unwrap_or_default();
    let mut managers = if subresource.is_some() {
        of_old()
    } else if managers::asks_for_reset(new) {
        Vec::new()
    } else {
        managers::read(new).unwrap_or_else(of_old)
    };
    let before = old.map(|old| flatten::object(root, old, None)).unwrap_or_default();
    let after = flatten::object(root, new, None);
    forget_removed(&mut managers, &before, &after);
    let changed: Vec<&Path> = changed(&before, &after).collect();
    if !changed.is_empty() {
        let subresource = subresource.unwrap_or_default();
        let version = api_version(new);
        let own = |one: &Manager| one.is(manager, operation, subresource, &version);
        for other in managers.iter_mut().filter(|one| !own(one)) {
            for path in &changed {
                // An item that someone else also owns stays theirs; only values move.
                if after.get(*path).is_some_and(Option::is_some) {
                    other.fields.remove(path);
                }
            }
        }
        let fields = FieldSet::from_paths(changed.iter().copied());
        let own = managers.iter_mut().find(|one| own(one));
        match own {
            Some(own) => {
                own.fields.extend(&fields);
                own.time = Some(now.to_owned());
            }
            None => managers.push(Manager {
                name: manager.to_owned(),
                operation,
                subresource: subresource.to_owned(),
                api_version: version,
                time: Some(now.to_owned()),
                fields,
            }),
        }
    }
    managers::write(new, managers);
}

/// Whether two objects differ in nothing that is worth a write: the times of
/// managedFields and `metadata.resourceVersion`, which the store sets, don't count.
#[must_use]
pub fn equal_ignoring_times(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return a == b;
    };
    equal_members(a, b, |name, a, b| match (name, a, b) {
        ("metadata", Value::Object(a), Value::Object(b)) => equal_metadata(a, b),
        _ => a == b,
    })
}

fn equal_metadata(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    let without_version = |map: &Map<String, Value>| {
        let mut map = map.clone();
        map.remove("resourceVersion");
        if let Some(entries) = map.get_mut("managedFields").and_then(Value::as_array_mut) {
            for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("time");
            }
            // Entries are ordered by time, which must not count.
            entries.sort_by_key(ToString::to_string);
        }
        map
    };
    without_version(a) == without_version(b)
}

fn equal_members(
    a: &Map<String, Value>,
    b: &Map<String, Value>,
    equal: impl Fn(&str, &Value, &Value) -> bool,
) -> bool {
    a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(name, a, b)))
}

/// The managers of the current object; what was there before ownership was
/// tracked gets an owner, so that a first apply doesn't take it silently.
fn known_managers(request: &ApplyRequest<'_>) -> Vec<Manager> {
    let Some(current) = request.current else {
        return Vec::new();
    };
    managers::read(current).unwrap_or_else(|| {
        let flat = flatten::object(request.schema.root(), current, None);
        vec![Manager {
            name: BEFORE_FIRST_APPLY.to_owned(),
            operation: Operation::Update,
            subresource: String::new(),
            api_version: api_version(current),
            time: Some(request.now.to_owned()),
            fields: FieldSet::from_paths(flat.keys()),
        }]
    })
}

fn merged_object(request: &ApplyRequest<'_>) -> Value {
    let Some(current) = request.current else {
        let mut object = request.applied.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        return object;
    };
    let root = request.schema.root();
    if let Some(field) = request.only() {
        let mut object = current.clone();
        if let (Some(map), Some(applied)) = (object.as_object_mut(), request.applied.get(field)) {
            let value = match current.get(field) {
                Some(live) => merge::merged(root.child(field), live, applied),
                None => applied.clone(),
            };
            map.insert(field.to_owned(), value);
        }
        return object;
    }
    let mut object = merge::merged(Some(root), current, request.applied);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in SERVER_METADATA {
            match current.get("metadata").and_then(|live| live.get(*name)) {
                Some(live) => metadata.insert((*name).to_owned(), live.clone()),
                None => metadata.remove(*name),
            };
        }
    }
    object
}

fn api_version(object: &Value) -> String {
    object.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Paths of `after` that `before` lacks or has with another value.
fn changed<'a>(before: &'a Flat, after: &'a Flat) -> impl Iterator<Item = &'a Path> {
    after.iter().filter(|(path, leaf)| before.get(*path) != Some(*leaf)).map(|(path, _)| path)
}

/// What is no longer there belongs to nobody, nor does what held it.
fn forget_removed(managers: &mut [Manager], before: &Flat, after: &Flat) {
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        for length in (1..=path.len()).rev() {
            let place = &path[..length];
            if exists(after, place) {
                break;
            }
            for manager in managers.iter_mut() {
                manager.fields.remove(place);
            }
        }
        for manager in managers.iter_mut() {
            manager.fields.remove(path);
        }
    }
}

/// Whether anything stands at or below the path.
fn exists(flat: &Flat, path: &[String]) -> bool {
    flat.range::<[String], _>((Bound::Included(path), Bound::Unbounded))
        .next()
        .is_some_and(|(next, _)| next.starts_with(path))
}

/// The fields of others whose value the apply changes, as index of the manager and
/// path. A field that turns from a value into an object, or back, counts too.
fn conflicts(
    managers: &[Manager],
    before: &Flat,
    after: &Flat,
    applied: &FieldSet,
) -> Vec<(usize, Path)> {
    let mut conflicts = Vec::new();
    for (index, manager) in managers.iter().enumerate() {
        let mut add = |path: &Path| conflicts.push((index, path.clone()));
        for path in changed(before, after).filter(|path| applied.contains(path)) {
            let leaf = after.get(path).and_then(Option::as_ref);
            if leaf.is_some_and(is_nothing) && !before.contains_key(path) {
                // An object that lost its last member: nothing was set here.
                continue;
            }
            if manager.fields.contains(path) {
                add(path);
            } else if leaf.is_some() && manager.fields.part(path).is_some() {
                let from_here =
                    before.range::<[String], _>((Bound::Included(&**path), Bound::Unbounded));
                for (below, _) in from_here.take_while(|(below, _)| below.starts_with(path)) {
                    if manager.fields.contains(below) {
                        add(below);
                    }
                }
            }
        }
        for (path, leaf) in before {
            let has_value = leaf.as_ref().is_some_and(|leaf| !is_nothing(leaf));
            let replaced = has_value
                && !after.contains_key(path)
                && applied.part(path).is_some_and(|part| !part.is_empty())
                && manager.fields.contains(path);
            if replaced {
                add(path);
            }
        }
    }
    conflicts
}

fn is_nothing(leaf: &Value) -> bool {
    match leaf {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn conflict_error(managers: &[Manager], conflicts: &[(usize, Path)]) -> StatusError {
    let name = |index: usize| managers.get(index).map(Manager::display).unwrap_or_default();
    let causes = conflicts
        .iter()
        .map(|(index, path)| {
            Cause::new(
                field_set::display(path),
                CauseReason::FieldManagerConflict,
                format!("conflict with {}", name(*index)),
            )
        })
        .collect();
    let message = match conflicts {
        [(index, path)] => format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            name(*index),
            field_set::display(path)
        ),
        many => {
            let mut lines = Vec::new();
            let mut last = None;
            for (index, path) in many {
                if last != Some(*index) {
                    lines.push(format!("conflicts with {}:", name(*index)));
                    last = Some(*index);
                }
                lines.push(format!("- {}", field_set::display(path)));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    StatusError::apply_conflict(message, causes)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
