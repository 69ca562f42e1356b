//! `x-kubernetes-validations`: rules in CEL at one node of a schema.
//!
//! The evaluator walks a schema by itself and pairs list items by index. Here
//! each node has its own compiled rules instead, without those below it, so that
//! our walk decides which old value belongs to which new one (list-type map items
//! by their keys, as Kubernetes does).

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;

use kube_cel::cel::Program;
use kube_cel::{CompiledSchema, ErrorKind, ValidationError, compile_schema, validate_compiled};
use serde_json::{Map, Value};

use super::compile::error;
use super::cost::{self, Shape, Size};
use super::findings::MAX_CAUSES;
use super::validate::OldItems;
use super::{Place, SchemaError, validate};
use crate::admission::{Cause, CauseReason};

pub(super) const RULES: &str = "x-kubernetes-validations";

/// Longer rules are refused.
pub(super) const MAX_RULE: usize = 4096;

/// In the words of Kubernetes.
const EXHAUSTED: &str = "validation failed due to running out of cost budget, no further \
                         validation rules will be run";

const BROKEN: &str = "a validation rule could not be evaluated on this value";

/// The compiled rules of one node.
pub(crate) struct Rules {
    compiled: CompiledSchema,
    /// Texts of the rules that compare with `oldSelf`.
    transitions: HashSet<String>,
    /// Rules as they were written, by the form that is evaluated, where they
    /// differ.
    originals: HashMap<String, String>,
    /// What each rule, and the expression of its message, is made of.
    shapes: Vec<(Shape, Option<Shape>)>,
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
        check_length(rules, path)?;
        let mut own = without_rules(schema);
        if let Some(map) = own.as_object_mut() {
            map.insert(RULES.to_owned(), Value::Array(rules.iter().map(with_optional).collect()));
        }
        // The parser panics on some texts.
        let compiled = std::panic::catch_unwind(AssertUnwindSafe(|| compile_schema(&own)))
            .map_err(|_| error(&format!("{path}.{RULES}"), "a rule can't be parsed"))?;
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
        let shapes = shapes(&compiled, path)?;
        Ok(Some(Self { compiled, transitions, originals, shapes, type_name }))
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
        findings: &mut RuleFindings,
    ) {
        let unchanged = old == Some(new);
        if unchanged && self.transitions.is_empty() {
            return;
        }
        let cost = self.cost(new, old);
        findings.exhausted = cost > findings.budget;
        findings.budget = findings.budget.saturating_sub(cost);
        if findings.exhausted {
            let message = format!("Invalid value: \"{}\": {EXHAUSTED}", self.type_name);
            let cause = Cause::new(path.to_string(), CauseReason::FieldValueInvalid, message);
            findings.causes.push(cause);
            return;
        }
        // The evaluator panics on some inputs; what it shares between evaluations
        // is never changed.
        let evaluation = || validate_compiled(&self.compiled, new, old);
        let Ok(outcome) = std::panic::catch_unwind(AssertUnwindSafe(evaluation)) else {
            let message = format!("Invalid value: \"{}\": {BROKEN}", self.type_name);
            let cause = Cause::new(path.to_string(), CauseReason::FieldValueInvalid, message);
            findings.causes.push(cause);
            return;
        };
        let Err(errors) = outcome else { return };
        let path = path.to_string();
        let wrong = errors
            .iter()
            .filter(|error| !unchanged || self.transitions.contains(&error.rule))
            .map(|error| self.cause(error, new, &path));
        findings.causes.extend(wrong);
    }

    /// A bound of what the evaluation of all rules costs.
    fn cost(&self, new: &Value, old: Option<&Value>) -> u64 {
        let size = Size::of(new).and(old.map(Size::of).unwrap_or_default());
        let rules = self.compiled.validations.iter().flatten();
        let costs = rules.zip(&self.shapes).map(|(rule, (shape, message))| {
            let one = |shape: Shape, program: &Program| {
                cost::of(shape, program.expression(), size, new, old)
            };
            let message = message.zip(rule.message_program.as_ref());
            one(*shape, &rule.program)
                .saturating_add(message.map_or(0, |(shape, program)| one(shape, program)))
        });
        // The value is converted first.
        costs.fold(size.values, u64::saturating_add)
    }

    fn cause(&self, error: &ValidationError, value: &Value, path: &str) -> Cause {
        let field = match error.field_path.trim_start_matches('.') {
            "" => path.to_owned(),
            relative if path.is_empty() || relative.starts_with('[') => format!("{path}{relative}"),
            relative => format!("{path}.{relative}"),
        };
        let value = shown(value);
        let rule = self.originals.get(&error.rule).unwrap_or(&error.rule);
        if error.kind != ErrorKind::ValidationFailure {
            let message =
                format!("Invalid value: {value}{} evaluating rule: {rule}", error.message);
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
                let message = format!("Duplicate value: {value}{text}");
                Cause::new(field, CauseReason::FieldValueDuplicate, message)
            }
            _ => {
                let message = format!("Invalid value: {value}{text}");
                Cause::new(field, CauseReason::FieldValueInvalid, message)
            }
        }
    }
}

/// The parser calls itself for every part of a rule.
fn check_length(rules: &[Value], path: &str) -> Result<(), SchemaError> {
    for (index, rule) in rules.iter().enumerate() {
        for field in ["rule", "messageExpression"] {
            if rule[field].as_str().is_some_and(|text| text.len() > MAX_RULE) {
                return Err(error(
                    &format!("{path}.{RULES}[{index}].{field}"),
                    format!("must not be longer than {MAX_RULE} bytes"),
                ));
            }
        }
    }
    Ok(())
}

fn shapes(
    compiled: &CompiledSchema,
    path: &str,
) -> Result<Vec<(Shape, Option<Shape>)>, SchemaError> {
    let rules = compiled.validations.iter().flatten().enumerate();
    rules
        .map(|(index, rule)| {
            let shape = |program: &Program, field: &str| {
                Shape::of(program.expression())
                    .map_err(|problem| error(&format!("{path}.{RULES}[{index}].{field}"), problem))
            };
            let message = rule.message_program.as_ref();
            let message = message.map(|program| shape(program, "messageExpression"));
            Ok((shape(&rule.program, "rule")?, message.transpose()?))
        })
        .collect()
}

/// What a rule failed for, where it is simple enough to be read in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => String::new(),
        simple => format!("{}: ", validate::printed(simple)),
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

/// What the rules found wrong, and what they may still cost.
pub(super) struct RuleFindings {
    pub(super) causes: Vec<Cause>,
    budget: u64,
    exhausted: bool,
}

impl Default for RuleFindings {
    fn default() -> Self {
        Self { causes: Vec::new(), budget: cost::BUDGET, exhausted: false }
    }
}

impl RuleFindings {
    fn is_over(&self) -> bool {
        self.exhausted || self.causes.len() >= MAX_CAUSES
    }
}

/// Evaluates every rule of the tree.
pub(super) fn walk(
    node: &super::Node,
    new: &Value,
    old: Option<&Value>,
    path: &Place<'_>,
    findings: &mut RuleFindings,
) {
    if new.is_null() || findings.is_over() {
        return;
    }
    if let Some(rules) = &node.rules {
        if path.is_root() {
            let old = old.map(root_view);
            rules.evaluate(&root_view(new), old.as_ref(), path, findings);
        } else {
            rules.evaluate(new, old, path, findings);
        }
    }
    match new {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(child) = node.child(name) {
                    let old = old.and_then(|old| old.get(name));
                    walk(child, value, old, &path.key(name), findings);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            let old = OldItems::new(&node.list_type, old);
            for (index, item) in list.iter().enumerate() {
                walk(items, item, old.find(item), &path.index(index), findings);
            }
        }
        _ => {}
    }
}
