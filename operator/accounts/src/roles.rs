//! Roles: what lets users look after themselves, and the first user after all.

use serde_json::{Value, json};

use crate::first_start::ADMINISTRATORS;
use crate::routes::GROUP;

const RBAC: &str = "rbac.authorization.k8s.io";

/// What everybody may do about himself.
const SELF: &str = "hades:self";

/// Objects that must be there from the first start on: everybody may change his own
/// password, tokens, second factor and sessions; the group [`ADMINISTRATORS`] may do
/// everything.
#[must_use]
pub fn first_objects() -> Vec<Value> {
    let rule = json!({
        "apiGroups": [GROUP],
        "resources": ["selfpassword", "selfsessions", "selftokens", "selftotp"],
        "verbs": ["create", "delete", "deletecollection", "get", "list"],
    });
    let role = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole",
        "metadata": {"name": SELF}, "rules": [rule],
    });
    vec![
        role,
        binding(SELF, hades_apiserver::authn::AUTHENTICATED, SELF),
        binding(ADMINISTRATORS, ADMINISTRATORS, "cluster-admin"),
    ]
}

fn binding(name: &str, group: &str, role: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
    })
}
