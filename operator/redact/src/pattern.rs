//! What an automaton looks for, each text once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::automaton::MOST_FOLLOWERS;
use crate::form::{Cursor, Depth, Form, forms};
use crate::value::trimmed;

/// As many bytes of a form are in the automaton. What follows them is compared with
/// the form itself, so that a value of a megabyte takes no more memory than it must.
/// Longer than what all keys of a kind begin with.
pub(crate) const ANCHOR: usize = 128;

/// How much is looked for at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of texts in the automaton. They take some 15 times as much memory, and a
    /// second to be prepared.
    pub bytes: usize,
    /// Bytes that are gone through to find those texts: values, and the same texts of
    /// several forms.
    pub work: usize,
    /// Entries of the lists of what ends in each state: every pattern that is a suffix of
    /// what leads there.
    pub matches: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: 2 << 20, work: 32 << 20, matches: 8 << 20 }
    }
}

/// There is more than there is room for.
#[derive(Debug)]
pub(crate) struct Full;

/// Bytes that are hidden whatever they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blind {
    left: usize,
    /// Beyond line ends.
    over_lines: bool,
}

impl Blind {
    /// All that can belong to a form.
    pub fn of(rest: &Cursor) -> Self {
        Self { left: rest.longest(), over_lines: rest.has_lines() }
    }

    pub fn widen(&mut self, other: Self) {
        self.left = self.left.max(other.left);
        self.over_lines |= other.over_lines;
    }

    pub fn is_over(self) -> bool {
        self.left == 0
    }

    /// Whether the next byte is one of them.
    pub fn takes(&mut self, byte: u8) -> bool {
        if self.is_over() || (byte == b'\n' && !self.over_lines) {
            *self = Self::default();
            return false;
        }
        self.left -= 1;
        true
    }
}

/// What is known of a text besides its bytes.
pub(crate) struct Pattern {
    /// The character before it has bits of a value as well.
    pub begins_earlier: bool,
    /// So has the character after it, or after a pattern that it ends with.
    pub ends_later: bool,
    /// What follows where forms are longer.
    pub rests: Vec<Cursor>,
    /// What follows where more forms are longer than are compared.
    pub blind: Blind,
}

impl Pattern {
    fn add(&mut self, form: &Form, rest: Option<Cursor>) {
        self.begins_earlier |= form.begins_earlier();
        let Some(rest) = rest else {
            self.ends_later |= form.ends_later();
            return;
        };
        if self.rests.iter().any(|known| known.form().reads_as(form)) {
            return;
        }
        match self.rests.len() < MOST_FOLLOWERS {
            true => self.rests.push(rest),
            false => self.blind.widen(Blind::of(&rest)),
        }
    }
}

/// The patterns of values.
pub(crate) struct Patterns<'a> {
    room: Room,
    values: HashSet<&'a [u8]>,
    by_text: HashMap<Vec<u8>, usize>,
    all: Vec<Pattern>,
    bytes: usize,
    work: usize,
}

impl<'a> Patterns<'a> {
    pub fn new(room: Room) -> Self {
        let (values, by_text, all) = (HashSet::new(), HashMap::new(), Vec::new());
        Self { room, values, by_text, all, bytes: 0, work: 0 }
    }

    /// Adds the forms of a value.
    pub fn add(&mut self, value: &'a [u8], depth: Depth) -> Result<(), Full> {
        let value = trimmed(value);
        if !self.values.insert(value) {
            return Ok(());
        }
        self.has_done(value.len())?;
        for form in forms(value, depth) {
            let mut cursor = form.cursor();
            let text: Vec<u8> = cursor.by_ref().take(ANCHOR).collect();
            self.has_done(text.len())?;
            let rest = (text.len() == ANCHOR).then_some(cursor);
            let index = match self.by_text.entry(text) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    self.bytes += new.key().len();
                    if self.bytes > self.room.bytes {
                        return Err(Full);
                    }
                    let (rests, blind) = (Vec::new(), Blind::default());
                    self.all.push(Pattern {
                        begins_earlier: false,
                        ends_later: false,
                        rests,
                        blind,
                    });
                    *new.insert(self.all.len() - 1)
                }
            };
            if let Some(pattern) = self.all.get_mut(index) {
                pattern.add(&form, rest);
            }
        }
        Ok(())
    }

    fn has_done(&mut self, bytes: usize) -> Result<(), Full> {
        self.work += bytes;
        if self.work > self.room.work { Err(Full) } else { Ok(()) }
    }

    /// The texts, and in the same order what is known of each.
    pub fn finish(mut self) -> Result<(Vec<Vec<u8>>, Vec<Pattern>), Full> {
        let mut texts = vec![Vec::new(); self.all.len()];
        for (text, index) in self.by_text.drain() {
            if let Some(place) = texts.get_mut(index) {
                *place = text;
            }
        }
        let longest = pass_on(&texts, &mut self.all);
        if self.bytes.saturating_mul(longest) > self.room.matches {
            return Err(Full);
        }
        Ok((texts, self.all))
    }
}

/// Tells patterns what is known of those that they end with: only the longest of them
/// is looked at where several end. What follows is known of none of the others, as
/// nothing is longer than one that something follows. Returns how many end in one place
/// at most.
fn pass_on(texts: &[Vec<u8>], patterns: &mut [Pattern]) -> usize {
    // Read backwards, those that a text ends with come right before it.
    let mut order: Vec<(&[u8], usize)> =
        texts.iter().enumerate().map(|(index, text)| (text.as_slice(), index)).collect();
    order.sort_unstable_by(|(one, _), (other, _)| one.iter().rev().cmp(other.iter().rev()));
    let (mut ends, mut longest): (Vec<(&[u8], usize)>, usize) = (Vec::new(), 0);
    for (text, index) in order {
        while ends.pop_if(|(end, _)| !text.ends_with(end)).is_some() {}
        let later =
            ends.last().and_then(|(_, end)| patterns.get(*end)).is_some_and(|p| p.ends_later);
        if let Some(pattern) = patterns.get_mut(index) {
            pattern.ends_later |= later;
        }
        ends.push((text, index));
        longest = longest.max(ends.len());
    }
    longest
}
