//! Nobody grants what he doesn't hold.
//!
//! Who writes a role must hold all its rules, or the right to `escalate` it; who
//! writes a binding must hold all the rules of its role, or the right to `bind` it.
//! As on Kubernetes, this is asked at every write that isn't only about owners and
//! finalizers, so that nobody gives a role of others a label by which a third one
//! gathers it.

use serde::Deserialize;
use serde_json::Value;

use super::roles::is_of_rights;
use super::{Call, text};
use crate::authz::{self, GROUP, RoleRef, Rule, quoted};
use crate::wire::status::StatusError;

/// How many of the missing rules an answer tells.
const TOLD: usize = 10;

/// Metadata that the server and its garbage collection change.
const OWN_FIELDS: [&str; 4] = ["ownerReferences", "finalizers", "managedFields", "resourceVersion"];

/// Refuses a write by which its caller, or somebody else, would get rights that
/// the caller has not.
///
/// # Errors
/// 403 with the rights that are missing; 404 where the role of a binding is not
/// there, so that nobody knows what he would grant.
pub(super) fn check(call: &Call<'_>, new: &Value, old: Option<&Value>) -> Result<(), StatusError> {
    if !is_of_rights(call.resource)
        || authz::is_administrator(call.caller)
        || old.is_some_and(|old| without_own(old) == without_own(new))
    {
        return Ok(());
    }
    match call.resource.info.kind.as_str() {
        "Role" | "ClusterRole" => check_role(call, new, old),
        _ => check_binding(call, new),
    }
}

fn without_own(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| !OWN_FIELDS.contains(&field.as_str()));
    }
    object
}

fn forbidden(call: &Call<'_>, object: &Value, message: impl std::fmt::Display) -> StatusError {
    StatusError::forbidden(GROUP, &call.resource.info.plural, text(object, "name"), message)
}

fn check_role(call: &Call<'_>, new: &Value, old: Option<&Value>) -> Result<(), StatusError> {
    // A new role has no name yet that a right could name, as on Kubernetes.
    let name = if old.is_some() { text(new, "name") } else { "" };
    if call.may("escalate", &call.resource.info.plural, name).is_allowed() {
        return Ok(());
    }
    let rules = Vec::<Rule>::deserialize(&new["rules"]).unwrap_or_default();
    check_rules(call, new, &rules)?;
    let gathers = |object: &Value| !object["aggregationRule"].is_null();
    let everything = Rule::everything();
    if (gathers(new) || old.is_some_and(gathers))
        && !call.state.rights.holds(call.caller, "", &everything)
    {
        return Err(forbidden(
            call,
            new,
            "must have cluster-admin privileges to use the aggregationRule",
        ));
    }
    Ok(())
}

fn check_binding(call: &Call<'_>, new: &Value) -> Result<(), StatusError> {
    let role = RoleRef::deserialize(&new["roleRef"]).map_err(StatusError::internal)?;
    let namespace = call.namespace.unwrap_or_default();
    if call.may("bind", role.kind.plural(), &role.name).is_allowed() {
        return Ok(());
    }
    match call.state.rights.rules_of(&role, namespace) {
        Ok(rules) => check_rules(call, new, &rules),
        Err(problem) => {
            let error = StatusError::not_found(GROUP, role.kind.plural(), &role.name);
            Err(error.saying(problem))
        }
    }
}

fn check_rules(call: &Call<'_>, object: &Value, rules: &[Rule]) -> Result<(), StatusError> {
    let (caller, namespace) = (call.caller, call.namespace.unwrap_or_default());
    let Some(lacking) = call.state.rights.lacking(caller, namespace, rules) else {
        let message = format!(
            "user {:?} holds too many rules to compare them with what would be granted: grant it \
             in smaller roles, or have somebody grant it who may do everything",
            caller.name
        );
        return Err(forbidden(call, object, message));
    };
    if lacking.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = lacking.iter().map(Rule::describe).collect();
    lines.sort_unstable();
    let more = lines.len().saturating_sub(TOLD);
    lines.truncate(TOLD);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let message = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        caller.name,
        quoted(&caller.groups),
        lines.join("\n")
    );
    Err(forbidden(call, object, message))
}
