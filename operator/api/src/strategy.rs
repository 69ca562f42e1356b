//! How containers are replaced.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How the containers of a service are replaced when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!(has(self.type) && self.type == 'Recreate' && has(self.maxSurge))", "maxSurge has no meaning with Recreate: no new container is started beside an old one"))]
pub struct Strategy {
    /// `RollingUpdate` (new, healthy, then the old one goes) or `Recreate` (the
    /// old one goes first), which is the default for what has a fixed host port
    /// or a writable volume.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<StrategyType>,

    /// How many containers may be replaced at a time; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_surge: Option<u32>,

    /// How long a new container may take to become healthy before the roll-out
    /// counts as failed; 2m and the check's `startPeriod` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Duration>,

    /// How long a new container must have run without a break before the old one
    /// goes, healthy if it has a check; when absent, 0s with a check and 2s
    /// without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<Duration>,
}

/// In which order containers are replaced, in the words of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    /// The new one starts, and when it is healthy the old one goes.
    RollingUpdate,
    /// The old one goes, then the new one starts.
    Recreate,
}
