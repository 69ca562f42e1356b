//! Finds all forms of all values in one pass.

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchError, MatchKind};

use crate::filter::Filter;
use crate::form::{Cursor, Depth, is_base64};
use crate::pattern::{ANCHOR, Blind, Pattern, Patterns, Room};
use crate::span::Spans;

/// As many forms that have begun are compared at a time. Where there are more, all that
/// can belong to one of them is hidden.
pub(crate) const MOST_FOLLOWERS: usize = 16;

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
    /// What is hidden without being compared.
    blind: Blind,
    /// The next character has bits of a value, if it is one of base64.
    partial: bool,
}

impl Automaton {
    /// For all forms of these values, and of as many former ones, the first of them
    /// first, as there is room for besides. Where there is too little room for lines of
    /// `values`, for those of the values as a whole.
    pub fn new<'a>(
        values: impl IntoIterator<Item = &'a [u8]> + Clone,
        former: impl IntoIterator<Item = &'a [u8]> + Clone,
        room: Room,
    ) -> Result<Self, Unbuilt> {
        let attempt = |(depth, with_former)| {
            let mut patterns = Patterns::new(room);
            values.clone().into_iter().try_for_each(|value| patterns.add(value, depth)).ok()?;
            if with_former {
                // What doesn't fit is left out.
                let mut former = former.clone().into_iter();
                let _ = former.try_for_each(|value| patterns.add(value, depth));
            }
            patterns.finish().ok()
        };
        let (lines, whole) = (Depth::Lines, Depth::Whole);
        let (texts, patterns) = [(lines, true), (lines, false), (whole, true), (whole, false)]
            .into_iter()
            .find_map(attempt)
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
        let rests = self.patterns.iter().flat_map(|pattern| &pattern.rests);
        let patterns = self.patterns.len() * size_of::<Pattern>();
        let rests: usize = rests.map(|rest| size_of::<Cursor>() + rest.memory()).sum();
        self.nfa.memory_usage() + self.filter.memory() + patterns + rests
    }

    /// How many forms it knows.
    pub fn forms(&self) -> usize {
        self.patterns.len()
    }

    /// The beginning of a text.
    pub fn begin(&self) -> Progress {
        let blind = Blind::default();
        Progress { state: self.start, followers: Vec::new(), blind, partial: false }
    }

    /// Looks through `text` from `from` on, which follows what was looked through
    /// before. The bytes of [`Automaton::undecided`] must still be there before it.
    pub fn scan(&self, progress: &mut Progress, text: &[u8], from: usize, found: &mut Spans) {
        let (mut at, mut until) = (from, from);
        while at < text.len() {
            if at >= until && progress.state == self.start && progress.goes_on_with_nothing() {
                (at, until) = self.filter.next(text, at);
            }
            let Some(&byte) = text.get(at) else { break };
            if !progress.goes_on_with_nothing() {
                follow(progress, byte, at, found);
            }
            progress.state = self.nfa.next_state(Anchored::No, progress.state, byte);
            at += 1;
            if self.nfa.is_special(progress.state) && self.nfa.is_match(progress.state) {
                self.matched(progress, text, at, found);
            }
        }
    }

    /// What ends at `end`. The longest comes first; the others are within it, and what
    /// they would tell of what follows it tells as well.
    fn matched(&self, progress: &mut Progress, text: &[u8], end: usize, found: &mut Spans) {
        let id = self.nfa.match_pattern(progress.state, 0);
        let Some(pattern) = self.patterns.get(id.as_usize()) else { return };
        let mut start = end.saturating_sub(self.nfa.pattern_len(id));
        let before = start.checked_sub(1).and_then(|before| text.get(before));
        if pattern.begins_earlier && before.is_some_and(|byte| is_base64(*byte)) {
            start -= 1;
        }
        found.add(start..end);
        progress.partial |= pattern.ends_later;
        progress.blind.widen(pattern.blind);
        for rest in &pattern.rests {
            match progress.followers.len() < MOST_FOLLOWERS {
                true => progress.followers.push(rest.clone()),
                false => progress.blind.widen(Blind::of(rest)),
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
            progress.blind.widen(before.blind);
        }
        progress
    }
}

impl Progress {
    /// Whether what comes next can't belong to what came.
    fn goes_on_with_nothing(&self) -> bool {
        self.followers.is_empty() && self.blind.is_over() && !self.partial
    }
}

/// Hides a byte that goes on with what has been met so far.
fn follow(progress: &mut Progress, byte: u8, at: usize, found: &mut Spans) {
    let mut partial = std::mem::take(&mut progress.partial);
    let mut goes_on = progress.blind.takes(byte);
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
