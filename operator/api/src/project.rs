//! HadesProject: a client's project, which is a namespace.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EnvValue, Member, ProjectPolicy};

/// A client's project.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "HadesProject",
    plural = "hadesprojects",
    shortname = "hp",
    category = "hades",
    status = "HadesProjectStatus",
    derive = "PartialEq",
    doc = "A HadesProject is a client's project. It owns the namespace of the same name, in which everything of the project lives.",
    validation = ("self.metadata.name != 'default' && !self.metadata.name.startsWith('kube-') && !self.metadata.name.startsWith('hades-')", "default, kube-* and hades-* are reserved: choose another name for the project"),
    validation = ("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "names of projects are lower-case letters, digits and '-', at most 40"),
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.members", priority = 1),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HadesProjectSpec {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub display_name: Option<String>,

    /// Environment variables of every service in every environment of the
    /// project, below those of templates and environments. Secrets are those of
    /// the project's namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,

    /// Who works on the project, and as what. The project's own admins can add
    /// others by RoleBindings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub members: Vec<Member>,

    /// What the environments of the project may ask for. Nothing that would give
    /// a container its host when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ProjectPolicy>,

    /// Holds back all changes to all environments of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What Hades found and did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HadesProjectStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How many of `spec.members` have their rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,

    /// Whom to seal files to for all repositories of the project: `age1…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sops_recipient: Option<String>,

    /// `Ready`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
