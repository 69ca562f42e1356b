//! The scale subresource: the number of replicas, and nothing else, of any kind
//! that has one.

use serde_json::{Map, Value, json};

use super::options::FieldValidation;
use super::update::{Candidate, Tracking, applied_over, modify, patched};
use super::{Call, Outcome, Patch, check_type, text};
use crate::admission::{Cause, CauseReason};
use crate::registry::{Resource, ScalePaths, scale};
use crate::wire::status::StatusError;

/// The metadata that a scale shares with its object.
const METADATA: [&str; 5] = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];

/// The paths behind the scale of a resource.
fn paths(resource: &Resource) -> Result<&ScalePaths, StatusError> {
    let paths = resource.custom.as_ref().and_then(|custom| custom.scale.as_ref());
    paths.ok_or_else(StatusError::no_such_path)
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, name| value.get(name))
}

/// The scale of an object. Replicas that nobody set are left out.
pub(crate) fn scale_of(resource: &Resource, object: &Value) -> Result<Value, StatusError> {
    let paths = paths(resource)?;
    let metadata: Map<String, Value> = METADATA
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), object["metadata"].get(*name)?.clone())))
        .collect();
    let count = |path: &[String]| at(object, path).filter(|value| value.is_i64()).cloned();
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {},
        "status": {"replicas": count(&paths.status_replicas).unwrap_or_else(|| json!(0))},
    });
    if let Some(replicas) = count(&paths.spec_replicas) {
        scale["spec"]["replicas"] = replicas;
    }
    let selector = paths.selector.as_deref().and_then(|path| at(object, path));
    if let Some(selector) = selector.filter(|selector| selector.is_string()) {
        scale["status"]["selector"] = selector.clone();
    }
    Ok(scale)
}

/// PUT of a scale. `duplicates` are keys that the body held twice.
pub(crate) async fn replace_scale(
    call: Call<'_>,
    name: &str,
    mut scale: Value,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    check_type(self::scale(), &mut scale)?;
    check_fields(call, &mut scale)?;
    let compute = |old: &Value| scaled(call, old, &scale);
    modify(call, name, Some(SUBRESOURCE), duplicates, compute).await
}

/// PATCH of a scale.
pub(crate) async fn patch_scale(
    call: Call<'_>,
    name: &str,
    body: Patch,
    duplicates: &[String],
) -> Result<Outcome, StatusError> {
    let compute = |old: &Value| match &body {
        Patch::Apply(applied) => applied_scale(call, old, applied),
        body => {
            let before = scale_of(call.resource, old)?;
            let patched = patched(Call { resource: self::scale(), ..call }, &before, body)?;
            scaled(call, old, &patched.object)
        }
    };
    modify(call, name, Some(SUBRESOURCE), duplicates, compute).await
}

const SUBRESOURCE: &str = "scale";

/// Unknown fields are dropped, or refused where the client wants that.
fn check_fields(call: Call<'_>, scale: &mut Value) -> Result<(), StatusError> {
    let unknown = self::scale().schema.prune(scale);
    if call.options.field_validation == FieldValidation::Strict && !unknown.is_empty() {
        let problems: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        return Err(StatusError::strict_decoding(&problems));
    }
    Ok(())
}

/// The number that a scale asks for; none counts as zero, as on Kubernetes.
fn replicas(scale: &Value, name: &str) -> Result<i64, StatusError> {
    let mut causes = self::scale().schema.validate(scale, None);
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        causes.push(Cause::new("spec.replicas", CauseReason::FieldValueInvalid, message));
    }
    if causes.is_empty() {
        Ok(replicas)
    } else {
        Err(StatusError::invalid("autoscaling", "Scale", name, causes))
    }
}

/// The object with the replicas of a scale.
fn scaled(call: Call<'_>, old: &Value, scale: &Value) -> Result<Candidate, StatusError> {
    let replicas = replicas(scale, text(old, "name"))?;
    let mut object = old.clone();
    set(&mut object, &paths(call.resource)?.spec_replicas, Value::from(replicas))?;
    // What the client expects of the object it expects of the scale.
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        object["metadata"][field] = Value::from(text(scale, field));
    }
    Ok(Candidate { object, tracking: Tracking::Update })
}

/// Applies a scale: the field of the replicas, under its manager.
fn applied_scale(call: Call<'_>, old: &Value, applied: &Value) -> Result<Candidate, StatusError> {
    let mut applied = applied.clone();
    check_type(scale(), &mut applied)?;
    let applied = &applied;
    let name = text(old, "name");
    let mut object = json!({
        "apiVersion": call.resource.info.api_version(),
        "kind": call.resource.info.kind,
        "metadata": {"name": name, "resourceVersion": text(applied, "resourceVersion")},
    });
    if !applied["spec"]["replicas"].is_null() {
        let replicas = Value::from(replicas(applied, name)?);
        set(&mut object, &paths(call.resource)?.spec_replicas, replicas)?;
    }
    applied_over(call, Some(old), &object, Some(SUBRESOURCE))
}

/// Sets a field, with the objects on the way to it made.
fn set(object: &mut Value, path: &[String], value: Value) -> Result<(), StatusError> {
    let mut place = object;
    for name in path {
        if place.is_null() {
            *place = json!({});
        }
        let Some(fields) = place.as_object_mut() else {
            return Err(StatusError::unprocessable(format!(
                "the replicas are at .{}, but a field on the way there is no object",
                path.join(".")
            )));
        };
        place = fields.entry(name.clone()).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}
