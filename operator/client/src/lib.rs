//! Typed access to a Hades API server, for the CLI and every other program
//! that people look at Hades through.
//!
//! ```text
//! login ─▶ kubeconfig ─▶ Session
//!                        ├─ catalog   which kinds there are, by any of their names
//!                        ├─ table     lists as the server lays them out
//!                        ├─ object    get, list, apply, delete
//!                        ├─ ownership what git owns, and hand edits of that
//!                        ├─ request   restart, sync, suspend: what people ask for
//!                        ├─ wait      until an object is as wanted, and why it isn't
//!                        ├─ plan      what would change
//!                        ├─ logs      output of containers
//!                        ├─ exec      commands in containers
//!                        ├─ stats     what containers use
//!                        ├─ host      tests of hosts
//!                        ├─ volume    copies of volumes
//!                        ├─ webhook   what forges deliver to
//!                        ├─ accounts  passwords, tokens, second factors, sessions
//!                        ├─ identity  who one is
//!                        ├─ projects  where one may do anything at all
//!                        ├─ rights    what one may, and who may
//!                        ├─ members   who works on a project
//!                        └─ audit     who did what
//! ```
//!
//! Invariants:
//! - the same calls work against the embedded server and against Kubernetes,
//!   but for plans, logs, exec and stats, which only Hades has;
//! - every error says what failed and where, and [`Error::hint`] what to do;
//! - no token or key is in an error or a Debug output.

pub mod accounts;
mod address;
pub mod anonymous;
pub mod audit;
pub mod authority;
pub mod catalog;
mod credential;
mod error;
mod everywhere;
pub mod exec;
pub mod host;
pub mod identity;
mod kubeconfig;
pub mod kubeconfig_file;
pub mod login;
pub mod logs;
pub mod members;
pub mod nearest;
pub mod object;
pub mod ownership;
pub mod plan;
pub mod projects;
pub mod request;
pub mod reveal;
pub mod rights;
pub mod secret;
mod server_url;
mod session;
pub mod stats;
pub mod table;
pub mod volume;
pub mod wait;
mod warnings;
pub mod webhook;

pub use address::{Address, AddressError};
pub use catalog::{Catalog, Kind};
pub use credential::Credential;
pub use error::{Error, Failure};
pub use kubeconfig::{KubeconfigSource, Locations};
pub use server_url::ServerUrl;
pub use session::Session;
pub use warnings::Warnings;

/// Field manager of everything that people change by this client.
pub const FIELD_MANAGER: &str = "hadesctl";
