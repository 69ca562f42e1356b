//! What an environment has counts towards the quotas of its project as long as it is an
//! environment. To give it up and leave its containers running is to take them out of
//! that count: for those who decide about quotas.

use hades_api::role::PROJECT_POLICY;
use hades_api::{GROUP, annotation};
use hades_apiserver::{Admission, Cause, Right, Validator};
use serde_json::Value;

use super::forbidden;

/// Checks who gives up what an environment made.
pub(super) struct Abandon;

impl Validator for Abandon {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        let Admission { namespace, caller, surroundings, object, old, .. } = *admission;
        if admission.kind.group != GROUP || admission.kind.kind != "Environment" {
            return Vec::new();
        }
        let annotated = abandons(object) && !old.is_some_and(abandons);
        let unheld = old.is_some_and(is_held) && !is_held(object);
        let (resource, subresource) = PROJECT_POLICY;
        let right = Right {
            verb: "update",
            group: GROUP,
            resource,
            subresource,
            name: namespace,
            ..Right::default()
        };
        if !(annotated || unheld) || surroundings.may(caller, right) {
            return Vec::new();
        }
        let why = format!(
            "user {:?} may not give up what an environment has on its hosts, as it would run on \
             and count towards no quota: that needs the right to update {resource}/{subresource} \
             in group {GROUP}",
            caller.name
        );
        let annotations = format!("metadata.annotations[{}]", annotation::ABANDON);
        let fields = [(annotated, annotations), (unheld, "metadata.finalizers".to_owned())];
        let wrong = fields.into_iter().filter(|(wrong, _)| *wrong);
        wrong.map(|(_, field)| forbidden(field, &why)).collect()
    }
}

fn abandons(object: &Value) -> bool {
    object["metadata"]["annotations"].get(annotation::ABANDON).is_some()
}

/// Whether it goes only when all that it made is gone.
fn is_held(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|all| all.iter().any(|found| found == annotation::FINALIZER))
}
