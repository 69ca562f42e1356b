//! Reading JSON: every value with its place.

use std::collections::HashSet;
use std::ops::Range;

use serde::de::IgnoredAny;

use crate::tree::{Budget, Document, Entry, Leaf, Node, Scalar, Tree, check_key};
use crate::{FormatProblem, SopsError};

/// Whether the object in `text` has `key`.
pub(crate) fn has_root_key(text: &str, key: &str) -> bool {
    serde_json::from_str::<std::collections::HashMap<String, IgnoredAny>>(text)
        .is_ok_and(|object| object.contains_key(key))
}

/// Reads the one object of a file. Where `integers` isn't set, numbers are floats, as
/// they were to sops before 3.13.2.
pub(crate) fn read(text: &str, integers: bool) -> Result<Tree, SopsError> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let line = u32::try_from(error.line()).ok().filter(|line| *line > 0);
        let full = error.to_string();
        let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message);
        let message = message.to_owned();
        return Err(SopsError::format(line, FormatProblem::Syntax { format: "JSON", message }));
    }
    let mut scanner = Scanner { text, at: 0, line: 1, integers, budget: Budget::default() };
    scanner.skip_space();
    let start = scanner.at;
    match scanner.value(1)? {
        Node::Map(entries) => {
            let span = start..scanner.at;
            Ok(Tree { documents: vec![Document { entries, flow: true, span }] })
        }
        _ => Err(SopsError::format(1, FormatProblem::NoMapping)),
    }
}

/// Goes over text that is known to be JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    integers: bool,
    budget: Budget,
}

impl Scanner<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') {
            self.line += u32::from(self.peek() == b'\n');
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SopsError> {
        self.budget.node(self.line, depth)?;
        match self.peek() {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            _ => self.leaf(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, SopsError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        self.at += 1;
        loop {
            self.skip_space();
            if self.peek() == b'}' {
                self.at += 1;
                return Ok(Node::Map(entries));
            }
            let key_span = self.token();
            let key: String = self.decode(&key_span)?;
            check_key(&key, self.line)?;
            if !keys.insert(key.clone()) {
                return Err(SopsError::format(self.line, FormatProblem::duplicate(&key)));
            }
            self.skip_space();
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, key_span, value, end: self.at });
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node, SopsError> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip_space();
            if self.peek() == b']' {
                self.at += 1;
                return Ok(Node::List(items));
            }
            items.push(self.value(depth + 1)?);
        }
    }

    fn leaf(&mut self) -> Result<Node, SopsError> {
        let line = self.line;
        let span = self.token();
        let value = match self.text.as_bytes().get(span.start) {
            Some(b'"') => Scalar::text(self.decode::<String>(&span)?),
            Some(b't') => Scalar::Bool(true),
            Some(b'f') => Scalar::Bool(false),
            Some(b'n') => Scalar::Null,
            _ => self.number(&span)?,
        };
        Ok(Node::Leaf(Leaf { value, span, line, flow: true }))
    }

    fn number(&self, span: &Range<usize>) -> Result<Scalar, SopsError> {
        let text = self.text.get(span.clone()).unwrap_or_default();
        if self.integers
            && let Ok(number) = text.parse()
        {
            return Ok(Scalar::Int(number));
        }
        let number: Option<f64> = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Scalar::Float).ok_or_else(|| SopsError::format(self.line, FormatProblem::Number))
    }

    /// A string or a literal; moves behind it.
    fn token(&mut self) -> Range<usize> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let length = match rest.first() {
            Some(b'"') => {
                let mut escaped = false;
                let end = rest.iter().skip(1).position(|byte| {
                    let ends = *byte == b'"' && !escaped;
                    escaped = *byte == b'\\' && !escaped;
                    ends
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            _ => rest
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
                .unwrap_or(rest.len()),
        };
        // Never nothing, so that no loop stands still.
        self.at = start + length.max(1);
        start..start + length
    }

    fn decode<T: serde::de::DeserializeOwned>(&self, span: &Range<usize>) -> Result<T, SopsError> {
        let text = self.text.get(span.clone()).unwrap_or_default();
        serde_json::from_str(text).map_err(|_| {
            let message = "a string can't be read".to_owned();
            SopsError::format(self.line, FormatProblem::Syntax { format: "JSON", message })
        })
    }
}
