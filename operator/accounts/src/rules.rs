//! Rules: who may decide as whom somebody logs in.
//!
//! Whoever can log in as a user can do all that the user may. So to decide how a
//! user logs in, or which groups he is in, takes the right to `impersonate` that
//! user and each of the groups: nobody gets rights by it that he couldn't use
//! already.

use hades_api::GROUP;
use hades_apiserver::{Admission, Cause, CauseReason, Right, Validator};
use serde_json::Value;

/// Keeps users from being given rights that whoever gives them hasn't.
#[derive(Clone, Copy, Debug)]
pub struct UserRules;

/// The first of the rights to be a user and in each of these groups that is
/// missing.
pub(crate) fn missing<'a>(
    user: &'a str,
    groups: &'a [String],
    may: impl Fn(Right<'a>) -> bool,
) -> Option<Right<'a>> {
    let impersonate =
        |resource, name| Right { verb: "impersonate", resource, name, ..Right::default() };
    std::iter::once(impersonate("users", user))
        .chain(groups.iter().map(|group| impersonate("groups", group.as_str())))
        .find(|right| !may(*right))
}

/// What of a User lets somebody in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Access {
    groups: Vec<String>,
    disabled: bool,
    robot: bool,
}

impl Access {
    fn of(object: &Value) -> Self {
        let spec = &object["spec"];
        let groups = spec["groups"].as_array().into_iter().flatten();
        let mut groups: Vec<String> = groups.filter_map(Value::as_str).map(str::to_owned).collect();
        groups.sort();
        groups.dedup();
        let is = |field: &str| spec[field].as_bool().unwrap_or_default();
        Self { groups, disabled: is("disabled"), robot: is("robot") }
    }
}

/// The field whose change needs the rights, and the groups that they are about.
fn decided(old: Option<&Value>, new: &Value) -> Option<(&'static str, Vec<String>)> {
    let new = Access::of(new);
    let Some(old) = old.map(Access::of) else {
        return Some(("spec.groups", new.groups));
    };
    if old.groups != new.groups {
        let mut groups = new.groups;
        groups.extend(old.groups);
        groups.sort();
        groups.dedup();
        return Some(("spec.groups", groups));
    }
    if old.disabled && !new.disabled {
        return Some(("spec.disabled", new.groups));
    }
    // A robot that becomes a person may have a password.
    (old.robot != new.robot).then_some(("spec.robot", new.groups))
}

impl Validator for UserRules {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        let Admission { kind, name, object, old, caller, surroundings, .. } = *admission;
        if kind.group != GROUP || kind.kind != "User" {
            return Vec::new();
        }
        let Some((field, groups)) = decided(old, object) else { return Vec::new() };
        let missing = missing(name, &groups, |right| surroundings.may(caller, right));
        missing.map(|right| refused(field, &caller.name, right)).into_iter().collect()
    }
}

fn refused(field: &str, caller: &str, right: Right<'_>) -> Cause {
    let Right { resource, name, .. } = right;
    let words = format!(
        "Forbidden: User {caller:?} cannot impersonate resource {resource:?} {name:?} in API group \
         \"\" at the cluster scope: whoever decides this could log in as such a user"
    );
    Cause::new(field, CauseReason::FieldValueForbidden, words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_group_is_asked_for() {
        let groups = ["dev".to_owned(), "ops".to_owned()];
        let first_missing = |had: &[(&str, &str)]| {
            missing("jane", &groups, |right| {
                assert_eq!((right.verb, right.group, right.namespace), ("impersonate", "", ""));
                had.contains(&(right.resource, right.name))
            })
            .map(|right| right.name)
        };
        assert_eq!(first_missing(&[]), Some("jane"));
        assert_eq!(first_missing(&[("users", "jane"), ("groups", "dev")]), Some("ops"));
        let all = [("users", "jane"), ("groups", "dev"), ("groups", "ops")];
        assert_eq!(first_missing(&all), None);
    }

    #[test]
    fn what_lets_somebody_in_is_decided() {
        let user = |spec: Value| json!({"spec": spec});
        let old = user(json!({"groups": ["dev"], "displayName": "Jane"}));
        let groups = |list: &[&str]| list.iter().map(|group| (*group).to_owned()).collect();
        let cases = [
            (json!({"groups": ["dev"], "displayName": "Joe"}), None),
            (json!({"groups": ["dev", "dev"], "email": "a@b"}), None),
            (json!({"groups": ["dev"], "disabled": true}), None),
            (json!({"groups": ["ops"]}), Some(("spec.groups", groups(&["dev", "ops"])))),
            (json!({}), Some(("spec.groups", groups(&["dev"])))),
            (json!({"groups": ["dev"], "robot": true}), Some(("spec.robot", groups(&["dev"])))),
        ];
        for (new, expected) in cases {
            assert_eq!(decided(Some(&old), &user(new.clone())), expected, "{new}");
        }
        assert_eq!(decided(None, &old), Some(("spec.groups", groups(&["dev"]))));
        let disabled = user(json!({"groups": ["dev"], "disabled": true}));
        assert_eq!(decided(Some(&disabled), &old), Some(("spec.disabled", groups(&["dev"]))));
    }
}
