//! Hides values in bytes that come piece by piece.

use std::fmt;
use std::sync::Arc;

use crate::automaton::Progress;
use crate::redactor::{Knowledge, Redactor};
use crate::span::{Spans, Writer};

/// A text that comes piece by piece. What may be the beginning of a value is held
/// back until that is decided; of text that ends with a line end, only where a value
/// of several lines may have begun.
pub struct Stream {
    redactor: Redactor,
    progress: Option<Progress>,
    /// The last bytes, which aren't decided.
    held: Vec<u8>,
    /// What is known to be hidden of them.
    spans: Spans,
    writer: Writer,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.len();
        f.debug_struct("Stream").field("redactor", &self.redactor).field("held", &held).finish()
    }
}

impl Stream {
    pub(crate) fn new(redactor: Redactor) -> Self {
        let progress = match redactor.knowledge() {
            Knowledge::Values(automaton) => Some(automaton.begin()),
            Knowledge::None | Knowledge::TooMuch => None,
        };
        Self {
            redactor,
            progress,
            held: Vec::new(),
            spans: Spans::default(),
            writer: Writer::default(),
        }
    }

    /// Hides other values from now on. Costs nothing while they are the same.
    pub fn renew(&mut self, redactor: &Redactor) {
        if self.redactor.is(redactor) {
            return;
        }
        self.redactor = redactor.clone();
        let before = self.progress.take();
        if let Knowledge::Values(automaton) = redactor.knowledge() {
            self.progress = Some(automaton.take_over(before, &self.held, &mut self.spans));
        }
    }

    /// Takes a piece and adds what is decided to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let automaton = match (self.redactor.knowledge(), &self.progress) {
            (Knowledge::Values(automaton), Some(_)) => Arc::clone(automaton),
            (Knowledge::TooMuch, _) => {
                self.spans.add(0..self.held.len() + piece.len());
                self.held.extend_from_slice(piece);
                return self.flush(self.held.len(), out);
            }
            _ => {
                self.held.extend_from_slice(piece);
                return self.flush(self.held.len(), out);
            }
        };
        let Some(progress) = &mut self.progress else { return };
        if self.held.is_empty() {
            // The usual case: nothing is copied but what comes out.
            automaton.scan(progress, piece, 0, &mut self.spans);
            let decided = piece.len() - automaton.undecided(progress, piece);
            let (decided, rest) = piece.split_at(decided);
            self.writer.write(decided, &self.spans, out);
            self.spans.cut(decided.len());
            return self.held.extend_from_slice(rest);
        }
        let from = self.held.len();
        self.held.extend_from_slice(piece);
        automaton.scan(progress, &self.held, from, &mut self.spans);
        let decided = self.held.len() - automaton.undecided(progress, &self.held);
        self.flush(decided, out);
    }

    /// The text is at its end: adds what was held back.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.flush(self.held.len(), out);
    }

    fn flush(&mut self, decided: usize, out: &mut Vec<u8>) {
        let bytes = self.held.get(..decided).unwrap_or_default();
        self.writer.write(bytes, &self.spans, out);
        self.spans.cut(decided);
        self.held.drain(..decided);
    }
}
