//! A repository as its users see it: fetch, then read.

use std::path::Path;

use git2::Oid;

use super::FetchError;
use super::budget::Budget;
use super::cache::{Cache, Locked};
use super::changes::{self, Changes};
use super::credentials::Credentials;
use super::follow::{Follow, Found};
use super::http::Http;
use super::local::Local;
use super::remote::RemoteOptions;
use super::smart::Server;
use super::ssh::Ssh;
use super::submodule::{self, MAX_DEPTH, MAX_SUBMODULES, Submodule};
use super::transport::Origin;
use super::tree::{self, Source};
use super::url::{RemoteUrl, parse_url};
use crate::manifest::stack::with_stack;
use crate::manifest::{Limits, ManifestSet, ReadError};

/// A branch, tag or commit of a repository, with its cache.
///
/// Everything blocks. Several of these on one cache folder, in one or in several
/// processes, wait for each other.
#[derive(Clone, Debug)]
pub struct Repository {
    cache: Cache,
    url: RemoteUrl,
    options: RemoteOptions,
}

/// The commit that is followed at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id, 40 hexadecimal digits.
    pub id: String,
    /// How it was found: `branch main`, `tag v1.4.2`, `commit 1f4b…`.
    pub follows: String,
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
    /// Only files that fit one of these patterns are read, if there are any. Patterns
    /// are those of `.hadesignore`, from the folder `path`.
    pub include: Vec<String>,
    /// Files and folders left out beside those that `.hadesignore` names.
    pub ignore: Vec<String>,
}

impl ReadOptions {
    /// With the usual limits.
    pub fn new(path: impl Into<String>) -> Self {
        ReadOptions {
            path: path.into(),
            limits: Limits::default(),
            include: Vec::new(),
            ignore: Vec::new(),
        }
    }
}

impl Repository {
    /// Names a repository and the folder to keep its cache in, which is made when
    /// it is first fetched. Accesses neither; errors are about the options.
    pub fn open(cache_dir: &Path, options: RemoteOptions) -> Result<Self, FetchError> {
        let url = parse_url(&options.url)?;
        options.follow.check()?;
        let cache = Cache::new(cache_dir, &url.shown(), &options.follow.to_string());
        Ok(Repository { cache, url, options })
    }

    /// The URL, without user name and password.
    pub fn url(&self) -> String {
        self.url.shown()
    }

    /// Brings the cache to the commit that is followed, wherever that is now. `known`
    /// is the id of the last commit that the caller dealt with, if any, and only
    /// serves [`Commit::rewound`].
    ///
    /// A cache that turns out to be damaged is thrown away and fetched anew.
    pub fn fetch(&self, known: Option<&str>) -> Result<Commit, FetchError> {
        let locked = self.cache.lock()?;
        // Counted from here: another fetch of the same cache may take its own time.
        let budget = Budget::new(self.options.timeout, self.options.max_bytes);
        let (cache, last) = locked.open()?;
        let outcome = self.fetch_into(&locked, &cache, last, &budget);
        let (cache, found) = match outcome {
            // Without a last commit the cache had nothing to be damaged.
            Err(FetchError::Corrupt { reason, .. }) if last.is_some() => {
                tracing::warn!(
                    url = self.url.shown(),
                    reason,
                    "fetching on top of the cache failed; everything is fetched anew"
                );
                drop(cache);
                let cache = locked.renew()?;
                let found = self.fetch_into(&locked, &cache, None, &budget)?;
                (cache, found)
            }
            other => (cache, other?),
        };
        let mut commit = describe(&cache, &found).map_err(|error| self.corrupt(&error))?;
        commit.rewound = known
            .and_then(|known| Oid::from_str(known).ok())
            .and_then(|known| self.is_rewound(&cache, found.target.commit, known, &budget));
        Ok(commit)
    }

    /// Reads the manifests of a commit that [`Repository::fetch`] returned. The
    /// paths in documents and errors are those of the repository.
    pub fn read(&self, commit: &str, options: &ReadOptions) -> Result<ManifestSet, ReadError> {
        self.reading(commit, options, |source| source.read(commit))
    }

    /// Reads only the files that differ between two commits that
    /// [`Repository::fetch`] returned. None if that can't be told from what is here:
    /// then [`Repository::read`] the later one.
    pub fn read_changes(
        &self,
        from: &str,
        to: &str,
        options: &ReadOptions,
    ) -> Result<Option<Changes>, ReadError> {
        self.reading(to, options, |source| changes::read(source, from, to))
    }

    fn reading<T: Send>(
        &self,
        commit: &str,
        options: &ReadOptions,
        read: impl FnOnce(Source<'_>) -> Result<T, ReadError> + Send,
    ) -> Result<T, ReadError> {
        let unusable = |reason: String| ReadError::Corrupt { reason };
        let _lock = self.cache.lock_shared().map_err(|error| unusable(error.to_string()))?;
        let outcome = with_stack(&options.limits, || {
            let cache = self.cache.open().map_err(|error| match error.code() {
                git2::ErrorCode::NotFound => ReadError::CommitMissing { commit: commit.to_owned() },
                _ => unusable(error.message().to_owned()),
            })?;
            let submodules = self.options.submodules.is_some();
            read(Source { repository: &cache, options, submodules })
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
        budget: &Budget,
    ) -> Result<Found, FetchError> {
        let found = self.fetch_commit(locked, cache, last, budget)?;
        if let Some(below) = &self.options.submodules {
            let mut count = 0;
            let commit = found.target.commit;
            self.fetch_submodules(cache, (&self.url, commit), (below, 0), &mut count, budget)?;
        }
        Ok(found)
    }

    fn fetch_commit(
        &self,
        locked: &Locked<'_>,
        cache: &git2::Repository,
        last: Option<Oid>,
        budget: &Budget,
    ) -> Result<Found, FetchError> {
        let follow = &self.options.follow;
        if let Follow::Commit(_) = follow
            && let Some(found) = follow.choose(&Default::default())
            && Some(found.target.commit) == last
        {
            return Ok(found);
        }
        let mut origin = self.connect(&self.url, true, budget)?;
        let references = match follow {
            Follow::Commit(_) => Default::default(),
            _ => origin.list(&follow.prefix())?,
        };
        let Some(found) = follow.choose(&references) else {
            return Err(follow.missing(&self.url.shown(), &origin.list("")?));
        };
        let commit = found.target.commit;
        if Some(commit) == last {
            return Ok(found);
        }
        origin.fetch(cache, found.target.id, last)?;
        if cache.find_commit(commit).is_err() && matches!(follow, Follow::Commit(_)) {
            return Err(FetchError::CommitNotFound { commit: commit.to_string() });
        }
        tree::verify(cache, commit)
            .and_then(|()| locked.advance(cache, commit))
            .map_err(|error| self.corrupt(&error))?;
        Ok(found)
    }

    /// `trusted`: what opens the repository may be shown to its server.
    fn connect(
        &self,
        url: &RemoteUrl,
        trusted: bool,
        budget: &Budget,
    ) -> Result<Box<dyn Origin>, FetchError> {
        let Credentials { http, ssh } = &self.options.credentials;
        let budget = budget.clone();
        Ok(match url {
            RemoteUrl::File(path) => Box::new(Local::open(path, url.shown(), budget)?),
            RemoteUrl::Http(url) => {
                let credentials = http.as_ref().filter(|_| trusted);
                let extra_ca = self.options.extra_ca.as_deref();
                Box::new(Server::connect(Box::new(Http::new(url, credentials, extra_ca, budget)?))?)
            }
            RemoteUrl::Ssh(url) => {
                let credentials = ssh.as_ref().filter(|_| trusted);
                Box::new(Server::connect(Box::new(Ssh::new(url, credentials, budget)?))?)
            }
        })
    }

    /// Fetches the submodules of a commit of `parent` in a folder, and those in them.
    fn fetch_submodules(
        &self,
        cache: &git2::Repository,
        (parent, commit): (&RemoteUrl, Oid),
        (below, depth): (&str, usize),
        count: &mut usize,
        budget: &Budget,
    ) -> Result<(), FetchError> {
        let wrong = |error: git2::Error| self.corrupt(&error);
        let submodules = submodule::list(cache, commit, below).map_err(wrong)?;
        if submodules.is_empty() {
            return Ok(());
        }
        let urls = submodule::urls(cache, commit).map_err(wrong)?;
        for Submodule { path, commit } in submodules {
            let failed =
                |source| FetchError::Submodule { path: path.clone(), source: Box::new(source) };
            let invalid = |reason: &str| failed(FetchError::Invalid(reason.to_owned()));
            *count += 1;
            if *count > MAX_SUBMODULES || depth >= MAX_DEPTH {
                return Err(invalid("there are too many submodules, or too deep in one another"));
            }
            let Some(url) = urls.get(&path) else {
                return Err(invalid("the file .gitmodules says nothing of it"));
            };
            let url = submodule::locate(url, parent, &self.url).map_err(|error| invalid(&error))?;
            if tree::verify(cache, commit).is_err() {
                let trusted = url.shares_credentials_with(&self.url)
                    && self.options.scope.as_ref().is_none_or(|scope| scope.opens(&url));
                self.connect(&url, trusted, budget)
                    .and_then(|mut origin| origin.fetch(cache, commit, None))
                    .map_err(failed)?;
                tree::verify(cache, commit)
                    .map_err(|error| failed(corrupt(&url.shown(), &error)))?;
            }
            let below = submodule::within(below, &path);
            self.fetch_submodules(cache, (&url, commit), (&below, depth + 1), count, budget)
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Only the tip and the names of its parents are in the cache, so for more the
    /// repository itself is asked, where that is possible.
    fn is_rewound(
        &self,
        cache: &git2::Repository,
        tip: Oid,
        known: Oid,
        budget: &Budget,
    ) -> Option<bool> {
        let commit = cache.find_commit(tip).ok()?;
        if tip == known || commit.parent_ids().any(|parent| parent == known) {
            return Some(false);
        }
        match &self.url {
            RemoteUrl::File(path) => Local::open(path, self.url.shown(), budget.clone())
                .ok()?
                .descends(tip, known)
                .map(|descends| !descends),
            RemoteUrl::Http(_) | RemoteUrl::Ssh(_) => None,
        }
    }

    fn corrupt(&self, error: &git2::Error) -> FetchError {
        corrupt(&self.url.shown(), error)
    }
}

fn corrupt(url: &str, error: &git2::Error) -> FetchError {
    FetchError::Corrupt { url: url.to_owned(), reason: error.message().to_owned() }
}

fn describe(cache: &git2::Repository, found: &Found) -> Result<Commit, git2::Error> {
    let tip = found.target.commit;
    let commit = cache.find_commit(tip)?;
    let author = commit.author();
    Ok(Commit {
        id: tip.to_string(),
        follows: found.name.clone(),
        summary: String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned(),
        author: String::from_utf8_lossy(author.name_bytes()).into_owned(),
        author_time: author.when().seconds(),
        rewound: None,
    })
}
