//! Questions about the caller that clients ask by creating an object.

use serde_json::{Value, json};

use crate::authn::Identity;
use crate::registry::{Resource, Review};

/// The review with its answer. Everyone who is let in is an administrator, who
/// may do everything.
pub(super) fn answer(resource: &Resource, review: Review, caller: &Identity, body: Value) -> Value {
    let mut object = if body.is_object() { body } else { json!({}) };
    object["apiVersion"] = Value::from(resource.info.api_version());
    object["kind"] = Value::from(resource.info.kind.as_str());
    if !object["metadata"].is_object() {
        object["metadata"] = json!({"creationTimestamp": null});
    }
    object["status"] = match review {
        Review::Access => json!({
            "allowed": true,
            "reason": "administrators may do everything",
        }),
        Review::Rules => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        Review::Subject => json!({
            "userInfo": {"username": caller.name, "groups": caller.groups},
        }),
    };
    object
}
