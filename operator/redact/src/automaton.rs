//! Finds all forms of all values in one pass.

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchError, MatchKind};

use crate::filter::Filter;
use crate::form::{Cursor, Depth, Form, forms, is_base64};
use crate::span::Spans;

/// As many bytes of a form are in the automaton. What follows them is compared with
/// the form itself, so that a value of a megabyte takes no more memory than it must.
/// Longer than what all keys of a kind begin with.
const ANCHOR: usize = 128;

/// As many forms are compared at a time. More begin with the same bytes only where
/// somebody wants it, and then these are hidden.
const MOST_FOLLOWERS: usize = 16;

/// What is known of a pattern besides its bytes.
struct Pattern {
    begins_earlier: bool,
    ends_later: bool,
    /// What follows where the form is longer.
    rest: Option<Cursor>,
}

impl Pattern {
    fn new(form: &Form) -> (Vec<u8>, Self) {
        let mut cursor = form.cursor();
        let bytes: Vec<u8> = cursor.by_ref().take(ANCHOR).collect();
        let rest = (bytes.len() == ANCHOR).then_some(cursor);
        let ends_later = rest.is_none() && form.ends_later();
        (bytes, Self { begins_earlier: form.begins_earlier(), ends_later, rest })
    }
}

/// Finds forms of values.
pub(crate) struct Automaton {
    nfa: NFA,
    start: StateID,
    filter: Filter,
    patterns: Vec<Pattern>,
}

/// Why there is no automaton for some values.
#[derive(Debug)]
pub(crate) enum Unbuilt {
    TooMuch,
    TooMany(#[allow(dead_code, reason = "for Debug")] BuildError),
    NoStart(#[allow(dead_code, reason = "for Debug")] MatchError),
}

/// Where a pass over a text is.
#[derive(Clone)]
pub(crate) struct Progress {
    state: StateID,
    /// Forms that have been met so far.
    followers: Vec<Cursor>,
    /// The next character has bits of a value, if it is one of base64.
    partial: bool,
}

impl Automaton {
    /// For all forms of these values; where these are more than `most` bytes, for
    /// those of the values as a whole.
    pub fn new<'a>(
        values: impl IntoIterator<Item = &'a [u8]> + Clone,
        most: usize,
    ) -> Result<Self, Unbuilt> {
        let (texts, patterns) = patterns(values.clone(), Depth::Lines, most)
            .or_else(|| patterns(values, Depth::Whole, most))
            .ok_or(Unbuilt::TooMuch)?;
        let nfa = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&texts)
            .map_err(Unbuilt::TooMany)?;
        let start = nfa.start_state(Anchored::No).map_err(Unbuilt::NoStart)?;
        Ok(Self { filter: Filter::new(&texts), nfa, start, patterns })
    }

    /// As many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        let rests = self.patterns.iter().filter_map(|pattern| pattern.rest.as_ref());
        let patterns = self.patterns.len() * size_of::<Pattern>();
        self.nfa.memory_usage() + patterns + rests.map(Cursor::memory).sum::<usize>()
    }

    /// How many forms it knows.
    pub fn forms(&self) -> usize {
        self.patterns.len()
    }

    /// The beginning of a text.
    pub fn begin(&self) -> Progress {
        Progress { state: self.start, followers: Vec::new(), partial: false }
    }

    fn is_idle(&self, progress: &Progress) -> bool {
        progress.state == self.start && progress.followers.is_empty() && !progress.partial
    }

    /// Looks through `text` from `from` on, which follows what was looked through
    /// before. The bytes of [`Automaton::undecided`] must still be there before it.
    pub fn scan(&self, progress: &mut Progress, text: &[u8], from: usize, found: &mut Spans) {
        let (mut at, mut until) = (from, from);
        while at < text.len() {
            if at >= until && self.is_idle(progress) {
                (at, until) = self.filter.next(text, at);
            }
            let Some(&byte) = text.get(at) else { break };
            if !progress.followers.is_empty() || progress.partial {
                follow(progress, byte, at, found);
            }
            progress.state = self.nfa.next_state(Anchored::No, progress.state, byte);
            at += 1;
            if self.nfa.is_special(progress.state) && self.nfa.is_match(progress.state) {
                self.matched(progress, text, at, found);
            }
        }
    }

    /// What ends at `end`. The longest comes first; the others are within it.
    fn matched(&self, progress: &mut Progress, text: &[u8], end: usize, found: &mut Spans) {
        let mut longest = 0;
        for index in 0..self.nfa.match_len(progress.state).min(MOST_FOLLOWERS) {
            let id = self.nfa.match_pattern(progress.state, index);
            let length = self.nfa.pattern_len(id);
            let Some(pattern) = self.patterns.get(id.as_usize()) else { continue };
            if length < longest {
                break;
            }
            longest = length;
            let mut start = end.saturating_sub(length);
            let before = start.checked_sub(1).and_then(|before| text.get(before));
            if pattern.begins_earlier && before.is_some_and(|byte| is_base64(*byte)) {
                start -= 1;
            }
            found.add(start..end);
            progress.partial |= pattern.ends_later;
            if let Some(rest) = &pattern.rest
                && progress.followers.len() < MOST_FOLLOWERS
            {
                progress.followers.push(rest.clone());
            }
        }
    }

    /// How many of the last bytes of a text may still turn out to belong to a value.
    pub fn undecided(&self, progress: &Progress, text: &[u8]) -> usize {
        let begun = self.begun(progress, text);
        let before = text.len().checked_sub(begun + 1).and_then(|before| text.get(before));
        // Its bits may belong to what follows.
        begun + usize::from(before.is_some_and(|byte| is_base64(*byte)))
    }

    /// How many of the last bytes are the beginning of a form: as few as lead to the
    /// same state as all.
    fn begun(&self, progress: &Progress, text: &[u8]) -> usize {
        if progress.state == self.start {
            return 0;
        }
        let (mut low, mut high) = (1, text.len().min(ANCHOR));
        while low < high {
            let middle = low.midpoint(high);
            let last = text.len().saturating_sub(middle);
            if self.state_after(text.get(last..).unwrap_or_default()) == progress.state {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    }

    fn state_after(&self, text: &[u8]) -> StateID {
        text.iter().fold(self.start, |state, byte| self.nfa.next_state(Anchored::No, state, *byte))
    }

    /// Goes on with a text whose last bytes are these, and which another automaton
    /// has looked through.
    pub fn take_over(&self, before: Option<Progress>, text: &[u8], found: &mut Spans) -> Progress {
        let mut progress = self.begin();
        let mut own = Spans::default();
        self.scan(&mut progress, text, 0, &mut own);
        found.merge(own);
        if let Some(before) = before {
            progress.partial |= before.partial;
            progress.followers.extend(before.followers);
        }
        progress
    }
}

/// What is looked for, as bytes and as what is known besides; none where it is more
/// than `most` bytes.
fn patterns<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    depth: Depth,
    most: usize,
) -> Option<(Vec<Vec<u8>>, Vec<Pattern>)> {
    let (mut texts, mut patterns, mut size) = (Vec::new(), Vec::new(), 0);
    for form in values.into_iter().flat_map(|value| forms(value, depth)) {
        let (text, pattern) = Pattern::new(&form);
        size += text.len();
        if size > most {
            return None;
        }
        texts.push(text);
        patterns.push(pattern);
    }
    Some((texts, patterns))
}

/// Hides a byte that goes on with what has been met so far.
fn follow(progress: &mut Progress, byte: u8, at: usize, found: &mut Spans) {
    let mut partial = std::mem::take(&mut progress.partial);
    let mut goes_on = false;
    progress.followers.retain_mut(|form| match form.next() {
        Some(expected) => {
            let same = expected == byte;
            goes_on |= same;
            same
        }
        None => {
            partial |= form.ends_later();
            false
        }
    });
    if goes_on || (partial && is_base64(byte)) {
        found.add(at..at + 1);
    }
}
