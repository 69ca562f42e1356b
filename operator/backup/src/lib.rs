//! Backups of an installation: one file that holds all that can't be made anew,
//! encrypted to keys whose private halves are not on the server.
//!
//! ```text
//!  data directory ─ gather ─▶ Gathered ─ write ─▶ age( tar( manifest.json, store.redb, …))
//!   (store copied at one           │                     │
//!    moment, keys, audit log)      ▼                     ▼ Destination: folder or S3, keep N
//!                               Manifest ◀─ inspect ─ the file ─ restore ─▶ new data directory
//! ```
//!
//! Invariants:
//! - A backup shows one moment of the store, and keys that open every row of it.
//! - Nothing is written outside of the data directory but encrypted.
//! - A file gets its name when it is whole; nothing older is removed before that.
//! - A restore writes only into an empty directory, and puts nothing in its place
//!   before all of it was checked.
//! - Whoever knows a recipient can make a file that looks like a backup: age doesn't
//!   say who encrypted. The digest that is told when a backup is made does.

mod archive;
mod destination;
mod digest;
mod error;
mod folder;
mod gather;
mod identities;
mod manifest;
mod name;
mod recipients;
mod restore;
mod s3;
mod schedule;

pub use archive::{Written, inspect};
pub use destination::{Destination, DestinationError, Stored};
pub use error::{BackupError, RestoreError};
pub use folder::FolderError;
pub use gather::{Gathered, Surroundings, gather, is_kept, is_left_out, remove_scratch};
pub use identities::{IdentityError, Key, generate_key, read_identities};
pub use manifest::{FileEntry, Manifest, ManifestError};
pub use name::BackupName;
pub use recipients::{Recipient, RecipientError, read_recipients};
pub use restore::{UNFINISHED, restore};
pub use s3::{S3Error, S3Settings};
pub use schedule::{Schedule, ScheduleError};
