//! The checks of an object before it is stored.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use super::Call;
use super::limits::check_depth;
use super::metadata::spec_changed;
use super::metadata_rules;
use super::options::{FieldValidation, WriteKind};
use super::{escalation, owner_rights, roles};
use crate::admission::{Admission, Cause};
use crate::definitions;
use crate::registry::Nature;
use crate::seal::secret;
use crate::state::GroupVersionKind;
use crate::wire::status::StatusError;

/// Prunes, defaults and validates `new`; answers the warnings for the client.
/// `duplicates` are the keys that the body held twice.
pub(super) fn admit(
    call: &Call<'_>,
    new: &mut Value,
    old: Option<&Value>,
    duplicates: &[String],
) -> Result<Vec<String>, StatusError> {
    check_depth(new)?;
    let name = super::text(new, "name").to_owned();
    if call.resource.nature != Nature::Custom {
        drop_nulls(new);
    }
    let mut warnings = unknown_fields(call, new, duplicates)?;
    if let Err(error) = ObjectMeta::deserialize(&new["metadata"]) {
        return Err(StatusError::bad_request(format!("metadata: {error}")));
    }
    let mut causes = Vec::new();
    if call.resource.nature == Nature::Definition {
        definitions::fill_in(new);
    }
    if roles::is_of_rights(call.resource) {
        roles::fill_in(call.resource, new);
    }
    if call.resource.nature == Nature::Secret {
        causes.extend(secret::fold(new));
        causes.extend(secret::unmask(&call.state.keyring, new, old));
        causes.extend(secret::size_causes(new));
        causes.extend(old.and_then(|old| secret::type_causes(new, old)));
        secret::mask_last_applied(&call.state.keyring, new);
    }
    if let Some(old) = old
        && matches!(call.resource.info.kind.as_str(), "Secret" | "ConfigMap")
    {
        causes.extend(secret::immutable_causes(new, old));
    }
    call.resource.schema.apply_defaults(new);
    causes.extend(metadata_rules::causes(new, old));
    warnings.extend(metadata_rules::finalizer_warnings(new, old));
    let touched = Touched::of(call, new, old);
    let mut wrong = call.resource.schema.validate(new, old);
    if call.resource.nature == Nature::Secret {
        // The words of the schema repeat what they complain about, and `fold`
        // has said what is wrong with data.
        wrong.retain(|cause| !cause.field.starts_with("data"));
    }
    wrong.retain(|cause| touched.concerns(cause));
    causes.extend(wrong);
    if causes.is_empty() && call.resource.nature == Nature::Definition {
        causes.extend(definitions::causes(call.state, new, old));
    }
    if causes.is_empty() && roles::is_of_rights(call.resource) {
        causes.extend(roles::causes(call.resource, new, old));
    }
    // Validators may rely on what the schema promises.
    if causes.is_empty() {
        let info = &call.resource.info;
        let kind = GroupVersionKind::gvk(&info.group, &info.version, &info.kind);
        let admission = Admission {
            kind: &kind,
            namespace: call.namespace.unwrap_or_default(),
            name: &name,
            object: new,
            old,
            caller: call.caller,
            surroundings: call.state,
        };
        for validator in &call.state.validators {
            let mut wrong = validator.validate(&admission);
            wrong.retain(|cause| touched.concerns(cause));
            causes.extend(wrong);
            warnings.extend(validator.warnings(&admission));
        }
    }
    if !causes.is_empty() {
        return Err(call.invalid(&name, causes));
    }
    escalation::check(call, new, old)?;
    owner_rights::check(call, new, old)?;
    Ok(warnings)
}

/// Which halves of an object a write changes. What it leaves alone is not
/// checked again: an object that an older definition allowed must still get its
/// status, and lose its finalizers.
#[derive(Clone, Copy)]
struct Touched {
    spec: bool,
    status: bool,
}

impl Touched {
    fn of(call: &Call<'_>, new: &Value, old: Option<&Value>) -> Self {
        match old {
            Some(old) => Self {
                spec: spec_changed(call.resource, old, new),
                status: old["status"] != new["status"],
            },
            None => Self { spec: true, status: true },
        }
    }

    fn concerns(self, cause: &Cause) -> bool {
        match cause.field.split(['.', '[']).next() {
            Some("metadata") => true,
            Some("status") => self.status,
            _ => self.spec,
        }
    }
}

/// Clients written in Go send null for what is empty in the built-in kinds.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Takes out what the schema doesn't know: an error, warnings or nothing, as the
/// client asked.
pub(super) fn unknown_fields(
    call: &Call<'_>,
    new: &mut Value,
    duplicates: &[String],
) -> Result<Vec<String>, StatusError> {
    let mut unknown = call.resource.schema.prune(new);
    if call.resource.nature == Nature::Definition {
        unknown.extend(definitions::prune(new));
    }
    let problems: Vec<String> = duplicates
        .iter()
        .map(|path| format!("duplicate field {path:?}"))
        .chain(unknown.iter().map(|field| match &field.nearest {
            Some(nearest) => {
                format!("unknown field {:?} (did you mean {nearest:?}?)", field.path)
            }
            None => format!("unknown field {:?}", field.path),
        }))
        .collect();
    match call.options.field_validation {
        FieldValidation::Strict if !problems.is_empty() => Err(strict(call, &problems)),
        FieldValidation::Ignore => Ok(Vec::new()),
        _ => Ok(problems),
    }
}

fn strict(call: &Call<'_>, problems: &[String]) -> StatusError {
    let error = StatusError::strict_decoding(problems);
    if matches!(call.options.kind, WriteKind::Patch | WriteKind::Apply) {
        return error;
    }
    let info = &call.resource.info;
    StatusError::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: {error}",
        info.kind, info.version, info.kind
    ))
}
