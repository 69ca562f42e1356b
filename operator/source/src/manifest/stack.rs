//! A stack of known size to parse on.

use std::io;
use std::path::PathBuf;
use std::thread;

use super::{Limits, ReadError};

/// What the parser and we take per level of nesting, measured
/// without optimisation at less than 32 KiB, and three times that to be safe (bytes).
const PER_LEVEL: usize = 96 * 1024;
/// What everything else takes (bytes).
const BASE: usize = 512 * 1024;

/// Runs `work` on a stack that the deepest document within the limits fits on. The
/// caller's may be as small as 2 MiB, where a deep document would end the process.
pub(crate) fn with_stack<T: Send>(
    limits: &Limits,
    work: impl FnOnce() -> Result<T, ReadError> + Send,
) -> Result<T, ReadError> {
    let failed = |source| ReadError::Io { path: PathBuf::from("the parser's thread"), source };
    thread::scope(|scope| {
        thread::Builder::new()
            .name("manifests".to_owned())
            .stack_size(BASE.saturating_add(limits.depth.saturating_mul(PER_LEVEL)))
            .spawn_scoped(scope, work)
            .map_err(failed)?
            .join()
            .unwrap_or_else(|_| Err(failed(io::Error::other("it panicked"))))
    })
}
