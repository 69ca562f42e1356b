//! The roles and bindings that every server begins with, those of Kubernetes that
//! mean something here.

use serde_json::{Value, json};

use super::GROUP;
use super::rights::{OPEN_PATHS, QUESTIONS};
use crate::authn::{ADMINISTRATORS, AUTHENTICATED};

const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Whether missing parts of a first object are put back at a start; `false` leaves
/// it to people.
pub(crate) const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What anybody may hear. As on Kubernetes it is bound to the group of those who are
/// not logged in too, which here is only who asks as `system:anonymous` by
/// impersonation: strangers get a 401 before any binding is looked at, and the
/// probes are public routes.
const HEALTH: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "annotations": {AUTOUPDATE: "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    })
}

fn role(name: &str, rules: Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole",
        "metadata": metadata(name), "rules": rules,
    })
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups
        .iter()
        .map(|group| json!({"apiGroup": GROUP, "kind": "Group", "name": group}))
        .collect();
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRoleBinding",
        "metadata": metadata(name), "subjects": subjects,
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
    })
}

/// The first objects.
pub(crate) fn objects() -> Vec<Value> {
    let questions: Vec<Value> = QUESTIONS
        .iter()
        .map(
            |(group, kinds)| json!({"verbs": ["create"], "apiGroups": [group], "resources": kinds}),
        )
        .collect();
    vec![
        role(
            "cluster-admin",
            json!([
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]),
        ),
        binding("cluster-admin", &[ADMINISTRATORS]),
        role("system:discovery", json!([{"verbs": ["get"], "nonResourceURLs": OPEN_PATHS}])),
        binding("system:discovery", &[AUTHENTICATED]),
        role("system:basic-user", Value::from(questions)),
        binding("system:basic-user", &[AUTHENTICATED]),
        role("system:public-info-viewer", json!([{"verbs": ["get"], "nonResourceURLs": HEALTH}])),
        binding("system:public-info-viewer", &[AUTHENTICATED, UNAUTHENTICATED]),
    ]
}
