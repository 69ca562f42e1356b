//! The label that says which repository owns an object decides who applies and prunes
//! it. So only the repository sets it, and takes it away while it is there; otherwise
//! somebody who may edit an object in one project could have the repository of the
//! whole fleet stall over it.

use hades_api::role::{
    CONFIG_REPOSITORY, FLEET_REPOSITORY, repository_account, service_account_user,
};
use hades_api::{SYSTEM_NAMESPACE, label};
use hades_apiserver::{Admission, Cause, Validator};
use serde_json::Value;

use super::forbidden;

/// Checks who says what repository owns an object.
pub(super) struct Ownership;

impl Validator for Ownership {
    fn validate(&self, admission: &Admission<'_>) -> Vec<Cause> {
        let (new, old) = (owner(admission.object), admission.old.and_then(owner));
        if new == old {
            return Vec::new();
        }
        let taken = old.filter(|old| is_there(admission, old) && !speaks_for(admission, old));
        let given = new.filter(|new| !speaks_for(admission, new));
        taken.into_iter().chain(given).map(|label| cause(admission, label)).take(1).collect()
    }
}

fn owner(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][label::CONFIG_REPOSITORY].as_str()
}

fn is_there(admission: &Admission<'_>, label: &str) -> bool {
    label.split_once('.').is_some_and(|(namespace, name)| {
        let resource = "hades.dev/configrepositories";
        admission.surroundings.stored(resource, namespace, name).is_some()
    })
}

/// Whether the caller is that repository, or might as well make it.
fn speaks_for(admission: &Admission<'_>, label: &str) -> bool {
    // A text that names no repository means nothing.
    let Some((namespace, name)) = label.split_once('.') else { return true };
    let Admission { caller, surroundings, .. } = *admission;
    let (role, place) = match namespace {
        SYSTEM_NAMESPACE => (FLEET_REPOSITORY, ""),
        namespace => (CONFIG_REPOSITORY, namespace),
    };
    caller.name == service_account_user(namespace, &repository_account(name))
        || surroundings.may_bind(caller, role, place)
}

fn cause(admission: &Admission<'_>, label: &str) -> Cause {
    let field = format!("metadata.labels[{}]", label::CONFIG_REPOSITORY);
    let why = format!(
        "it says that ConfigRepository {} owns the object, which user {:?} may neither claim nor \
         deny; leave the label as it is",
        label.replacen('.', "/", 1),
        admission.caller.name
    );
    forbidden(field, &why)
}
