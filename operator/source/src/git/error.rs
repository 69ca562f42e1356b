//! Why a repository can't be fetched.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why [`super::Repository::fetch`] brought nothing. URLs in here are without
/// user name and password.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The URL, the branch name or the certificates can't be used at all.
    #[error("{0}")]
    Invalid(String),
    /// No answer: the name doesn't resolve, the connection is refused or breaks,
    /// TLS fails, it takes too long, or the server reports an error of its own.
    #[error("can't reach {url}: {reason}")]
    Unreachable {
        /// The repository.
        url: String,
        /// What happened.
        reason: String,
    },
    /// There is no repository at the URL.
    #[error("there is no git repository at {url}: {reason}")]
    NotFound {
        /// The repository.
        url: String,
        /// What was found instead.
        reason: String,
    },
    /// The server wants other credentials. Several forges answer the same for a
    /// repository that doesn't exist.
    #[error(
        "{url} asks for credentials: the repository is private, those given are not accepted, or \
         there is no repository of that name"
    )]
    AuthenticationRequired {
        /// The repository.
        url: String,
    },
    /// The local repository belongs to another user, whose hooks and settings must
    /// not be trusted unasked.
    #[error(
        "the repository {} belongs to another user than Hades runs as: change its owner, or, as \
         the user of Hades, allow it by `git config --global --add safe.directory {}`",
        path.display(), path.display()
    )]
    NotTrusted {
        /// The repository.
        path: PathBuf,
    },
    /// The repository has no such branch.
    #[error("the repository has no branch {branch:?}{}", branches(nearest.as_deref(), available))]
    BranchNotFound {
        /// The branch that was asked for.
        branch: String,
        /// The branch of the most similar name.
        nearest: Option<String>,
        /// Some of the branches that are there.
        available: Vec<String>,
    },
    /// The repository has no such tag, or none in the range.
    #[error(
        "the repository has no tag {}{tag:?}{}",
        if *range { "in the range " } else { "" },
        branches(nearest.as_deref(), available)
    )]
    TagNotFound {
        /// The tag or range that was asked for.
        tag: String,
        /// It is a range of versions.
        range: bool,
        /// The tag of the most similar name.
        nearest: Option<String>,
        /// Some of the tags that are there.
        available: Vec<String>,
    },
    /// The repository has no such commit, or doesn't give it out.
    #[error(
        "the repository has no commit {commit}, or doesn't give it out: it must be in a branch or \
         a tag"
    )]
    CommitNotFound {
        /// The commit that was asked for.
        commit: String,
    },
    /// The SSH server shows a host key that is not pinned.
    #[error("{url} is not trusted: {reason}")]
    HostKey {
        /// The repository.
        url: String,
        /// What is wrong with its key and what to do.
        reason: String,
    },
    /// The SSH server doesn't take the key.
    #[error(
        "{url} doesn't take the SSH key {fingerprint}: add it there as a key that may read (a \
         deploy key): {public_key}"
    )]
    KeyRefused {
        /// The repository.
        url: String,
        /// Fingerprint of the key.
        fingerprint: String,
        /// The public key, in one line.
        public_key: String,
    },
    /// A submodule can't be fetched.
    #[error("submodule {path:?}")]
    Submodule {
        /// Where it is in the repository.
        path: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// The repository has no commit yet.
    #[error("the repository {url} is empty: push a first commit")]
    EmptyRepository {
        /// The repository.
        url: String,
    },
    /// More than [`super::RemoteOptions::max_bytes`].
    #[error(
        "the repository is larger than {limit} bytes in one commit: keep the manifests in a \
         repository of their own, or raise the limit"
    )]
    TooLarge {
        /// The limit (bytes).
        limit: u64,
    },
    /// What arrived, or what is in the cache, is not what git says it is, and
    /// fetching everything anew didn't help.
    #[error("{url} sent data that git refuses: {reason}")]
    Corrupt {
        /// The repository.
        url: String,
        /// What git says.
        reason: String,
    },
    /// The cache folder can't be used.
    #[error("can't use the cache folder {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl FetchError {
    /// A stable word for a condition's reason or a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            FetchError::Invalid(_) => "InvalidRepository",
            FetchError::Unreachable { .. } => "RepositoryUnreachable",
            FetchError::NotFound { .. } => "RepositoryNotFound",
            FetchError::AuthenticationRequired { .. } => "AuthenticationRequired",
            FetchError::NotTrusted { .. } => "RepositoryNotTrusted",
            FetchError::BranchNotFound { .. } => "BranchNotFound",
            FetchError::TagNotFound { .. } => "TagNotFound",
            FetchError::CommitNotFound { .. } => "CommitNotFound",
            FetchError::KeyRefused { .. } => "AuthenticationRequired",
            FetchError::HostKey { .. } => "HostKeyMismatch",
            FetchError::Submodule { source, .. } => source.reason(),
            FetchError::EmptyRepository { .. } => "RepositoryEmpty",
            FetchError::TooLarge { .. } => "RepositoryTooLarge",
            FetchError::Corrupt { .. } => "RepositoryCorrupt",
            FetchError::Io { .. } => "CacheFailed",
        }
    }

    /// Whether it may go away by itself, so that trying again soon makes sense. The
    /// others need a change of the repository or of how it is named.
    pub fn is_transient(&self) -> bool {
        match self {
            FetchError::Unreachable { .. } | FetchError::Corrupt { .. } | FetchError::Io { .. } => {
                true
            }
            FetchError::Submodule { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

fn branches(nearest: Option<&str>, available: &[String]) -> String {
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
    if available.is_empty() {
        return hint;
    }
    format!("{hint} (there are: {})", available.join(", "))
}
