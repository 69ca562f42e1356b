//! ConfigRepository: a git repository that manifests come from.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, SecretRef};

/// A git repository that manifests come from.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hades.dev",
    version = "v1alpha1",
    kind = "ConfigRepository",
    plural = "configrepositories",
    shortname = "cr",
    category = "hades",
    namespaced,
    status = "ConfigRepositoryStatus",
    derive = "PartialEq",
    doc = "A ConfigRepository is a git repository that manifests come from. In the namespace hades-system it may write everything, elsewhere only its own project.",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(name = "Follows", type_ = "string", json_path = ".status.follows"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.syncedCommit"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[x_kube(validation = ("(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.commit) ? 1 : 0) <= 1", "say only one of branch, tag and commit"))]
#[x_kube(validation = ("!(has(self.secretRef) && has(self.account))", "say only one of secretRef and account"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigRepositorySpec {
    /// `https://…`, `ssh://git@host/path`, `git@host:path` or `file:///…`. Never
    /// with a password in it.
    #[x_kube(validation = ("self.matches('^(https://|ssh://|file:///|http://127[.]0[.]0[.]1([:/]|$)|http://localhost([:/]|$))') || (!self.contains('://') && self.matches('^([A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:[^/:]'))", "write https://host/path, ssh://git@host/path, git@host:path or file:///path"))]
    #[x_kube(validation = ("!self.matches('^(https?|file)://[^/]*@') && !self.matches('^ssh://[^/@]*:[^/]*@')", "a URL must not hold a user or password: name a Secret in secretRef, or an account"))]
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,

    /// Branch to follow; `main` when neither branch, tag nor commit is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,

    /// Tag to follow: its name, or a range of versions (`^1.4`, `>=2, <3`, `1.x`)
    /// of which the newest tag is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tag: Option<String>,

    /// The one commit to apply: its whole id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self.matches('^[0-9a-f]{40}$')", "write the whole id of the commit, 40 digits: `git rev-parse HEAD` shows it"))]
    pub commit: Option<String>,

    /// Secret in the namespace of the ConfigRepository that opens the repository:
    /// `username` and `password`, or `token`, or `bearerToken`; for SSH
    /// `identity` (private key) and `known_hosts`; `ca.crt` for a server with a
    /// certificate of an own CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,

    /// Keys that open sealed files, beside those that Hades makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,

    /// GitAccount that opens the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub account: Option<String>,

    /// Whether submodules are read too, at any depth. Those on the host of the
    /// repository are fetched with its credentials, others without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submodules: Option<bool>,

    /// Folder in the repository that the manifests are under, at any depth; the
    /// whole repository when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("!self.startsWith('/') && !self.split('/').exists(p, p == '..')", "a path is relative to the root of the repository and has no .. in it"))]
    pub path: Option<String>,

    /// Only files below `path` that fit one of these patterns are read:
    /// `apps/*.yaml`, `production`, `**/hades/*`. All of them when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = ("self.all(p, size(p) > 0 && !p.startsWith('!'))", "a pattern isn't empty and doesn't begin with !"))]
    #[schemars(length(max = 100), inner(length(max = 1024)))]
    pub include: Vec<String>,

    /// Files and folders below `path` that are left out, beside those that the
    /// `.hadesignore` in that folder names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = ("self.all(p, size(p) > 0 && !p.startsWith('!'))", "a pattern isn't empty and doesn't begin with !"))]
    #[schemars(length(max = 100), inner(length(max = 1024)))]
    pub ignore: Vec<String>,

    /// How often to look for new commits.
    #[serde(default = "default_interval")]
    pub interval: Duration,

    /// Whether objects that leave the repository are deleted.
    #[serde(default = "default_prune")]
    pub prune: bool,

    /// Lets a forge say that something was pushed, by
    /// `POST /hooks/config/NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,

    /// Holds syncs back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Branch that is followed when a ConfigRepository says nothing else.
pub const DEFAULT_BRANCH: &str = "main";

fn default_interval() -> Duration {
    Duration::from_secs(60)
}

fn default_prune() -> bool {
    true
}

impl ConfigRepositorySpec {
    /// The branch that is followed; none when it is a tag or a commit.
    pub fn followed_branch(&self) -> Option<&str> {
        if self.tag.is_some() || self.commit.is_some() {
            return None;
        }
        Some(self.branch.as_deref().unwrap_or(DEFAULT_BRANCH))
    }

    /// Follows `main` of `url` with all defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            branch: None,
            tag: None,
            commit: None,
            secret_ref: None,
            decryption: None,
            account: None,
            submodules: None,
            path: None,
            include: Vec::new(),
            ignore: Vec::new(),
            interval: default_interval(),
            prune: default_prune(),
            webhook: None,
            suspend: None,
        }
    }
}

/// How a forge shows that a delivery is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Secret in the namespace of the ConfigRepository; its key `token` holds what
    /// the forge signs with.
    pub secret_ref: SecretRef,
}

/// What opens files that sops sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decryption {
    /// Secret in the namespace of the ConfigRepository with age identities, under
    /// `identity` or keys that end in `.agekey`.
    pub secret_ref: SecretRef,
}

/// Type of the Secrets that hold the age keys of repositories and projects.
pub const SOPS_AGE_TYPE: &str = "hades.dev/sops-age";
/// Key of those Secrets that holds the age identity.
pub const SOPS_IDENTITY: &str = "identity";

/// What Hades found and did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRepositoryStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Ready`, `Reconciling`, `Stalled`, `Suspended`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// What is followed: `branch main`, `tag v1.4.2`, `commit 1f4b…`. For a range
    /// of versions it is the tag that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,

    /// The newest commit seen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_commit: Option<String>,

    /// The commit whose manifests are applied, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_commit: Option<String>,

    /// When `syncedCommit` was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<Timestamp>,

    /// Objects that this repository applied and may delete again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub inventory: Vec<InventoryEntry>,

    /// Objects of the inventory that are left as a hand edit made them, for a
    /// time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub overrides: Vec<OverrideEntry>,

    /// What is wrong with `observedCommit`, the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub errors: Vec<ManifestProblem>,

    /// Whom to seal files to for this repository alone: `age1…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sops_recipient: Option<String>,

    /// The last `hades.dev/reconcile-requested-at` that was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// An object that a repository applied.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// An object that a hand edit keeps from what git says.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct OverrideEntry {
    /// The object.
    pub object: InventoryEntry,
    /// Until when.
    pub until: Timestamp,
}

/// Something wrong with a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestProblem {
    /// File in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Path of the field, such as `spec.services.web.image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}
