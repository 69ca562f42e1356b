//! How git's smart protocol reaches a server: what HTTP and SSH have in common.

use std::io::{self, Read};

use git2::Oid;
use thiserror::Error;

use super::FetchError;
use super::budget::Budget;
use super::follow::References;

/// Much of a server's error text is enough to recognise it.
const MAX_REASON: usize = 1000;

/// A repository that can be asked and fetched from.
pub(super) trait Origin {
    /// The references whose names begin so (`refs/heads/main`).
    fn list(&mut self, prefix: &str) -> Result<References, FetchError>;

    /// Fetches a commit (or the tag of one) with its files into the cache. `have` is
    /// a commit that is there with its files, so that only what differs is sent.
    fn fetch(
        &mut self,
        cache: &git2::Repository,
        wanted: Oid,
        have: Option<Oid>,
    ) -> Result<(), FetchError>;
}

/// A way to `git-upload-pack` of a repository.
pub(super) trait Transport {
    /// What the repository says first.
    fn advertisement(&mut self) -> Result<Body<'_>, FetchError>;

    /// Sends a request. `v2`: in version 2 of the protocol.
    fn upload_pack(&mut self, request: Vec<u8>, v2: bool) -> Result<Body<'_>, FetchError>;
}

/// A conversation with one repository: its name in errors, and what is left of the
/// fetch.
#[derive(Debug)]
pub(super) struct Exchange {
    shown: String,
    budget: Budget,
}

/// An answer, which ends at the fetch's deadline and size limit.
pub(super) struct Body<'a> {
    pub(super) source: Box<dyn Read + 'a>,
    pub(super) exchange: &'a Exchange,
    /// The source ends where the answer does. Otherwise the next answer follows.
    pub(super) ends: bool,
}

/// Why a transfer ended early.
#[derive(Debug, Error)]
pub(super) enum Stop {
    #[error("too large")]
    TooLarge,
    #[error("timed out")]
    TimedOut,
    #[error("{0}")]
    Failed(String),
}

impl Exchange {
    /// `shown` is the repository's URL without credentials.
    pub(super) fn new(shown: String, budget: Budget) -> Self {
        Exchange { shown, budget }
    }

    /// The repository as it was named, without credentials.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn timed_out(&self) -> FetchError {
        self.budget.timed_out(&self.shown)
    }

    pub(super) fn unreachable(&self, reason: impl Into<String>) -> FetchError {
        FetchError::Unreachable { url: self.shown.clone(), reason: reason.into() }
    }

    /// An answer that makes no sense.
    pub(super) fn nonsense(&self, reason: &str) -> FetchError {
        FetchError::Corrupt { url: self.shown.clone(), reason: shorten(reason) }
    }

    /// What went wrong while a body was read.
    pub(super) fn broken(&self, error: &io::Error) -> FetchError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
            Some(Stop::TooLarge) => FetchError::TooLarge { limit: self.budget.limit() },
            Some(Stop::TimedOut) => self.timed_out(),
            Some(Stop::Failed(reason)) => self.unreachable(reason.as_str()),
            None if error.kind() == io::ErrorKind::InvalidData => self.nonsense(&error.to_string()),
            None => self.unreachable(format!("the connection broke: {error}")),
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.exchange.budget.left().is_none() {
            return Err(io::Error::other(Stop::TimedOut));
        }
        let length = self.source.read(buffer)?;
        if self.exchange.budget.take(length) {
            Ok(length)
        } else {
            Err(io::Error::other(Stop::TooLarge))
        }
    }
}

/// What a server says, short and without control characters. No word is cut in two: it
/// may be a value of a Secret, whose half nobody would know again and hide.
pub(super) fn shorten(text: &str) -> String {
    let mut words: String =
        text.chars().filter(|character| !character.is_control()).take(MAX_REASON + 1).collect();
    if words.chars().count() > MAX_REASON {
        let end = words.rfind(char::is_whitespace).unwrap_or_default();
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_cut_in_two() {
        assert_eq!(shorten("all\nof it"), "allof it");
        let begin = "x".repeat(MAX_REASON - 4);
        assert_eq!(shorten(&format!("{begin} hunter22")), format!("{begin}…"));
        assert_eq!(shorten(&"y".repeat(MAX_REASON + 1)), "…");
    }
}
