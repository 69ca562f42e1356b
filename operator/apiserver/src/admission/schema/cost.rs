//! What evaluating a rule may cost.
//!
//! The evaluator has no limit of its own and copies values on many of its steps,
//! so that a rule that compares every item of a list with every other keeps a
//! processor busy for minutes when the list is long. Kubernetes counts steps
//! while it evaluates; here a bound of them is found beforehand, from the rule
//! and the value that it is to look at:
//!
//! - cheaply, from the size of the rule, how deep its loops are nested and how
//!   long the longest list of the value is;
//! - exactly enough where that is too much: the rule is followed over the value,
//!   so that a loop over a short list counts as short.
//!
//! One unit is one step of the evaluator, or one value that it copies.

mod follow;

use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr};
use serde_json::Value;

pub(super) use follow::follow;

/// What all rules of one object may cost: about a second.
pub(super) const BUDGET: u64 = 20_000_000;

/// A bound below this is not looked at more closely.
const CHEAP: u64 = 50_000;

/// Rules that are nested deeper are refused: the evaluator calls itself for every
/// level.
const MAX_DEPTH: usize = 200;

/// A text of so many bytes counts as one value more.
const TEXT: u64 = 32;

/// A rule's own share of its cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// How many parts it has.
    parts: u64,
    /// How deep its loops are nested.
    loops: u32,
    /// Whether it can make values that are larger than what it looks at.
    grows: bool,
}

impl Shape {
    /// Looks at a parsed rule.
    ///
    /// # Errors
    /// What the evaluator can't evaluate, or not safely.
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, String> {
        let mut shape = Self { parts: 0, loops: 0, grows: false };
        shape.measure(expression, 0, 0)?;
        Ok(shape)
    }

    fn measure(&mut self, expression: &IdedExpr, depth: usize, loops: u32) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        self.parts += 1;
        self.loops = self.loops.max(loops);
        let depth = depth + 1;
        match &expression.expr {
            Expr::Unspecified => Err("a part of it is empty".to_owned()),
            Expr::Struct(_) => Err("it makes a message, which is not supported".to_owned()),
            Expr::Ident(_) | Expr::Literal(_) => Ok(()),
            Expr::Select(select) => self.measure(&select.operand, depth, loops),
            Expr::Call(call) => {
                self.grows |= MULTIPLIERS.contains(&call.func_name.as_str());
                let parts = call.target.as_deref().into_iter().chain(&call.args);
                parts.into_iter().try_for_each(|part| self.measure(part, depth, loops))
            }
            Expr::List(list) => {
                list.elements.iter().try_for_each(|part| self.measure(part, depth, loops))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::StructField(_) => Err("a map of it has a field".to_owned()),
                EntryExpr::MapEntry(entry) => {
                    self.measure(&entry.key, depth, loops)?;
                    self.measure(&entry.value, depth, loops)
                }
            }),
            Expr::Comprehension(one) => {
                self.measure(&one.iter_range, depth, loops)?;
                self.measure(&one.accu_init, depth, loops)?;
                let collects = matches!(one.accu_init.expr, Expr::List(_) | Expr::Map(_));
                self.grows |= collects;
                let inner = loops + 1;
                self.measure(&one.loop_cond, depth, inner)?;
                self.measure(&one.loop_step, depth, inner)?;
                self.measure(&one.result, depth, loops)
            }
        }
    }

    /// A bound of the cost on values of this size.
    fn bound(self, size: Size) -> u64 {
        if self.grows {
            return u64::MAX;
        }
        let rounds = size.longest.max(2).saturating_pow(self.loops);
        // A copy of everything for every part, which no rule makes.
        self.parts.saturating_mul(size.values).saturating_mul(rounds)
    }
}

/// Functions whose result can be as large as the product of what they are given.
const MULTIPLIERS: [&str; 3] = ["format", "join", "replace"];

/// How large the values are that a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// How many values they are; a long text counts as several.
    pub(super) values: u64,
    /// Length of the longest list or map, or of the longest text: rules split
    /// texts into lists.
    pub(super) longest: u64,
}

impl Size {
    /// The size of a value.
    pub(super) fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value);
        size
    }

    fn add(&mut self, value: &Value) {
        self.values += 1;
        let length = match value {
            Value::String(text) => {
                self.values += text.len() as u64 / TEXT;
                text.len()
            }
            Value::Array(items) => {
                items.iter().for_each(|item| self.add(item));
                items.len()
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.values += name.len() as u64 / TEXT;
                    self.add(member);
                }
                members.len()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        };
        self.longest = self.longest.max(length as u64);
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            values: self.values.saturating_add(other.values),
            longest: self.longest.max(other.longest),
        }
    }
}

/// A bound of what the rule costs on these values.
pub(super) fn of(
    shape: Shape,
    expression: &IdedExpr,
    size: Size,
    new: &Value,
    old: Option<&Value>,
) -> u64 {
    let bound = shape.bound(size);
    if bound <= CHEAP { bound } else { bound.min(follow(expression, new, old)) }
}

#[cfg(test)]
mod tests;
