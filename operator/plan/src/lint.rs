//! What a careful person would point out in a plan that is valid all the same.

use serde::{Deserialize, Serialize};

/// A remark on an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lint {
    /// Path of the field it is about.
    pub field: String,
    /// What is odd and what to do.
    pub message: String,
}
