//! Why a registry didn't answer what it was asked, by what to do about it.

use std::time::Duration;

/// Why a registry didn't answer what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It refuses who asks.
    #[error(
        "registry {registry} refuses {}: {words}; {}",
        if *.anonymous { "to answer without credentials" } else { "the credentials" },
        if *.anonymous { "name a Secret in imagePullSecrets, or make a RegistryAccount that allows the project" } else { "check user, password and what they may read" }
    )]
    Unauthorized {
        /// Host of the registry.
        registry: String,
        /// Nobody's credentials were given.
        anonymous: bool,
        /// Words of the registry.
        words: String,
    },
    /// There is no such thing, or it isn't for who asks: registries don't tell.
    #[error(
        "registry {registry} has no {what} that it would show; check the name, and whether the credentials may read it"
    )]
    NotFound {
        /// Host of the registry.
        registry: String,
        /// `image shop/api:2`.
        what: String,
    },
    /// It wants to be left alone for a while.
    #[error("registry {registry} takes no more requests for now{}; it is asked again later", in_seconds(*.retry_after))]
    RateLimited {
        /// Host of the registry.
        registry: String,
        /// How long, if it said so.
        retry_after: Option<Duration>,
    },
    /// No answer, or an error of its own.
    #[error("registry {registry} can't be asked: {words}; it is asked again")]
    Unreachable {
        /// Host of the registry.
        registry: String,
        /// What happened.
        words: String,
        /// How long to leave it alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// It answers what the protocol doesn't have.
    #[error("registry {registry} answers what can't be understood: {words}")]
    Unexpected {
        /// Host of the registry.
        registry: String,
        /// What it answers.
        words: String,
    },
}

impl RegistryError {
    /// Whether the same question may find another answer without anything being
    /// changed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Unreachable { .. })
    }

    /// How long the registry wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unreachable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

fn in_seconds(pause: Option<Duration>) -> String {
    pause.map(|pause| format!(" (for {} s)", pause.as_secs())).unwrap_or_default()
}
