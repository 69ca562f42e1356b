//! Sealing a plain file.

use std::ops::Range;

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use serde_json::{Value, json};

use crate::cipher::{Cipher, KEY_BYTES};
use crate::format::{METADATA_KEY, METADATA_PREFIX};
use crate::mac::Mac;
use crate::metadata::{self, Group, Written};
use crate::open::place;
use crate::rule::Rule;
use crate::splice::{self, Edit};
use crate::tree::{Document, Entry, Leaf, Node, Scalar, Tree};
use crate::{Format, FormatProblem, MAX_BYTES, Recipient, SopsError, dotenv, json, shamir, yaml};

/// The version of sops that files claim to be of: the newest whose format this is
/// known to be.
const VERSION: &str = "3.11.0";

/// How to seal.
#[derive(Debug, Clone)]
pub struct SealOptions {
    /// Whom to seal to. Any key of a group opens its part; with one group that is all.
    pub groups: Vec<Vec<Recipient>>,
    /// Groups that have to come together; all of them when absent.
    pub threshold: Option<usize>,
    /// Field of the metadata that says which values are encrypted, and its text:
    /// `encrypted_regex`, `unencrypted_regex`, `encrypted_suffix` or
    /// `unencrypted_suffix`. All values but those below keys that end in
    /// `_unencrypted` when absent.
    pub rule: Option<(&'static str, String)>,
    /// Whether only encrypted values are under the MAC, so that others may be edited.
    pub mac_only_encrypted: bool,
    /// The time that the file says it was sealed at.
    pub now: Timestamp,
}

impl SealOptions {
    /// Seals all values to any of the recipients.
    #[must_use]
    pub fn to(recipients: Vec<Recipient>, now: Timestamp) -> Self {
        let groups = vec![recipients];
        Self { groups, threshold: None, rule: None, mac_only_encrypted: false, now }
    }
}

/// Seals a file. Comments between encrypted values are encrypted too; others and the
/// layout stay.
///
/// # Errors
/// When it can't be read, is sealed already, or has nothing to seal.
pub fn seal(bytes: &[u8], format: Format, options: &SealOptions) -> Result<String, SopsError> {
    if bytes.len() > MAX_BYTES {
        return Err(SopsError::TooLarge { limit: MAX_BYTES });
    }
    let rule = match &options.rule {
        None => Rule::default(),
        Some((field, text)) => Rule::of(field, text)
            .ok_or(SopsError::Metadata { field: "encrypted_regex", problem: "no such rule" })??,
    };
    if options.groups.is_empty() || options.groups.iter().any(Vec::is_empty) {
        return Err(SopsError::NoRecipient);
    }
    let key = {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(key.as_mut_slice())?;
        key
    };
    let cipher = Cipher::new(key.as_slice()).ok_or(SopsError::Encrypt("no cipher"))?;
    let groups = wrapped(key.as_slice(), options)?;
    let mut sealing = Sealing::new(&cipher, &rule, options.mac_only_encrypted);
    let text = std::str::from_utf8(bytes);
    if format == Format::Binary {
        let data = sealing.blob(bytes)?;
        let written = sealing.metadata(&groups, options)?;
        return Ok(pretty(&json!({"data": data, METADATA_KEY: written})));
    }
    let text = text.map_err(|_| SopsError::format(None, FormatProblem::Encoding))?;
    let tree = match format {
        Format::Yaml => yaml::read(text)?,
        Format::Json => json::read(text, metadata::has_integers(VERSION))?,
        Format::Dotenv | Format::Binary => dotenv::read(text)?,
    };
    sealing.tree(text, &tree, format)?;
    let written = sealing.metadata(&groups, options)?;
    let mut edits = sealing.edits;
    for document in &tree.documents {
        edits.push(metadata_edit(text, document, format, &written));
    }
    let mut sealed = splice::apply(text, edits);
    Ok(std::mem::take(&mut *sealed.text))
}

fn random(bytes: &mut [u8]) -> Result<(), SopsError> {
    getrandom::fill(bytes).map_err(|_| SopsError::Encrypt("the system gives no random numbers"))
}

/// The data key, or its parts, for each recipient.
fn wrapped(key: &[u8], options: &SealOptions) -> Result<Vec<Group>, SopsError> {
    let groups = &options.groups;
    let parts = match groups.len() {
        1 => vec![Zeroizing::new(key.to_vec())],
        count => shamir::split(key, count, options.threshold.unwrap_or(count), random)?,
    };
    let wrap = |(group, part): (&Vec<Recipient>, &Zeroizing<Vec<u8>>)| {
        let age = group
            .iter()
            .map(|recipient| Ok((recipient.to_string(), recipient.wrap(part)?)))
            .collect::<Result<_, SopsError>>()?;
        Ok(Group { age })
    };
    groups.iter().zip(&parts).map(wrap).collect()
}

/// A file while it is sealed.
struct Sealing<'a> {
    cipher: &'a Cipher,
    rule: &'a Rule,
    mac: Mac,
    mac_only_encrypted: bool,
    place: Vec<&'a str>,
    edits: Vec<Edit>,
    /// Keys and values in their order.
    tokens: Vec<Token>,
    sealed: usize,
}

/// A key or a value.
struct Token {
    span: Range<usize>,
    /// Where comments beside it stand, if they are to be encrypted.
    place: Option<String>,
}

impl<'a> Sealing<'a> {
    fn new(cipher: &'a Cipher, rule: &'a Rule, mac_only_encrypted: bool) -> Self {
        Self {
            cipher,
            rule,
            mac: Mac::new(mac_only_encrypted),
            mac_only_encrypted,
            place: Vec::new(),
            edits: Vec::new(),
            tokens: Vec::new(),
            sealed: 0,
        }
    }

    fn tree(&mut self, text: &str, tree: &'a Tree, format: Format) -> Result<(), SopsError> {
        for document in &tree.documents {
            let taken = |entry: &Entry| match format {
                Format::Dotenv => entry.key.starts_with(METADATA_PREFIX),
                _ => entry.key == METADATA_KEY,
            };
            if document.entries.iter().any(taken) {
                return Err(SopsError::AlreadySealed);
            }
            self.entries(text, &document.entries, false)?;
        }
        if self.sealed == 0 {
            return Err(SopsError::NothingToSeal);
        }
        self.comments(text)
    }

    /// Encrypts the comments beside what is encrypted: they may say the same.
    fn comments(&mut self, text: &str) -> Result<(), SopsError> {
        let tokens = std::mem::take(&mut self.tokens);
        let ends = std::iter::once((0, None))
            .chain(tokens.iter().map(|token| (token.span.end, token.place.as_deref())));
        let starts = tokens
            .iter()
            .map(|token| (token.span.start, token.place.as_deref()))
            .chain(std::iter::once((text.len(), None)));
        for ((end, before), (start, after)) in ends.zip(starts) {
            let Some(place) = before.or(after) else { continue };
            let gap = text.get(end..start).unwrap_or_default();
            for comment in comments_in(gap) {
                let plain = &gap[comment.clone()];
                let sealed = self.cipher.encrypt(plain.as_bytes(), "comment", place, random)?;
                self.edits.push(Edit::new(end + comment.start..end + comment.end, sealed));
            }
        }
        Ok(())
    }

    fn entries(&mut self, text: &str, entries: &'a [Entry], named: bool) -> Result<(), SopsError> {
        for entry in entries {
            let here = self.rule.encrypts(named).then(|| place(&self.place));
            self.tokens.push(Token { span: entry.key_span.clone(), place: here });
            self.place.push(&entry.key);
            self.node(text, &entry.value, named || self.rule.names(&entry.key))?;
            self.place.pop();
        }
        Ok(())
    }

    fn node(&mut self, text: &str, node: &'a Node, named: bool) -> Result<(), SopsError> {
        match node {
            Node::Map(entries) => self.entries(text, entries, named),
            Node::List(items) => items.iter().try_for_each(|item| self.node(text, item, named)),
            Node::Leaf(leaf) => self.leaf(text, leaf, named),
        }
    }

    fn leaf(&mut self, text: &str, leaf: &Leaf, named: bool) -> Result<(), SopsError> {
        let encrypted = self.rule.encrypts(named);
        // A comment behind a value belongs to what the value is in.
        let above = self.place.split_last().map_or(&[][..], |(_, above)| above);
        let beside = encrypted.then(|| place(above));
        self.tokens.push(Token { span: leaf.span.clone(), place: beside });
        let Some(bytes) = leaf.value.bytes() else { return Ok(()) };
        self.mac.update(&bytes, encrypted);
        if !encrypted || bytes.is_empty() {
            return Ok(());
        }
        let sealed = self.encrypt(&bytes, leaf.value.type_name())?;
        let sealed = if leaf.flow { format!("\"{sealed}\"") } else { sealed };
        // A block scalar ends with a line break, which stays.
        let written = text.get(leaf.span.clone()).unwrap_or_default();
        let kept = if written.contains('\n') { written.trim_end() } else { written };
        let end = leaf.span.start + kept.len();
        self.edits.push(Edit::new(leaf.span.start..end, sealed));
        self.sealed += 1;
        Ok(())
    }

    fn encrypt(&self, bytes: &[u8], kind: &str) -> Result<String, SopsError> {
        self.cipher.encrypt(bytes, kind, &place(&self.place), random)
    }

    fn blob(&mut self, bytes: &[u8]) -> Result<String, SopsError> {
        self.mac.update(bytes, true);
        self.place = vec!["data"];
        match bytes.is_empty() {
            true => Ok(String::new()),
            false => self.encrypt(bytes, Scalar::text("").type_name()),
        }
    }

    fn metadata(&mut self, groups: &[Group], options: &SealOptions) -> Result<Value, SopsError> {
        let last_modified = options.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mac = std::mem::replace(&mut self.mac, Mac::new(false)).finish();
        let mac = self.cipher.encrypt(mac.as_bytes(), "str", &last_modified, random)?;
        let written = Written {
            groups,
            threshold: options.threshold,
            last_modified: &last_modified,
            mac: &mac,
            mac_only_encrypted: self.mac_only_encrypted,
            rule: self.rule,
            version: VERSION,
        };
        Ok(written.json())
    }
}

/// The comments in text that holds no values, without their `#`. Empty ones are left out.
fn comments_in(gap: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in gap.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        if let Some(at) = text.find('#').filter(|at| at + 1 < text.len()) {
            found.push(start + at + 1..start + text.len());
        }
        start += line.len();
    }
    found
}

/// The edit that adds the metadata to a document.
fn metadata_edit(text: &str, document: &Document, format: Format, metadata: &Value) -> Edit {
    let last = document.entries.last().map_or(document.span.start, |entry| entry.end);
    if format == Format::Dotenv {
        let lines: String = metadata::flattened(metadata)
            .iter()
            .map(|(key, value)| format!("{METADATA_PREFIX}{key}={}\n", dotenv::escaped(value)))
            .collect();
        let end = text.len();
        return Edit::new(end..end, format!("{}{lines}", missing_break(text, end)));
    }
    if document.flow {
        let comma = if document.entries.is_empty() { "" } else { "," };
        let written = pretty(metadata);
        let written = written.trim_end().replace('\n', "\n\t");
        return Edit::new(last..last, format!("{comma}\n\t\"{METADATA_KEY}\": {written}"));
    }
    // Behind the line of the last value, its comment included.
    let rest = text.get(last..).unwrap_or_default();
    let at_start = last == 0 || text[..last].ends_with('\n');
    let end = match rest.find('\n') {
        _ if at_start => last,
        Some(line) => last + line + 1,
        None => text.len(),
    };
    let indent = document.entries.first().map_or("", |entry| indent(text, entry.key_span.start));
    let mut out = missing_break(text, end).to_owned();
    yaml_map(&mut out, indent, &json!({METADATA_KEY: metadata}));
    Edit::new(end..end, out)
}

fn missing_break(text: &str, end: usize) -> &'static str {
    if end == 0 || text[..end].ends_with('\n') { "" } else { "\n" }
}

fn indent(text: &str, key: usize) -> &str {
    let line = text[..key].rfind('\n').map_or(0, |at| at + 1);
    let indent = &text[line..key];
    if indent.bytes().all(|byte| byte == b' ') { indent } else { "" }
}

/// JSON with tabs, as sops writes it.
fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A value can always be written to memory.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    let mut text = String::from_utf8(bytes).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes a mapping as YAML blocks, texts of several lines as literals.
fn yaml_map(out: &mut String, indent: &str, value: &Value) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        out.push_str(&format!("{indent}{key}:"));
        yaml_value(out, &format!("{indent}    "), value);
    }
}

fn yaml_value(out: &mut String, indent: &str, value: &Value) {
    match value {
        Value::Object(_) => {
            out.push('\n');
            yaml_map(out, indent, value);
        }
        Value::Array(items) => {
            out.push('\n');
            for item in items {
                let mut text = String::new();
                yaml_map(&mut text, &format!("{indent}  "), item);
                out.push_str(&format!("{indent}- {}", text.trim_start()));
            }
        }
        Value::String(text) if text.contains('\n') => {
            out.push_str(" |\n");
            for line in text.lines() {
                out.push_str(&format!("{indent}{line}\n"));
            }
        }
        Value::String(text) => {
            out.push(' ');
            out.push_str(&splice::yaml_quoted(text));
            out.push('\n');
        }
        other => out.push_str(&format!(" {other}\n")),
    }
}
