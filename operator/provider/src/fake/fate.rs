//! The life of the process that uses fake hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process that uses some hosts lives: when it dies at a call of one
/// of them, it makes no call to any other. Clones are one life.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    dead: Arc<AtomicBool>,
}

impl Fate {
    /// The process dies: every call is refused from now on.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Another one takes its place.
    pub fn revive(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}
