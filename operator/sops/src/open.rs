//! Opening a sealed file.

use std::ops::Range;

use secrecy::zeroize::Zeroizing;

use crate::cipher::{Cipher, Plain, Refusal};
use crate::error::{PATH_SHOWN, beginning};
use crate::format::{METADATA_KEY, METADATA_PREFIX};
use crate::mac::Mac;
use crate::metadata::{self, Metadata};
use crate::rule::Rule;
use crate::splice::{self, Edit};
use crate::tree::{Document, Entry, Leaf, Node, Scalar, Tree};
use crate::{Format, FormatProblem, Keys, MAX_BYTES, SopsError, dotenv, json, yaml};

/// A file that was opened, all of it checked. No `Debug`: it holds what was sealed.
pub struct Opened {
    /// The file in plain. Every line of YAML and JSON stands where it stood before.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Where in `bytes` the values stand that were encrypted, in order. Of a binary file
    /// that is all of it.
    pub encrypted: Vec<Range<usize>>,
}

/// Opens a file with the first of the keys that fits.
///
/// # Errors
/// When it isn't sealed, not to these keys, was changed since, or can't be read. No
/// error holds a value.
pub fn open(bytes: &[u8], format: Format, keys: &Keys) -> Result<Opened, SopsError> {
    if bytes.len() > MAX_BYTES {
        return Err(SopsError::TooLarge { limit: MAX_BYTES });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| SopsError::format(None, FormatProblem::Encoding))?;
    let (tree, metadata) = read(text, format)?;
    let key = metadata.data_key(keys)?;
    let cipher = Cipher::new(&key).ok_or(SopsError::DataKey)?;
    let mut opening = Opening {
        text,
        cipher: &cipher,
        rule: &metadata.rule,
        mac: Mac::new(metadata.mac_only_encrypted),
        format,
        place: Vec::new(),
        edits: Vec::new(),
        blob: None,
    };
    for document in &tree.documents {
        opening.entries(&document.entries, false, true)?;
    }
    let Opening { mac, mut edits, blob, .. } = opening;
    check_mac(&cipher, &metadata, &mac.finish())?;
    if format == Format::Binary {
        // Nothing at all is left as it is, and so has no encrypted value.
        let bytes = blob.unwrap_or_default();
        let encrypted = std::iter::once(0..bytes.len()).collect();
        return Ok(Opened { bytes, encrypted });
    }
    for document in &tree.documents {
        edits.extend(without_metadata(text, document, format));
    }
    let mut opened = splice::apply(text, edits);
    let bytes = Zeroizing::new(std::mem::take(&mut *opened.text).into_bytes());
    Ok(Opened { bytes, encrypted: opened.noted })
}

/// Reads the file and what it says about itself.
fn read(text: &str, format: Format) -> Result<(Tree, Metadata), SopsError> {
    match format {
        Format::Yaml => {
            if !yaml::has_root_key(text, METADATA_KEY) {
                return Err(SopsError::NotSealed);
            }
            with_metadata(yaml::read(text)?)
        }
        Format::Json | Format::Binary => {
            if !json::has_root_key(text, METADATA_KEY) {
                return Err(SopsError::NotSealed);
            }
            let tree = json::read(text, false)?;
            let version = tree.documents.first().and_then(|document| {
                match metadata::find(&document.entries, METADATA_KEY)? {
                    Node::Map(entries) => metadata::find(entries, "version")?.as_text(),
                    _ => None,
                }
            });
            if version.is_some_and(metadata::has_integers) {
                return with_metadata(json::read(text, true)?);
            }
            with_metadata(tree)
        }
        Format::Dotenv => {
            let tree = dotenv::read(text)?;
            let entries = tree.documents.iter().flat_map(|document| &document.entries);
            let flat: Vec<_> = entries
                .filter_map(|entry| {
                    let key = entry.key.strip_prefix(METADATA_PREFIX)?;
                    Some((key, entry.value.as_text()?))
                })
                .collect();
            if flat.is_empty() {
                return Err(SopsError::NotSealed);
            }
            let metadata = Metadata::read(&metadata::unflattened(&flat))?;
            Ok((tree, metadata))
        }
    }
}

fn with_metadata(tree: Tree) -> Result<(Tree, Metadata), SopsError> {
    let first = tree.documents.first().ok_or(SopsError::NotSealed)?;
    let metadata = match metadata::find(&first.entries, METADATA_KEY) {
        Some(Node::Map(entries)) => Metadata::read(entries)?,
        Some(_) => {
            return Err(SopsError::Metadata { field: "version", problem: "is missing" });
        }
        None => {
            return Err(SopsError::format(None, FormatProblem::LateMetadata));
        }
    };
    Ok((tree, metadata))
}

/// Whether an entry of the root is part of the metadata.
fn is_metadata(entry: &Entry, format: Format) -> bool {
    match format {
        Format::Dotenv => entry.key.starts_with(METADATA_PREFIX),
        _ => entry.key == METADATA_KEY,
    }
}

fn check_mac(cipher: &Cipher, metadata: &Metadata, expected: &str) -> Result<(), SopsError> {
    let mac = cipher
        .decrypt(&metadata.mac, &metadata.last_modified)
        .map_err(|_| SopsError::MacMismatch)?;
    match mac.bytes.as_slice() == expected.as_bytes() {
        true => Ok(()),
        false => Err(SopsError::MacMismatch),
    }
}

/// A file while it is opened.
struct Opening<'a> {
    text: &'a str,
    cipher: &'a Cipher,
    rule: &'a Rule,
    mac: Mac,
    format: Format,
    place: Vec<&'a str>,
    edits: Vec<Edit>,
    /// The one value of a binary file.
    blob: Option<Zeroizing<Vec<u8>>>,
}

impl<'a> Opening<'a> {
    fn entries(&mut self, entries: &'a [Entry], named: bool, root: bool) -> Result<(), SopsError> {
        for entry in entries {
            if root && is_metadata(entry, self.format) {
                continue;
            }
            self.place.push(&entry.key);
            self.node(&entry.value, named || self.rule.names(&entry.key))?;
            self.place.pop();
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node, named: bool) -> Result<(), SopsError> {
        match node {
            Node::Map(entries) => self.entries(entries, named, false),
            Node::List(items) => items.iter().try_for_each(|item| self.node(item, named)),
            Node::Leaf(leaf) => self.leaf(leaf, named),
        }
    }

    fn leaf(&mut self, leaf: &Leaf, named: bool) -> Result<(), SopsError> {
        if !self.rule.encrypts(named) {
            if let Some(bytes) = leaf.value.bytes() {
                self.mac.update(&bytes, false);
            }
            return Ok(());
        }
        let text = match &leaf.value {
            Scalar::Null => return Ok(()),
            // Nothing is left as it is: there is nothing to hide.
            Scalar::Text(text) if text.is_empty() => return Ok(()),
            Scalar::Text(text) => text,
            _ => return Err(self.refused(Refusal::NotEncrypted, leaf.line)),
        };
        let plain = self.cipher.decrypt(text, &place(&self.place));
        let plain = plain.map_err(|refusal| self.refused(refusal, leaf.line))?;
        let wrong =
            |expected| SopsError::WrongType { path: shown(&self.place), line: leaf.line, expected };
        let replacement = Replacement::of(&plain, self.format).map_err(wrong)?;
        self.mac.update(&replacement.hashed, true);
        if self.format == Format::Binary {
            self.blob = Some(plain.bytes);
            return Ok(());
        }
        self.edits.push(Edit { span: leaf.span.clone(), text: replacement.text, noted: true });
        // A value that was written over several lines, as formatters do it.
        let written = self.text.get(leaf.span.clone()).unwrap_or_default();
        let breaks = splice::indented_breaks(written);
        if !breaks.is_empty() {
            self.edits.push(Edit::new(leaf.span.end..leaf.span.end, breaks));
        }
        Ok(())
    }

    fn refused(&self, refusal: Refusal, line: u32) -> SopsError {
        let path = shown(&self.place);
        match refusal {
            Refusal::NotEncrypted => SopsError::NotEncrypted { path, line },
            Refusal::Tampered => SopsError::Tampered { path, line },
        }
    }
}

/// Where a value stands, as it is bound to it.
pub(crate) fn place(keys: &[&str]) -> String {
    let mut place = keys.join(":");
    place.push(':');
    place
}

/// Where a value stands, for people.
fn shown(keys: &[&str]) -> String {
    beginning(&keys.join("."), PATH_SHOWN)
}

/// What takes the place of an encrypted value.
struct Replacement {
    text: Zeroizing<String>,
    hashed: Zeroizing<Vec<u8>>,
}

impl Replacement {
    /// Writes a value as its type and format want it; says what it should have been if
    /// it isn't that.
    fn of(plain: &Plain<'_>, format: Format) -> Result<Self, &'static str> {
        if format == Format::Binary {
            return Ok(Self { text: Zeroizing::default(), hashed: plain.bytes.clone() });
        }
        const TEXT: &str = "text in UTF-8; in a Secret write it in base64 below data";
        let text = std::str::from_utf8(&plain.bytes).map_err(|_| TEXT)?;
        let literal = |text: &str, hashed: &str| Self {
            text: Zeroizing::new(text.to_owned()),
            hashed: Zeroizing::new(hashed.as_bytes().to_vec()),
        };
        if format == Format::Dotenv {
            return Ok(Self {
                text: Zeroizing::new(dotenv::escaped(text)),
                hashed: plain.bytes.clone(),
            });
        }
        match plain.kind {
            "str" | "bytes" | "time" => {
                let quoted = match format {
                    Format::Json => {
                        serde_json::to_string(text).map(Zeroizing::new).map_err(|_| TEXT)?
                    }
                    _ => splice::yaml_quoted(text),
                };
                Ok(Self { text: quoted, hashed: plain.bytes.clone() })
            }
            "int" => match text.parse::<i64>() {
                Ok(_) => Ok(literal(text.trim_start_matches('+'), text)),
                Err(_) => Err("an integer"),
            },
            "float" => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(literal(text.trim_start_matches('+'), text)),
                _ => Err("a finite number"),
            },
            "bool" => match text {
                "True" | "true" | "TRUE" | "1" => Ok(literal("true", "True")),
                "False" | "false" | "FALSE" | "0" => Ok(literal("false", "False")),
                _ => Err("true or false"),
            },
            _ => Err("of a type that is known"),
        }
    }
}

/// Edits that take the metadata out and leave every line where it is.
fn without_metadata(text: &str, document: &Document, format: Format) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (index, entry) in document.entries.iter().enumerate() {
        if !is_metadata(entry, format) {
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| document.entries.get(index));
        let span = match (format, document.flow) {
            (Format::Dotenv, _) => whole_line(text, entry.key_span.start..entry.end),
            (_, false) => entry.key_span.start..entry.end,
            // A comma goes with it.
            (_, true) => match (before, document.entries.get(index + 1)) {
                (Some(before), _) => before.end..entry.end,
                (None, Some(after)) => entry.key_span.start..after.key_span.start,
                (None, None) => entry.key_span.start..entry.end,
            },
        };
        let removed = text.get(span.clone()).unwrap_or_default();
        let kept = match (format, document.flow) {
            (Format::Dotenv, _) => String::new(),
            // Comments rather than blank lines, which a block scalar above would take for
            // its own.
            (_, false) => format!("#{}", splice::line_breaks(removed, "#")),
            (_, true) => splice::line_breaks(removed, ""),
        };
        edits.push(Edit::new(span, kept));
    }
    edits
}

fn whole_line(text: &str, span: Range<usize>) -> Range<usize> {
    let ends = text.get(span.end..).is_some_and(|rest| rest.starts_with('\n'));
    span.start..span.end + usize::from(ends)
}
