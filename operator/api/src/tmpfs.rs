//! Folders of a container that live in memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FileMode, Quantity};

/// A folder that lives in memory, empty at every start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    /// The most that it holds: `64Mi`. Half of the host's memory when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,

    /// Permissions in octal and in quotes; `"1777"` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}
