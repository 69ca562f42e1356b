//! Hides a set of values.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};

use crate::MARKER;
use crate::automaton::Automaton;
use crate::span::{Spans, Writer};
use crate::stream::Stream;

/// As many bytes of forms are looked for at most. They take some 15 times as much
/// memory, and a second to be prepared.
const MOST_BYTES: usize = 2 << 20;

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
    /// For these values; those that are too short are left out. Where their forms are
    /// more than 2 MiB, lines of values are no longer looked for one by one; where the
    /// values alone are more, all text is hidden.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]> + Clone) -> Self {
        Self::within(values, MOST_BYTES)
    }

    fn within<'a>(values: impl IntoIterator<Item = &'a [u8]> + Clone, most: usize) -> Self {
        match Automaton::new(values, most) {
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

    /// As many bytes of memory all clones together take.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0 {
            Knowledge::Values(automaton) => automaton.memory(),
            Knowledge::None | Knowledge::TooMuch => 0,
        }
    }

    /// The same as long as somebody else has it.
    #[must_use]
    pub fn downgrade(&self) -> WeakRedactor {
        WeakRedactor(match &self.0 {
            Knowledge::None => WeakKnowledge::None,
            Knowledge::Values(automaton) => WeakKnowledge::Values(Arc::downgrade(automaton)),
            Knowledge::TooMuch => WeakKnowledge::TooMuch,
        })
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

/// A [`Redactor`] that keeps no memory.
#[derive(Clone)]
pub struct WeakRedactor(WeakKnowledge);

#[derive(Clone)]
enum WeakKnowledge {
    None,
    Values(Weak<Automaton>),
    TooMuch,
}

impl fmt::Debug for WeakRedactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakRedactor").field(&self.upgrade()).finish()
    }
}

impl WeakRedactor {
    /// The redactor, if anybody still has it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Redactor> {
        Some(Redactor(match &self.0 {
            WeakKnowledge::None => Knowledge::None,
            WeakKnowledge::Values(automaton) => Knowledge::Values(automaton.upgrade()?),
            WeakKnowledge::TooMuch => Knowledge::TooMuch,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_fits_is_looked_for_less_thoroughly_and_at_last_nothing_is_shown() {
        let line = |number: usize, at: usize| format!("line {at:02} of value {number:02}");
        let value = |number| (0..30).map(|at| line(number, at)).collect::<Vec<_>>().join("\n");
        let values: Vec<String> = (0..10).map(value).collect();
        let redactor = |most| Redactor::within(values.iter().map(|value| value.as_bytes()), most);
        let (text, one) = (value(7), "a line 15 of value 07 b");
        let is_hidden = |text: &str| {
            !text.is_empty() && text.chars().all(|character| "*\n".contains(character))
        };
        let all = redactor(MOST_BYTES);
        assert!(all.text(one) == "a *** b" && is_hidden(&all.text(&text)));
        let whole = redactor(15_000);
        assert!(whole.text(one) == one && is_hidden(&whole.text(&text)));
        assert!((1..all.memory()).contains(&whole.memory()));
        assert_eq!(redactor(5_000).text("nothing of it"), MARKER);
    }
}
