//! Health checks that Hades makes itself. Those that run a command, and those
//! of images, are the engine's.

use std::collections::BTreeMap;
use std::time::Duration;

use hades_api::HttpScheme;

/// How a container is checked, and when that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is tried.
    pub probe: Probe,
    /// Time between two checks of a container that has passed one.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How many must fail in a row.
    pub retries: u32,
    /// Time after the start in which failures don't count.
    pub start_period: Duration,
}

/// What a check tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A request, to be answered with a status from 200 to 399.
    Http {
        /// Path with its query.
        path: String,
        /// Port of the container.
        port: u16,
        /// In the clear or over TLS.
        scheme: HttpScheme,
        /// Headers to send.
        headers: BTreeMap<String, String>,
    },
    /// A connection, to be accepted.
    Tcp {
        /// Port of the container.
        port: u16,
    },
}

impl Probe {
    /// Port of the container.
    pub fn port(&self) -> u16 {
        match self {
            Self::Http { port, .. } | Self::Tcp { port } => *port,
        }
    }
}

/// How the containers of a service take the places of older ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// All old ones go before any new one starts.
    pub recreate: bool,
    /// How many replacements may be under way at a time.
    pub max_surge: u32,
    /// How long a new container may take to become healthy.
    pub progress_deadline: Duration,
    /// How long it must have run before the old one goes; left to the planner
    /// when the manifest doesn't say.
    pub min_ready: Option<Duration>,
}

/// Time beyond the start period in which a new container must become healthy.
/// Much longer than any sane start, and short enough for somebody to wait for
/// the answer.
pub const DEFAULT_PROGRESS_DEADLINE: Duration = Duration::from_secs(120);

impl Default for Rollout {
    fn default() -> Self {
        Self {
            recreate: false,
            max_surge: 1,
            progress_deadline: DEFAULT_PROGRESS_DEADLINE,
            min_ready: None,
        }
    }
}
