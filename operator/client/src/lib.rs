//! Typed access to a Hades API server, for the CLI and every other program
//! that people look at Hades through.
//!
//! ```text
//! kubeconfig ─▶ Session ─┬─ catalog   which kinds there are, by any of their names
//!                        ├─ table     lists as the server lays them out
//!                        ├─ object    get, list, apply, delete
//!                        ├─ ownership what git owns, and hand edits of that
//!                        ├─ request   restart, sync, suspend: what people ask for
//!                        ├─ wait      until an object is as wanted, and why it isn't
//!                        ├─ plan      what would change
//!                        └─ logs      output of containers
//! ```
//!
//! Invariants:
//! - the same calls work against the embedded server and against Kubernetes,
//!   but for plans and logs, which only Hades has;
//! - every error says what failed and where, and [`Error::hint`] what to do;
//! - no token or key is in an error or a Debug output.

mod address;
pub mod catalog;
mod error;
mod kubeconfig;
pub mod logs;
pub mod nearest;
pub mod object;
pub mod ownership;
pub mod plan;
pub mod request;
mod session;
pub mod table;
pub mod wait;
mod warnings;

pub use address::{Address, AddressError};
pub use catalog::{Catalog, Kind};
pub use error::{Error, Failure};
pub use kubeconfig::{KubeconfigSource, Locations};
pub use session::Session;
pub use warnings::Warnings;

/// Field manager of everything that people change by this client.
pub const FIELD_MANAGER: &str = "hadesctl";
