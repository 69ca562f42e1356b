//! The folder that holds what was fetched: a bare repository that can be thrown
//! away at any time, because fetching makes it again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use git2::{Oid, RepositoryInitOptions};

use super::FetchError;

/// The last commit fetched.
const HEAD: &str = "refs/hades/head";
/// Every fetch adds a pack and its index, and crashed ones leave files behind: from
/// this many on, one full fetch is cheaper to keep than all of them.
const MAX_PACK_FILES: usize = 200;

/// A cache folder.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    /// What the cache is of. Another repository's cache is thrown away.
    source: String,
}

/// A cache that nobody else uses meanwhile. The lock ends with it.
pub(super) struct Locked<'a> {
    cache: &'a Cache,
    _lock: File,
}

impl Cache {
    /// `follow` is what of the repository is in it.
    pub(super) fn new(dir: &Path, url: &str, follow: &str) -> Self {
        Cache { dir: dir.to_owned(), source: format!("{url}\n{follow}\n") }
    }

    /// Waits until the cache is ours alone, for fetching.
    pub(super) fn lock(&self) -> Result<Locked<'_>, FetchError> {
        let file = self.lock_file()?;
        file.lock().map_err(io_at(&self.dir.join("lock")))?;
        Ok(Locked { cache: self, _lock: file })
    }

    /// Waits until nobody fetches, for reading.
    pub(super) fn lock_shared(&self) -> Result<File, FetchError> {
        let file = self.lock_file()?;
        file.lock_shared().map_err(io_at(&self.dir.join("lock")))?;
        Ok(file)
    }

    fn lock_file(&self) -> Result<File, FetchError> {
        fs::create_dir_all(&self.dir).map_err(io_at(&self.dir))?;
        let path = self.dir.join("lock");
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_at(&path))
    }

    /// The repository, to read from.
    pub(super) fn open(&self) -> Result<git2::Repository, git2::Error> {
        git2::Repository::open_bare(self.repository())
    }

    /// Has the next fetch start anew, because what is here can't be read.
    pub(super) fn mark_damaged(&self) {
        if let Err(error) = File::create(self.marker()) {
            tracing::warn!(dir = %self.dir.display(), %error, "can't mark the cache as damaged");
        }
    }

    fn repository(&self) -> PathBuf {
        self.dir.join("repo.git")
    }

    fn marker(&self) -> PathBuf {
        self.dir.join("damaged")
    }
}

impl Locked<'_> {
    /// The repository and the last commit in it. A cache that is damaged, half
    /// written or of another repository is replaced by an empty one.
    pub(super) fn open(&self) -> Result<(git2::Repository, Option<Oid>), FetchError> {
        if let Some(repository) = self.usable() {
            match last_commit(&repository) {
                Ok(last) => return Ok((repository, last)),
                Err(error) => tracing::warn!(
                    dir = %self.cache.dir.display(),
                    error = error.message(),
                    "the cached repository is damaged and is fetched anew"
                ),
            }
        }
        Ok((self.renew()?, None))
    }

    /// Throws the cache away and begins an empty one.
    pub(super) fn renew(&self) -> Result<git2::Repository, FetchError> {
        let repository = self.cache.repository();
        let source = self.cache.dir.join("source");
        // The source goes first: a crash from here on leaves a cache of nothing.
        for path in [&source, &self.cache.marker()] {
            ignore_missing(fs::remove_file(path)).map_err(io_at(path))?;
        }
        ignore_missing(fs::remove_dir_all(&repository)).map_err(io_at(&repository))?;
        // No templates: their hooks and settings have no business here.
        let made = git2::Repository::init_opts(
            &repository,
            RepositoryInitOptions::new().bare(true).external_template(false),
        )
        .map_err(|error| FetchError::Io {
            path: repository.clone(),
            source: io::Error::other(error.message().to_owned()),
        })?;
        fs::write(&source, &self.cache.source).map_err(io_at(&source))?;
        Ok(made)
    }

    /// Records what was fetched.
    pub(super) fn advance(
        &self,
        repository: &git2::Repository,
        commit: Oid,
    ) -> Result<(), git2::Error> {
        repository.reference(HEAD, commit, true, "fetch").map(|_| ())
    }

    fn usable(&self) -> Option<git2::Repository> {
        let source = fs::read_to_string(self.cache.dir.join("source")).ok()?;
        if source != self.cache.source || self.cache.marker().exists() {
            return None;
        }
        let repository = self.cache.open().ok()?;
        let packs = fs::read_dir(repository.path().join("objects/pack")).ok()?;
        (packs.count() < MAX_PACK_FILES).then_some(repository)
    }
}

/// The last commit, if there is one. An error if it can't be read.
fn last_commit(repository: &git2::Repository) -> Result<Option<Oid>, git2::Error> {
    match repository.refname_to_id(HEAD) {
        Ok(id) => {
            repository.find_commit(id)?.tree()?;
            Ok(Some(id))
        }
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ignore_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}
