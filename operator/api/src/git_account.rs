//! GitAccount: credentials of a forge, once for many projects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SYSTEM_NAMESPACE, SecretRef};

/// Credentials of a forge, for many projects.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "GitAccount",
    plural = "gitaccounts",
    shortname = "ga",
    category = "hades",
    status = "GitAccountStatus",
    derive = "PartialEq",
    doc = "A GitAccount holds the credentials of a forge, for the projects that it allows.",
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Host", type_ = "string", json_path = ".status.host"),
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
#[x_kube(validation = ("has(self.url) || self.provider in ['github', 'gitlab', 'bitbucket']", "say where the forge is: url, such as https://git.example.com"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitAccountSpec {
    /// What runs there: decides how a token is presented and how webhooks are
    /// registered.
    pub provider: GitProvider,

    /// Where the forge is: `https://git.example.com`, or `https://example.com/git`. The
    /// credentials go to this host and to no other, over HTTPS to nothing beside that
    /// path. The public service of the provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^(https://|http://(127[.]0[.]0[.]1|localhost)([:/]|$))')", "write https://host"))]
    #[x_kube(validation = ("!self.contains('@')", "a URL must not hold a user or password: they belong into the Secret"))]
    #[schemars(length(min = 1, max = 2048))]
    pub url: Option<String>,

    /// Secret in `hades-system`: `token`, or `username` and `password`, or
    /// `bearerToken`; for SSH `identity` (private key) and `known_hosts`; `ca.crt`
    /// for a server with a certificate of an own CA.
    pub secret_ref: SecretRef,

    /// What of the forge the account opens: what is at or below these folders, such as
    /// `acme` or `acme/shop`. When absent, every repository that the credentials can
    /// read, for every project that may use the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.all(r, r.matches('^[^/%]+(/[^/%]+)*$') && !r.split('/').exists(p, p in ['.', '..']))", "write folders of the forge, such as acme or acme/shop"))]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 512)))]
    pub repositories: Option<Vec<String>>,

    /// Projects whose ConfigRepositories may use the account; `*` for all.
    /// Those in `hades-system` always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 63)))]
    pub allowed_projects: Vec<String>,
}

/// The software of a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GitProvider {
    /// GitHub, or GitHub Enterprise Server.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea or Forgejo.
    Gitea,
    /// Bitbucket Cloud or Data Center.
    Bitbucket,
    /// Any other git server.
    Generic,
}

impl GitProvider {
    /// The public service that goes by that name.
    pub fn default_url(self) -> Option<&'static str> {
        match self {
            Self::Github => Some("https://github.com"),
            Self::Gitlab => Some("https://gitlab.com"),
            Self::Bitbucket => Some("https://bitbucket.org"),
            Self::Gitea | Self::Generic => None,
        }
    }
}

impl GitAccountSpec {
    /// Where the forge is. Empty only for what the schema refuses.
    pub fn url(&self) -> &str {
        self.url.as_deref().or(self.provider.default_url()).unwrap_or_default()
    }

    /// Whether ConfigRepositories of that namespace may use the account.
    pub fn allows(&self, namespace: &str) -> bool {
        namespace == SYSTEM_NAMESPACE
            || self.allowed_projects.iter().any(|allowed| allowed == "*" || allowed == namespace)
    }
}

/// What Hades found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitAccountStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`: the Secret holds credentials that can be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Host that the credentials are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,

    /// What the Secret holds: `token`, `password`, `ssh`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub credentials: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_use_an_account() {
        let mut spec: GitAccountSpec = serde_json::from_value(serde_json::json!({
            "provider": "github", "secretRef": {"name": "token"}, "allowedProjects": ["shop"],
        }))
        .unwrap();
        assert!(spec.allows("shop") && spec.allows("hades-system"));
        assert!(!spec.allows("blog") && !spec.allows(""));
        spec.allowed_projects = vec!["*".to_owned()];
        assert!(spec.allows("blog"));
        assert_eq!(spec.url(), "https://github.com");
    }
}
