//! What discovery, OpenAPI and the printers need to know about one served
//! resource. Plain data, so that `wire` can turn it into documents purely.

use std::sync::Arc;

use serde_json::Value;

/// The verbs of a resource that people create, change and delete.
pub const FULL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The verbs of a resource whose definition is being deleted: nothing new comes.
pub const TERMINATING_VERBS: &[&str] =
    &["delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The verbs of a resource that only answers a question (the review kinds).
pub const CREATE_VERBS: &[&str] = &["create"];

/// A served resource as clients see it in discovery and OpenAPI.
#[derive(Clone, Debug)]
pub struct ResourceInfo {
    /// API group; empty for the core group.
    pub group: String,
    /// API version inside the group, such as `v1`.
    pub version: String,
    /// Kind of one object.
    pub kind: String,
    /// Kind of a list of objects.
    pub list_kind: String,
    /// Plural name, the one in URLs.
    pub plural: String,
    /// Singular name, which kubectl prints and accepts.
    pub singular: String,
    /// Short names that kubectl accepts.
    pub short_names: Vec<String>,
    /// Categories, so that `kubectl get CATEGORY` lists the kind.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is served as a subresource of its own.
    pub status: bool,
    /// Whether `/scale` is served as a subresource.
    pub scale: bool,
    /// Whether `/token` is served as a subresource.
    pub token: bool,
    /// Verbs that the resource answers.
    pub verbs: &'static [&'static str],
    /// OpenAPI v3 schema of one object (the CRD's `openAPIV3Schema` for custom
    /// resources, or an open object for built-ins).
    pub schema_json: Arc<Value>,
}

impl ResourceInfo {
    /// `group/version`, or the bare version for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}
