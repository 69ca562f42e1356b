//! User: somebody who may log in.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody who may log in.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "User",
    plural = "users",
    category = "hades",
    status = "UserStatus",
    derive = "PartialEq",
    doc = "A User may log in. What it may do, say the members of projects and RoleBindings. Passwords, tokens and sessions are no part of it.",
    validation = ("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')", "names of users are lower-case letters, digits and '-', in parts between dots that neither begin nor end with '-', at most 63"),
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Email", type_ = "string", json_path = ".spec.email"),
    printcolumn(name = "Groups", type_ = "string", json_path = ".spec.groups"),
    printcolumn(name = "Disabled", type_ = "boolean", json_path = ".spec.disabled"),
    printcolumn(name = "Robot", type_ = "boolean", json_path = ".spec.robot", priority = 1),
    printcolumn(name = "Second Factor", type_ = "boolean", json_path = ".status.secondFactor", priority = 1),
    printcolumn(name = "Last Login", type_ = "date", json_path = ".status.lastLoginTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserSpec {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub display_name: Option<String>,

    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^[^@ ]+@[^@ ]+$')", "write name@example.com"))]
    #[schemars(length(max = 254))]
    pub email: Option<String>,

    /// Groups that the user is in, for RoleBindings and members of projects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = ("self.all(group, !group.startsWith('system:'))", "groups that begin with system: belong to the server"))]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253)))]
    pub groups: Vec<String>,

    /// Keeps the user out: no login, and all tokens and sessions are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,

    /// A program, such as a CI job: it has tokens and never a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot: Option<bool>,
}

/// What Hades knows of the user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// When the user last logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_time: Option<Timestamp>,

    /// Whether a login needs a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<bool>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = json!({"displayName": "Alice", "email": "a@example.com", "groups": ["dev"]});
        let spec: UserSpec = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), text);
        assert!(serde_json::from_value::<UserSpec>(json!({"password": "x"})).is_err());
    }
}
