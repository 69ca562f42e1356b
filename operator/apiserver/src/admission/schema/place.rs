//! Where a value stands inside an object.

use std::fmt;

/// As many bytes of a key are shown. No name that Kubernetes allows is longer.
const MAX_KEY: usize = 317;

/// The steps from the root to a value. Nearly every value is right, and then
/// nobody asks for its path: it is put together only where somebody does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a>(Option<(&'a Place<'a>, Step<'a>)>);

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The object itself.
    pub(crate) const ROOT: Place<'static> = Place(None);

    /// A member of the value here.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self(Some((self, Step::Key(key))))
    }

    /// An item of the list here.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self(Some((self, Step::Index(index))))
    }

    /// Whether this is the object itself.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_none()
    }
}

/// `spec.ports[0].name`; keys that are no plain words stand in brackets.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((parent, step)) = self.0 else {
            return Ok(());
        };
        parent.fmt(f)?;
        let step = match step {
            Step::Key(key) => Step::Key(shortened(key)),
            Step::Index(index) => Step::Index(index),
        };
        match step {
            Step::Key(key) if !is_plain(key) => write!(f, "[{key}]"),
            Step::Key(key) if parent.is_root() => f.write_str(key),
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A key may be as long as the whole object, and stand in the path of everything
/// below it.
fn shortened(key: &str) -> &str {
    key.get(..key.floor_char_boundary(MAX_KEY)).unwrap_or(key)
}

/// `parent.key`, or `parent[key]` where the key is no plain word.
pub(crate) fn child_path(parent: &str, key: &str) -> String {
    match (parent.is_empty(), is_plain(key)) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{parent}.{key}"),
        (_, false) => format!("{parent}[{key}]"),
    }
}

/// `parent[index]`.
pub(crate) fn index_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn paths_read_as_in_kubernetes() {
        let labels = Place::ROOT.key("metadata").key("labels").to_string();
        assert_eq!(labels, "metadata.labels");
        let spec = Place::ROOT.key("spec");
        let ports = spec.key("ports");
        assert_eq!(ports.index(2).key("a.b/c").key("").to_string(), "spec.ports[2][a.b/c][]");
        assert_eq!(Place::ROOT.key("a.b").key("c").to_string(), "[a.b].c");
        assert_eq!(Place::ROOT.to_string(), "");
        let long = "ü".repeat(1000);
        assert_eq!(Place::ROOT.key(&long).to_string().chars().count(), 2 + 158);
    }
}
