//! One branch, tag or commit of a git repository, fetched into a local cache and read
//! from there.
//!
//! ```text
//!   Repository::fetch ─ local  file://            one commit, packed by libgit2
//!        │            └ smart  git's protocol     one commit
//!        │                ├ http  https://
//!        │                └ ssh   ssh://
//!        ├ submodule   the same again for every submodule, where wanted
//!        ▼
//!   cache folder:  lock   source   repo.git (bare)   damaged (marker)
//!        ▼
//!   Repository::read ─ tree             blobs of the commit's tree → ManifestSet
//!   Repository::read_changes ─ changes  blobs that differ between two commits
//! ```
//!
//! Everything blocks: call it from a thread that may, such as tokio's
//! `spawn_blocking`. All of it is bounded by [`RemoteOptions::timeout`] and
//! [`RemoteOptions::max_bytes`].

mod budget;
mod cache;
mod changes;
mod credentials;
mod error;
mod follow;
mod http;
mod known_hosts;
mod local;
mod pkt;
mod remote;
mod repository;
mod scope;
mod smart;
mod ssh;
mod submodule;
mod transport;
mod tree;
mod url;

pub use changes::Changes;
pub use credentials::{Credentials, HttpCredentials, SshCredentials};
pub use error::FetchError;
pub use follow::Follow;
pub use remote::RemoteOptions;
pub use repository::{Commit, ReadOptions, Repository};
pub use scope::Scope;
pub use ssh::check_identity;
pub use url::{check_url, host_of, is_local_url};
