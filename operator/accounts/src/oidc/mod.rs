//! Single sign-on: a provider of identities says who somebody is (OpenID Connect
//! Core 1.0, authorization code with PKCE).
//!
//! ```text
//! browser ──start──▶ provider ──callback──▶ code ─▶ ID token ─▶ claims ─▶ link ─▶ User
//! ```
//!
//! Invariants:
//! - who logs in is known by issuer and subject, and by nothing that he could choose;
//! - a user that somebody else made is nobody's until an administrator links it;
//! - groups of the provider are those of the session, never of the User.

mod arrival;
mod claims;
mod links;
mod provider;
mod settings;
mod transport;

pub(crate) use arrival::ArrivalError;
pub(crate) use links::{Link, Links};
pub(crate) use provider::{Provider, ProviderError, Question};
pub use settings::{ProviderSettings, SettingsError};
