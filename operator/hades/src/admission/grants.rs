//! Nobody hands out what he doesn't hold. A HadesProject binds roles to its members,
//! its policy decides what containers may do to their hosts, and a ConfigRepository
//! acts as an account that is bound to a role: whoever writes them needs the right to
//! do the same by hand.

use hades_api::role::{CONFIG_REPOSITORY, FLEET_REPOSITORY, PROJECT_POLICY};
use hades_api::{GROUP, Member, SYSTEM_NAMESPACE};
use hades_apiserver::{Admission, Cause, Right, Validator};
use serde::Deserialize;
use serde_json::Value;

use super::forbidden;

/// Fields of a ConfigRepository that don't decide what it applies.
const HARMLESS: [&str; 2] = ["interval", "suspend"];

/// Checks who hands out rights.
pub(super) struct Grants;

impl Validator for Grants {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        if admission.kind.group != GROUP {
            return Vec::new();
        }
        match admission.kind.kind.as_str() {
            "HadesProject" => members(admission).into_iter().chain(policy(admission)).collect(),
            "ConfigRepository" => repository(admission).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn members_of(object: Option<&Value>) -> Vec<Member> {
    let members = object.map(|object| &object["spec"]["members"]);
    // What can't be read is refused by another check.
    members.and_then(|members| Vec::deserialize(members).ok()).unwrap_or_default()
}

fn members(admission: &Admission<'_>) -> Vec<Cause> {
    let Admission { name: project, caller, surroundings, .. } = *admission;
    let known = members_of(admission.old);
    let new = members_of(Some(admission.object));
    let lent = new.iter().enumerate().filter(|(_, member)| !known.contains(member));
    lent.filter(|(_, member)| !surroundings.may_bind(caller, member.role.cluster_role(), project))
        .map(|(index, member)| {
            let role = member.role;
            let why = format!(
                "user {:?} may not make anybody {role} of project {project}: that needs the right \
                 to bind ClusterRole {} in namespace {project}, or all that it gives",
                caller.name,
                role.cluster_role()
            );
            forbidden(format!("spec.members[{index}].role"), &why)
        })
        .collect()
}

fn policy(admission: &Admission<'_>) -> Option<Cause> {
    let Admission { name: project, caller, surroundings, object, old, .. } = *admission;
    let before = old.map_or(&Value::Null, |old| &old["spec"]["policy"]);
    if object["spec"]["policy"] == *before {
        return None;
    }
    let (resource, subresource) = PROJECT_POLICY;
    let right = Right {
        verb: "update",
        group: GROUP,
        resource,
        subresource,
        name: project,
        ..Right::default()
    };
    let why = format!(
        "user {:?} may not change what the project's containers may do to their hosts: that needs \
         the right to update {resource}/{subresource} in group {GROUP}",
        caller.name
    );
    (!surroundings.may(caller, right)).then(|| forbidden("spec.policy", &why))
}

fn decisive(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|field, _| !HARMLESS.contains(&field.as_str()));
    }
    spec
}

fn repository(admission: &Admission<'_>) -> Option<Cause> {
    let Admission { namespace, caller, surroundings, object, old, .. } = *admission;
    if old.is_some_and(|old| decisive(old) == decisive(object)) {
        return None;
    }
    let (role, place) = match namespace {
        SYSTEM_NAMESPACE => (FLEET_REPOSITORY, ""),
        namespace => (CONFIG_REPOSITORY, namespace),
    };
    let why = format!(
        "user {:?} may not decide what a repository in namespace {namespace} applies: it acts with \
         ClusterRole {role}, so that needs the right to bind that role {}, or all that it gives",
        caller.name,
        if place.is_empty() { "everywhere" } else { "there" }
    );
    (!surroundings.may_bind(caller, role, place)).then(|| forbidden("spec", &why))
}

#[cfg(test)]
mod tests {
    use hades_apiserver::{GroupVersionKind, Identity, Surroundings};
    use serde_json::json;

    use super::*;

    /// Nothing is there, and one right is held.
    struct One(Right<'static>);

    impl Surroundings for One {
        fn stored(&self, _: &str, _: &str, _: &str) -> Option<Value> {
            None
        }

        fn all(&self, _: &str, _: &str) -> Vec<Value> {
            Vec::new()
        }

        fn may(&self, _: &Identity, right: Right<'_>) -> bool {
            right == self.0
        }

        fn may_bind(&self, _: &Identity, _: &str, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn a_policy_is_changed_by_those_who_may() {
        let right = Right {
            verb: "update",
            group: GROUP,
            resource: "hadesprojects",
            subresource: "policy",
            name: "shop",
            ..Right::default()
        };
        let (holder, other) = (One(right), One(Right { subresource: "", ..right }));
        let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", "HadesProject");
        let caller = Identity::of_user("clerk", Vec::new());
        let (none, some) = (json!({"spec": {}}), json!({"spec": {"policy": {"privileged": true}}}));
        let other_fields = json!({"spec": {"policy": {"privileged": true}, "suspend": true}});
        for (old, new, needed) in [
            (None, &none, false),
            (None, &some, true),
            (Some(&none), &some, true),
            (Some(&some), &none, true),
            (Some(&some), &other_fields, false),
        ] {
            for (surroundings, may) in [(&holder, true), (&other, false)] {
                let admission = Admission {
                    kind: &kind,
                    namespace: "",
                    name: "shop",
                    object: new,
                    old,
                    caller: &caller,
                    surroundings,
                };
                let causes = Grants.validate(&admission);
                let expected = if needed && !may { vec!["spec.policy"] } else { Vec::new() };
                let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
                assert_eq!(fields, expected, "{new}");
            }
        }
    }
}
