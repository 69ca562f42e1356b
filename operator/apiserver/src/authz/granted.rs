//! What somebody is bound to, for answers about oneself.

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::json;

use super::rule::Rule;

/// A binding that names somebody, and what its role allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// Namespace that it is good in; empty for all of them, and the cluster.
    pub namespace: String,
    /// Name of the RoleBinding or ClusterRoleBinding.
    pub binding: String,
    /// `Role` or `ClusterRole`.
    pub role_kind: &'static str,
    /// Name of the role.
    pub role: String,
    /// Which of the binding's subjects it is, such as `Group dev`.
    pub subject: String,
    /// What the role allows; empty where there is no such role.
    pub rules: Vec<PolicyRule>,
}

/// Rules in the form of the API.
pub(super) fn in_form(rules: &[Rule]) -> Vec<PolicyRule> {
    // One form is the other one's wire format, so nothing is lost.
    serde_json::from_value(json!(rules)).unwrap_or_default()
}
