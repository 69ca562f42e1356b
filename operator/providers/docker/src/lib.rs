//! Docker Engine as a provider.
//!
//! ```text
//! DockerConnect ──address──▶ DockerHost ─┬─ observe ─▶ four list calls ─▶ HostSnapshot
//!                                         ├─ execute ─▶ hades_provider::steps ─▶ Calls ─▶ Client
//!                                         ├─ wakes ───▶ event stream, reconnected
//!                                         ├─ logs ────▶ log stream
//!                                         ├─ exec ────▶ stream of its own, both ways
//!                                         ├─ stats ───▶ one look
//!                                         └─ dial ────▶ address of a container
//! Client ──▶ Transport ─┬─ unix socket
//!                       ├─ TLS, with certificates out of memory
//!                       └─ SSH: one connection for calls and events, another for
//!                          streams that somebody reads, while there are any, and
//!                          one for each archive
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

mod archive;
mod calls;
pub mod client;
pub mod config;
mod disk;
mod endpoint;
mod exec;
mod failure;
mod hijack;
mod host;
mod host_config;
mod listing;
mod logs;
mod pull;
mod refused_field;
mod stats;
mod tls;
mod transport;
mod volumes;
mod wakes;
mod wire;
mod words;

pub use endpoint::{DEFAULT_SOCKET, Endpoint, EndpointError};
pub use host::{DockerConnect, DockerHost};
