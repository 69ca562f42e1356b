//! Which repository, and what it may cost to fetch it.

use std::time::Duration;

use super::credentials::Credentials;
use super::follow::Follow;
use super::scope::Scope;

/// What of which repository to fetch, and the limits.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// `https://`, `ssh://`, `user@host:path`, `file://`, or `http://` to this machine
    /// itself.
    pub url: String,
    /// What of it.
    pub follow: Follow,
    /// Longest that a whole fetch may take, submodules included.
    pub timeout: Duration,
    /// Most that one fetch may transfer (bytes), submodules included.
    pub max_bytes: u64,
    /// Certificates (PEM) trusted beside those of the system, for https.
    pub extra_ca: Option<Vec<u8>>,
    /// What opens the repository. Goes to its host only.
    pub credentials: Credentials,
    /// What the credentials are for, where that is less than the host: they are shown
    /// for no submodule elsewhere.
    pub scope: Option<Scope>,
    /// The folder whose submodules are fetched and read too (`.` for all of the
    /// repository); none are when absent.
    pub submodules: Option<String>,
}

impl RemoteOptions {
    /// A branch, with the usual limits: a minute, 256 MiB.
    pub fn new(url: impl Into<String>, branch: impl Into<String>) -> Self {
        RemoteOptions {
            url: url.into(),
            follow: Follow::Branch(branch.into()),
            timeout: Duration::from_secs(60),
            max_bytes: 256 * 1024 * 1024,
            extra_ca: None,
            credentials: Credentials::default(),
            scope: None,
            submodules: None,
        }
    }
}
