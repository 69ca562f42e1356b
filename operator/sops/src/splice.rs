//! Putting other text in place of some of a file's bytes.

use std::ops::Range;

use secrecy::zeroize::Zeroizing;

/// Text that takes the place of bytes of the file.
pub(crate) struct Edit {
    pub(crate) span: Range<usize>,
    pub(crate) text: Zeroizing<String>,
    /// Whether to tell where the text came to stand.
    pub(crate) noted: bool,
}

/// A file after its edits.
pub(crate) struct Spliced {
    pub(crate) text: Zeroizing<String>,
    /// Where the noted edits stand in it, in order.
    pub(crate) noted: Vec<Range<usize>>,
}

impl Edit {
    pub(crate) fn new(span: Range<usize>, text: impl Into<String>) -> Self {
        Self { span, text: Zeroizing::new(text.into()), noted: false }
    }
}

/// Applies edits, which must not overlap; those that do are left out.
pub(crate) fn apply(text: &str, mut edits: Vec<Edit>) -> Spliced {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    // Once as large as it gets: growing would leave copies of values in memory.
    let mut out = Zeroizing::new(String::with_capacity(text.len() + added));
    let mut noted = Vec::new();
    let mut at = 0;
    for edit in &edits {
        let Some(before) = text.get(at..edit.span.start) else { continue };
        out.push_str(before);
        let start = out.len();
        out.push_str(&edit.text);
        if edit.noted {
            noted.push(start..out.len());
        }
        at = edit.span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Spliced { text: out, noted }
}

/// The line breaks of a piece of text, each followed by `after`: what keeps all lines
/// below where they are.
pub(crate) fn line_breaks(text: &str, after: &str) -> String {
    let breaks = text.matches('\n').count();
    let mut out = String::with_capacity(breaks * (1 + after.len()));
    for _ in 0..breaks {
        out.push('\n');
        out.push_str(after);
    }
    out
}

/// The line breaks of a piece of text, each with what the next line is indented by.
pub(crate) fn indented_breaks(text: &str) -> String {
    let next = text.split('\n').skip(1);
    next.flat_map(|line| ["\n", &line[..line.len() - line.trim_start_matches(' ').len()]]).collect()
}

/// Text as a double-quoted YAML scalar on one line, in ASCII.
pub(crate) fn yaml_quoted(text: &str) -> Zeroizing<String> {
    // At most ten characters for one, `\UXXXXXXXX`.
    let longest = text.chars().map(escaped_length).sum::<usize>() + 2;
    let mut out = Zeroizing::new(String::with_capacity(longest));
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            _ => hexadecimal(&mut out, u32::from(character)),
        }
    }
    out.push('"');
    out
}

fn escaped_length(character: char) -> usize {
    match u32::from(character) {
        0x20..0x7f => 2,
        0..0x100 => 4,
        0x100..0x1_0000 => 6,
        _ => 10,
    }
}

fn hexadecimal(out: &mut String, code: u32) {
    let (letter, digits) = match code {
        0..0x100 => ('x', 2),
        0x100..0x1_0000 => ('u', 4),
        _ => ('U', 8),
    };
    out.push('\\');
    out.push(letter);
    for digit in (0..digits).rev() {
        out.extend(char::from_digit((code >> (4 * digit)) & 0xf, 16));
    }
}
