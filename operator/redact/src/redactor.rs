//! Hides a set of values.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::MARKER;
use crate::automaton::Automaton;
use crate::span::{Spans, Writer};
use crate::stream::Stream;

/// Hides a set of values wherever they turn up. Clones share it.
#[derive(Clone, Default)]
pub struct Redactor(Knowledge);

#[derive(Clone, Default)]
pub(crate) enum Knowledge {
    /// There are no values.
    #[default]
    None,
    /// These values.
    Values(Arc<Automaton>),
    /// There are more values than can be searched for, so nothing is shown.
    TooMuch,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms = match &self.0 {
            Knowledge::None => Some(0),
            Knowledge::Values(automaton) => Some(automaton.forms()),
            Knowledge::TooMuch => None,
        };
        f.debug_struct("Redactor").field("forms", &forms).finish()
    }
}

impl Redactor {
    /// For these values; those that are too short are left out. Where there are more
    /// than an automaton can hold, all text is hidden.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        match Automaton::new(values) {
            Ok(automaton) if automaton.forms() == 0 => Self::default(),
            Ok(automaton) => Self(Knowledge::Values(Arc::new(automaton))),
            Err(_) => Self(Knowledge::TooMuch),
        }
    }

    /// Whether there is nothing to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Knowledge::None)
    }

    /// Whether both know the very same values, because one is a clone of the other.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Knowledge::None, Knowledge::None) | (Knowledge::TooMuch, Knowledge::TooMuch) => true,
            (Knowledge::Values(one), Knowledge::Values(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// A text without the values.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // A value of bytes that are no text may end within a character.
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        }
    }

    /// Bytes without the values.
    #[must_use]
    pub fn bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        let automaton = match &self.0 {
            Knowledge::None => return Cow::Borrowed(bytes),
            Knowledge::TooMuch => return Cow::Owned(MARKER.as_bytes().to_vec()),
            Knowledge::Values(automaton) => automaton,
        };
        let mut spans = Spans::default();
        automaton.scan(&mut automaton.begin(), bytes, 0, &mut spans);
        if spans.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        Writer::default().write(bytes, &spans, &mut out);
        Cow::Owned(out)
    }

    /// For bytes that come piece by piece.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::new(self.clone())
    }

    pub(crate) fn knowledge(&self) -> &Knowledge {
        &self.0
    }
}
