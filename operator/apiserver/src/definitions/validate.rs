//! What is wrong with the spec of a definition, field by field and in the words
//! of Kubernetes. Schemas have a module of their own.

use serde_json::Value;

use super::names::{LABEL_RULE, is_label};
use super::spec::{Names, Scale, Spec, Version};
use super::status::{is_true, stored_versions};
use super::{columns, schemas};
use crate::admission::{Cause, CauseReason};

pub(super) fn invalid(field: &str, value: impl std::fmt::Display, rule: &str) -> Cause {
    let message = format!("Invalid value: {value}: {rule}");
    Cause::new(field, CauseReason::FieldValueInvalid, message)
}

pub(super) fn invalid_text(field: &str, value: &str, rule: &str) -> Cause {
    invalid(field, format_args!("{value:?}"), rule)
}

pub(super) fn required(field: &str, hint: &str) -> Cause {
    let message = if hint.is_empty() {
        "Required value".to_owned()
    } else {
        format!("Required value: {hint}")
    };
    Cause::new(field, CauseReason::FieldValueRequired, message)
}

pub(super) fn forbidden(field: &str, why: &str) -> Cause {
    Cause::new(field, CauseReason::FieldValueForbidden, format!("Forbidden: {why}"))
}

pub(super) fn not_supported(field: &str, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    let message =
        format!("Unsupported value: {value:?}: supported values: {}", supported.join(", "));
    Cause::new(field, CauseReason::FieldValueNotSupported, message)
}

/// All that is wrong with a definition. `old` is the stored one of a change.
pub(super) fn causes(definition: &Value, spec: &Spec, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    if name != format!("{}.{}", spec.names.plural, spec.group) {
        let rule = "must be spec.names.plural+\".\"+spec.group";
        causes.push(invalid_text("metadata.name", name, rule));
    }
    group(&spec.group, &mut causes);
    match spec.scope.as_str() {
        "" => causes.push(required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => causes.push(not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    names(&spec.names, &mut causes);
    versions(spec, &mut causes);
    conversion(spec, &mut causes);
    if spec.preserve_unknown_fields {
        let rule = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                    spec.versions[*].schema instead";
        causes.push(invalid("spec.preserveUnknownFields", true, rule));
    }
    if let Some(old) = old {
        immutable(spec, old, &mut causes);
    }
    // Old versions must not go while objects may lie in them.
    for (index, stored) in stored_versions(definition).iter().enumerate() {
        if !spec.versions.iter().any(|version| version.name == *stored) {
            let field = format!("status.storedVersions[{index}]");
            causes.push(invalid_text(&field, stored, "must appear in spec.versions"));
        }
    }
    causes
}

fn group(group: &str, causes: &mut Vec<Cause>) {
    let field = "spec.group";
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if group.is_empty() {
        causes.push(required(field, ""));
    } else if group.len() > 253 || !group.split('.').all(label) {
        let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                    characters, '-' or '.', and must start and end with an alphanumeric character";
        causes.push(invalid_text(field, group, rule));
    } else if !group.contains('.') {
        causes.push(invalid_text(field, group, "should be a domain with at least one dot"));
    }
}

fn names(names: &Names, causes: &mut Vec<Cause>) {
    let Names { plural, singular, kind, list_kind, short_names, categories } = names;
    let mut label = |field: &str, name: &str| {
        if !is_label(name) {
            causes.push(invalid_text(&format!("spec.names.{field}"), name, LABEL_RULE));
        }
    };
    if !plural.is_empty() {
        label("plural", plural);
    }
    if !singular.is_empty() {
        label("singular", singular);
    }
    for (index, name) in short_names.iter().enumerate() {
        label(&format!("shortNames[{index}]"), name);
    }
    for (index, name) in categories.iter().enumerate() {
        label(&format!("categories[{index}]"), name);
    }
    for (field, name) in [("plural", plural), ("kind", kind)] {
        if name.is_empty() {
            causes.push(required(&format!("spec.names.{field}"), ""));
        }
    }
    for (field, name) in [("kind", kind), ("listKind", list_kind)] {
        if !name.is_empty() && !is_label(&name.to_lowercase()) {
            let rule = format!("may have mixed case, but should otherwise match: {LABEL_RULE}");
            causes.push(invalid_text(&format!("spec.names.{field}"), name, &rule));
        }
    }
    if !kind.is_empty() && kind == list_kind {
        let rule = "kind and listKind may not be the same";
        causes.push(invalid_text("spec.names.listKind", list_kind, rule));
    }
}

fn versions(spec: &Spec, causes: &mut Vec<Cause>) {
    let names: Vec<&str> = spec.versions.iter().map(|version| version.name.as_str()).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    let mut whole = |rule| causes.push(invalid("spec.versions", format_args!("{names:?}"), rule));
    if unique.len() != names.len() {
        whole("must contain unique version names");
    }
    if spec.versions.iter().filter(|version| version.storage).count() != 1 {
        whole("must have exactly one version marked as storage version");
    }
    for (index, version) in spec.versions.iter().enumerate() {
        one_version(version, &format!("spec.versions[{index}]"), causes);
    }
}

fn one_version(version: &Version, path: &str, causes: &mut Vec<Cause>) {
    if !is_label(&version.name) {
        causes.push(invalid_text(&format!("{path}.name"), &version.name, LABEL_RULE));
    }
    if let Some(text) = &version.deprecation_warning {
        let field = format!("{path}.deprecationWarning");
        if !version.deprecated {
            causes.push(invalid_text(&field, text, "can only be set for deprecated versions"));
        } else if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            let rule = "must be between 1 and 256 bytes without control characters";
            causes.push(invalid_text(&field, text, rule));
        }
    }
    match version.schema() {
        None => {
            let field = format!("{path}.schema.openAPIV3Schema");
            causes.push(required(&field, "schemas are required"));
        }
        Some(schema) => causes.extend(schemas::causes(schema, &format!("{path}.schema"))),
    }
    causes.extend(columns::causes(&version.additional_printer_columns, path));
    if let Some(paths) = version.scale() {
        scale(paths, &format!("{path}.subresources.scale"), causes);
    }
    for (index, selectable) in version.selectable_fields.iter().enumerate() {
        let field = format!("{path}.selectableFields[{index}].jsonPath");
        simple_path(&selectable.json_path, &field, &[], causes);
    }
}

fn scale(paths: &Scale, path: &str, causes: &mut Vec<Cause>) {
    let Scale { spec_replicas_path, status_replicas_path, label_selector_path } = paths;
    simple_path(spec_replicas_path, &format!("{path}.specReplicasPath"), &["spec"], causes);
    simple_path(status_replicas_path, &format!("{path}.statusReplicasPath"), &["status"], causes);
    if let Some(selector) = label_selector_path {
        let field = format!("{path}.labelSelectorPath");
        simple_path(selector, &field, &["spec", "status"], causes);
    }
}

/// Checks a path such as `.spec.replicas`: plain names with dots, below one of
/// the fields `under`.
fn simple_path(path: &str, field: &str, under: &[&str], causes: &mut Vec<Cause>) {
    if path.is_empty() {
        causes.push(required(field, ""));
        return;
    }
    let Some(names) = dotted(path) else {
        let rule =
            "should be a simple json path such as .spec.replicas: names with dots in between";
        causes.push(invalid_text(field, path, rule));
        return;
    };
    let below = names.len() > 1 && names.first().is_some_and(|first| under.contains(first));
    if !under.is_empty() && !below {
        let places: Vec<String> = under.iter().map(|name| format!(".{name}")).collect();
        let rule = format!("should be a json path under {}", places.join(" or "));
        causes.push(invalid_text(field, path, &rule));
    }
}

/// The names of a dotted path; `None` where it is none.
pub(crate) fn dotted(path: &str) -> Option<Vec<&str>> {
    let plain = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let names: Vec<&str> = path.strip_prefix('.')?.split('.').collect();
    names.iter().all(plain).then_some(names)
}

fn conversion(spec: &Spec, causes: &mut Vec<Cause>) {
    let Some(conversion) = &spec.conversion else {
        return;
    };
    let field = "spec.conversion.strategy";
    match conversion.strategy.as_str() {
        "None" => {}
        "" => causes.push(required(field, "")),
        "Webhook" => {
            let mut cause = not_supported(field, "Webhook", &["None"]);
            cause.message.push_str(
                "; this server calls no conversion webhooks: serve versions that differ in \
                 nothing but their schemas",
            );
            causes.push(cause);
        }
        other => causes.push(not_supported(field, other, &["None"])),
    }
    if conversion.strategy == "None" && conversion.webhook.is_some() {
        let why = "should not be set when strategy is not set to Webhook";
        causes.push(forbidden("spec.conversion.webhook", why));
    }
}

/// What can't change: the address of the objects never, their scope and kind not
/// once there may be some.
fn immutable(spec: &Spec, old: &Value, causes: &mut Vec<Cause>) {
    let Ok(before) = Spec::read(old) else {
        return;
    };
    let mut same = |field: &str, new: &str, old: &str| {
        if new != old {
            causes.push(invalid_text(field, new, "field is immutable"));
        }
    };
    same("spec.group", &spec.group, &before.group);
    same("spec.names.plural", &spec.names.plural, &before.names.plural);
    if is_true(old, "Established") {
        same("spec.scope", &spec.scope, &before.scope);
        same("spec.names.kind", &spec.names.kind, &before.names.kind);
    }
}

#[cfg(test)]
mod tests;
