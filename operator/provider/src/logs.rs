//! Output of containers.

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::ProviderError;

/// Which part of the output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on with what comes.
    pub follow: bool,
    /// Only the last lines, so many; all when absent.
    pub tail: Option<u32>,
    /// Only since then, in seconds since the Unix epoch.
    pub since: Option<i64>,
    /// Put the engine's RFC 3339 time before each line.
    pub timestamps: bool,
}

/// A piece of output; lines may be split between pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// From standard error rather than standard output.
    pub stderr: bool,
    /// The bytes as they came.
    pub bytes: Bytes,
}

/// Output as it comes.
pub type LogStream = BoxStream<'static, Result<LogChunk, ProviderError>>;
