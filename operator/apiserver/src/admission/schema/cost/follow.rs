//! Follows a rule over the value that it looks at, and counts.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators,
};
use serde_json::Value;

use super::{MULTIPLIERS, Size, TEXT};

/// More places than this are not told apart.
const MAX_PLACES: usize = 20_000;

/// What an expression can stand for.
#[derive(Clone, Debug)]
enum Thing<'a> {
    /// One of these parts of the object.
    Places(Vec<&'a Value>),
    /// Something that is no larger.
    Made(Size),
}

impl<'a> Thing<'a> {
    const ONE: Self = Thing::Made(Size { values: 1, longest: 0 });

    fn size(&self) -> Size {
        match self {
            Thing::Made(size) => *size,
            Thing::Places(places) => {
                places.iter().map(|place| Size::of(place)).fold(Size::default(), |all, one| Size {
                    values: all.values.max(one.values),
                    longest: all.longest.max(one.longest),
                })
            }
        }
    }

    /// How often a loop over it goes round.
    fn length(&self) -> u64 {
        match self {
            Thing::Made(size) => size.longest,
            Thing::Places(places) => {
                let length = |place: &&Value| match place {
                    Value::Array(items) => items.len(),
                    Value::Object(members) => members.len(),
                    _ => 0,
                };
                places.iter().map(length).max().unwrap_or(0) as u64
            }
        }
    }

    fn places(places: Vec<&'a Value>, otherwise: impl FnOnce() -> Size) -> Self {
        if places.len() > MAX_PLACES { Thing::Made(otherwise()) } else { Thing::Places(places) }
    }

    fn member(&self, name: &str) -> Self {
        match self {
            // A name with letters that CEL has no words for is written otherwise.
            Thing::Places(places) if !name.contains("__") => {
                Thing::Places(places.iter().filter_map(|place| place.get(name)).collect())
            }
            _ => Thing::Made(self.size()),
        }
    }

    /// Any value of a list or map.
    fn values(&self) -> Self {
        let Thing::Places(places) = self else {
            return self.clone();
        };
        let mut values = Vec::new();
        for place in places {
            match place {
                Value::Array(items) => values.extend(items),
                Value::Object(members) => values.extend(members.values()),
                _ => {}
            }
        }
        Self::places(values, || self.size())
    }

    /// What a loop goes over: items of a list, keys of a map.
    fn items(&self) -> Self {
        let Thing::Places(places) = self else {
            return self.clone();
        };
        if !places.iter().any(|place| place.is_object()) {
            return self.values();
        }
        let names = places.iter().filter_map(|place| place.as_object()).flat_map(|map| map.keys());
        let longest = names.map(String::len).max().unwrap_or(0) as u64;
        let key = Size { values: 1 + longest / TEXT, longest };
        if places.iter().all(|place| place.is_object()) {
            return Thing::Made(key);
        }
        Thing::Made(key.and(self.values().size()))
    }
}

type Scope<'a> = Vec<(&'a str, Thing<'a>)>;

/// A bound of the cost of an expression.
pub(in super::super) fn follow(expression: &IdedExpr, new: &Value, old: Option<&Value>) -> u64 {
    let old = old.map(|old| Thing::Places(vec![old])).unwrap_or(Thing::ONE);
    let mut scope: Scope<'_> = vec![("self", Thing::Places(vec![new])), ("oldSelf", old)];
    let mut cost = 0;
    thing(expression, &mut scope, &mut cost);
    cost
}

fn add(cost: &mut u64, more: u64) {
    *cost = cost.saturating_add(more);
}

fn thing<'a>(expression: &'a IdedExpr, scope: &mut Scope<'a>, cost: &mut u64) -> Thing<'a> {
    add(cost, 1);
    match &expression.expr {
        Expr::Unspecified | Expr::Struct(_) => Thing::ONE,
        Expr::Literal(literal) => {
            let length = match literal {
                LiteralValue::String(text) => text.inner().len() as u64,
                LiteralValue::Bytes(bytes) => bytes.inner().len() as u64,
                _ => 0,
            };
            Thing::Made(Size { values: 1 + length / TEXT, longest: length })
        }
        Expr::Ident(name) => {
            let known = scope.iter().rev().find(|(one, _)| one == name);
            known.map_or(Thing::ONE, |(_, thing)| thing.clone())
        }
        Expr::Select(select) => {
            let operand = thing(&select.operand, scope, cost);
            let member = operand.member(&select.field);
            if select.test {
                return Thing::ONE;
            }
            add(cost, member.size().values);
            member
        }
        Expr::List(list) => {
            let sizes = list.elements.iter().map(|element| thing(element, scope, cost).size());
            let all = sizes.fold(Size::default(), Size::and);
            add(cost, all.values);
            let longest = all.longest.max(list.elements.len() as u64);
            Thing::Made(Size { values: all.values.saturating_add(1), longest })
        }
        Expr::Map(map) => {
            let mut all = Size::default();
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    all = all.and(thing(&entry.key, scope, cost).size());
                    all = all.and(thing(&entry.value, scope, cost).size());
                }
            }
            add(cost, all.values);
            let longest = all.longest.max(map.entries.len() as u64);
            Thing::Made(Size { values: all.values.saturating_add(1), longest })
        }
        Expr::Call(call) => called(call, scope, cost),
        Expr::Comprehension(one) => looped(one, scope, cost),
    }
}

fn called<'a>(call: &'a CallExpr, scope: &mut Scope<'a>, cost: &mut u64) -> Thing<'a> {
    let parts: Vec<Thing<'a>> = call
        .target
        .as_deref()
        .into_iter()
        .chain(&call.args)
        .map(|part| thing(part, scope, cost))
        .collect();
    let sizes: Vec<Size> = parts.iter().map(Thing::size).collect();
    let all = sizes.iter().copied().fold(Size::default(), Size::and);
    // Arguments are copied, and looked at.
    add(cost, all.values.saturating_mul(2));
    match (call.func_name.as_str(), parts.as_slice()) {
        (operators::INDEX | operators::OPT_INDEX, [container, _]) => container.values(),
        (operators::OPT_SELECT, [container, _]) => Thing::Made(container.size()),
        (operators::CONDITIONAL, [_, one, other]) => {
            let (one, other) = (one.size(), other.size());
            Thing::Made(Size {
                values: one.values.max(other.values),
                longest: one.longest.max(other.longest),
            })
        }
        (
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::EQUALS
            | operators::NOT_EQUALS
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS
            | operators::IN
            | operators::NOT_STRICTLY_FALSE
            | "size"
            | "matches"
            | "startsWith"
            | "endsWith"
            | "contains",
            _,
        ) => Thing::ONE,
        (name, _) if MULTIPLIERS.contains(&name) => {
            // Each letter can become a whole text.
            let lengths = sizes.iter().map(|size| size.values.saturating_mul(TEXT));
            let product = lengths.fold(1, u64::saturating_mul);
            add(cost, product / TEXT);
            Thing::Made(Size { values: (product / TEXT).saturating_add(1), longest: product })
        }
        _ => {
            // A text can become a list of its letters, lists can be put together.
            let longest = sizes.iter().map(|size| size.longest).fold(0, u64::saturating_add);
            let values = all.values.saturating_add(longest);
            Thing::Made(Size { values, longest })
        }
    }
}

fn looped<'a>(one: &'a ComprehensionExpr, scope: &mut Scope<'a>, cost: &mut u64) -> Thing<'a> {
    let range = thing(&one.iter_range, scope, cost);
    let rounds = range.length();
    let initial = thing(&one.accu_init, scope, cost).size();
    let collects = matches!(one.accu_init.expr, Expr::List(_) | Expr::Map(_));
    let depth = scope.len();
    scope.push((&one.iter_var, range.items()));
    if let Some(second) = &one.iter_var2 {
        scope.push((second, range.values()));
    }
    scope.push((&one.accu_var, Thing::Made(initial)));
    let mut once = 0;
    thing(&one.loop_cond, scope, &mut once);
    let step = thing(&one.loop_step, scope, &mut once).size();
    scope.truncate(depth);
    add(cost, range.size().values);
    add(cost, rounds.saturating_mul(once.saturating_add(range.items().size().values)));
    let result = if collects {
        let values = initial.values.saturating_add(rounds.saturating_mul(step.values));
        let length = step.longest.saturating_sub(initial.longest).max(1);
        let longest = initial.longest.saturating_add(rounds.saturating_mul(length));
        // What was collected is copied, on average half of it, several times a round.
        add(cost, rounds.saturating_mul(values).saturating_mul(2));
        Size { values, longest }
    } else {
        Size { values: initial.values.max(step.values), longest: initial.longest.max(step.longest) }
    };
    scope.push((&one.accu_var, Thing::Made(result)));
    let made = thing(&one.result, scope, cost);
    scope.truncate(depth);
    made
}
