//! Hooks: forges say that something was pushed, and a repository is fetched at
//! once instead of at its next interval.
//!
//! ```text
//! POST /hooks/config/{namespace}/{name}
//!        │ headers                        ┌ table: what each repository follows, by its last pass
//!        ▼                                ▼
//!   Delivery::begin ─ body, part by part ─▶ signature (pure) ─▶ payload (pure) ─▶ wake
//!                                              │ refused: 401, an event at most once a minute
//! ```
//!
//! Invariants:
//! - a delivery only wakes: the pass that it asks for looks itself, so a replay
//!   costs a fetch that finds nothing;
//! - one fetch at a time per repository, and one more is remembered; any number
//!   of deliveries adds nothing to that;
//! - wrong signature, unknown repository and repository without a secret answer
//!   the same and have the same work done for them;
//! - memory has a bound that doesn't depend on who sends how much: bodies are
//!   signed as they come in, and what there is no room for is not kept.

mod delivery;
mod forge_api;
mod payload;
mod registration;
mod report;
mod signature;
mod table;
#[cfg(test)]
mod tests;
mod wakes;

pub use delivery::{Answer, Delivery, MAX_BODY};
pub use payload::{Followed, Forge};
pub use report::{Registered, Report, Unregistered, register_webhook, report};
pub use signature::SIGNING_PREFIX;

pub(crate) use delivery::Hooks;

/// Key of the token in the Secret that `spec.webhook.secretRef` names.
pub const SECRET_KEY: &str = "token";

/// Path of a repository's hook.
pub fn path(namespace: &str, name: &str) -> String {
    format!("/hooks/config/{namespace}/{name}")
}
