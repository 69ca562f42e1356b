//! `x-kubernetes-validations`: rules in CEL at one node of a schema.
//!
//! The evaluator walks a schema by itself and pairs list items by index. Here
//! each node has its own compiled rules instead, without those below it, so that
//! our walk decides which old value belongs to which new one (list-type map items
//! by their keys, as Kubernetes does).

use std::collections::{HashMap, HashSet};

use kube_cel::{CompiledSchema, ErrorKind, ValidationError, compile_schema, validate_compiled};
use serde_json::{Map, Value};

use super::compile::error;
use super::{Place, SchemaError};
use crate::admission::{Cause, CauseReason};

const RULES: &str = "x-kubernetes-validations";

/// The compiled rules of one node.
pub(crate) struct Rules {
    compiled: CompiledSchema,
    /// Texts of the rules that compare with `oldSelf`.
    transitions: HashSet<String>,
    /// Rules as they were written, by the form that is evaluated, where they
    /// differ.
    originals: HashMap<String, String>,
    type_name: &'static str,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("count", &self.compiled.validations.len())
            .finish_non_exhaustive()
    }
}

impl Rules {
    /// The rules at the top of `schema`, `None` where it has none.
    pub(super) fn compile(schema: &Value, path: &str) -> Result<Option<Self>, SchemaError> {
        let Some(rules) = schema.get(RULES).and_then(Value::as_array) else {
            return Ok(None);
        };
        if rules.is_empty() {
            return Ok(None);
        }
        let mut own = without_rules(schema);
        if let Some(map) = own.as_object_mut() {
            map.insert(RULES.to_owned(), Value::Array(rules.iter().map(with_optional).collect()));
        }
        let compiled = compile_schema(&own);
        let mut tried = compiled.validations.iter().enumerate();
        let broken = tried.find_map(|(index, rule)| Some((index, rule.as_ref().err()?)));
        if let Some((index, problem)) = broken {
            return Err(error(&format!("{path}.{RULES}[{index}].rule"), problem.to_string()));
        }
        let transitions = compiled
            .validations
            .iter()
            .flatten()
            .filter(|rule| rule.is_transition_rule)
            .map(|rule| rule.rule.rule.clone())
            .collect();
        let type_name = match schema.get("type").and_then(Value::as_str) {
            Some("array") => "array",
            Some("string") => "string",
            Some("integer") => "integer",
            Some("number") => "number",
            Some("boolean") => "boolean",
            _ => "object",
        };
        let originals = rules
            .iter()
            .filter_map(|rule| {
                let text = |rule: &Value| rule["rule"].as_str().map(str::to_owned);
                Some((text(&with_optional(rule))?, text(rule)?))
            })
            .filter(|(changed, original)| changed != original)
            .collect();
        Ok(Some(Self { compiled, transitions, originals, type_name }))
    }

    /// Texts of the rules that compare with `oldSelf`.
    pub(super) fn transitions(&self) -> impl Iterator<Item = &str> {
        self.transitions.iter().map(|rule| self.originals.get(rule).unwrap_or(rule).as_str())
    }

    /// Evaluates the rules on a value. `old` is the value that stood at the same
    /// place; where it is the same, only transition rules count.
    pub(super) fn evaluate(
        &self,
        new: &Value,
        old: Option<&Value>,
        path: &Place<'_>,
    ) -> Vec<Cause> {
        let unchanged = old == Some(new);
        if unchanged && self.transitions.is_empty() {
            return Vec::new();
        }
        let Err(errors) = validate_compiled(&self.compiled, new, old) else {
            return Vec::new();
        };
        errors
            .iter()
            .filter(|error| !unchanged || self.transitions.contains(&error.rule))
            .map(|error| self.cause(error, &path.to_string()))
            .collect()
    }

    fn cause(&self, error: &ValidationError, path: &str) -> Cause {
        let field = match error.field_path.trim_start_matches('.') {
            "" => path.to_owned(),
            relative if path.is_empty() || relative.starts_with('[') => format!("{path}{relative}"),
            relative => format!("{path}.{relative}"),
        };
        let type_name = self.type_name;
        let rule = self.originals.get(&error.rule).unwrap_or(&error.rule);
        if error.kind != ErrorKind::ValidationFailure {
            let message = format!(
                "Invalid value: \"{type_name}\": {} evaluating rule: {}",
                error.message, rule
            );
            return Cause::new(field, CauseReason::FieldValueInvalid, message);
        }
        // Without a message of its own, a rule is its message.
        let text = error.message.replace(&error.rule, rule);
        match error.reason.as_deref() {
            Some("FieldValueRequired") => {
                let message = format!("Required value: {text}");
                Cause::new(field, CauseReason::FieldValueRequired, message)
            }
            Some("FieldValueForbidden") => {
                let message = format!("Forbidden: {text}");
                Cause::new(field, CauseReason::FieldValueForbidden, message)
            }
            Some("FieldValueDuplicate") => {
                let message = format!("Duplicate value: \"{type_name}\": {text}");
                Cause::new(field, CauseReason::FieldValueDuplicate, message)
            }
            _ => {
                let message = format!("Invalid value: \"{type_name}\": {text}");
                Cause::new(field, CauseReason::FieldValueInvalid, message)
            }
        }
    }
}

/// A rule with `optionalOldSelf` sees the old value as an optional, which the
/// evaluator knows only as a value or null.
fn with_optional(rule: &Value) -> Value {
    let mut rule = rule.clone();
    if rule["optionalOldSelf"] == Value::Bool(true) {
        for field in ["rule", "messageExpression"] {
            if let Some(text) = rule[field].as_str() {
                rule[field] = Value::from(optional_old_self(text));
            }
        }
    }
    rule
}

/// Puts an optional in the place of every `oldSelf` that is a name of its own.
fn optional_old_self(text: &str) -> String {
    const NAME: &str = "oldSelf";
    const OPTIONAL: &str = "(oldSelf == null ? optional.none() : optional.of(oldSelf))";
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut result = String::with_capacity(text.len() + OPTIONAL.len());
    let mut quote: Option<char> = None;
    let mut before = ' ';
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let whole_name = quote.is_none()
            && !in_name(before)
            && before != '.'
            && rest.strip_prefix(NAME).is_some_and(|after| !after.starts_with(in_name));
        if whole_name {
            result.push_str(OPTIONAL);
            rest = rest.get(NAME.len()..).unwrap_or_default();
            before = ')';
            continue;
        }
        match quote {
            Some(end) if letter == end && before != '\\' => quote = None,
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            _ => {}
        }
        // An escaped backslash escapes nothing.
        before = if before == '\\' && letter == '\\' { ' ' } else { letter };
        result.push(letter);
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    result
}

/// The schema as the evaluator needs it to convert values: types and formats,
/// no rules, no defaults (they are applied before), no junctors.
fn without_rules(schema: &Value) -> Value {
    let Some(map) = schema.as_object() else {
        return schema.clone();
    };
    let mut kept = Map::new();
    for (key, value) in map {
        match key.as_str() {
            RULES | "default" | "allOf" | "anyOf" | "oneOf" | "not" | "description" | "enum" => {}
            "properties" => {
                if let Some(properties) = value.as_object() {
                    let stripped = properties
                        .iter()
                        .map(|(name, schema)| (name.clone(), without_rules(schema)))
                        .collect();
                    kept.insert(key.clone(), Value::Object(stripped));
                }
            }
            "items" | "additionalProperties" => {
                kept.insert(key.clone(), without_rules(value));
            }
            _ => {
                kept.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(kept)
}

/// The object as rules at the root see it: of `metadata` only the names, as on
/// Kubernetes, which also spares converting managedFields.
pub(super) fn root_view(object: &Value) -> Value {
    let Some(map) = object.as_object() else {
        return object.clone();
    };
    let view = map
        .iter()
        .map(|(key, value)| {
            let value = match (key.as_str(), value.as_object()) {
                ("metadata", Some(metadata)) => Value::Object(
                    metadata
                        .iter()
                        .filter(|(name, _)| *name == "name" || *name == "generateName")
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                ),
                _ => value.clone(),
            };
            (key.clone(), value)
        })
        .collect();
    Value::Object(view)
}

/// Evaluates every rule of the tree.
pub(super) fn walk(
    node: &super::Node,
    new: &Value,
    old: Option<&Value>,
    path: &Place<'_>,
    causes: &mut Vec<Cause>,
) {
    if new.is_null() {
        return;
    }
    if let Some(rules) = &node.rules {
        if path.is_root() {
            let old = old.map(root_view);
            causes.extend(rules.evaluate(&root_view(new), old.as_ref(), path));
        } else {
            causes.extend(rules.evaluate(new, old, path));
        }
    }
    match new {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(child) = node.child(name) {
                    let old = old.and_then(|old| old.get(name));
                    walk(child, value, old, &path.key(name), causes);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            for (index, item) in list.iter().enumerate() {
                let old = super::validate::old_item(&node.list_type, item, old);
                walk(items, item, old, &path.index(index), causes);
            }
        }
        _ => {}
    }
}
