//! Repositories on this machine (`file://`).
//!
//! libgit2's own transport for them takes the whole history of all branches along,
//! so the files of the one commit are packed here, without what the cache has.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use git2::{ErrorCode, ObjectType, Odb, Oid, PackBuilder};

use super::FetchError;
use super::budget::Budget;
use super::follow::{HEADS, References, TAGS, Target};
use super::transport::Origin;

/// A local repository.
pub(super) struct Local {
    origin: git2::Repository,
    shown: String,
    budget: Budget,
}

/// Why we end a transfer by ourselves.
enum Stop {
    TooLarge,
    TimedOut,
    Refused,
}

impl Local {
    pub(super) fn open(path: &Path, shown: String, budget: Budget) -> Result<Self, FetchError> {
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
        Ok(Local { origin, shown, budget })
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
            if self.budget.left().is_none() {
                return Err(self.budget.timed_out(&self.shown));
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

    fn corrupt(&self, error: &git2::Error) -> FetchError {
        corrupt(&self.shown, error)
    }
}

impl Origin for Local {
    fn list(&mut self, prefix: &str) -> Result<References, FetchError> {
        let mut found = References::new();
        let references = self.origin.references().map_err(|error| self.corrupt(&error))?;
        for reference in references {
            // A single broken branch must not hide the others.
            let Ok(reference) = reference else { continue };
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if name.starts_with(prefix)
                && (name.starts_with(HEADS) || name.starts_with(TAGS))
                && let Ok(commit) = reference.peel_to_commit()
            {
                // Only the commit is copied, whatever tag leads to it.
                found.insert(name, Target::commit(commit.id()));
            }
        }
        Ok(found)
    }

    fn fetch(
        &mut self,
        cache: &git2::Repository,
        wanted: Oid,
        _have: Option<Oid>,
    ) -> Result<(), FetchError> {
        let wrong = |error: git2::Error| self.corrupt(&error);
        if let Err(error) = self.origin.find_commit(wanted)
            && error.code() == ErrorCode::NotFound
        {
            return Err(FetchError::CommitNotFound { commit: wanted.to_string() });
        }
        let odb = cache.odb().map_err(wrong)?;
        let mut pack = self.origin.packbuilder().map_err(wrong)?;
        self.select(&mut pack, &odb, wanted)?;
        let mut writer = odb.packwriter().map_err(wrong)?;
        let mut stop = None;
        let outcome = pack.foreach(|bytes| {
            stop = if !self.budget.take(bytes.len()) {
                Some(Stop::TooLarge)
            } else if self.budget.left().is_none() {
                Some(Stop::TimedOut)
            } else {
                writer.write_all(bytes).err().map(|_| Stop::Refused)
            };
            stop.is_none()
        });
        match stop {
            Some(Stop::TooLarge) => {
                return Err(FetchError::TooLarge { limit: self.budget.limit() });
            }
            Some(Stop::TimedOut) => return Err(self.budget.timed_out(&self.shown)),
            Some(Stop::Refused) => return Err(wrong(git2::Error::last_error(-1))),
            None => outcome.map_err(wrong)?,
        }
        writer.commit().map_err(wrong)?;
        Ok(())
    }
}

fn corrupt(shown: &str, error: &git2::Error) -> FetchError {
    FetchError::Corrupt { url: shown.to_owned(), reason: error.message().to_owned() }
}
