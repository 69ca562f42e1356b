//! Why a folder of manifests can't be read at all.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no [`super::ManifestSet`]. What is wrong with single manifests is
/// in [`super::ManifestSet::errors`] instead.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The repository has nothing at that path.
    #[error("the repository has no {path:?}{}", hint(nearest.as_deref()))]
    PathNotFound {
        /// The path that was asked for.
        path: String,
        /// The most similar name next to it.
        nearest: Option<String>,
    },
    /// The path is absolute or leads upwards.
    #[error(
        "the path {path:?} leaves the repository: give one below its root, such as \"deploy\" \
         or \".\""
    )]
    PathEscapes {
        /// The path that was asked for.
        path: String,
    },
    /// The path is, or leads through, a symbolic link or a submodule.
    #[error(
        "{path:?} is a {what} in the repository, which is not followed: name the folder itself"
    )]
    PathNotFollowed {
        /// The part of the path that is one.
        path: String,
        /// `symbolic link` or `submodule`.
        what: &'static str,
    },
    /// More manifests than [`super::Limits::files`].
    #[error(
        "more than {limit} manifests: read a folder further down, or name what are none in \
         .hadesignore"
    )]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// More folders and files than are looked at, or folders nested without end.
    #[error("the folder {path:?} holds too much to look through: read a folder further down")]
    TooManyEntries {
        /// The folder at which it was too much.
        path: String,
    },
    /// More than [`super::Limits::total_bytes`].
    #[error("the manifests are larger than {limit} bytes together")]
    TooManyBytes {
        /// The limit.
        limit: u64,
    },
    /// More documents than [`super::Limits::documents`].
    #[error("the manifests hold more than {limit} documents")]
    TooManyDocuments {
        /// The limit.
        limit: usize,
    },
    /// The cache doesn't hold this commit: it was fetched anew since. Fetch again.
    #[error("the commit {commit} is not in the cache any more: fetch again")]
    CommitMissing {
        /// The commit that was asked for.
        commit: String,
    },
    /// The cache is damaged. The next fetch throws it away and starts anew.
    #[error("the cached repository is damaged ({reason}): the next fetch replaces it")]
    Corrupt {
        /// What git says.
        reason: String,
    },
    /// A file or folder can't be read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}
