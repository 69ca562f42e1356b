//! Hides a set of values.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};

use crate::MARKER;
use crate::automaton::Automaton;
use crate::pattern::Room;
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
    /// For these values; those that are too short are left out. There is room for 2 MiB
    /// of what their forms begin with (128 bytes of each, each text once), and for 32 MiB
    /// of values. Where that is too little, lines of values are no longer looked for one
    /// by one; where it is too little for the values as a whole, all text is hidden.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]> + Clone) -> Self {
        Self::with_former(values, [])
    }

    /// For these values, and for as many of the `former` ones, the first of them first,
    /// as there is room for besides.
    pub fn with_former<'a>(
        values: impl IntoIterator<Item = &'a [u8]> + Clone,
        former: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Self {
        Self::within(values, former, Room::default())
    }

    fn within<'a>(
        values: impl IntoIterator<Item = &'a [u8]> + Clone,
        former: impl IntoIterator<Item = &'a [u8]> + Clone,
        room: Room,
    ) -> Self {
        match Automaton::new(values, former, room) {
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
        let redactor = |bytes| {
            let room = Room { bytes, ..Room::default() };
            Redactor::within(values.iter().map(|value| value.as_bytes()), [], room)
        };
        let (text, one) = (value(7), "a line 15 of value 07 b");
        let is_hidden = |text: &str| {
            !text.is_empty() && text.chars().all(|character| "*\n".contains(character))
        };
        let all = redactor(Room::default().bytes);
        assert!(all.text(one) == "a *** b" && is_hidden(&all.text(&text)));
        let whole = redactor(15_000);
        assert!(whole.text(one) == one && is_hidden(&whole.text(&text)));
        assert!((1..all.memory()).contains(&whole.memory()));
        assert_eq!(redactor(5_000).text("nothing of it"), MARKER);
    }

    #[test]
    fn former_values_make_room_for_lines_of_values_and_for_values() {
        let bytes = |text: &String| text.clone().into_bytes();
        let values: Vec<Vec<u8>> =
            ["first line of a\nsecond line of a".to_owned()].iter().map(bytes).collect();
        let former: Vec<Vec<u8>> = (0..50)
            .map(|number| format!("former value {number:02} of many").into_bytes())
            .collect();
        let redactor = |bytes| {
            let room = Room { bytes, ..Room::default() };
            let (values, former) = (values.iter(), former.iter());
            Redactor::within(values.map(Vec::as_slice), former.map(Vec::as_slice), room)
        };
        let text = "second line of a, former value 00 of many, former value 49 of many";
        assert_eq!(redactor(100_000).text(text), "***, ***, ***");
        let some = redactor(2_000);
        assert_eq!(some.text(text), "***, ***, former value 49 of many");
    }

    #[test]
    fn equal_values_and_chains_of_suffixes_take_no_more_than_others() {
        // Each of the long ones has all others in the match list of nearly each state.
        let long = |number: u16| {
            let mut value = vec![b'a'; 200];
            value[..2].copy_from_slice(&number.to_be_bytes());
            value
        };
        let equal = vec![b"aaaaaa".to_vec(); 30_000];
        let different: Vec<Vec<u8>> = (0..10).map(long).collect();
        let all = equal.iter().chain(&different).map(Vec::as_slice);
        let redactor = Redactor::new(all);
        assert!(redactor.memory() < 8 << 20, "{redactor:?}: {}", redactor.memory());
        assert_eq!(redactor.text("b aaaaaaa b"), "b *** b");
        let chain: Vec<Vec<u8>> = (6..128).map(|length| vec![b'a'; length]).collect();
        let redactor = Redactor::new(chain.iter().map(Vec::as_slice));
        assert_eq!(redactor.text("b aaaaaaa b"), "b *** b");
        let within = |matches| {
            let all = chain.iter().chain(&different).map(Vec::as_slice);
            Redactor::within(all, [], Room { matches, ..Room::default() })
        };
        assert_eq!(within(8 << 20).text("aaaaaaa b"), "*** b");
        assert_eq!(within(1 << 20).text("aaaaaaa b"), MARKER);
    }
}
