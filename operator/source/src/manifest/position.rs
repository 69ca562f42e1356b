//! Where the values of a document stand in its file.

use std::collections::BTreeMap;
use std::fmt;

/// A place in a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The positions of a value and of everything in it.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    /// Where the value starts.
    pub(super) at: Position,
    pub(super) below: Below,
}

/// The positions inside a value.
#[derive(Clone, Debug)]
pub(super) enum Below {
    Scalar,
    List(Vec<Positions>),
    Map(BTreeMap<String, Entry>),
}

/// The positions of a mapping's entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Position,
    pub(super) value: Positions,
}

/// What a path leads to, or the nearest thing above it.
pub(super) struct Found {
    /// The key that names it, or for an item of a list the item.
    pub(super) name: Position,
    /// Whether the whole path was there.
    pub(super) complete: bool,
}

impl Positions {
    /// Follows a field path (`spec.ports[0].name`, `spec.env["A.B"]`) or a JSON
    /// pointer (`/spec/ports/0/name`) as far as it goes.
    pub(super) fn find(&self, path: &str) -> Found {
        let (steps, joined) = match path.strip_prefix('/') {
            Some(pointer) => (pointer_steps(pointer), false),
            None => (field_steps(path), true),
        };
        let mut here = self;
        let mut found = Found { name: self.start(), complete: true };
        let mut next = 0;
        while next < steps.len() {
            let Some((name, below, used)) = here.step(&steps[next..], joined) else {
                found.complete = false;
                break;
            };
            found.name = name;
            here = below;
            next += used;
        }
        found
    }

    /// Where the value begins to the eye: a mapping begins at its first key.
    pub(super) fn start(&self) -> Position {
        match &self.below {
            Below::Map(entries) => entries.values().map(|entry| entry.key).min().unwrap_or(self.at),
            _ => self.at,
        }
    }

    /// One step down. A key that holds dots (`app.kubernetes.io/name`) comes as
    /// several steps out of a dotted path, so the longest key that fits wins.
    fn step(&self, steps: &[Step], joined: bool) -> Option<(Position, &Positions, usize)> {
        match &self.below {
            Below::Scalar => None,
            Below::List(items) => {
                let item = items.get(steps.first()?.text.parse::<usize>().ok()?)?;
                Some((item.start(), item, 1))
            }
            Below::Map(entries) => {
                let dotted = if joined {
                    1 + steps[1..].iter().take_while(|step| step.dotted).count()
                } else {
                    1
                };
                (1..=dotted).rev().find_map(|used| {
                    let names: Vec<&str> =
                        steps[..used].iter().map(|step| step.text.as_str()).collect();
                    let entry = entries.get(&names.join("."))?;
                    Some((entry.key, &entry.value, used))
                })
            }
        }
    }
}

/// A part of a path.
struct Step {
    text: String,
    /// It followed a dot, so it may belong to the key before it.
    dotted: bool,
}

fn pointer_steps(pointer: &str) -> Vec<Step> {
    pointer
        .split('/')
        .map(|part| Step { text: part.replace("~1", "/").replace("~0", "~"), dotted: false })
        .collect()
}

fn field_steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.trim_start_matches('.');
    let mut dotted = false;
    while !rest.is_empty() {
        if let Some((text, after)) = bracketed(rest) {
            steps.push(Step { text: text.to_owned(), dotted: false });
            rest = after;
        } else {
            // The first character may be a bracket that closes nowhere.
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, character)| matches!(character, '.' | '['))
                .map_or(rest.len(), |(index, _)| index);
            steps.push(Step { text: rest[..end].to_owned(), dotted });
            rest = &rest[end..];
        }
        dotted = rest.starts_with('.');
        if dotted {
            rest = &rest[1..];
        }
    }
    steps
}

/// `[0]`, `[name]`, `["a.b"]` or `['a.b']` at the start of `rest`.
fn bracketed(rest: &str) -> Option<(&str, &str)> {
    let inner = rest.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let end = quoted.find([quote])?;
            let after = quoted[end + 1..].strip_prefix(']')?;
            return Some((&quoted[..end], after));
        }
    }
    inner.split_once(']')
}
