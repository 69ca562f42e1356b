//! Who may say that an object has an owner.
//!
//! Whoever names an owner has the object deleted with it, and may keep the owner
//! from going. So the first needs the right to delete the object, and the second
//! (`blockOwnerDeletion`) the right to write the finalizers of the owner. The rules
//! and words are those of Kubernetes's `OwnerReferencesPermissionEnforcement`.

use serde_json::Value;

use super::{Call, text};
use crate::authz::{self, Attributes, Target};
use crate::wire::status::StatusError;

fn owners(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn blocks(owner: &Value) -> bool {
    owner["blockOwnerDeletion"] == Value::Bool(true)
}

/// Refuses owners that the caller may not give to the object.
///
/// # Errors
/// 403 with the right that is missing.
pub(super) fn check(call: &Call<'_>, new: &Value, old: Option<&Value>) -> Result<(), StatusError> {
    let before = old.map(owners).unwrap_or_default();
    if owners(new) == before || authz::is_administrator(call.caller) {
        return Ok(());
    }
    let name = text(new, "name");
    let forbidden = |message: String| {
        let info = &call.resource.info;
        StatusError::forbidden(&info.group, &info.plural, name, message)
    };
    // Who makes an object could as well not have made it.
    if old.is_some() {
        let decision = call.may("delete", &call.resource.info.plural, name);
        if !decision.is_allowed() {
            return Err(forbidden(format!(
                "cannot set an ownerRef on a resource you can't delete: {}, <nil>",
                decision.reason()
            )));
        }
    }
    let blocked_before =
        |owner: &Value| before.iter().any(|one| one["uid"] == owner["uid"] && blocks(one));
    for owner in owners(new).iter().filter(|owner| blocks(owner) && !blocked_before(owner)) {
        let (api_version, kind) = (owner["apiVersion"].as_str(), owner["kind"].as_str());
        let (api_version, kind) = (api_version.unwrap_or_default(), kind.unwrap_or_default());
        let registry = call.state.registry();
        let Some(resource) = registry.find_kind(api_version, kind) else {
            return Err(forbidden(format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for \
                 APIVersion {api_version} Kind {kind}: no matches for kind {kind:?} in version \
                 {api_version:?}"
            )));
        };
        let namespace = if resource.info.namespaced { call.namespace } else { None };
        let target = Target::Resource {
            group: &resource.info.group,
            resource: &resource.info.plural,
            subresource: "finalizers",
            namespace: namespace.unwrap_or_default(),
            name: owner["name"].as_str().unwrap_or_default(),
        };
        let decision =
            call.state.rights.decide(call.caller, &Attributes { verb: "update", target });
        if !decision.is_allowed() {
            return Err(forbidden(format!(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you \
                 can't set finalizers on: {}, <nil>",
                decision.reason()
            )));
        }
    }
    Ok(())
}
