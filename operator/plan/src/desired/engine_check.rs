//! Health checks that the engine makes.

use serde::{Deserialize, Serialize};

/// What the engine does in place of the image's own health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum EngineCheck {
    /// Nothing: there is no check, or it isn't the engine's.
    Disabled,
    /// Runs a command in the container.
    Command(CommandCheck),
}

/// A command that the engine runs in the container; status 0 is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandCheck {
    /// Words, the program first.
    pub command: Vec<String>,
    /// Milliseconds between two checks.
    pub interval_millis: u64,
    /// Milliseconds that one may take.
    pub timeout_millis: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Milliseconds after the start in which failures don't count.
    pub start_period_millis: u64,
}
