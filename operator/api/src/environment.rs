//! Environment, the unit that is deployed, and EnvironmentTemplate, its base.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DeletionPolicy, EnvValue, ImagePullSecret, PolicyImage, ResourceLimits, ServiceSpec, VolumeSpec,
};

/// What an environment runs.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    shortname = "env",
    category = "hades",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    doc = "An Environment is the deployable unit of a project: services with all that they need.",
    validation = ("size(self.metadata.name) <= 40", "names of environments have at most 40 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// Template that this environment is merged over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,

    /// Holds all changes back; what runs keeps running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Where things go that don't say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,

    /// Environment variables of every service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,

    /// Services by name. The name is also the host name under which the others
    /// reach it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(k, k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(k) <= 40)", "names of services are lower-case letters, digits and '-', at most 40"))]
    pub services: BTreeMap<String, ServiceSpec>,

    /// Named volumes by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(k, k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(k) <= 40)", "names of volumes are lower-case letters, digits and '-', at most 40"))]
    pub volumes: BTreeMap<String, VolumeSpec>,
}

/// What environments of a project have in common.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "EnvironmentTemplate",
    plural = "environmenttemplates",
    shortname = "envt",
    category = "hades",
    namespaced,
    derive = "PartialEq",
    doc = "An EnvironmentTemplate is a base that Environments of the same project are merged over. It is not deployed itself.",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentTemplateSpec {
    /// Where things go that don't say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,

    /// Environment variables of every service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,

    /// Services by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(k, k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(k) <= 40)", "names of services are lower-case letters, digits and '-', at most 40"))]
    pub services: BTreeMap<String, ServiceSpec>,

    /// Named volumes by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = ("self.all(k, k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(k) <= 40)", "names of volumes are lower-case letters, digits and '-', at most 40"))]
    pub volumes: BTreeMap<String, VolumeSpec>,
}

/// Names a template of the same project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateRef {
    /// Name of the EnvironmentTemplate.
    pub name: String,
}

/// Where things go that don't say it themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// Name of a DockerHost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,

    /// Secrets of the project with credentials of registries, for every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Option<Vec<ImagePullSecret>>,
}

/// What Hades found and did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`, `Reconciling`, `Stalled`, `Drifted`, `Suspended`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Containers that run as described, of those described: `3/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,

    /// Services that are stopped (`hadesctl stop`): they have no container until
    /// they are started again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,

    /// The latest plan that changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_plan: Option<PlanRecord>,

    /// What image references meant when they were first run, so that what heals
    /// is the same as what was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host", "image"]))]
    pub images: Vec<PinnedImage>,

    /// What image policies have led to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"]))]
    pub image_policies: Vec<PolicyImage>,

    /// Each container, network and volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host", "kind", "name"]))]
    pub resources: Vec<ResourceStatus>,

    /// The last `hades.dev/reconcile-requested-at` that was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// A plan that changed something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRecord {
    /// SHA-256 over its actions.
    pub digest: String,
    /// When it was begun.
    pub time: Timestamp,
    /// A line an action, the first 50, secrets masked.
    #[serde(default)]
    pub actions: Vec<String>,
}

/// What an image reference meant on a host when it was first run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedImage {
    /// DockerHost.
    pub host: String,
    /// Reference in the spec.
    pub image: String,
    /// Image id (`sha256:…`).
    pub id: String,
    /// Digest by which the registry has it (`sha256:…`); absent for an image that
    /// comes from no registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// State of one thing outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// `Container`, `Network` or `Volume`.
    pub kind: String,
    /// Name on its host.
    pub name: String,
    /// DockerHost.
    pub host: String,
    /// Service (containers only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What the engine says: `running`, `exited`, `restarting`, `absent` …
    pub state: String,
    /// Whether it does its work.
    pub health: Health,
    /// Whether it is as described.
    pub drift: Drift,
    /// Why it isn't, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How it failed to take the place of another (containers only). It is kept
    /// for its logs, and the other goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Image reference (containers only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What becomes of it with its environment (volumes only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Published ports, `host:container` (containers only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// When it was made (containers only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The most that it gets (containers only); counts towards the project's quotas as
    /// long as it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
}

/// Whether a thing does its work, in the words of Argo CD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// It does.
    Healthy,
    /// On its way.
    Progressing,
    /// It does not.
    Degraded,
    /// It isn't there.
    Missing,
    /// Held back by `suspend` or by `replicas: 0`.
    Suspended,
    /// Its host doesn't answer.
    Unknown,
}

/// Whether a thing is as described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Drift {
    /// As described.
    InSync,
    /// Differs; a plan says how.
    OutOfSync,
    /// Its host doesn't answer.
    Unknown,
}
