//! Who works on a project, and as what.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user, group or service account with a role in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("[has(self.user), has(self.group), has(self.serviceAccount)].filter(given, given).size() == 1", "write exactly one of user, group and serviceAccount"))]
pub struct Member {
    /// Name of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub user: Option<String>,

    /// Name of a group of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub group: Option<String>,

    /// Name of a service account in the project's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account: Option<String>,

    /// What the member may do.
    pub role: ProjectRole,

    /// The environments that the role is for; all, and whatever else is in the
    /// project, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 63)))]
    pub environments: Option<Vec<String>>,
}

/// What a member of a project may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ProjectRole {
    /// Sees status, logs, metrics, events and plans.
    Viewer,
    /// Also deploys, restarts, edits variables and secrets, opens consoles.
    Deployer,
    /// Also manages members and deletes.
    Admin,
}

impl ProjectRole {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Deployer, Self::Admin];

    /// As manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }

    /// The ClusterRole that RoleBindings in a project refer to.
    #[must_use]
    pub fn cluster_role(self) -> &'static str {
        match self {
            Self::Viewer => "hades:viewer",
            Self::Deployer => "hades:deployer",
            Self::Admin => "hades:admin",
        }
    }
}

impl fmt::Display for ProjectRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
