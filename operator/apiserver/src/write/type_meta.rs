//! `apiVersion` and `kind` of a body.

use serde_json::Value;

use crate::admission::{Cause, CauseReason};
use crate::registry::{Nature, Resource};
use crate::wire::status::StatusError;

/// Checks that apiVersion and kind are those of the path. As on Kubernetes, a
/// built-in kind that leaves them out gets them from the path, and a custom
/// resource must name both.
///
/// # Errors
/// 400 and, for the wrong kind of custom resource, 422.
pub(crate) fn check_type(resource: &Resource, object: &mut Value) -> Result<(), StatusError> {
    let info = &resource.info;
    let Some(members) = object.as_object_mut() else {
        return Err(StatusError::bad_request(format!(
            "the body must be a single object of the kind {}",
            info.kind
        )));
    };
    let builtin = resource.nature != Nature::Custom;
    let expected = info.api_version();
    for (field, value) in [("apiVersion", &expected), ("kind", &info.kind)] {
        let given = members.get(field);
        let empty = given.is_none_or(|given| given.is_null() || given.as_str() == Some(""));
        if empty && builtin {
            members.insert(field.to_owned(), Value::from(value.as_str()));
        } else if empty && field == "kind" {
            return Err(StatusError::bad_request("Object 'Kind' is missing"));
        } else if !empty && !given.is_some_and(Value::is_string) {
            return Err(StatusError::bad_request(format!("{field}: must be a string")));
        }
    }
    let text = |field: &str| members.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version == expected && kind == info.kind {
        return Ok(());
    }
    if builtin && kind != info.kind {
        let version = version.rsplit('/').next().unwrap_or_default();
        return Err(StatusError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}",
            info.kind
        )));
    }
    if version != expected {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({expected})"
        )));
    }
    let cause = Cause::new(
        "kind",
        CauseReason::FieldValueInvalid,
        format!("Invalid value: {kind:?}: must be {}", info.kind),
    );
    let name = super::text(object, "name");
    Err(StatusError::invalid(&info.group, &info.kind, name, vec![cause]))
}
