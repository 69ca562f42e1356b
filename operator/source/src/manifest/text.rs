//! One file's text: cut into documents, each read by the YAML parser.

use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Options, Spanned};

use super::Position;
use super::node::Node;
use super::syntax::{self, Problem};

/// One document of a file, with its `---` line if it has one.
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// Where in the file it begins (bytes).
    pub(super) start: usize,
    /// How many lines of the file come before it.
    pub(super) lines_above: u32,
}

/// Cuts a file into its documents. Those that hold only comments are left out.
///
/// YAML allows `---` and `...` in the first column for nothing but document
/// boundaries, in quoted and block scalars too, so lines are enough to go by.
/// Cutting first is what lets an error in one document not hide the next one's.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let whole = text;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = whole.len() - text.len();
    let mut parts = Vec::new();
    let mut part = Cut::at(0, 0);
    let mut offset = 0;
    for (number, line) in (0_u32..).zip(text.split_inclusive('\n')) {
        let end = offset + line.len();
        if is_marker(line, "---") {
            // Comments and directives before the first `---` belong to it.
            if part.marked || part.content {
                part.push_into(&mut parts, text, offset);
                part = Cut::at(offset, number);
            }
            part.marked = true;
            part.content |= !is_blank(&line[3..]);
        } else if is_marker(line, "...") {
            part.push_into(&mut parts, text, end);
            part = Cut::at(end, number + 1);
        } else {
            part.content |= !is_blank(line) && !line.starts_with('%');
        }
        offset = end;
    }
    part.push_into(&mut parts, text, text.len());
    parts.iter_mut().for_each(|part| part.start += skipped);
    parts
}

/// A document while it is being cut out.
struct Cut {
    start: usize,
    lines_above: u32,
    marked: bool,
    content: bool,
}

impl Cut {
    fn at(start: usize, lines_above: u32) -> Self {
        Cut { start, lines_above, marked: false, content: false }
    }

    fn push_into<'a>(&self, parts: &mut Vec<Part<'a>>, text: &'a str, end: usize) {
        if self.content {
            let Self { start, lines_above, .. } = *self;
            parts.push(Part { text: &text[start..end], start, lines_above });
        }
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Reads one document.
pub(super) fn parse(part: &Part<'_>, max_depth: usize) -> Result<Spanned<Node>, Problem> {
    serde_saphyr::from_str_with_options(part.text, options(max_depth))
        .map_err(|error| syntax::explain(&error, part.lines_above))
}

/// A file called `.json` is held to JSON's rules, which are stricter than YAML's.
pub(super) fn check_json(text: &str) -> Result<(), Problem> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let outcome = stream.find_map(Result::err);
    let Some(error) = outcome else { return Ok(()) };
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let full = error.to_string();
    // serde_json ends its message with the place, which we show by ourselves.
    let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message);
    Err(Problem {
        at: Some(Position {
            line: narrow(error.line()).max(1),
            column: narrow(error.column()).max(1),
        }),
        message: format!("not valid JSON: {message}"),
    })
}

/// Events a document may hold, its aliases written out. A service takes a few
/// dozen; this is thousands of services.
const MAX_EVENTS: usize = 250_000;
/// Text that a document may hold, its aliases written out (bytes): four times the
/// largest file.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// Aliases that a document may use.
const MAX_ALIASES: usize = 1_000;

fn options(max_depth: usize) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: MAX_EVENTS,
            max_nodes: MAX_EVENTS,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_recorded_anchor_events: MAX_EVENTS,
            max_recorded_anchor_bytes: MAX_TEXT,
            max_total_scalar_bytes: MAX_TEXT,
            max_depth: max_depth,
            flow_nesting_limit: max_depth,
            max_merge_keys: MAX_ALIASES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_EVENTS,
            max_replay_stack_depth: max_depth,
        },
        // The nodes keep every entry, so that all duplicates are reported at once.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        // YAML 1.2: `no` is a country and `0755` a mode, not false and 493.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        reject_unsupported_tags: true,
        with_snippet: false,
        emit_comments: false,
    }
}
