//! What goes beside the pull of an image: who asks, and who listens.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// Credentials of a registry, for one pull. They are never part of an action.
#[derive(Clone)]
pub enum PullCredentials {
    /// A user with a password, or with a token that the registry takes for one.
    Basic {
        /// User.
        username: String,
        /// Password or token.
        password: SecretString,
    },
    /// A token that the registry itself takes.
    Token(SecretString),
}

impl fmt::Debug for PullCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PullCredentials(…)")
    }
}

/// How far a pull has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Layers that the image has, as far as is known.
    pub layers: u32,
    /// Layers that are on the host.
    pub layers_done: u32,
    /// Bytes that have come.
    pub bytes: u64,
    /// Bytes of the layers whose size is known.
    pub total_bytes: u64,
}

/// Is told how far a pull has come; must not block.
pub type ProgressListener = Arc<dyn Fn(PullProgress) + Send + Sync>;

/// What goes beside the pull of an image.
#[derive(Clone, Default)]
pub struct PullOptions {
    /// Who asks the registry; nobody in particular when absent.
    pub credentials: Option<PullCredentials>,
    /// Is told how far it has come, often.
    pub progress: Option<ProgressListener>,
}

impl fmt::Debug for PullOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullOptions")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl PullOptions {
    /// Tells who listens.
    pub fn report(&self, progress: PullProgress) {
        if let Some(listener) = &self.progress {
            listener(progress);
        }
    }
}

/// The disk that an engine keeps images and volumes on, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Size, without what is set aside for root.
    pub total: u64,
    /// What is free for who isn't root.
    pub free: u64,
}

impl DiskUsage {
    /// How much is in use, in percent, rounded down.
    pub fn used_percent(self) -> u8 {
        if self.total == 0 {
            return 0;
        }
        let used = u128::from(self.total.saturating_sub(self.free)) * 100 / u128::from(self.total);
        u8::try_from(used).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        let used = |total, free| DiskUsage { total, free }.used_percent();
        assert_eq!((used(100, 4), used(1000, 51), used(0, 0), used(10, 20)), (96, 94, 0, 0));
        assert_eq!(used(u64::MAX, 0), 100);
    }
}
