//! Parts of a text that are hidden.

use std::ops::Range;

use crate::MARKER;

/// Parts in order, none of which touches another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Vec<Range<usize>>);

impl Spans {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a part that ends where the last one does or later.
    pub fn add(&mut self, part: Range<usize>) {
        let mut whole = part;
        while let Some(last) = self.0.pop_if(|last| last.end >= whole.start) {
            whole.start = whole.start.min(last.start);
            whole.end = whole.end.max(last.end);
        }
        self.0.push(whole);
    }

    /// Adds all parts of another.
    pub fn merge(&mut self, other: Self) {
        let mut all = std::mem::take(&mut self.0);
        all.extend(other.0);
        all.sort_by_key(|part| part.end);
        for part in all {
            self.add(part);
        }
    }

    /// Forgets what lies before a place and counts from there.
    pub fn cut(&mut self, at: usize) {
        self.0.retain_mut(|part| {
            *part = part.start.saturating_sub(at)..part.end.saturating_sub(at);
            part.start < part.end
        });
    }
}

/// Writes text with marks in place of what is hidden.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    /// The last byte was hidden, and the mark for it is written.
    hidden: bool,
}

impl Writer {
    /// Writes bytes, of which the parts within `spans` are hidden.
    pub fn write(&mut self, bytes: &[u8], spans: &Spans, out: &mut Vec<u8>) {
        let mut at = 0;
        for part in &spans.0 {
            let (start, end) = (part.start.min(bytes.len()), part.end.min(bytes.len()));
            self.show(bytes.get(at..start).unwrap_or_default(), out);
            self.hide(bytes.get(start..end).unwrap_or_default(), out);
            at = end;
        }
        self.show(bytes.get(at..).unwrap_or_default(), out);
    }

    fn show(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !bytes.is_empty() {
            self.hidden = false;
            out.extend_from_slice(bytes);
        }
    }

    fn hide(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, end) = match line {
                [text @ .., end @ b'\n'] => (text, Some(*end)),
                text => (text, None),
            };
            if !text.is_empty() && !self.hidden {
                out.extend_from_slice(MARKER.as_bytes());
                self.hidden = true;
            }
            if let Some(end) = end {
                out.push(end);
                self.hidden = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_touch_are_one_and_line_ends_stay() {
        let mut spans = Spans::default();
        for part in [2..4, 3..6, 8..9, 9..10, 12..15] {
            spans.add(part);
        }
        let mut out = Vec::new();
        Writer::default().write(b"abcdefghijkl\n\nm", &spans, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "ab***gh***kl\n\n***");
        spans.cut(9);
        assert_eq!(spans.0, [0..1, 3..6]);
        spans.add(2..7);
        assert_eq!(spans.0, [0..1, 2..7]);
    }
}
