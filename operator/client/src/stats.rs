//! What containers use.

use http::Request;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::operations;
use crate::{Address, Error, Session};

/// Counters of all containers of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsReport {
    /// An entry a container.
    pub items: Vec<StatsEntry>,
}

/// Counters of a container, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsEntry {
    /// Service; empty when a whole host can't be looked at.
    pub service: String,
    /// Which of its containers, from 1.
    pub replica: u32,
    /// Name of the container.
    pub container: String,
    /// DockerHost.
    pub host: String,
    /// When the counters were read.
    pub time: Timestamp,
    /// The counters; absent for a container that doesn't run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Counters>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Counters of a container at one moment. Processor and network count from its
/// start; two looks make a rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Processor time used, in nanoseconds of one processor.
    pub cpu_nanoseconds: u64,
    /// Memory in use in bytes.
    pub memory_bytes: u64,
    /// Most memory it may use in bytes; that of the host when it has no limit.
    pub memory_limit_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// Counters of all containers of an environment, as they are now.
///
/// # Errors
/// When the environment isn't there, or the server refuses or doesn't answer.
pub async fn read(session: &Session, address: &Address) -> Result<StatsReport, Error> {
    let request = Request::get(operations(address, "stats"))
        .body(vec![])
        .map_err(|error| session.protocol(error))?;
    session.client().request(request).await.map_err(|error| session.error(error))
}
