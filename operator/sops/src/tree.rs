//! A file as sops sees it: ordered keys and values, each with its place.

use std::ops::Range;

use secrecy::zeroize::Zeroizing;

use crate::{FormatProblem, SopsError};

/// Bytes of a key. Each is matched against the rule, and all on the way to a value are
/// bound to it. Kubernetes has none above 317.
pub(crate) const MAX_KEY: usize = 512;

/// Mappings and lists in one another.
pub(crate) const MAX_DEPTH: usize = 64;
/// Values, keys and collections of a file.
pub(crate) const MAX_NODES: usize = 200_000;

/// A file. No `Debug`: it may hold what is to be sealed.
pub(crate) struct Tree {
    pub(crate) documents: Vec<Document>,
}

/// A document of a file.
pub(crate) struct Document {
    pub(crate) entries: Vec<Entry>,
    /// Whether it is written with braces.
    pub(crate) flow: bool,
    /// Bytes of the whole mapping.
    pub(crate) span: Range<usize>,
}

/// An entry of a mapping.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
    /// Where the value ends.
    pub(crate) end: usize,
}

/// A value.
pub(crate) enum Node {
    Map(Vec<Entry>),
    List(Vec<Node>),
    Leaf(Leaf),
}

/// A value that holds no others.
pub(crate) struct Leaf {
    pub(crate) value: Scalar,
    /// Bytes of the file, a tag before it included.
    pub(crate) span: Range<usize>,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Whether it stands between brackets or braces.
    pub(crate) flow: bool,
}

/// What a value is, in the types that sops knows.
#[derive(Clone)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A time, as Go writes it (RFC 3339).
    Time(String),
    Text(Zeroizing<String>),
}

impl Scalar {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// The bytes that are encrypted and that the MAC is over. None for null, which
    /// is neither.
    pub(crate) fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let text = match self {
            Self::Null => return None,
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => float(*number),
            Self::Time(time) => time.clone(),
            Self::Text(text) => return Some(Zeroizing::new(text.as_bytes().to_vec())),
        };
        Some(Zeroizing::new(text.into_bytes()))
    }

    /// The type's name in an encrypted value.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Time(_) => "time",
            Self::Text(_) => "str",
        }
    }
}

/// A float as Go's `FormatFloat(f, 'f', -1, 64)` writes it.
fn float(number: f64) -> String {
    match number {
        _ if number == f64::INFINITY => "+Inf".to_owned(),
        _ if number == f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => number.to_string(),
    }
}

impl Node {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Node::Leaf(Leaf { value: Scalar::Text(text), .. }) => Some(text.as_str()),
            Node::Leaf(Leaf { value: Scalar::Time(time), .. }) => Some(time),
            _ => None,
        }
    }
}

/// Whether a key isn't too long.
pub(crate) fn check_key(key: &str, line: u32) -> Result<(), SopsError> {
    match key.len() {
        0..=MAX_KEY => Ok(()),
        _ => Err(SopsError::format(line, FormatProblem::LongKey(MAX_KEY))),
    }
}

/// Counts the nodes of a file and how deep they are.
#[derive(Default)]
pub(crate) struct Budget {
    nodes: usize,
}

impl Budget {
    pub(crate) fn node(&mut self, line: u32, depth: usize) -> Result<(), SopsError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(SopsError::format(line, FormatProblem::Values(MAX_NODES)));
        }
        if depth > MAX_DEPTH {
            return Err(SopsError::format(line, FormatProblem::Depth(MAX_DEPTH)));
        }
        Ok(())
    }
}
