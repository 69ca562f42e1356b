//! SSH with pinned host keys: one connection to a server, shared by all who
//! open streams or run commands over it.
//!
//! ```text
//! Link ──opened once, again when lost──▶ connection ─┬─ open_unix(path) ──▶ Stream
//!  (Target: address, user, key, pinned host keys)    ├─ open_tcp(h, p) ───▶ Stream
//!                                                    └─ exec(command) ────▶ Process
//! scan(host, port) ──▶ HostKey          KeyPair::generate(comment)
//! ```
//!
//! Invariants:
//! - no server whose key isn't pinned gets as far as a login;
//! - everything that waits for the server ends within a stated time;
//! - callers who need a connection at the same time share one attempt, and its
//!   error;
//! - keys are held as secrets, in memory only; no error and no Debug shows one.
//!
//! Use from threads without a runtime: keep a `tokio::runtime::Handle` and
//! `block_on` (streams are tokio's `AsyncRead` and `AsyncWrite`).

mod channel;
mod connection;
mod error;
mod key;
mod link;
mod process;
mod scan;
mod target;

pub use channel::{LeftUnread, Reader, Stream, Writer};
pub use error::Error;
pub use key::{HostKey, KeyPair, public_key};
pub use link::Link;
pub use process::{Exit, Process};
pub use scan::scan;
pub use target::Target;
