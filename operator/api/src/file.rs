//! Files that are put into the containers of a service.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{FileMode, SecretKeyRef};

/// Permissions of a file that says none: everybody in the container may read it.
pub const DEFAULT_FILE_MODE: u32 = 0o444;

/// A file in the containers of a service, put there before they start. After a
/// merge it has exactly one of `content` and `secretKeyRef`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!(has(self.content) && has(self.secretKeyRef))", "a file has either content or secretKeyRef"))]
pub struct FileSpec {
    /// What it holds, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 524_288))]
    pub content: Option<String>,

    /// Key of a Secret of the project whose value it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,

    /// Permissions in octal and in quotes; `"0444"` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,

    /// Number of the user who owns it; when absent that of the service's `user` where it
    /// is a number, else 0 (root).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_294_u32))]
    pub uid: Option<u32>,

    /// Number of the group that owns it; when absent that in the service's `user` where
    /// it is a number, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_294_u32))]
    pub gid: Option<u32>,
}
