//! Docker Engine as a provider.
//!
//! ```text
//! DockerConnect ──endpoint──▶ DockerHost ─┬─ observe ─▶ four list calls ─▶ HostSnapshot
//!                                         ├─ execute ─▶ hades_provider::steps ─▶ Calls ─▶ Client
//!                                         ├─ wakes ───▶ event stream, reconnected
//!                                         └─ logs ────▶ log stream
//! ```
//!
//! Invariants:
//! - observing costs a fixed number of calls, however many containers there
//!   are, and is shared by all who ask at the same time;
//! - every call ends within a stated time ([`client`]); the number of calls
//!   that change something is bounded per host;
//! - requests are built by pure functions ([`config`]); the value of a secret is
//!   exposed only there and appears in no error. The client library would write
//!   requests to the debug log, so that level is compiled out (see Cargo.toml).

mod calls;
pub mod client;
pub mod config;
mod disk;
mod endpoint;
mod failure;
mod host;
mod listing;
mod logs;
mod pull;
mod wakes;

pub use endpoint::{Endpoint, EndpointError};
pub use host::{DockerConnect, DockerHost};
