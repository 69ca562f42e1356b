//! Writing status: one patch, only when something changed.

use std::fmt::Debug;

use hades_api::condition;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::redaction::{Texts, redact};
use crate::{Context, ReconcileError};

/// Field manager of all that controllers write.
pub(crate) const FIELD_MANAGER: &str = "hades-controllers";

/// Writes `after` over `before` when they differ. Values of Secrets don't get in.
pub(crate) async fn write<K, S>(
    context: &Context,
    api: &Api<K>,
    object: &K,
    before: &S,
    after: &S,
) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + Clone + Texts,
{
    let failed = |error: serde_json::Error| ReconcileError::Internal(error.to_string());
    let before = serde_json::to_value(before).map_err(failed)?;
    if serde_json::to_value(after).map_err(failed)? == before {
        return Ok(());
    }
    let mut clear = after.clone();
    redact(&context.redactor_for(object), &mut clear);
    let after = serde_json::to_value(clear).map_err(failed)?;
    let Some(patch) = merge_patch(&before, &after) else { return Ok(()) };
    let name = object.name_any();
    api.patch_status(
        &name,
        &PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() },
        &Patch::Merge(json!({ "status": patch })),
    )
    .await
    .map(|_| ())
    .or_else(ignore_gone)
    .map_err(ReconcileError::api(format!("write the status of {} {name}", K::kind(&()))))
}

/// Sets a condition of `object`: its type and truth, its reason and message.
pub(crate) fn set_condition<K: Resource>(
    conditions: &mut Vec<Condition>,
    object: &K,
    (type_, truth): (&'static str, bool),
    (reason, message): (&str, &str),
    now: Timestamp,
) {
    let value = condition::Value {
        type_,
        status: truth,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    condition::set(conditions, value, object.meta().generation, now);
}

/// An object that went meanwhile needs no status.
fn ignore_gone(error: kube::Error) -> Result<(), kube::Error> {
    match &error {
        kube::Error::Api(status) if status.code == 404 => Ok(()),
        _ => Err(error),
    }
}

/// The merge patch (RFC 7396) over top-level fields that makes `before` into
/// `after`; fields are replaced whole unless they are objects.
fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    let empty = Map::new();
    let before = before.as_object().unwrap_or(&empty);
    let after = after.as_object().unwrap_or(&empty);
    let mut patch = Map::new();
    for (field, value) in after {
        match (before.get(field), value) {
            (Some(old), new) if old == new => {}
            (Some(old @ Value::Object(_)), new @ Value::Object(_)) => {
                if let Some(inner) = merge_patch(old, new) {
                    patch.insert(field.clone(), inner);
                }
            }
            (_, new) => {
                patch.insert(field.clone(), new.clone());
            }
        }
    }
    for field in before.keys().filter(|field| !after.contains_key(*field)) {
        patch.insert(field.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_says_only_what_changed() {
        let before = json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1], "d": 4});
        let after = json!({"a": 1, "b": {"x": 1, "y": 3}, "c": [2]});
        let patch = merge_patch(&before, &after).unwrap();
        assert_eq!(patch, json!({"b": {"y": 3}, "c": [2], "d": null}));
        assert_eq!(merge_patch(&after, &after), None);
    }
}
