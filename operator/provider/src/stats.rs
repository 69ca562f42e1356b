//! What a container uses.

use serde::{Deserialize, Serialize};

/// Counters of a container at one moment. Processor and network count from its
/// start; two looks make a rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStats {
    /// Processor time used, in nanoseconds of one processor.
    pub cpu_nanoseconds: u64,
    /// Memory in use in bytes, without what the kernel can take back at once.
    pub memory_bytes: u64,
    /// Most memory it may use in bytes; that of the host when it has no limit.
    pub memory_limit_bytes: u64,
    /// Bytes received, all of its networks together.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}
