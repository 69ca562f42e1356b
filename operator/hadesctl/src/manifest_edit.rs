//! Edits of a manifest in place: what isn't changed stays as people wrote it, comments
//! and order included.
//!
//! ```text
//! patch ─▶ single edits ─▶ each made at the place that the parser tells ─▶ text
//!                                                             │
//!              read again: exactly the patch has changed ◀────┘
//! ```
//!
//! The last step is what makes it safe: a text that reads otherwise than it should is
//! never given back. It knows mappings in both styles, and no other place to edit.

use hades_source::manifest::{Document, Limits, Position, read_bytes};
use serde_json::{Map, Value};

use crate::change;

/// How much deeper a mapping is written than its key.
const STEP: usize = 2;

/// Which object of a file is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'a str,
    /// Its project, which the file may leave out.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

/// Why a file is left to people.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It can't be read as manifests.
    #[error("it can't be read as manifests")]
    Unreadable,
    /// The object isn't in it.
    #[error("the object isn't in it")]
    NotThere,
    /// It is encrypted, and its MAC is over all of it.
    #[error("it is encrypted by sops, which has to make the change")]
    Encrypted,
    /// It is written in a way that isn't edited.
    #[error("it is written in a way that only people edit")]
    Unfit,
}

/// The text with a merge patch (RFC 7386) made to one of its objects.
///
/// # Errors
/// When that can't be done by changing those lines alone.
pub fn edit(
    file: &str,
    text: &str,
    subject: Subject<'_>,
    patch: &Value,
) -> Result<String, EditError> {
    let before = documents(file, text)?;
    let at = position_of(&before, subject)?;
    // The MAC is over all documents of a file.
    if before.iter().any(|document| document.sealed) {
        return Err(EditError::Encrypted);
    }
    let mut edits = vec![];
    collect(&before[at].value, patch, &mut vec![], &mut edits);
    let style = Style { json: file.to_lowercase().ends_with(".json") };
    let mut edited = text.to_owned();
    for step in &edits {
        let now = documents(file, &edited)?;
        let document = &now[position_of(&now, subject)?];
        edited = Place { text: &edited, document, style }.make(step).ok_or(EditError::Unfit)?;
    }
    let mut expected: Vec<Value> = before.iter().map(|found| found.value.clone()).collect();
    change::apply(&mut expected[at], patch);
    let after = documents(file, &edited).map_err(|_| EditError::Unfit)?;
    let same = after.len() == expected.len()
        && after.iter().zip(&expected).all(|(found, wanted)| full(&found.value) == full(wanted));
    if same { Ok(edited) } else { Err(EditError::Unfit) }
}

fn documents(file: &str, text: &str) -> Result<Vec<Document>, EditError> {
    match read_bytes(file, text.as_bytes(), &Limits::default()) {
        Ok(set) if set.errors.is_empty() => Ok(set.documents),
        Ok(_) | Err(_) => Err(EditError::Unreadable),
    }
}

fn position_of(documents: &[Document], subject: Subject<'_>) -> Result<usize, EditError> {
    let is_it = |document: &Document| {
        let namespace = document.namespace.as_deref();
        document.kind == subject.kind
            && document.name == subject.name
            && (namespace.is_none() || namespace == subject.namespace)
    };
    documents.iter().position(is_it).ok_or(EditError::NotThere)
}

/// A value without mappings that say nothing: one that was emptied may stay or go.
fn full(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let fields = fields.iter().map(|(key, value)| (key.clone(), full(value)));
    let says =
        |value: &Value| !value.is_null() && value.as_object().is_none_or(|it| !it.is_empty());
    Value::Object(fields.filter(|(_, value)| says(value)).collect())
}

/// One edit: what a field becomes, or none when it goes.
#[derive(Debug, PartialEq)]
struct Edit {
    path: Vec<String>,
    value: Option<Value>,
}

fn collect(before: &Value, patch: &Value, path: &mut Vec<String>, edits: &mut Vec<Edit>) {
    for (key, wanted) in patch.as_object().into_iter().flatten() {
        path.push(key.clone());
        match (before.get(key), wanted) {
            (None, Value::Null) => {}
            (Some(_), Value::Null) => edits.push(Edit { path: path.clone(), value: None }),
            (Some(known @ Value::Object(_)), Value::Object(_)) => {
                collect(known, wanted, path, edits);
            }
            (Some(known), wanted) if known == wanted => {}
            (_, wanted) => {
                let value = full(wanted);
                // Nothing but removals of what isn't there.
                if wanted == &value || value.as_object().is_none_or(|it| !it.is_empty()) {
                    edits.push(Edit { path: path.clone(), value: Some(value) });
                }
            }
        }
        path.pop();
    }
}

#[derive(Debug, Clone, Copy)]
struct Style {
    json: bool,
}

impl Style {
    /// A value on one line.
    fn inline(self, value: &Value) -> String {
        match value {
            Value::Object(fields) if !self.json => {
                let entries: Vec<String> =
                    fields.iter().map(|(key, value)| self.entry(key, value)).collect();
                format!("{{{}}}", entries.join(", "))
            }
            Value::String(text) if !self.json && is_plain(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn key(self, key: &str) -> String {
        self.inline(&Value::String(key.to_owned()))
    }

    fn entry(self, key: &str, value: &Value) -> String {
        format!("{}: {}", self.key(key), self.inline(value))
    }

    /// An entry of a mapping in lines, the first without its indentation.
    fn lines(self, key: &str, value: &Value, indent: usize, end: &str) -> String {
        match value {
            Value::Object(fields) if !is_short(fields) => {
                let below = indent + STEP;
                let entries = fields.iter().map(|(key, value)| {
                    format!("{}{}", " ".repeat(below), self.lines(key, value, below, end))
                });
                format!("{}:{end}{}", self.key(key), entries.collect::<String>())
            }
            _ => format!("{}{end}", self.entry(key, value)),
        }
    }
}

/// What people write on one line: nothing, or where a value is from.
fn is_short(fields: &Map<String, Value>) -> bool {
    fields.is_empty() || (fields.len() == 1 && fields.contains_key("secretKeyRef"))
}

/// Whether a text reads as itself without quotes, in every YAML.
fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    // A colon with a blank behind it ends a key.
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@".contains(letter);
    let word = text.to_ascii_lowercase();
    let means_more = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    starts && text.chars().all(fits) && !text.ends_with(':') && !means_more.contains(&word.as_str())
}

/// A text, and the object in it that is edited.
struct Place<'a> {
    text: &'a str,
    document: &'a Document,
    style: Style,
}

/// An entry of a mapping in the text (offsets in bytes).
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: usize,
    /// Behind the colon.
    colon: usize,
    /// Where the value begins on the same line, or the end of that line.
    value: usize,
}

impl Place<'_> {
    fn make(&self, edit: &Edit) -> Option<String> {
        let (key, parent) = edit.path.split_last()?;
        let is_there = self.value(&edit.path).is_some();
        match (&edit.value, is_there) {
            (None, false) => Some(self.text.to_owned()),
            (None, true) => self.remove(parent, key),
            (Some(value), true) => self.replace(&edit.path, value),
            (Some(value), false) => self.insert(parent, key, value),
        }
    }

    fn value(&self, path: &[String]) -> Option<&Value> {
        self.document.value.pointer(&pointer(path))
    }

    fn entry(&self, path: &[String]) -> Option<Entry> {
        let key = self.offset(self.document.locate(&pointer(path))?)?;
        let rest = &self.text[key..];
        let length = match rest.chars().next()? {
            quote @ ('"' | '\'') => quoted(rest, quote)?,
            _ => {
                rest.char_indices()
                    .find(|(at, letter)| {
                        *letter == '\n'
                            || (*letter == ':'
                                && !rest[at + 1..].starts_with(|c: char| !c.is_whitespace()))
                    })?
                    .0
            }
        };
        let behind = rest[length..].trim_start_matches([' ', '\t']);
        let colon = self.text.len() - behind.len() + behind.strip_prefix(':').map(|_| 1)?;
        let line = self.text[colon..].split('\n').next().unwrap_or_default();
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        Some(Entry { key, colon, value: colon + blanks })
    }

    fn offset(&self, at: Position) -> Option<usize> {
        let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
        let start: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let inside = self.text.get(start..)?.char_indices().nth(column)?.0;
        Some(start + inside)
    }

    /// The children of a mapping, as they are written.
    fn children(&self, path: &[String]) -> Option<Vec<Entry>> {
        let mut children = vec![];
        let value = if path.is_empty() { Some(&self.document.value) } else { self.value(path) };
        for key in value?.as_object()?.keys() {
            let path: Vec<String> = path.iter().chain([key]).cloned().collect();
            children.push(self.entry(&path)?);
        }
        children.sort_by_key(|child| child.key);
        Some(children)
    }

    /// Whether a mapping is written within braces.
    fn is_flow(&self, path: &[String]) -> Option<bool> {
        let first = self.children(&[])?.first()?.key;
        if self.text[..first].trim_end().ends_with('{') {
            return Some(true);
        }
        for length in 1..=path.len() {
            let entry = self.entry(&path[..length])?;
            match self.text[entry.value..].chars().next() {
                Some('{') => return Some(true),
                // A name for it, or another place that it is from.
                Some('&' | '*' | '!' | '[' | '?') => return None,
                _ => {}
            }
        }
        Some(false)
    }

    fn insert(&self, parent: &[String], key: &str, value: &Value) -> Option<String> {
        let children = self.children(parent)?;
        if self.is_flow(parent)? {
            let open = match parent.is_empty() {
                true => self.text[..children.first()?.key].rfind('{')?,
                false => self.entry(parent)?.value,
            };
            let close = flow_end(self.text, open)?.checked_sub(1)?;
            let inside = self.text[open + 1..close].trim_end();
            let comma = if inside.is_empty() || inside.ends_with(',') { "" } else { ", " };
            let at = open + 1 + inside.len();
            return Some(self.spliced(at, at, &format!("{comma}{}", self.style.entry(key, value))));
        }
        let (first, last) = (children.first()?, children.last()?);
        let indent = self.column(first.key);
        let at = self.block_end(last)?;
        let mut lines = " ".repeat(indent) + &self.style.lines(key, value, indent, self.line_end());
        if !self.text[..at].ends_with('\n') {
            lines.insert_str(0, self.line_end());
        }
        Some(self.spliced(at, at, &lines))
    }

    fn replace(&self, path: &[String], value: &Value) -> Option<String> {
        let entry = self.entry(path)?;
        let (key, parent) = path.split_last()?;
        if self.is_flow(parent)? {
            let end = flow_end(self.text, entry.value)?;
            let blank = if entry.value == entry.colon { " " } else { "" };
            let text = format!("{blank}{}", self.style.inline(value));
            return Some(self.spliced(entry.value, end, &text));
        }
        let end = self.block_end(&entry)?;
        let is_single = !self.text[entry.key..end].trim_end().contains('\n');
        let is_inline = value.as_object().is_none_or(is_short);
        let written = &self.text[entry.value..];
        if is_single
            && is_inline
            && !written.starts_with(['\n', '\r', '#', '|', '>', '&', '*', '!'])
        {
            let end = scalar_end(self.text, entry.value)?;
            return Some(self.spliced(entry.value, end, &self.style.inline(value)));
        }
        let indent = self.column(entry.key);
        let lines = self.style.lines(key, value, indent, self.line_end());
        Some(self.spliced(entry.key, end, &lines))
    }

    fn remove(&self, parent: &[String], key: &str) -> Option<String> {
        let path: Vec<String> = parent.iter().cloned().chain([key.to_owned()]).collect();
        let entry = self.entry(&path)?;
        let children = self.children(parent)?;
        if self.is_flow(parent)? {
            let end = flow_end(self.text, entry.value)?;
            let rest = &self.text[end..];
            if let Some(after) = rest.trim_start().strip_prefix(',') {
                let next = self.text.len() - after.trim_start().len();
                return Some(self.spliced(entry.key, next, ""));
            }
            let before = self.text[..entry.key].trim_end();
            let start = before.strip_suffix(',').unwrap_or(before).len();
            return Some(self.spliced(start, end, ""));
        }
        if children.len() == 1 {
            return self.replace(parent, &Value::Object(Map::new()));
        }
        let start = entry.key - self.column(entry.key);
        // The first key of an item of a list shares its line with the dash.
        if !self.text[start..entry.key].trim().is_empty() {
            return None;
        }
        Some(self.spliced(start, self.block_end(&entry)?, ""))
    }

    fn spliced(&self, start: usize, end: usize, text: &str) -> String {
        format!("{}{text}{}", &self.text[..start], &self.text[end..])
    }

    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn column(&self, at: usize) -> usize {
        at - self.text[..at].rfind('\n').map_or(0, |line| line + 1)
    }

    /// Behind the last line of an entry in lines.
    fn block_end(&self, entry: &Entry) -> Option<usize> {
        let indent = self.column(entry.key);
        let value = &self.text[entry.value..];
        let from = match value.chars().next() {
            Some('{' | '[') => flow_end(self.text, entry.value)?,
            _ => entry.value,
        };
        let is_below = value.split('\n').next().is_some_and(|rest| {
            let rest = rest.trim();
            rest.is_empty() || rest.starts_with('#')
        });
        let line_end =
            |at: usize| self.text[at..].find('\n').map_or(self.text.len(), |n| at + n + 1);
        let mut end = line_end(from);
        let mut at = end;
        while at < self.text.len() {
            let next = line_end(at);
            let line = &self.text[at..next];
            let depth = line.len() - line.trim_start_matches(' ').len();
            let item = is_below && depth == indent && line[depth..].starts_with("- ");
            if line.trim().is_empty() {
                at = next;
                continue;
            }
            if depth <= indent && !item {
                break;
            }
            (at, end) = (next, next);
        }
        Some(end)
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Length of a text in quotes at the start, quotes included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote == '"' => {
                letters.next();
            }
            // Doubled, it stands for itself.
            '\'' if quote == '\'' && letters.peek().is_some_and(|(_, next)| *next == '\'') => {
                letters.next();
            }
            letter if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Behind a scalar on one line, where a comment may follow.
fn scalar_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    match line.chars().next()? {
        '{' | '[' => flow_end(text, at),
        quote @ ('"' | '\'') => Some(at + quoted(line, quote)?),
        _ => {
            let end = line.find(" #").unwrap_or(line.len());
            Some(at + line[..end].trim_end().len())
        }
    }
}

/// Behind a value within braces. None where a comment is in it.
fn flow_end(text: &str, at: usize) -> Option<usize> {
    let (mut depth, mut end, mut here) = (0_usize, at, at);
    // Quotes only count where a value or a key begins.
    let mut begins = true;
    let mut last = ' ';
    while let Some(letter) = text[here..].chars().next() {
        match letter {
            '"' | '\'' if begins => {
                here += quoted(&text[here..], letter)?;
                (begins, last, end) = (false, letter, here);
                if depth == 0 {
                    return Some(end);
                }
                continue;
            }
            '#' if last.is_whitespace() => return None,
            '{' | '[' => depth += 1,
            '}' | ']' if depth == 0 => return Some(end),
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => return Some(end),
            _ => {}
        }
        here += letter.len_utf8();
        if !letter.is_whitespace() {
            begins = matches!(letter, '{' | '[' | ',' | ':');
            end = here;
            if depth == 0 && matches!(letter, '}' | ']') {
                return Some(end);
            }
        }
        last = letter;
    }
    None
}

#[cfg(test)]
mod tests;
