//! Reading YAML: every scalar with its place and as Go's yaml package types it.

use std::collections::HashSet;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};

use crate::tree::{Budget, Document, Entry, Leaf, MAX_DEPTH, Node, Scalar, Tree, check_key};
use crate::{FormatProblem, SopsError, scalar};

/// Nesting that the parser itself stops at. Ours comes first, with its own words.
const PARSER_DEPTH: usize = MAX_DEPTH + 8;

fn options() -> Options {
    granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: PARSER_DEPTH,
        // As Go reads it, and so kubectl and sops.
        block_scalar_eof_without_line_feed: true,
    }
}

/// Whether a document of `text` has `key` at its root. Text that can't be read has
/// not: whoever reads it next says what is wrong with it.
pub(crate) fn has_root_key(text: &str, key: &str) -> bool {
    let mut depth = 0_usize;
    // Within the root: whether the next node is a key.
    let mut key_next = false;
    for next in Parser::new_from_str_with_options(text, options()) {
        let Ok((event, _)) = next else { return false };
        match event {
            Event::DocumentStart(..) => depth = 0,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                key_next = match depth {
                    0 => matches!(event, Event::MappingStart(..)),
                    1 => !key_next,
                    _ => key_next,
                };
                depth += 1;
            }
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            Event::Scalar(text, ..) if depth == 1 => {
                if key_next && text == key {
                    return true;
                }
                key_next = !key_next;
            }
            Event::Alias(_) if depth == 1 => key_next = !key_next,
            _ => {}
        }
    }
    false
}

/// Reads all documents.
pub(crate) fn read(text: &str) -> Result<Tree, SopsError> {
    let mut reader = Reader {
        text,
        budget: Budget::default(),
        stack: Vec::new(),
        documents: Vec::new(),
        last_end: 0,
    };
    for next in Parser::new_from_str_with_options(text, options()) {
        let (event, span) = next.map_err(|error| {
            let line = u32::try_from(error.marker().line()).ok();
            let message = error.kind().to_string();
            SopsError::format(line, FormatProblem::Syntax { format: "YAML", message })
        })?;
        reader.take(event, &span)?;
    }
    Ok(Tree { documents: reader.documents })
}

/// A collection while it is read.
enum Frame {
    Map {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        key: Option<(String, Range<usize>)>,
        flow: bool,
        start: usize,
    },
    List {
        items: Vec<Node>,
        flow: bool,
        end: usize,
    },
}

struct Reader<'a> {
    text: &'a str,
    budget: Budget,
    stack: Vec<Frame>,
    documents: Vec<Document>,
    /// Where the last scalar ended.
    last_end: usize,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), SopsError> {
        let line = line_of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                no_anchor(anchor, line)?;
                self.scalar(&text, style, tag.as_deref(), span)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.open(anchor, tag.as_deref(), "map", line)?;
                self.stack.push(Frame::Map {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    key: None,
                    flow: style == StructureStyle::Flow,
                    start: self.bytes(span)?.start,
                });
                Ok(())
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.open(anchor, tag.as_deref(), "seq", line)?;
                let end = self.bytes(span)?.end;
                let flow = style == StructureStyle::Flow;
                self.stack.push(Frame::List { items: Vec::new(), flow, end });
                Ok(())
            }
            Event::MappingEnd | Event::SequenceEnd => self.close(span),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Err(SopsError::format(line, FormatProblem::Alias))
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        suffix: &str,
        line: u32,
    ) -> Result<(), SopsError> {
        no_anchor(anchor, line)?;
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(suffix)) {
            return Err(SopsError::format(line, FormatProblem::tag(&tag.original())));
        }
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return Err(SopsError::format(line, FormatProblem::Key));
        }
        self.budget.node(line, self.stack.len() + 1)
    }

    fn close(&mut self, span: &Span) -> Result<(), SopsError> {
        let closed = self.bytes(span)?.end;
        match self.stack.pop() {
            Some(Frame::Map { entries, flow, start, .. }) => {
                let last = entries.last().map_or(start, |entry| entry.end);
                let end = if flow { closed } else { last };
                if self.stack.is_empty() {
                    self.indented_by_spaces(&entries, flow, line_of(span))?;
                    let start = entries
                        .first()
                        .filter(|_| !flow)
                        .map_or(start, |entry| entry.key_span.start);
                    self.documents.push(Document { entries, flow, span: start..end });
                    return Ok(());
                }
                self.push(Node::Map(entries), end, line_of(span))
            }
            Some(Frame::List { items, flow, end }) => {
                let end = if flow { closed } else { end };
                self.push(Node::List(items), end, line_of(span))
            }
            None => Ok(()),
        }
    }

    /// The parser takes a tab before the first key of a file, and then no second key.
    fn indented_by_spaces(
        &self,
        entries: &[Entry],
        flow: bool,
        line: u32,
    ) -> Result<(), SopsError> {
        let Some(first) = entries.first().filter(|_| !flow) else { return Ok(()) };
        let before = self.text.get(..first.key_span.start).unwrap_or_default();
        if before.rsplit(['\n', '\r']).next().is_some_and(|indent| indent.contains('\t')) {
            let message = "a tab can't indent a key".to_owned();
            return Err(SopsError::format(line, FormatProblem::Syntax { format: "YAML", message }));
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<(), SopsError> {
        let line = line_of(span);
        self.budget.node(line, self.stack.len())?;
        let mut bytes = self.bytes(span)?;
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                bytes.start = self.block_header(bytes.start);
            }
            // To the parser a tab behind a colon is part of the value's place. Without it
            // there is no mapping.
            _ => {
                let written = self.text.get(bytes.clone()).unwrap_or_default();
                bytes.start += written.len() - written.trim_start_matches([' ', '\t']).len();
            }
        }
        if let Some(start) = span.tag_start().and_then(|marker| marker.byte_offset()) {
            bytes.start = start;
        }
        self.last_end = bytes.end;
        let value = typed(text, style, tag, line)?;
        if let Some(Frame::Map { key: key @ None, keys, .. }) = self.stack.last_mut() {
            let Scalar::Text(name) = value else {
                return Err(SopsError::format(line, FormatProblem::Key));
            };
            check_key(&name, line)?;
            if !keys.insert(name.to_string()) {
                return Err(SopsError::format(line, FormatProblem::duplicate(&name)));
            }
            *key = Some((name.to_string(), bytes));
            return Ok(());
        }
        let end = bytes.end;
        let flow = matches!(
            self.stack.last(),
            Some(Frame::Map { flow: true, .. } | Frame::List { flow: true, .. })
        );
        self.push(Node::Leaf(Leaf { value, span: bytes, line, flow }), end, line)
    }

    /// Where the `|` or `>` of a block scalar stands, whose content begins at `content`.
    fn block_header(&self, content: usize) -> usize {
        let gap = self.text.get(self.last_end..content).unwrap_or_default();
        let mut in_comment = false;
        let mut before = '\n';
        for (at, character) in gap.char_indices() {
            match character {
                '\n' => in_comment = false,
                '#' if before.is_whitespace() => in_comment = true,
                '|' | '>' if !in_comment => return self.last_end + at,
                _ => {}
            }
            before = character;
        }
        content
    }

    fn push(&mut self, node: Node, end: usize, line: u32) -> Result<(), SopsError> {
        match self.stack.last_mut() {
            Some(Frame::Map { entries, key, .. }) => {
                let (key, key_span) =
                    key.take().ok_or_else(|| SopsError::format(line, FormatProblem::Key))?;
                // The value that isn't there ends with its key.
                let end = end.max(key_span.end);
                entries.push(Entry { key, key_span, value: node, end });
                Ok(())
            }
            Some(Frame::List { items, end: last, .. }) => {
                items.push(node);
                *last = end.max(*last);
                Ok(())
            }
            // A document that is nothing but comments, which sops takes for empty.
            None if matches!(&node, Node::Leaf(Leaf { value: Scalar::Null, .. })) => {
                let span = end..end;
                self.documents.push(Document { entries: Vec::new(), flow: false, span });
                Ok(())
            }
            None => Err(SopsError::format(line, FormatProblem::NoMapping)),
        }
    }

    fn bytes(&self, span: &Span) -> Result<Range<usize>, SopsError> {
        span.byte_range().filter(|range| self.text.get(range.clone()).is_some()).ok_or_else(|| {
            let message = "a value has no place".to_owned();
            SopsError::format(line_of(span), FormatProblem::Syntax { format: "YAML", message })
        })
    }
}

fn line_of(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn no_anchor(anchor: usize, line: u32) -> Result<(), SopsError> {
    if anchor == 0 { Ok(()) } else { Err(SopsError::format(line, FormatProblem::Alias)) }
}

fn typed(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    line: u32,
) -> Result<Scalar, SopsError> {
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => scalar::plain(text, line),
            _ => Ok(Scalar::text(text)),
        };
    };
    let original = tag.original();
    let refuse = || SopsError::format(line, FormatProblem::tag(&original));
    match original.as_str() {
        "!!str" | "!" => Ok(Scalar::text(text)),
        // Go's yaml package writes text that isn't UTF-8 or has odd characters so.
        "!!binary" => {
            let joined: String = text.split_whitespace().collect();
            let bytes = BASE64.decode(joined).map_err(|_| refuse())?;
            String::from_utf8(bytes).map(Scalar::text).map_err(|_| refuse())
        }
        _ => Err(refuse()),
    }
}
