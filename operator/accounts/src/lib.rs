//! Users of the embedded API server: who they are, and how they show it.
//!
//! ```text
//! User objects ──observe──▶ directory ─┐
//! vault: passwords, tokens, sessions ──┴▶ Authenticator ─▶ API server
//!    ▲
//!    └── login: password (and a second factor), device, single sign-on
//! ```
//!
//! Invariants:
//! - what proves who somebody is, is kept as a hash, in the vault and never in an
//!   object;
//! - a user that is disabled or gone is refused from the next request on;
//! - nobody learns here whether a user exists.
