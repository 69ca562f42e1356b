//! That data is deleted with its environment needs a right of its own, as it can't be
//! undone.

use hades_api::GROUP;
use hades_api::role::DATA_DELETION;
use hades_apiserver::{Admission, Cause, Right, Validator};
use serde_json::Value;

use super::forbidden;

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
        let volumes = object["spec"]["volumes"].as_object();
        let mut marked = volumes
            .into_iter()
            .flatten()
            .filter(|(key, volume)| {
                is_deleted(volume)
                    && !old.is_some_and(|old| is_deleted(&old["spec"]["volumes"][key.as_str()]))
            })
            .peekable();
        let (resource, subresource) = DATA_DELETION;
        let right = Right { verb: "delete", group: GROUP, resource, subresource, namespace, name };
        if admission.kind.group != GROUP
            || marked.peek().is_none()
            || surroundings.may(caller, right)
        {
            return Vec::new();
        }
        let why = format!(
            "user {:?} may not have data deleted with its environment: that needs the right to \
             delete {resource}/{subresource} in group {GROUP}, which admins of the project have; \
             leave it at Retain",
            caller.name
        );
        marked
            .map(|(key, _)| forbidden(format!("spec.volumes.{key}.deletionPolicy"), &why))
            .collect()
    }
}

fn is_deleted(volume: &Value) -> bool {
    volume["deletionPolicy"] == "Delete"
}
