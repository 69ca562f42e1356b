//! One object of a manifest.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::position::Positions;
use super::{Fault, ManifestError, Position};

/// One object out of a manifest: a YAML document, or an item of a `List`.
///
/// `apiVersion`, `kind` and `metadata.name` are there; nothing else was checked.
/// `Debug` prints no value, as that may be a Secret's.
#[derive(Clone)]
pub struct Document {
    /// Path of the file, relative to the folder that was read, with `/`.
    pub file: String,
    /// Which document of the file, from 0. The items of a `List` share one.
    pub index: usize,
    /// The line on which the object starts, from 1.
    pub line: u32,
    /// `apiVersion` as written.
    pub api_version: String,
    /// `kind` as written.
    pub kind: String,
    /// `metadata.namespace`, if there is one.
    pub namespace: Option<String>,
    /// `metadata.name`, never empty.
    pub name: String,
    /// The whole object. Without sops's own entry.
    pub value: Value,
    /// Values of it are encrypted, as nobody had keys to open them with.
    pub sealed: bool,
    pub(super) positions: Positions,
    /// The text of the file, unless it must not be shown.
    pub(super) text: Option<Arc<str>>,
}

/// What makes two documents the same object, whatever their version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace, if the document names one.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Document {
    /// API group: the part of `apiVersion` before the `/`, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// What makes two documents the same object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            group: self.group().to_owned(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Where a field stands in the file.
    ///
    /// Takes a field path as validation errors name it (`spec.ports[0].name`,
    /// `spec.env["A.B"]`) or a JSON pointer (`/spec/ports/0/name`). For a field of
    /// a mapping it is the place of its key. None if the document has no such field:
    /// then [`Document::locate_nearest`] has the place of what should hold it.
    pub fn locate(&self, field_path: &str) -> Option<Position> {
        let found = self.positions.find(field_path);
        found.complete.then_some(found.name)
    }

    /// As [`Document::locate`], but where the path leads nowhere the place of the
    /// last part of it that is there; for a missing field, of its parent.
    pub fn locate_nearest(&self, field_path: &str) -> Position {
        self.positions.find(field_path).name
    }

    /// An error about a field of this document, which points at the line.
    pub fn error_at(&self, field_path: &str, message: impl Into<String>) -> ManifestError {
        self.error(self.locate_nearest(field_path), message)
    }

    /// An error about this document at a place in it.
    pub(super) fn error(&self, at: Position, message: impl Into<String>) -> ManifestError {
        let error = ManifestError {
            file: self.file.clone(),
            position: Some(at),
            document: Some(self.index),
            message: message.into(),
            fault: Fault::Manifest,
            excerpt: None,
        };
        match &self.text {
            Some(text) => error.with_excerpt(text),
            None => error,
        }
    }
}

/// `Environment shop/production`, for messages.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("file", &self.file)
            .field("index", &self.index)
            .field("line", &self.line)
            .field("api_version", &self.api_version)
            .field("kind", &self.kind)
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
