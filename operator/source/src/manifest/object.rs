//! From a parsed document to objects: what each needs to be one, and `List`s.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::node::Split;
use super::position::{Below, Positions};
use super::text::Part;
use super::{Document, Fault, ManifestError, Position};

/// Where a parsed document comes from.
pub(super) struct Origin<'a> {
    pub(super) file: &'a str,
    /// Which document of the file, from 0.
    pub(super) index: usize,
    pub(super) part: &'a Part<'a>,
    /// The whole file, for the excerpts of later errors.
    pub(super) text: &'a Arc<str>,
    /// Whether lines of this document may be shown in errors.
    pub(super) shown: bool,
    /// Whether values of this document were encrypted in the file.
    pub(super) encrypted: bool,
}

/// What a document came to.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) documents: Vec<Document>,
    pub(super) errors: Vec<ManifestError>,
    /// Whether the document is sealed still.
    sealed: bool,
}

/// Duplicate keys reported per document: a generated file may have thousands.
const MAX_DUPLICATES: usize = 20;
/// Lists in lists: nothing makes more than one.
const MAX_LIST_DEPTH: usize = 4;

impl Origin<'_> {
    /// An error at a place in this document.
    pub(super) fn error(&self, at: Option<Position>, message: impl Into<String>) -> ManifestError {
        let mut error = ManifestError {
            file: self.file.to_owned(),
            position: at,
            document: Some(self.index),
            message: message.into(),
            fault: Fault::Manifest,
            excerpt: None,
        };
        if self.shown {
            error.excerpt = at.and_then(|at| {
                let within = Position {
                    line: at.line.checked_sub(self.part.lines_above)?,
                    column: at.column,
                };
                let mut local = error.clone();
                local.position = Some(within);
                local.with_excerpt(self.part.text).excerpt
            });
        }
        error
    }

    /// The objects of a document.
    pub(super) fn objects(&self, split: Split) -> Objects {
        let mut objects = Objects::default();
        for duplicate in split.duplicates.iter().take(MAX_DUPLICATES) {
            objects.errors.push(self.error(
                Some(duplicate.at),
                format!(
                    "the key {:?} is here twice: it is already on line {}",
                    duplicate.key, duplicate.first.line
                ),
            ));
        }
        if split.duplicates.is_empty() {
            let mut split = split;
            objects.sealed = take_seal(&mut split.value);
            self.take(split.value, split.positions, 0, &mut objects);
        }
        objects
    }

    fn take(&self, value: Value, positions: Positions, depth: usize, objects: &mut Objects) {
        let start = positions.start();
        let Value::Object(mut object) = value else {
            let message = "a manifest is a mapping with apiVersion, kind and metadata";
            objects.errors.push(self.error(Some(start), message));
            return;
        };
        let at = |field: &str| Some(positions.find(field).name);
        let (api_version, kind) = match self.type_of(&object, &at) {
            Ok(names) => names,
            Err(errors) => return objects.errors.extend(errors),
        };
        if is_list(&kind, &object) {
            let Some(Value::Array(items)) = object.remove("items") else {
                let message = "the items of a List must be a list";
                objects.errors.push(self.error(at("items"), message));
                return;
            };
            self.take_items(items, positions, depth, objects);
            return;
        }
        if self.encrypted && (api_version.as_str(), kind.as_str()) != ("v1", "Secret") {
            let message = format!(
                "only a Secret may have encrypted values: those of {kind} are seen by all who may \
                 read it; put them into a Secret and name that here"
            );
            objects.errors.push(self.error(at("kind"), message));
            return;
        }
        match self.identity_of(&object, &kind, &at) {
            Ok((name, namespace)) => objects.documents.push(Document {
                file: self.file.to_owned(),
                index: self.index,
                line: start.line,
                api_version,
                kind,
                namespace,
                name,
                value: Value::Object(object),
                sealed: objects.sealed,
                positions,
                text: self.shown.then(|| Arc::clone(self.text)),
            }),
            Err(errors) => objects.errors.extend(errors),
        }
    }

    fn take_items(
        &self,
        items: Vec<Value>,
        positions: Positions,
        depth: usize,
        objects: &mut Objects,
    ) {
        let Below::Map(mut entries) = positions.below else {
            return;
        };
        let Some(entry) = entries.remove("items") else {
            return;
        };
        if depth >= MAX_LIST_DEPTH {
            let message = "lists in lists: give the objects themselves";
            objects.errors.push(self.error(Some(entry.key), message));
            return;
        }
        if let Below::List(places) = entry.value.below {
            for (item, place) in items.into_iter().zip(places) {
                self.take(item, place, depth + 1, objects);
            }
        }
    }

    /// `apiVersion` and `kind`, or everything that is wrong with them.
    fn type_of(
        &self,
        object: &Map<String, Value>,
        at: &impl Fn(&str) -> Option<Position>,
    ) -> Result<(String, String), Vec<ManifestError>> {
        if !object.contains_key("apiVersion") && !object.contains_key("kind") {
            let message = "not a manifest: it has no apiVersion and no kind; move it to another \
                           folder or name the file in .hadesignore";
            return Err(vec![self.error(at(""), message)]);
        }
        let mut errors = Vec::new();
        let mut text = |field: &str| match object.get(field) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(_) => {
                let message = format!("{field} must be text and not empty");
                errors.push(self.error(at(field), message));
                String::new()
            }
            None => {
                errors.push(self.error(at(""), format!("{field} is missing")));
                String::new()
            }
        };
        let names = (text("apiVersion"), text("kind"));
        if errors.is_empty() { Ok(names) } else { Err(errors) }
    }

    /// `metadata.name` and `metadata.namespace`, or everything wrong with them.
    fn identity_of(
        &self,
        object: &Map<String, Value>,
        kind: &str,
        at: &impl Fn(&str) -> Option<Position>,
    ) -> Result<(String, Option<String>), Vec<ManifestError>> {
        let metadata = match object.get("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(_) => {
                return Err(vec![self.error(at("metadata"), "metadata must be a mapping")]);
            }
            None => {
                let message = format!("{kind} has no metadata.name");
                return Err(vec![self.error(at(""), message)]);
            }
        };
        let mut errors = Vec::new();
        let name = match metadata.get("name") {
            Some(Value::String(name)) if !name.is_empty() => name.clone(),
            Some(Value::Number(_) | Value::Bool(_)) => {
                let message = "metadata.name must be text: quote it";
                errors.push(self.error(at("metadata.name"), message));
                String::new()
            }
            Some(_) => {
                let message = "metadata.name must be text and not empty";
                errors.push(self.error(at("metadata.name"), message));
                String::new()
            }
            None if metadata.contains_key("generateName") => {
                let message = "generateName would make another object with every sync: give \
                               metadata.name";
                errors.push(self.error(at("metadata.generateName"), message));
                String::new()
            }
            None => {
                let message = format!("{kind} has no metadata.name");
                errors.push(self.error(at("metadata"), message));
                String::new()
            }
        };
        let namespace = match metadata.get("namespace") {
            None | Some(Value::Null) => None,
            Some(Value::String(namespace)) if !namespace.is_empty() => Some(namespace.clone()),
            Some(_) => {
                let message = "metadata.namespace must be text and not empty";
                errors.push(self.error(at("metadata.namespace"), message));
                None
            }
        };
        if errors.is_empty() { Ok((name, namespace)) } else { Err(errors) }
    }
}

/// Takes sops's own entry out of a document; says whether there was one.
fn take_seal(value: &mut Value) -> bool {
    let is_seal = value.pointer("/sops/mac").is_some();
    if is_seal && let Some(object) = value.as_object_mut() {
        object.remove("sops");
    }
    is_seal
}

/// `List`, or a typed list such as `ConfigMapList`, which have no name.
fn is_list(kind: &str, object: &Map<String, Value>) -> bool {
    kind == "List"
        || (kind.ends_with("List")
            && object.get("items").is_some_and(Value::is_array)
            && object.get("metadata").and_then(|metadata| metadata.get("name")).is_none())
}

/// Whether lines of this text may hold a Secret's values. It must also be right
/// about text that doesn't parse, so it goes by what the text looks like and
/// hides rather too much.
pub(super) fn may_hold_secret(text: &str) -> bool {
    if text.contains("stringData") {
        return true;
    }
    let of_kind =
        |line: &str| line.find("kind").is_some_and(|index| line[index..].contains("Secret"));
    if text.lines().any(of_kind) {
        return true;
    }
    // In JSON the two may stand on lines of their own.
    let squeezed: String = text
        .chars()
        .filter(|character| !character.is_whitespace() && !matches!(character, '"' | '\''))
        .collect();
    squeezed.contains("kind:Secret")
}
