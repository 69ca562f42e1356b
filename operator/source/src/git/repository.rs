//! A repository as its users see it: fetch, then read.

use std::path::Path;
use std::time::Instant;

use git2::Oid;

use super::cache::{Cache, Locked};
use super::http::Session;
use super::local::Local;
use super::remote::{RemoteOptions, RemoteUrl, check_branch, parse_url};
use super::smart::{Branches, Server};
use super::{FetchError, tree};
use crate::manifest::stack::with_stack;
use crate::manifest::{Limits, ManifestSet, ReadError};
use crate::nearest::nearest;

/// Branches named in the error about a missing one.
const SHOWN_BRANCHES: usize = 5;

/// One branch of a repository, with its cache.
///
/// Everything blocks. Several of these on one cache folder, in one or in several
/// processes, wait for each other.
#[derive(Clone, Debug)]
pub struct Repository {
    cache: Cache,
    url: RemoteUrl,
    options: RemoteOptions,
}

/// The commit at the tip of the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id, 40 hexadecimal digits.
    pub id: String,
    /// The first line of its message.
    pub summary: String,
    /// Who wrote it.
    pub author: String,
    /// When it was written (seconds since 1970, UTC), as its author's clock said.
    pub author_time: i64,
    /// Whether the branch was rewound: the new commit doesn't come after the known
    /// one. None if there was none, or if too little of the history is here to tell.
    pub rewound: Option<bool>,
}

/// What to read out of a commit.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// A folder (or one file) of the repository; `.` for all of it.
    pub path: String,
    /// What the manifests may hold.
    pub limits: Limits,
}

impl ReadOptions {
    /// With the usual limits.
    pub fn new(path: impl Into<String>) -> Self {
        ReadOptions { path: path.into(), limits: Limits::default() }
    }
}

impl Repository {
    /// Names a repository and the folder to keep its cache in, which is made when
    /// it is first fetched. Accesses neither; errors are about the options.
    pub fn open(cache_dir: &Path, options: RemoteOptions) -> Result<Self, FetchError> {
        let url = parse_url(&options.url)?;
        check_branch(&options.branch)?;
        Ok(Repository { cache: Cache::new(cache_dir, &url.shown(), &options.branch), url, options })
    }

    /// The URL, without user name and password.
    pub fn url(&self) -> String {
        self.url.shown()
    }

    /// Brings the cache to the tip of the branch, wherever that is now. `known` is
    /// the id of the last commit that the caller dealt with, if any, and only
    /// serves [`Commit::rewound`].
    ///
    /// A cache that turns out to be damaged is thrown away and fetched anew.
    pub fn fetch(&self, known: Option<&str>) -> Result<Commit, FetchError> {
        let locked = self.cache.lock()?;
        // Counted from here: another fetch of the same cache may take its own time.
        let deadline = Instant::now() + self.options.timeout;
        let (cache, last) = locked.open()?;
        let outcome = self.fetch_into(&locked, &cache, last, deadline);
        let (cache, tip) = match outcome {
            // Without a last commit the cache had nothing to be damaged.
            Err(FetchError::Corrupt { reason, .. }) if last.is_some() => {
                tracing::warn!(
                    url = self.url.shown(),
                    reason,
                    "fetching on top of the cache failed; everything is fetched anew"
                );
                drop(cache);
                let cache = locked.renew()?;
                let tip = self.fetch_into(&locked, &cache, None, deadline)?;
                (cache, tip)
            }
            other => (cache, other?),
        };
        let mut commit = describe(&cache, tip).map_err(|error| self.corrupt(&error))?;
        commit.rewound = known
            .and_then(|known| Oid::from_str(known).ok())
            .and_then(|known| self.is_rewound(&cache, tip, known, deadline));
        Ok(commit)
    }

    /// Reads the manifests of a commit that [`Repository::fetch`] returned. The
    /// paths in documents and errors are those of the repository.
    pub fn read(&self, commit: &str, options: &ReadOptions) -> Result<ManifestSet, ReadError> {
        let unusable = |reason: String| ReadError::Corrupt { reason };
        let _lock = self.cache.lock_shared().map_err(|error| unusable(error.to_string()))?;
        let outcome = with_stack(&options.limits, || {
            let cache = self.cache.open().map_err(|error| match error.code() {
                git2::ErrorCode::NotFound => ReadError::CommitMissing { commit: commit.to_owned() },
                _ => unusable(error.message().to_owned()),
            })?;
            tree::read(&cache, commit, &options.path, &options.limits)
        });
        if let Err(ReadError::Corrupt { .. }) = outcome {
            self.cache.mark_damaged();
        }
        outcome
    }

    fn fetch_into(
        &self,
        locked: &Locked<'_>,
        cache: &git2::Repository,
        last: Option<Oid>,
        deadline: Instant,
    ) -> Result<Oid, FetchError> {
        let branch = &self.options.branch;
        let tip = match &self.url {
            RemoteUrl::File(path) => {
                let local = Local::open(path, self.url.shown(), &self.options, deadline)?;
                let branches = local.list()?;
                match branches.get(branch) {
                    Some(tip) if Some(*tip) == last => return Ok(*tip),
                    Some(tip) => {
                        local.fetch(cache, *tip)?;
                        *tip
                    }
                    None => return Err(self.no_branch(&branches)),
                }
            }
            RemoteUrl::Http(url) => {
                let mut server = Server::connect(Session::new(url, &self.options)?)?;
                match server.find(branch)? {
                    Some(tip) if Some(tip) == last => return Ok(tip),
                    Some(tip) => {
                        server.fetch(cache, tip, last)?;
                        tip
                    }
                    None => return Err(self.no_branch(&server.list("")?)),
                }
            }
        };
        tree::verify(cache, tip)
            .and_then(|()| locked.advance(cache, tip))
            .map_err(|error| self.corrupt(&error))?;
        Ok(tip)
    }

    /// Only the tip and the names of its parents are in the cache, so for more the
    /// repository itself is asked, where that is possible.
    fn is_rewound(
        &self,
        cache: &git2::Repository,
        tip: Oid,
        known: Oid,
        deadline: Instant,
    ) -> Option<bool> {
        let commit = cache.find_commit(tip).ok()?;
        if tip == known || commit.parent_ids().any(|parent| parent == known) {
            return Some(false);
        }
        match &self.url {
            RemoteUrl::File(path) => Local::open(path, self.url.shown(), &self.options, deadline)
                .ok()?
                .descends(tip, known)
                .map(|descends| !descends),
            RemoteUrl::Http(_) => None,
        }
    }

    fn no_branch(&self, branches: &Branches) -> FetchError {
        if branches.is_empty() {
            return FetchError::EmptyRepository { url: self.url.shown() };
        }
        let names = || branches.keys().map(String::as_str);
        let wanted = self.options.branch.as_str();
        // The two usual names of the first branch are not similar to the eye.
        let other_default = match wanted {
            "main" => Some("master"),
            "master" => Some("main"),
            _ => None,
        };
        let nearest = other_default
            .filter(|name| branches.contains_key(*name))
            .map(str::to_owned)
            .or_else(|| nearest(wanted, names()));
        FetchError::BranchNotFound {
            branch: wanted.to_owned(),
            nearest,
            available: names().take(SHOWN_BRANCHES).map(str::to_owned).collect(),
        }
    }

    fn corrupt(&self, error: &git2::Error) -> FetchError {
        FetchError::Corrupt { url: self.url.shown(), reason: error.message().to_owned() }
    }
}

fn describe(cache: &git2::Repository, tip: Oid) -> Result<Commit, git2::Error> {
    let commit = cache.find_commit(tip)?;
    let author = commit.author();
    Ok(Commit {
        id: tip.to_string(),
        summary: String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned(),
        author: String::from_utf8_lossy(author.name_bytes()).into_owned(),
        author_time: author.when().seconds(),
        rewound: None,
    })
}
