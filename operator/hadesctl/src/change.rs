//! Changes of single fields by hand, and what git has to say about them.

use clap::Args;
use hades_client::object;
use hades_client::ownership::{self, Ownership, field_changes};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use crate::target::Target;

/// What to do with an object that a repository owns.
#[derive(Debug, Clone, Default, Args)]
pub struct OverrideFlags {
    /// Change what a repository owns, and keep its syncs from undoing it: for so long (2h), or
    /// until a time
    #[arg(long, value_name = "TIME")]
    pub override_until: Option<String>,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It was made.
    Yes,
    /// Everything was so already.
    No,
}

/// Changes an object by a merge patch. What a repository owns is changed only
/// under an override; else the change is shown as the commit that it should be.
///
/// # Errors
/// When the object belongs to a repository, or the server refuses.
pub async fn merge(
    context: &Context,
    target: &Target,
    before: &DynamicObject,
    patch: &Value,
    flags: &OverrideFlags,
) -> Result<Changed, Error> {
    match plan(context, target, before, patch, flags)? {
        None => Ok(Changed::No),
        Some(change) => change.write(context).await,
    }
}

/// A change that may be made.
pub struct Change<'a> {
    target: &'a Target,
    patch: &'a Value,
    /// Until when it goes before what a repository says.
    overriding: Option<(Timestamp, Ownership)>,
}

/// Whether a change may be made; none when everything is so already.
///
/// # Errors
/// When the object belongs to a repository.
pub fn plan<'a>(
    context: &Context,
    target: &'a Target,
    before: &DynamicObject,
    patch: &'a Value,
    flags: &OverrideFlags,
) -> Result<Option<Change<'a>>, Error> {
    let old = output::value(before, false)?;
    let mut new = old.clone();
    apply(&mut new, patch);
    let changes = field_changes(&old, &new);
    let until = until(context, flags)?;
    if changes.is_empty() && until.is_none() {
        return Ok(None);
    }
    let Some(ownership) = Ownership::of(before, context.now()) else {
        if until.is_some() {
            return Err(nothing_to_override(target));
        }
        return Ok(Some(Change { target, patch, overriding: None }));
    };
    let Some(until) = until.or_else(|| ownership.overridden_until()) else {
        return Err(Error::Incomplete {
            message: format!("{target} belongs to the repository {}", ownership.owner),
            hint: Some(format!(
                "{}\n  or pass --override-until 2h, to change it here until then",
                ownership.as_commit(&changes).replace("\n", "\n  ")
            )),
        });
    };
    Ok(Some(Change { target, patch, overriding: Some((until, ownership)) }))
}

/// What to say of an override of what no repository owns.
pub fn nothing_to_override(target: &Target) -> Error {
    Error::usage(
        format!("{target} belongs to no repository, so there is nothing to override"),
        "leave --override-until away",
    )
}

impl Change<'_> {
    /// Makes it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn write(self, context: &Context) -> Result<Changed, Error> {
        let session = context.session().await?;
        let Target { kind, namespace, name } = self.target;
        let namespace = namespace.as_deref();
        let Some((until, ownership)) = self.overriding else {
            object::merge(session, kind, namespace, name, self.patch).await?;
            return Ok(Changed::Yes);
        };
        ownership::override_until(session, kind, namespace, name, self.patch, until).await?;
        context.terminal.note(&format!(
            "{} is overridden until {until}; then the repository {} takes it back",
            self.target, ownership.owner
        ));
        Ok(Changed::Yes)
    }
}

fn until(context: &Context, flags: &OverrideFlags) -> Result<Option<Timestamp>, Error> {
    let Some(text) = &flags.override_until else { return Ok(None) };
    match ownership::parse_until(text, context.now()) {
        Ok(until) => Ok(Some(until)),
        Err(why) => Err(Error::usage(why, "such as --override-until 2h")),
    }
}

/// Applies a merge patch (RFC 7386).
pub fn apply(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = value else { return };
    for (key, new) in patch {
        if new.is_null() {
            fields.remove(key);
        } else {
            apply(fields.entry(key.clone()).or_insert(Value::Null), new);
        }
    }
}

/// The merge patch that turns one value into another; none when they are equal.
pub fn difference(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return Some(after.clone());
    };
    let mut patch = serde_json::Map::new();
    for (key, value) in new {
        let changed = match old.get(key) {
            Some(known) => difference(known, value),
            None => Some(value.clone()),
        };
        patch.extend(changed.map(|value| (key.clone(), value)));
    }
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    patch.extend(gone.map(|key| (key.clone(), Value::Null)));
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_applied_is_the_other_value() {
        let values = [
            json!({"a": 1, "b": {"c": [1, 2], "d": "x"}}),
            json!({"a": 2, "b": {"c": [1]}}),
            json!({"b": "text"}),
            json!({"b": {"e": {"f": 1}}}),
            json!({}),
        ];
        for before in &values {
            for after in &values {
                let mut value = before.clone();
                match difference(before, after) {
                    Some(patch) => apply(&mut value, &patch),
                    None => assert_eq!(before, after),
                }
                assert_eq!(value, *after, "{before}");
            }
        }
    }
}
