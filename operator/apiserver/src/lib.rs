//! An embedded API server that speaks the Kubernetes wire format. It serves the
//! custom resources that it is given and those that are defined over the API, and
//! knows no kind of Hades.
//!
//! ```text
//!  kube::Client (in-process) ─┐                      ┌▶ watch: ring of changes ─▶ watchers
//!                             ├▶ http ─▶ write ─▶ store (redb, one writer)
//!  kubectl over HTTPS ─ authn ┘    │       │         └▶ lifecycle: namespaces, owners, events
//!                         authz ─▶─┤       │
//!                                  │       └ admission (schema, CEL, validators)
//!                                  ├ definitions (custom resource definitions)
//!                                  └ wire (discovery, OpenAPI, tables, patches)
//! ```
//!
//! Invariants:
//! - Object bytes stay bytes from the store to the socket; no tree of a whole
//!   list is ever built.
//! - A write is on disk before it is acknowledged (leases and events excepted),
//!   and versions never go back.
//! - Values of Secrets are on disk only encrypted, and leave the server only to
//!   controllers of this process.
//! - Nothing is served to a caller who is not authenticated.
//! - What a caller may do is asked of one index of rights, about the same reading
//!   of the request by which it is answered.

pub mod admission;
pub mod audit;
pub mod authn;
mod authz;
pub mod bootstrap;
mod definitions;
mod first_objects;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod lifecycle;
mod metrics;
mod places;
mod private_file;
mod random;
mod rates;
pub mod registry;
mod seal;
mod serve;
mod server;
mod stalled;
mod state;
mod store;
mod tls;
mod vault;
mod vital;
mod watch;
pub mod wire;
mod write;

/// The store while no server runs: looked through, and made small.
pub mod maintenance {
    pub use crate::store::{Compacted, Report, StoreError, Tally, compact, verify};
}

pub use admission::{Admission, Cause, CauseReason, Right, Surroundings, Validator};
pub use authn::{Authenticator, Credential, Identity, Scope};
pub use authz::Granted;
pub use definitions::DefinitionError;
pub use http::{Peer, network};
pub use seal::SealError;
pub use serve::{ServerTls, TlsError};
pub use server::{ApiServer, DEFAULT_WATCH_RING, OpenError, ServerConfig};
pub use stalled::Unread;
pub use state::{Clock, GroupVersionKind};
pub use store::{Key, Observer, StoreError};
pub use vault::{Record, Vault, VaultError};
pub use wire::discovery::Announced;
