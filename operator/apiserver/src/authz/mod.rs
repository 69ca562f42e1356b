//! Who may do what: the rights of Kubernetes (RBAC).
//!
//! ```text
//! request ─▶ Attributes ─▶ Rights::decide ─▶ Index ─▶ rules
//!                                              ▲
//!          store ── told of each change ───────┘
//! ```
//! Every request passes [`Rights::decide`], and the review kinds answer by it, so
//! that what `kubectl auth can-i` says is what happens.
//!
//! Invariants:
//! - What isn't allowed by a rule is refused. There are no rules that forbid.
//! - A change of a role or binding is in force before whoever made it is answered.
//! - Members of `system:masters` may do everything; nothing takes that away from
//!   them, or nobody could repair a broken role.
//! - The scope of a token holds for everybody, members of `system:masters` too.

mod attributes;
pub(crate) mod bootstrap;
mod granted;
mod index;
mod rights;
mod rule;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use attributes::{Attributes, Target, forbidden};
pub use granted::Granted;
pub(crate) use rights::{Decision, Rights, is_administrator};
pub(crate) use rule::{Rule, missing, quoted};
pub(crate) use stored::{CLUSTER_ROLES, GROUP, RoleKind, RoleRef};
