//! Roles and bindings as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::rule::Rule;
use crate::wire::selector::LabelSelector;

/// The API group of the kinds that rights are made of.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// `group/plural` of their rows.
pub(super) const ROLES: &str = "rbac.authorization.k8s.io/roles";
pub(crate) const CLUSTER_ROLES: &str = "rbac.authorization.k8s.io/clusterroles";
pub(super) const ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";
pub(super) const CLUSTER_ROLE_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A Role or ClusterRole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StoredRole {
    metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
    aggregation_rule: Option<AggregationRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AggregationRule {
    #[serde(deserialize_with = "or_default")]
    cluster_role_selectors: Vec<Value>,
}

impl StoredRole {
    /// Its labels and, where it gathers the rules of others, of which ones. A
    /// selector that can't be read picks nothing.
    pub fn gathering(self) -> (Vec<Rule>, BTreeMap<String, String>, Option<Vec<LabelSelector>>) {
        let selectors = self.aggregation_rule.map(|rule| {
            rule.cluster_role_selectors.iter().filter_map(LabelSelector::of_object).collect()
        });
        (self.rules, self.metadata.labels, selectors)
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredBinding {
    #[serde(default, deserialize_with = "or_default")]
    pub subjects: Vec<Subject>,
    pub role_ref: RoleRef,
}

/// Who is bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Subject {
    pub kind: SubjectKind,
    pub name: String,
    /// Of a service account; that of the binding where it is empty.
    #[serde(default, deserialize_with = "or_default")]
    pub namespace: String,
}

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum SubjectKind {
    User,
    Group,
    ServiceAccount,
}

/// The role that is bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RoleRef {
    pub kind: RoleKind,
    pub name: String,
}

/// Where a role lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum RoleKind {
    Role,
    ClusterRole,
}

impl RoleKind {
    /// The spelling on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "Role",
            Self::ClusterRole => "ClusterRole",
        }
    }

    /// As Kubernetes names it in errors.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::ClusterRole => "clusterrole",
        }
    }

    /// The resource of such roles.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Role => "roles",
            Self::ClusterRole => "clusterroles",
        }
    }
}
