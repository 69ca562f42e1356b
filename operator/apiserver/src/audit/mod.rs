//! Who did what, and when: records of `audit.k8s.io/v1`, level Metadata.
//!
//! ```text
//!  request ─▶ trail ─▶ gate ─▶ handler            (who, in whose name, what came of it)
//!               │
//!               ▼ one line of JSON
//!             queue ─▶ writer ─▶ DATA/audit/audit-YYYYMMDD-N.log, head
//!                                      │
//!                     read ◀───────────┴─────────▶ verify
//! ```
//!
//! Invariants:
//! - A record holds no body, no token, and of a query only known parameters, which
//!   hold no secret, but for the command line of a console: it is told on purpose.
//! - A request never waits for the disk here. Where records can't be written and
//!   the queue is full, people's changes are refused instead of going unrecorded.
//! - Each record carries an HMAC over itself and the one before, and `head` says
//!   where the first and the last one are: what is changed, put in or taken out
//!   shows, at either end too. Files are only appended to.
//!
//! Whoever has the key of the data directory can forge records: this shows what
//! was done to copies, and by those who may write the files but not read the key.

mod annotations;
mod auditor;
mod chain;
mod event;
mod files;
mod head;
mod policy;
mod queue;
mod read;
mod recover;
mod secret_use;
mod trail;
mod uri;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use auditor::{AuditError, AuditOptions, Auditor};
pub use event::{AuditEvent, Stage};
pub use read::Query;
pub use trail::{Later, Trail};
pub use verify::{Report, verify};

pub(crate) use chain::ChainKey;
pub(crate) use trail::{Subject, follow};
