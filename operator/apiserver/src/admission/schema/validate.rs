//! Types and value validations, worded as Kubernetes words them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Number, Value};

use super::findings::{Findings, shown};
use super::node::{Additional, Bound, JsonType, ListType, Node};
use super::{Place, format, rules};
use crate::admission::{Cause, CauseReason};

const NOT_CHECKED: &str = "some validation rules were not checked because the object was invalid; \
     correct the existing errors to complete validation";

/// All that is wrong with an object.
pub(super) fn object(root: &Node, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut findings = Findings::default();
    value(root, new, old, &Place::ROOT, &mut findings);
    let mut causes = findings.into_causes();
    let blocked = causes.iter().any(|cause| {
        matches!(
            cause.reason,
            CauseReason::FieldValueNotSupported
                | CauseReason::FieldValueRequired
                | CauseReason::FieldValueTooLong
                | CauseReason::FieldValueTooMany
                | CauseReason::FieldValueTypeInvalid
        )
    });
    if !blocked {
        let mut findings = rules::RuleFindings::default();
        rules::walk(root, new, old, &Place::ROOT, &mut findings);
        causes.extend(findings.causes);
    } else if has_rules(root) {
        causes.push(Cause::new(
            "",
            CauseReason::FieldValueInvalid,
            format!("Invalid value: null: {NOT_CHECKED}"),
        ));
    }
    causes
}

/// All that is wrong with a value that stands for itself, such as a default.
pub(super) fn lone_value(node: &Node, new: &Value) -> Vec<Cause> {
    let mut findings = Findings::default();
    value(node, new, None, &Place::ROOT, &mut findings);
    let mut causes = findings.into_causes();
    if causes.is_empty() {
        let mut findings = rules::RuleFindings::default();
        rules::walk(node, new, None, &Place::ROOT, &mut findings);
        causes.extend(findings.causes);
    }
    causes
}

fn has_rules(node: &Node) -> bool {
    node.rules.is_some()
        || node.properties.values().any(has_rules)
        || node.items.as_deref().is_some_and(has_rules)
        || matches!(&node.additional, Additional::Schema(values) if has_rules(values))
}

/// What identifies an item of a list: some of its fields, or all of it.
fn identity(list_type: &ListType, item: &Value) -> Value {
    match list_type {
        ListType::Map(keys) => {
            let parts: Map<String, Value> =
                keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
            Value::Object(parts)
        }
        ListType::Set | ListType::Atomic => item.clone(),
    }
}

/// The old items that the items of a list continue: only those of list-type map
/// have an identity.
pub(super) struct OldItems<'a> {
    list_type: &'a ListType,
    by_identity: HashMap<String, &'a Value>,
}

impl<'a> OldItems<'a> {
    pub(super) fn new(list_type: &'a ListType, old: Option<&'a Value>) -> Self {
        let mut by_identity = HashMap::new();
        if matches!(list_type, ListType::Map(_)) {
            for old in old.and_then(Value::as_array).into_iter().flatten() {
                by_identity.entry(identity(list_type, old).to_string()).or_insert(old);
            }
        }
        Self { list_type, by_identity }
    }

    /// The old item that `item` continues.
    pub(super) fn find(&self, item: &Value) -> Option<&'a Value> {
        if self.by_identity.is_empty() {
            return None;
        }
        self.by_identity.get(&identity(self.list_type, item).to_string()).copied()
    }
}

fn value(node: &Node, new: &Value, old: Option<&Value>, path: &Place<'_>, causes: &mut Findings) {
    // What did not change was accepted once and may stay.
    if !causes.step(1 + node.checks.allowed.len()) || old == Some(new) {
        return;
    }
    if new.is_null() {
        let open = node.json_type.is_none() && !node.int_or_string;
        if !node.nullable && !open {
            causes.push(wrong_type(node, new, path));
        }
        return;
    }
    if !has_type(node, new) {
        causes.push(wrong_type(node, new, path));
        return;
    }
    if !node.checks.allowed.is_empty() && !node.checks.allowed.iter().any(|one| same(one, new)) {
        causes.push(not_supported(&node.checks.allowed, new, path));
    }
    match new {
        Value::String(text) => string(node, text, path, causes),
        Value::Number(number_value) => number(node, number_value, path, causes),
        Value::Array(list) => array(node, list, old, path, causes),
        Value::Object(map) => members(node, map, old, path, causes),
        Value::Null | Value::Bool(_) => {}
    }
    junctors(node, new, path, causes);
}

fn has_type(node: &Node, value: &Value) -> bool {
    if node.int_or_string {
        return value.is_string() || is_integer(value);
    }
    match node.json_type {
        None => true,
        Some(JsonType::Object) => value.is_object(),
        Some(JsonType::Array) => value.is_array(),
        Some(JsonType::String) => value.is_string(),
        Some(JsonType::Boolean) => value.is_boolean(),
        Some(JsonType::Number) => value.is_number(),
        Some(JsonType::Integer) => is_integer(value),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64()
        || value.is_u64()
        || value.as_f64().is_some_and(|number| number.fract() == 0.0 && number.is_finite())
}

/// JSON equality in which `1` and `1.0` are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// The word for the type of a value, as error messages have it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(node: &Node, new: &Value, path: &Place<'_>) -> Cause {
    let wanted = match node.json_type {
        _ if node.int_or_string => "integer,string",
        Some(json_type) => json_type.as_str(),
        None => "object",
    };
    let found = type_name(new);
    let message =
        format!("Invalid value: \"{found}\": {path} in body must be of type {wanted}: \"{found}\"");
    Cause::new(path.to_string(), CauseReason::FieldValueTypeInvalid, message)
}

fn not_supported(allowed: &[Value], new: &Value, path: &Place<'_>) -> Cause {
    let names: Vec<String> = allowed.iter().map(quoted).collect();
    let message =
        format!("Unsupported value: {}: supported values: {}", printed(new), names.join(", "));
    Cause::new(path.to_string(), CauseReason::FieldValueNotSupported, message)
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => format!("\"{other}\""),
    }
}

/// A value as Kubernetes prints it in messages: strings quoted, the rest bare.
pub(super) fn printed(value: &Value) -> String {
    shown(match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    })
}

fn invalid(path: &Place<'_>, value: &Value, rest: &str) -> Cause {
    let message = format!("Invalid value: {}: {path} in body {rest}", printed(value));
    Cause::new(path.to_string(), CauseReason::FieldValueInvalid, message)
}

fn string(node: &Node, text: &str, path: &Place<'_>, causes: &mut Findings) {
    let checks = &node.checks;
    let value = || Value::from(text);
    let length = || text.chars().count();
    if let Some(limit) = checks.max_length
        && length() > limit
    {
        let message = format!("Too long: may not be more than {limit} bytes");
        causes.push(Cause::new(path.to_string(), CauseReason::FieldValueTooLong, message));
    }
    if let Some(limit) = checks.min_length
        && length() < limit
    {
        let rest = format!("should be at least {limit} chars long");
        causes.push(invalid(path, &value(), &rest));
    }
    if let Some(pattern) = &checks.pattern
        && !pattern.is_match(text)
    {
        let rest = format!("should match '{}'", pattern.as_str());
        causes.push(invalid(path, &value(), &rest));
    }
    if let Some(name) = &checks.format
        && !node.int_or_string
        && !format::string_matches(name, text)
    {
        let rest = format!("must be of type {name}: {}", printed(&value()));
        causes.push(invalid(path, &value(), &rest));
    }
}

fn number(node: &Node, number: &Number, path: &Place<'_>, causes: &mut Findings) {
    let checks = &node.checks;
    let value = || Value::Number(number.clone());
    let Some(float) = number.as_f64() else { return };
    let word = |bound: Bound| if bound.exclusive { "" } else { " or equal to" };
    if let Some(bound) = checks.minimum
        && (float < bound.value || (bound.exclusive && float <= bound.value))
    {
        let rest = format!("should be greater than{} {}", word(bound), bound.value);
        causes.push(invalid(path, &value(), &rest));
    }
    if let Some(bound) = checks.maximum
        && (float > bound.value || (bound.exclusive && float >= bound.value))
    {
        let rest = format!("should be less than{} {}", word(bound), bound.value);
        causes.push(invalid(path, &value(), &rest));
    }
    if let Some(step) = checks.multiple_of
        && step > 0.0
    {
        let steps = float / step;
        // Decimal steps such as 0.1 have no exact binary form.
        if (steps - steps.round()).abs() > 1e-9 {
            let rest = format!("should be a multiple of {step}");
            causes.push(invalid(path, &value(), &rest));
        }
    }
    if let Some(name) = &checks.format
        && !format::number_matches(name, number)
    {
        let rest = format!("must be of type {name}: \"{number}\"");
        causes.push(invalid(path, &value(), &rest));
    }
}

fn array(
    node: &Node,
    list: &[Value],
    old: Option<&Value>,
    path: &Place<'_>,
    causes: &mut Findings,
) {
    let checks = &node.checks;
    if let Some(limit) = checks.max_items
        && list.len() > limit
    {
        let message = format!("Too many: {}: must have at most {limit} items", list.len());
        causes.push(Cause::new(path.to_string(), CauseReason::FieldValueTooMany, message));
    }
    let whole = || Value::Array(list.to_vec());
    if let Some(limit) = checks.min_items
        && list.len() < limit
    {
        let rest = format!("should have at least {limit} items");
        causes.push(invalid(path, &whole(), &rest));
    }
    if checks.unique_items && repeats(list.iter().map(ToString::to_string)).next().is_some() {
        causes.push(invalid(path, &whole(), "shouldn't contain duplicates"));
    }
    duplicates(&node.list_type, list, path, causes);
    if let Some(items) = &node.items {
        let old = OldItems::new(&node.list_type, old);
        for (index, item) in list.iter().enumerate() {
            value(items, item, old.find(item), &path.index(index), causes);
        }
    }
}

/// Indices of items that occurred before.
fn repeats(items: impl Iterator<Item = String>) -> impl Iterator<Item = usize> {
    let mut seen = HashSet::new();
    items.enumerate().filter_map(move |(index, item)| (!seen.insert(item)).then_some(index))
}

fn duplicates(list_type: &ListType, list: &[Value], path: &Place<'_>, causes: &mut Findings) {
    if *list_type == ListType::Atomic {
        return;
    }
    for index in repeats(list.iter().map(|item| identity(list_type, item).to_string())) {
        if !causes.step(1) {
            return;
        }
        let shown = list.get(index).map(|item| identity(list_type, item)).unwrap_or_default();
        causes.push(Cause::new(
            path.index(index).to_string(),
            CauseReason::FieldValueDuplicate,
            format!("Duplicate value: {}", printed(&shown)),
        ));
    }
}

fn members(
    node: &Node,
    map: &Map<String, Value>,
    old: Option<&Value>,
    path: &Place<'_>,
    causes: &mut Findings,
) {
    let checks = &node.checks;
    if !causes.step(checks.required.len()) {
        return;
    }
    for name in &checks.required {
        if !map.contains_key(name) {
            causes.push(Cause::new(
                path.key(name).to_string(),
                CauseReason::FieldValueRequired,
                "Required value",
            ));
        }
    }
    let whole = || Value::Object(map.clone());
    if let Some(limit) = checks.max_properties
        && map.len() > limit
    {
        let rest = format!("should have at most {limit} properties");
        causes.push(invalid(path, &whole(), &rest));
    }
    if let Some(limit) = checks.min_properties
        && map.len() < limit
    {
        let rest = format!("should have at least {limit} properties");
        causes.push(invalid(path, &whole(), &rest));
    }
    for (name, member) in map {
        if let Some(child) = node.child(name) {
            let old = old.and_then(|old| old.get(name));
            value(child, member, old, &path.key(name), causes);
        }
    }
}

fn junctors(node: &Node, new: &Value, path: &Place<'_>, causes: &mut Findings) {
    let mut errors =
        |branch: &Node| causes.apart(|branch_causes| value(branch, new, None, path, branch_causes));
    let all: Vec<Findings> = node.all_of.iter().map(&mut errors).collect();
    let any: Vec<Findings> = node.any_of.iter().map(&mut errors).collect();
    let one: Vec<Findings> = node.one_of.iter().map(&mut errors).collect();
    let not = node.not.as_deref().map(&mut errors);
    all.into_iter().for_each(|found| causes.extend(found));
    if !any.is_empty() && !any.iter().any(Findings::is_empty) {
        causes.push(composite(path, "must validate at least one schema (anyOf)"));
        causes.extend(closest(any));
    }
    let valid = one.iter().filter(|found| found.is_empty()).count();
    if !one.is_empty() && valid == 0 {
        let rest = "must validate one and only one schema (oneOf). Found none valid";
        causes.push(composite(path, rest));
        causes.extend(closest(one));
    } else if valid > 1 {
        let rest = format!(
            "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
        );
        causes.push(composite(path, &rest));
    }
    if not.is_some_and(|found| found.is_empty()) {
        causes.push(composite(path, "must not validate the schema (not)"));
    }
}

fn composite(path: &Place<'_>, rest: &str) -> Cause {
    let message = format!("Invalid value: \"\": \"{path}\" {rest}");
    Cause::new(path.to_string(), CauseReason::FieldValueInvalid, message)
}

/// The errors of the branch that fits best, for a person who has to choose one.
fn closest(results: Vec<Findings>) -> Findings {
    results.into_iter().min_by_key(Findings::len).unwrap_or_default()
}
