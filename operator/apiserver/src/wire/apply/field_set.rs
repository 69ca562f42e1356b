//! Sets of field paths in the FieldsV1 encoding of managedFields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Deeper sets are cut off when read: no object is nested so deep.
const MAX_DEPTH: usize = 128;

/// One step of a path as FieldsV1 spells it: `f:name`, `k:{"name":"x"}`,
/// `v:"x"` or `i:0`.
pub(super) type Element = String;

/// A path from the root of an object.
pub(super) type Path = Vec<Element>;

/// A set of paths as a trie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    /// Whether the path that leads here is itself in the set.
    member: bool,
    children: BTreeMap<Element, FieldSet>,
}

/// The element of a field or map key.
pub(super) fn field(name: &str) -> Element {
    format!("f:{name}")
}

/// The element of a list item identified by some of its fields.
pub(super) fn key(fields: Map<String, Value>) -> Element {
    format!("k:{}", Value::Object(fields))
}

/// The element of a set item.
pub(super) fn value(item: &Value) -> Element {
    format!("v:{item}")
}

impl FieldSet {
    /// The set of these paths.
    pub(super) fn from_paths<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(path);
        }
        set
    }

    /// Whether no path is in the set.
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Whether the path that leads to this part of the set is in it.
    pub(super) fn is_member(&self) -> bool {
        self.member
    }

    /// The parts one step further.
    pub(super) fn children(&self) -> impl Iterator<Item = (&Element, &FieldSet)> {
        self.children.iter()
    }

    /// The part of the set at and below `element`.
    pub(super) fn child(&self, element: &str) -> Option<&FieldSet> {
        self.children.get(element)
    }

    pub(super) fn insert(&mut self, path: &[Element]) {
        let mut part = self;
        for element in path {
            part = part.children.entry(element.clone()).or_default();
        }
        part.member = true;
    }

    /// The part of the set at and below `path`.
    pub(super) fn part(&self, path: &[Element]) -> Option<&FieldSet> {
        path.iter().try_fold(self, |part, element| part.child(element))
    }

    /// Whether exactly `path` is in the set.
    pub(super) fn contains(&self, path: &[Element]) -> bool {
        self.part(path).is_some_and(|part| part.member)
    }

    /// Takes exactly `path` out of the set.
    pub(super) fn remove(&mut self, path: &[Element]) {
        match path.split_first() {
            None => self.member = false,
            Some((first, rest)) => {
                if let Some(child) = self.children.get_mut(first) {
                    child.remove(rest);
                    if child.is_empty() {
                        self.children.remove(first);
                    }
                }
            }
        }
    }

    /// Takes `path` and all below it out of the set.
    pub(super) fn remove_part(&mut self, path: &[Element]) {
        match path.split_first() {
            None => *self = Self::default(),
            Some((first, rest)) => {
                if let Some(child) = self.children.get_mut(first) {
                    child.remove_part(rest);
                    if child.is_empty() {
                        self.children.remove(first);
                    }
                }
            }
        }
    }

    /// Adds every path of `other`.
    pub(super) fn extend(&mut self, other: &FieldSet) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().extend(child);
        }
    }

    /// The `fieldsV1` value.
    pub(super) fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            map.insert(element.clone(), child.to_fields_v1());
        }
        Value::Object(map)
    }

    /// Reads a `fieldsV1` value; `None` where it is not one.
    pub(super) fn from_fields_v1(fields: &Value) -> Option<Self> {
        let mut set = Self::read(fields, MAX_DEPTH)?;
        // The root of an object is owned by nobody.
        set.member = false;
        Some(set)
    }

    fn read(fields: &Value, depth: usize) -> Option<Self> {
        let map = fields.as_object()?;
        let depth = depth.checked_sub(1)?;
        let mut set =
            Self { member: map.is_empty() || map.contains_key("."), children: BTreeMap::new() };
        for (text, child) in map {
            if text == "." {
                continue;
            }
            let element = normalise(text)?;
            set.children.insert(element, Self::read(child, depth)?);
        }
        Some(set)
    }
}

/// The element in our spelling, so that equal elements are equal strings.
fn normalise(text: &str) -> Option<Element> {
    let (kind, rest) = text.split_once(':')?;
    match kind {
        "f" => Some(text.to_owned()),
        "i" => rest.parse::<i64>().ok().map(|_| text.to_owned()),
        "v" => Some(value(&serde_json::from_str(rest).ok()?)),
        "k" => Some(key(serde_json::from_str(rest).ok()?)),
        _ => None,
    }
}

/// The path as Kubernetes prints it: `.spec.ports[name="http"].port`.
pub(super) fn display(path: &[Element]) -> String {
    path.iter().map(|element| display_element(element)).collect()
}

fn display_element(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", item)) => format!("[={item}]"),
        Some(("i", index)) => format!("[{index}]"),
        Some(("k", fields)) => match serde_json::from_str::<Map<String, Value>>(fields) {
            Ok(fields) => {
                let parts: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", parts.join(","))
            }
            Err(_) => format!("[{fields}]"),
        },
        _ => element.to_owned(),
    }
}
