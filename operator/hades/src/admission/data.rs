//! That data is deleted with its environment needs a right of its own, as it can't be
//! undone.

use std::collections::BTreeSet;

use hades_api::role::DATA_DELETION;
use hades_api::{DeletionPolicy, EnvironmentSpec, GROUP, VolumeSpec};
use hades_apiserver::{Admission, Cause, Right, Validator};
use serde_json::Value;

use super::forbidden;
use crate::project_policy::{merged, spec};

/// Checks who has data deleted.
pub(super) struct Data;

impl Validator for Data {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        let Admission { namespace, caller, surroundings, object, old, .. } = *admission;
        let name = match admission.kind.kind.as_str() {
            "Environment" => admission.name,
            // It may be that of any environment.
            "EnvironmentTemplate" => "",
            _ => return Vec::new(),
        };
        let marked: Vec<String> = {
            let before = old.map(|old| deleted(admission, old)).unwrap_or_default();
            let now = deleted(admission, object);
            now.into_iter().filter(|key| !before.contains(key)).collect()
        };
        let (resource, subresource) = DATA_DELETION;
        let right = Right { verb: "delete", group: GROUP, resource, subresource, namespace, name };
        if admission.kind.group != GROUP || marked.is_empty() || surroundings.may(caller, right) {
            return Vec::new();
        }
        let why = format!(
            "user {:?} may not have data deleted with its environment: that needs the right to \
             delete {resource}/{subresource} in group {GROUP}, which admins of the project have; \
             leave it at Retain",
            caller.name
        );
        let field = |key: &String| match is_deleted(&object["spec"]["volumes"][key]) {
            true => format!("spec.volumes.{key}.deletionPolicy"),
            // It is the template's word, over none of its own.
            false => "spec.templateRef.name".to_owned(),
        };
        let fields: BTreeSet<String> = marked.iter().map(field).collect();
        fields.into_iter().map(|field| forbidden(field, &why)).collect()
    }
}

fn is_deleted(volume: &Value) -> bool {
    volume["deletionPolicy"] == "Delete"
}

/// Keys of the volumes that go with their environment: of an environment with what
/// its template says, as it is stored now.
fn deleted(admission: &Admission<'_>, object: &Value) -> BTreeSet<String> {
    let written = object["spec"]["volumes"].as_object().into_iter().flatten();
    let mut keys: BTreeSet<String> =
        written.filter(|(_, volume)| is_deleted(volume)).map(|(key, _)| key.clone()).collect();
    if admission.kind.kind == "Environment" {
        let template = |name: &str| {
            let resource = "hades.dev/environmenttemplates";
            spec(&admission.surroundings.stored(resource, admission.namespace, name)?)
        };
        // What can't be read is refused by another check.
        let environment: EnvironmentSpec = spec(object).unwrap_or_default();
        let volumes = merged(&environment, template).volumes.into_iter();
        let goes = |volume: &VolumeSpec| volume.deletion_policy == Some(DeletionPolicy::Delete);
        keys.extend(volumes.filter(|(_, volume)| goes(volume)).map(|(key, _)| key));
    }
    keys
}
