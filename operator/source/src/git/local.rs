//! Repositories on this machine (`file://`), by libgit2's own transport. It can't
//! leave out the history, so the first fetch takes all of the branch.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use git2::{AutotagOption, Direction, ErrorCode, FetchOptions, Oid, RemoteCallbacks};

use super::FetchError;
use super::remote::RemoteOptions;
use super::smart::Branches;

const HEADS: &str = "refs/heads/";
/// Where a fetched branch arrives.
const ARRIVAL: &str = "refs/hades/arrival";

/// A local repository.
pub(super) struct Local<'a> {
    pub(super) path: &'a Path,
    /// The repository, for errors.
    pub(super) shown: &'a str,
    pub(super) options: &'a RemoteOptions,
    pub(super) deadline: Instant,
}

impl Local<'_> {
    /// Its branches.
    pub(super) fn list(&self, cache: &git2::Repository) -> Result<Branches, FetchError> {
        let mut remote = self.remote(cache)?;
        let connection = remote
            .connect_auth(Direction::Fetch, None, None)
            .map_err(|error| self.explain(&error))?;
        let heads = connection.list().map_err(|error| self.explain(&error))?;
        Ok(heads
            .iter()
            .filter_map(|head| Some((head.name().strip_prefix(HEADS)?.to_owned(), head.oid())))
            .collect())
    }

    /// Fetches a branch into the cache, and says where it is: it may have moved on
    /// since it was listed.
    pub(super) fn fetch(&self, cache: &git2::Repository, branch: &str) -> Result<Oid, FetchError> {
        #[derive(Clone, Copy)]
        enum Stop {
            TooLarge,
            TimedOut,
        }
        let stopped: Cell<Option<Stop>> = Cell::new(None);
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(|progress| {
            if progress.received_bytes() as u64 > self.options.max_bytes {
                stopped.set(Some(Stop::TooLarge));
            } else if Instant::now() >= self.deadline {
                stopped.set(Some(Stop::TimedOut));
            }
            stopped.get().is_none()
        });
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .download_tags(AutotagOption::None)
            .update_fetchhead(false);
        let refspec = format!("+{HEADS}{branch}:{ARRIVAL}");
        let outcome = self
            .remote(cache)?
            .fetch(&[refspec.as_str()], Some(&mut options), None);
        match (stopped.get(), outcome) {
            (Some(Stop::TooLarge), _) => Err(FetchError::TooLarge {
                limit: self.options.max_bytes,
            }),
            (Some(Stop::TimedOut), _) => Err(self.unreachable(&format!(
                "it took longer than {} s",
                self.options.timeout.as_secs_f32()
            ))),
            (None, Err(error)) => Err(self.explain(&error)),
            (None, Ok(())) => cache
                .refname_to_id(ARRIVAL)
                .map_err(|error| self.explain(&error)),
        }
    }

    fn remote<'cache>(
        &self,
        cache: &'cache git2::Repository,
    ) -> Result<git2::Remote<'cache>, FetchError> {
        fs::metadata(self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FetchError::NotFound {
                url: self.shown.to_owned(),
                reason: "the folder doesn't exist".to_owned(),
            },
            _ => self.unreachable(&error.to_string()),
        })?;
        let path = self.path.to_str().ok_or_else(|| {
            FetchError::Invalid("the path of the repository must be UTF-8".to_owned())
        })?;
        cache
            .remote_anonymous(path)
            .map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &git2::Error) -> FetchError {
        match error.code() {
            ErrorCode::Owner => FetchError::NotTrusted {
                path: self.path.to_owned(),
            },
            ErrorCode::NotFound => FetchError::NotFound {
                url: self.shown.to_owned(),
                reason: error.message().to_owned(),
            },
            _ => FetchError::Corrupt {
                url: self.shown.to_owned(),
                reason: error.message().to_owned(),
            },
        }
    }

    fn unreachable(&self, reason: &str) -> FetchError {
        FetchError::Unreachable {
            url: self.shown.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
