//! RegistryAccount: credentials of an image registry, once for many projects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// Credentials of an image registry, for many projects.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "RegistryAccount",
    plural = "registryaccounts",
    shortname = "ra",
    category = "hades",
    status = "RegistryAccountStatus",
    derive = "PartialEq",
    doc = "A RegistryAccount holds the credentials of an image registry, for the projects that it allows.",
    printcolumn(name = "Registry", type_ = "string", json_path = ".spec.registry"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryAccountSpec {
    /// Host of the registry, with its port if need be, and the beginning of the
    /// path if the credentials are only for a part of it: `ghcr.io`,
    /// `ghcr.io/studio`, `registry.example.com:5000`, `docker.io`. Of several
    /// accounts the one with the longest match is used.
    #[x_kube(validation = ("!self.contains('://') && !self.contains('@')", "write host or host/path, without https:// and without a user"))]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9]"))]
    pub registry: String,

    /// Secret in `hades-system`: `username` and `password` (a token where the
    /// registry has such), or `.dockerconfigjson`.
    pub secret_ref: SecretRef,

    /// Projects whose images may be pulled with it; `*` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 63)))]
    pub allowed_projects: Vec<String>,
}

impl RegistryAccountSpec {
    /// Whether images of that project may be pulled with it.
    pub fn allows(&self, project: &str) -> bool {
        self.allowed_projects.iter().any(|allowed| allowed == "*" || allowed == project)
    }
}

/// What Hades found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryAccountStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: the registry takes the credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_allowed_by_name_or_all_at_once() {
        let spec = |allowed: &str| -> RegistryAccountSpec {
            let text =
                format!("{{registry: r, secretRef: {{name: s}}, allowedProjects: {allowed}}}");
            serde_saphyr::from_str(&text).unwrap()
        };
        assert!(spec("[shop]").allows("shop") && spec("['*']").allows("shop"));
        assert!(!spec("[shop]").allows("other") && !spec("[]").allows("shop"));
    }
}
