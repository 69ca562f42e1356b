//! One output of a container: lines out of pieces, without values of Secrets.

use std::collections::VecDeque;

use hades_redact::{Redactor, Stream};

use super::logs::LogLine;

/// A longer line is cut into several, so that a container that writes no line
/// ends can't fill the memory.
const LINE_LIMIT: usize = 64 * 1024;

/// One output of a container.
///
/// ```text
/// pieces ─▶ raw ─▶ lines, times put aside ─▶ redactor ─▶ clear ─▶ lines with their times
/// ```
///
/// The engine writes down what a container puts out in pieces of 16 KiB at most, and each
/// that goes on with a line comes by itself and has a time as well.
pub(super) struct Output {
    name: &'static str,
    timestamps: bool,
    /// What came and isn't a line yet.
    raw: Vec<u8>,
    /// The line has begun before what is in `raw`: no time comes before that.
    within_line: bool,
    /// Of lines that the redactor has and hasn't given back.
    times: VecDeque<Option<String>>,
    redactor: Stream,
    /// What the redactor gave back and isn't a line yet.
    clear: Vec<u8>,
}

impl Output {
    pub(super) fn new(name: &'static str, timestamps: bool, redactor: &Redactor) -> Self {
        Self {
            name,
            timestamps,
            raw: Vec::new(),
            within_line: false,
            times: VecDeque::new(),
            redactor: redactor.stream(),
            clear: Vec::new(),
        }
    }

    /// Hides other values from now on.
    pub(super) fn renew(&mut self, redactor: &Redactor) {
        self.redactor.renew(redactor);
    }

    /// Takes a piece and adds the lines that are whole.
    pub(super) fn push(&mut self, piece: &[u8], origin: &LogLine, found: &mut Vec<LogLine>) {
        if !self.timestamps {
            self.redactor.push(piece, &mut self.clear);
            return self.give(origin, found);
        }
        let goes_on = self.within_line || !self.raw.is_empty();
        let piece = if goes_on { after_time(piece).unwrap_or(piece) } else { piece };
        let mut raw = std::mem::take(&mut self.raw);
        raw.extend_from_slice(piece);
        let mut rest = raw.as_slice();
        while let Some(length) = line_length(rest) {
            let (line, later) = rest.split_at(length);
            self.take(line);
            rest = later;
        }
        let taken = raw.len() - rest.len();
        raw.drain(..taken);
        self.raw = raw;
        self.give(origin, found);
    }

    /// Adds what is left.
    pub(super) fn finish(&mut self, origin: &LogLine, found: &mut Vec<LogLine>) {
        let raw = std::mem::take(&mut self.raw);
        if !raw.is_empty() {
            self.take(&raw);
        }
        let ended = std::mem::replace(&mut self.redactor, Redactor::default().stream());
        ended.finish(&mut self.clear);
        self.give(origin, found);
        let clear = std::mem::take(&mut self.clear);
        if !clear.is_empty() {
            found.push(self.line(&clear, origin));
        }
    }

    /// A line, or a part of one that is too long.
    fn take(&mut self, line: &[u8]) {
        let mut text = line;
        if !self.within_line {
            let mut time = None;
            if let Some(at) = line.iter().position(|byte| *byte == b' ') {
                time = Some(String::from_utf8_lossy(&line[..at]).into_owned());
                text = &line[at + 1..];
            }
            self.times.push_back(time);
        }
        self.within_line = !line.ends_with(b"\n");
        self.redactor.push(text, &mut self.clear);
    }

    /// Lines that the redactor has given back.
    fn give(&mut self, origin: &LogLine, found: &mut Vec<LogLine>) {
        let clear = std::mem::take(&mut self.clear);
        let mut rest = clear.as_slice();
        while let Some(length) = line_length(rest) {
            let (line, later) = rest.split_at(length);
            found.push(self.line(line, origin));
            rest = later;
        }
        let given = clear.len() - rest.len();
        self.clear = clear;
        self.clear.drain(..given);
    }

    fn line(&mut self, bytes: &[u8], origin: &LogLine) -> LogLine {
        let time = if bytes.ends_with(b"\n") {
            self.times.pop_front().flatten()
        } else {
            self.times.front().cloned().flatten()
        };
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end_matches(['\n', '\r']).to_owned();
        LogLine { stream: self.name.to_owned(), time, line, ..origin.clone() }
    }
}

/// What follows the time that an engine writes, `2006-01-02T15:04:05.000000000Z`, if that
/// is what bytes begin with.
fn after_time(bytes: &[u8]) -> Option<&[u8]> {
    const PATTERN: &[u8] = b"0000-00-00T00:00:00";
    let is_one = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    let (begin, rest) = bytes.split_at_checked(PATTERN.len())?;
    let end = rest.iter().take(20).position(|byte| *byte == b' ')?;
    let fraction = rest.get(..end)?;
    let fits = fraction.iter().all(|byte| byte.is_ascii_digit() || b".Z+-:".contains(byte));
    let fits = fits && begin.iter().zip(PATTERN).all(is_one);
    fits.then(|| rest.get(end + 1..)).flatten()
}

/// Bytes of the first line, its end included; None while it goes on.
fn line_length(bytes: &[u8]) -> Option<usize> {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => Some(end + 1),
        None if bytes.len() >= LINE_LIMIT => Some(LINE_LIMIT),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_two_pieces_of_a_line_is_found_between_their_times() {
        let redactor = Redactor::new([b"hunter22-hunter22".as_slice()]);
        let mut output = Output::new("stdout", true, &redactor);
        let mut found = Vec::new();
        let x = "x".repeat(16 * 1024 - 8);
        for piece in [
            "2026-11-23T07:00:00.123456789Z before\n".to_owned(),
            format!("2026-11-23T07:00:01.1Z {x}hunter22"),
            "2026-11-23T07:00:01.123456790Z -hunter22 2026-11-23T07:00:05Z after\n".to_owned(),
            "2026-11-23T07:00:02Z next\n".to_owned(),
        ] {
            output.push(piece.as_bytes(), &LogLine::default(), &mut found);
        }
        let lines: Vec<_> = found.iter().map(|line| line.line.as_str()).collect();
        let long = format!("{x}*** 2026-11-23T07:00:05Z after");
        assert_eq!(lines, ["before", long.as_str(), "next"]);
        assert_eq!(found[2].time.as_deref(), Some("2026-11-23T07:00:02Z"));
    }

    #[test]
    fn endless_lines_are_cut_and_keep_their_time() {
        let mut output = Output::new("stdout", true, &Redactor::default());
        let mut found = Vec::new();
        let mut text = b"2026-11-23T07:00:00Z a b ".to_vec();
        text.resize(2 * LINE_LIMIT, b'x');
        text.extend_from_slice(b"\n2026-11-23T07:00:01Z next\n");
        text.chunks(1000).for_each(|piece| output.push(piece, &LogLine::default(), &mut found));
        output.finish(&LogLine::default(), &mut found);
        let times: Vec<_> = found.iter().map(|line| line.time.as_deref().unwrap()).collect();
        assert!(times[..times.len() - 1].iter().all(|time| *time == "2026-11-23T07:00:00Z"));
        assert_eq!(found.last().unwrap().line, "next");
        let whole: String = found.iter().map(|line| line.line.as_str()).collect();
        assert!(whole.starts_with("a b xxx") && whole.len() == 2 * LINE_LIMIT - 17);
    }
}
