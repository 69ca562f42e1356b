//! Errors of providers, by what the caller should do about them.

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The place doesn't answer: try later, think nothing gone.
    Unreachable,
    /// Passing trouble: try later.
    Retry,
    /// A name, port or subnet is held by something else: try when that changes.
    Conflict,
    /// The input is at fault: don't try again until it changes.
    Terminal,
}

impl ErrorClass {
    /// A stable word for metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Retry => "retry",
            Self::Conflict => "conflict",
            Self::Terminal => "terminal",
        }
    }
}

/// Why a provider couldn't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What to do about it.
    pub class: ErrorClass,
    /// Word from [`hades_api::reason`].
    pub reason: &'static str,
    /// What happened to what, for people; no secrets.
    pub message: String,
}

impl ProviderError {
    /// From its parts.
    pub fn new(class: ErrorClass, reason: &'static str, message: impl Into<String>) -> Self {
        Self { class, reason, message: message.into() }
    }
}
