//! No core dumps: what is in memory, values of Secrets and keys among it, never gets to
//! the disk by a crash.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core dumps of this process and of those that it starts.
pub(crate) fn forbid() {
    // Less than before is never refused.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
