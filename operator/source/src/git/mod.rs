//! One branch of a git repository, fetched into a local cache and read from there.
//!
//! ```text
//!   Repository::fetch ─ local  file://   one commit, packed by libgit2
//!        │            └ smart  https://  one commit, git's protocol over HTTP
//!        ▼
//!   cache folder:  lock   source   repo.git (bare)   damaged (marker)
//!        ▼
//!   Repository::read ─ tree  blobs of the commit's tree → ManifestSet
//! ```
//!
//! Everything blocks: call it from a thread that may, such as tokio's
//! `spawn_blocking`. All of it is bounded by [`RemoteOptions::timeout`] and
//! [`RemoteOptions::max_bytes`].

mod cache;
mod error;
mod http;
mod local;
mod pkt;
mod remote;
mod repository;
mod smart;
mod tree;

pub use error::FetchError;
pub use remote::{Credentials, RemoteOptions, check_url, is_local_url};
pub use repository::{Commit, ReadOptions, Repository};
