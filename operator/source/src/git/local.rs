//! Repositories on this machine (`file://`).
//!
//! libgit2's own transport for them takes the whole history of all branches along,
//! so the files of the one commit are packed here, without what the cache has.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use git2::{ErrorCode, ObjectType, Odb, Oid, PackBuilder};

use super::FetchError;
use super::remote::RemoteOptions;
use super::smart::Branches;

const HEADS: &str = "refs/heads/";

/// A local repository.
pub(super) struct Local<'a> {
    origin: git2::Repository,
    shown: String,
    options: &'a RemoteOptions,
    deadline: Instant,
}

/// Why we end a transfer by ourselves.
enum Stop {
    TooLarge,
    TimedOut,
    Refused,
}

impl<'a> Local<'a> {
    pub(super) fn open(
        path: &Path,
        shown: String,
        options: &'a RemoteOptions,
        deadline: Instant,
    ) -> Result<Self, FetchError> {
        let missing = |url: &str, reason: &str| FetchError::NotFound {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(missing(&shown, "it is a file, not a folder")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing(&shown, "the folder doesn't exist"));
            }
            Err(error) => {
                return Err(FetchError::Unreachable { url: shown, reason: error.to_string() });
            }
        }
        let origin = git2::Repository::open(path).map_err(|error| match error.code() {
            ErrorCode::Owner => FetchError::NotTrusted { path: path.to_owned() },
            ErrorCode::NotFound => missing(&shown, "the folder is no git repository"),
            _ => corrupt(&shown, &error),
        })?;
        Ok(Local { origin, shown, options, deadline })
    }

    /// Its branches.
    pub(super) fn list(&self) -> Result<Branches, FetchError> {
        let mut branches = Branches::new();
        let references = self
            .origin
            .references_glob(&format!("{HEADS}*"))
            .map_err(|error| self.corrupt(&error))?;
        for reference in references {
            // A single broken branch must not hide the others.
            let Ok(reference) = reference else { continue };
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if let Some(name) = name.strip_prefix(HEADS)
                && let Ok(commit) = reference.peel_to_commit()
            {
                branches.insert(name.to_owned(), commit.id());
            }
        }
        Ok(branches)
    }

    /// Copies a commit and its files into the cache.
    pub(super) fn fetch(&self, cache: &git2::Repository, tip: Oid) -> Result<(), FetchError> {
        let wrong = |error: git2::Error| self.corrupt(&error);
        let odb = cache.odb().map_err(wrong)?;
        let mut pack = self.origin.packbuilder().map_err(wrong)?;
        self.select(&mut pack, &odb, tip)?;
        let mut writer = odb.packwriter().map_err(wrong)?;
        let mut written = 0;
        let mut stop = None;
        let outcome = pack.foreach(|bytes| {
            written += bytes.len() as u64;
            stop = if written > self.options.max_bytes {
                Some(Stop::TooLarge)
            } else if Instant::now() >= self.deadline {
                Some(Stop::TimedOut)
            } else {
                writer.write_all(bytes).err().map(|_| Stop::Refused)
            };
            stop.is_none()
        });
        match stop {
            Some(Stop::TooLarge) => {
                return Err(FetchError::TooLarge { limit: self.options.max_bytes });
            }
            Some(Stop::TimedOut) => return Err(self.timed_out()),
            Some(Stop::Refused) => return Err(wrong(git2::Error::last_error(-1))),
            None => outcome.map_err(wrong)?,
        }
        writer.commit().map_err(wrong)?;
        Ok(())
    }

    /// Whether one commit comes after another. None if that can't be told, as when
    /// the other is gone.
    pub(super) fn descends(&self, commit: Oid, from: Oid) -> Option<bool> {
        self.origin.find_commit(from).ok()?;
        self.origin.graph_descendant_of(commit, from).ok()
    }

    /// Chooses what the cache lacks of a commit. A folder that is there is there
    /// with everything in it, as packs arrive whole or not at all.
    fn select(
        &self,
        pack: &mut PackBuilder<'_>,
        cache: &Odb<'_>,
        tip: Oid,
    ) -> Result<(), FetchError> {
        let wrong = |error: git2::Error| self.corrupt(&error);
        pack.insert_object(tip, None).map_err(wrong)?;
        let commit = self.origin.find_commit(tip).map_err(wrong)?;
        let mut folders = vec![commit.tree_id()];
        // One folder may be there under many names, and those in it again.
        let mut seen = HashSet::new();
        while let Some(id) = folders.pop() {
            if cache.exists(id) || !seen.insert(id) {
                continue;
            }
            if Instant::now() >= self.deadline {
                return Err(self.timed_out());
            }
            pack.insert_object(id, None).map_err(wrong)?;
            for entry in &self.origin.find_tree(id).map_err(wrong)? {
                match entry.kind() {
                    Some(ObjectType::Tree) => folders.push(entry.id()),
                    Some(ObjectType::Commit) => {}
                    _ if cache.exists(entry.id()) => {}
                    // The name only helps to find similar files.
                    _ => pack.insert_object(entry.id(), entry.name().ok()).map_err(wrong)?,
                }
            }
        }
        Ok(())
    }

    fn timed_out(&self) -> FetchError {
        FetchError::Unreachable {
            url: self.shown.clone(),
            reason: format!("it took longer than {} s", self.options.timeout.as_secs_f32()),
        }
    }

    fn corrupt(&self, error: &git2::Error) -> FetchError {
        corrupt(&self.shown, error)
    }
}

fn corrupt(shown: &str, error: &git2::Error) -> FetchError {
    FetchError::Corrupt { url: shown.to_owned(), reason: error.message().to_owned() }
}
