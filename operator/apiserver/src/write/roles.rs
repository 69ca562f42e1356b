//! Roles and bindings: what is filled in, and what is wrong with them, in the
//! words of Kubernetes.

use serde_json::{Value, json};

use super::names::{path_segment_errors, qualified_name_errors, subdomain_errors};
use crate::admission::{Cause, CauseReason};
use crate::authz::GROUP;
use crate::registry::Resource;

/// Whether objects of a resource are what rights are made of.
pub(crate) fn is_of_rights(resource: &Resource) -> bool {
    resource.custom.is_none() && resource.info.group == GROUP
}

/// How many combinations of a verb, a group, a resource and a name (or of a verb and
/// a path) the rules of one role may come to: whoever grants them must hold each.
const MAX_COMBINATIONS: usize = 4096;

fn is_role(resource: &Resource) -> bool {
    matches!(resource.info.kind.as_str(), "Role" | "ClusterRole")
}

fn items<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// Fills in what clients leave out: the API groups of subjects and of the role.
pub(crate) fn fill_in(resource: &Resource, object: &mut Value) {
    if is_role(resource) {
        for rule in object["rules"].as_array_mut().into_iter().flatten() {
            // So that its absence is complained of in the same words.
            if rule.is_object() && rule["verbs"].is_null() {
                rule["verbs"] = json!([]);
            }
        }
        return;
    }
    let fill = |of: &mut Value| {
        if of.is_object() && text(of, "apiGroup").is_empty() {
            of["apiGroup"] = Value::from(GROUP);
        }
    };
    if object["roleRef"].is_object() {
        fill(&mut object["roleRef"]);
    }
    for subject in object["subjects"].as_array_mut().into_iter().flatten() {
        if matches!(text(subject, "kind"), "User" | "Group") {
            fill(subject);
        }
    }
}

fn required(field: &str, message: &str) -> Cause {
    let message = if message.is_empty() {
        "Required value".to_owned()
    } else {
        format!("Required value: {message}")
    };
    Cause::new(field, CauseReason::FieldValueRequired, message)
}

fn invalid(field: &str, value: &Value, message: &str) -> Cause {
    let message = format!("Invalid value: {value}: {message}");
    Cause::new(field, CauseReason::FieldValueInvalid, message)
}

fn unsupported(field: &str, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    let message =
        format!("Unsupported value: {value:?}: supported values: {}", supported.join(", "));
    Cause::new(field, CauseReason::FieldValueNotSupported, message)
}

/// What is wrong with a role or binding.
pub(super) fn causes(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if !is_role(resource) {
        return binding_causes(resource, new, old);
    }
    let mut causes = Vec::new();
    // What is stored stays good, so that such a role can lose its finalizers.
    if old.is_none_or(|old| old["rules"] != new["rules"]) {
        causes.extend(too_many(new));
    }
    for (index, rule) in items(new, "rules").iter().enumerate() {
        rule_causes(&format!("rules[{index}]"), rule, resource.info.namespaced, &mut causes);
    }
    if let Some(rule) = new.get("aggregationRule") {
        let field = "aggregationRule.clusterRoleSelectors";
        let selectors = items(rule, "clusterRoleSelectors");
        if selectors.is_empty() {
            let message = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            causes.push(required(field, message));
        }
        for (index, selector) in selectors.iter().enumerate() {
            selector_causes(&format!("{field}[{index}]"), selector, &mut causes);
        }
    }
    causes
}

/// Says when the rules come to more than anybody should have to hold. What a role
/// gathers is not written by hand, and counts where it comes from.
fn too_many(role: &Value) -> Option<Cause> {
    if !role["aggregationRule"].is_null() {
        return None;
    }
    let combinations = items(role, "rules")
        .iter()
        .map(|rule| {
            let count = |field: &str| items(rule, field).len();
            let objects = count("apiGroups")
                .saturating_mul(count("resources"))
                .saturating_mul(count("resourceNames").max(1));
            count("verbs").saturating_mul(objects.saturating_add(count("nonResourceURLs")))
        })
        .fold(0, usize::saturating_add);
    (combinations > MAX_COMBINATIONS).then(|| {
        let message = format!(
            "Too many: {combinations}: the verbs, API groups, resources and names of all rules \
             must come to at most {MAX_COMBINATIONS} combinations; use \"*\", or several roles"
        );
        Cause::new("rules", CauseReason::FieldValueTooMany, message)
    })
}

fn rule_causes(field: &str, rule: &Value, namespaced: bool, causes: &mut Vec<Cause>) {
    if items(rule, "verbs").is_empty() {
        let message = "verbs must contain at least one value";
        causes.push(required(&format!("{field}.verbs"), message));
    }
    if !items(rule, "nonResourceURLs").is_empty() {
        let (field, urls) = (format!("{field}.nonResourceURLs"), &rule["nonResourceURLs"]);
        if namespaced {
            let message = "namespaced rules cannot apply to non-resource URLs";
            causes.push(invalid(&field, urls, message));
        }
        let others = ["apiGroups", "resources", "resourceNames"];
        if others.iter().any(|other| !items(rule, other).is_empty()) {
            let message = "rules cannot apply to both regular resources and non-resource URLs";
            causes.push(invalid(&field, urls, message));
        }
        return;
    }
    for (name, what) in [("apiGroups", "api group"), ("resources", "resource")] {
        if items(rule, name).is_empty() {
            let message = format!("resource rules must supply at least one {what}");
            causes.push(required(&format!("{field}.{name}"), &message));
        }
    }
}

fn selector_causes(field: &str, selector: &Value, causes: &mut Vec<Cause>) {
    for (key, _) in selector["matchLabels"].as_object().into_iter().flatten() {
        for error in qualified_name_errors(key) {
            causes.push(invalid(&format!("{field}.matchLabels"), &json!(key), &error));
        }
    }
    for (index, one) in items(selector, "matchExpressions").iter().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        let operator = text(one, "operator");
        let values = !items(one, "values").is_empty();
        match operator {
            "In" | "NotIn" if !values => {
                let message = "must be specified when `operator` is 'In' or 'NotIn'";
                causes.push(required(&format!("{field}.values"), message));
            }
            "Exists" | "DoesNotExist" if values => {
                let message = "Forbidden: may not be specified when `operator` is 'Exists' or \
                               'DoesNotExist'";
                let reason = CauseReason::FieldValueForbidden;
                causes.push(Cause::new(format!("{field}.values"), reason, message));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => causes.push(invalid(
                &format!("{field}.operator"),
                &one["operator"],
                "not a valid selector operator",
            )),
        }
        for error in qualified_name_errors(text(one, "key")) {
            causes.push(invalid(&format!("{field}.key"), &one["key"], &error));
        }
    }
}

fn binding_causes(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let role = &new["roleRef"];
    let kinds: &[&str] =
        if resource.info.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if text(role, "apiGroup") != GROUP {
        causes.push(unsupported("roleRef.apiGroup", text(role, "apiGroup"), &[GROUP]));
    }
    if !kinds.contains(&text(role, "kind")) {
        causes.push(unsupported("roleRef.kind", text(role, "kind"), kinds));
    }
    if text(role, "name").is_empty() {
        causes.push(required("roleRef.name", ""));
    }
    for error in path_segment_errors(text(role, "name")) {
        causes.push(invalid("roleRef.name", &role["name"], &error));
    }
    for (index, subject) in items(new, "subjects").iter().enumerate() {
        let namespaced = resource.info.namespaced;
        subject_causes(&format!("subjects[{index}]"), subject, namespaced, &mut causes);
    }
    if old.is_some_and(|old| old["roleRef"] != *role) {
        causes.push(invalid("roleRef", role, "cannot change roleRef"));
    }
    causes
}

fn subject_causes(field: &str, subject: &Value, namespaced: bool, causes: &mut Vec<Cause>) {
    let (kind, name) = (text(subject, "kind"), text(subject, "name"));
    let group = text(subject, "apiGroup");
    if name.is_empty() {
        causes.push(required(&format!("{field}.name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                let errors = subdomain_errors(name);
                causes.extend(
                    errors
                        .iter()
                        .map(|error| invalid(&format!("{field}.name"), &json!(name), error)),
                );
            }
            if !group.is_empty() {
                causes.push(unsupported(&format!("{field}.apiGroup"), group, &[""]));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                causes.push(required(&format!("{field}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                causes.push(unsupported(&format!("{field}.apiGroup"), group, &[GROUP]));
            }
        }
        _ => {
            let kinds = ["ServiceAccount", "User", "Group"];
            causes.push(unsupported(&format!("{field}.kind"), kind, &kinds));
        }
    }
}
