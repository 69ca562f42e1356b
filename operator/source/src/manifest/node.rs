//! A YAML node with the place of every key and value.
//!
//! JSON values carry no places, and the places are what makes an error useful,
//! so a document is first read into nodes and then split in two: the value, and
//! a tree of positions beside it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::Position;
use super::position::{Below, Entry, Positions};

/// A YAML node. Mappings keep every entry, in order, so that a key that is there
/// twice is seen.
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// A key that is there more than once in its mapping.
pub(super) struct Duplicate {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) first: Position,
}

/// A node split into what it says and where it says so.
pub(super) struct Split {
    pub(super) value: Value,
    pub(super) positions: Positions,
    pub(super) duplicates: Vec<Duplicate>,
}

/// Splits a document. `lines_above` is how many lines of the file come before it.
pub(super) fn split(node: Spanned<Node>, lines_above: u32) -> Split {
    let mut splitter = Splitter { lines_above, duplicates: Vec::new() };
    let (value, positions) = splitter.split(node);
    Split { value, positions, duplicates: splitter.duplicates }
}

/// A place of the parser as a place in the file.
pub(super) fn position(location: serde_saphyr::Location, lines_above: u32) -> Position {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Position {
        line: narrow(location.line()).saturating_add(lines_above),
        column: narrow(location.column()),
    }
}

struct Splitter {
    lines_above: u32,
    duplicates: Vec<Duplicate>,
}

impl Splitter {
    fn split(&mut self, node: Spanned<Node>) -> (Value, Positions) {
        // The place of use: an alias is wrong where it is used, not where its
        // anchor stands.
        let at = position(node.referenced, self.lines_above);
        let (value, below) = match node.value {
            Node::Null => (Value::Null, Below::Scalar),
            Node::Bool(value) => (Value::Bool(value), Below::Scalar),
            Node::Number(number) => (Value::Number(number), Below::Scalar),
            Node::Text(text) => (Value::String(text), Below::Scalar),
            Node::List(items) => {
                let (values, positions) = items.into_iter().map(|item| self.split(item)).unzip();
                (Value::Array(values), Below::List(positions))
            }
            Node::Map(entries) => self.split_map(entries),
        };
        (value, Positions { at, below })
    }

    fn split_map(&mut self, entries: Vec<(Spanned<String>, Spanned<Node>)>) -> (Value, Below) {
        let mut values = Map::new();
        let mut places: BTreeMap<String, Entry> = BTreeMap::new();
        for (key, node) in entries {
            let at = position(key.referenced, self.lines_above);
            if let Some(first) = places.get(&key.value) {
                self.duplicates.push(Duplicate { first: first.key, key: key.value, at });
                continue;
            }
            let (value, positions) = self.split(node);
            values.insert(key.value.clone(), value);
            places.insert(key.value, Entry { key: at, value: positions });
        }
        (Value::Object(values), Below::Map(places))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// What a number that JSON can't hold is answered with.
pub(super) const NUMBER_TOO_LARGE: &str =
    "the number doesn't fit into 64 bits; quote it if it is meant as text";

/// 2^63: from here on integers may not fit into 64 bits.
const WHOLE_NUMBERS_END: f64 = 9_223_372_036_854_775_808.0;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Node, E> {
        Err(E::custom(NUMBER_TOO_LARGE))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Node, E> {
        Err(E::custom(NUMBER_TOO_LARGE))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        // An integer past 64 bits arrives as a float and would lose digits unseen.
        Number::from_f64(value)
            .filter(|_| value.abs() < WHOLE_NUMBERS_END)
            .map(Node::Number)
            .ok_or_else(|| E::custom(NUMBER_TOO_LARGE))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Node::Map(entries))
    }
}
