//! The address of one object in the store.

use std::fmt;
use std::sync::Arc;

/// Resource (`group/plural`), namespace and name of an object. The namespace is
/// empty for cluster-scoped objects.
///
/// On disk the parts are joined by NUL, which none of them can hold, so that a
/// range over a prefix is a list of a resource or of one namespace of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    resource: Arc<str>,
    namespace: Arc<str>,
    name: Arc<str>,
}

const SEPARATOR: char = '\0';
const SEPARATOR_TEXT: &str = "\0";
/// The byte after the separator: the exclusive end of a prefix range.
const AFTER_SEPARATOR: char = '\u{1}';

impl Key {
    /// Joins the three parts.
    #[must_use]
    pub fn new(resource: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self { resource: Arc::clone(resource), namespace: namespace.into(), name: name.into() }
    }

    /// Like [`Key::new`], from parts that other keys share.
    pub(super) fn from_parts(resource: &Arc<str>, namespace: &Arc<str>, name: &str) -> Self {
        Self { resource: Arc::clone(resource), namespace: Arc::clone(namespace), name: name.into() }
    }

    /// `group/plural`; the group is empty for the core group.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// [`Key::resource`] to keep.
    #[must_use]
    pub fn shared_resource(&self) -> Arc<str> {
        Arc::clone(&self.resource)
    }

    /// Namespace, empty for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [&*self.resource, &*self.namespace, &*self.name].join(SEPARATOR_TEXT).into_bytes()
    }
}

/// The parts of an encoded key, where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl<'a> Parts<'a> {
    /// `None` for bytes that [`Key::encode`] did not write.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(3, SEPARATOR);
        Some(Self { resource: parts.next()?, namespace: parts.next()?, name: parts.next()? })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}

/// The half-open range of encoded keys of a resource, or of one namespace of it.
pub(super) fn range_of(resource: &str, namespace: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let prefix = match namespace {
        Some(namespace) => format!("{resource}{SEPARATOR}{namespace}"),
        None => resource.to_owned(),
    };
    (format!("{prefix}{SEPARATOR}").into_bytes(), format!("{prefix}{AFTER_SEPARATOR}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_holds_its_own_keys_and_no_neighbours() {
        let resource: Arc<str> = "hades.dev/environments".into();
        let inside = Key::new(&resource, "shop", "production").encode();
        let neighbour = Key::new(&resource, "shop-2", "production").encode();
        let longer: Arc<str> = "hades.dev/environmentsx".into();
        let (start, end) = range_of("hades.dev/environments", Some("shop"));
        assert!(start <= inside && inside < end);
        assert!(!(start <= neighbour && neighbour < end));
        let (start, end) = range_of("hades.dev/environments", None);
        assert!(start <= neighbour && neighbour < end);
        let other = Key::new(&longer, "shop", "production").encode();
        assert!(!(start <= other && other < end));
    }

    #[test]
    fn a_key_survives_the_way_to_disk_and_back() {
        let resource: Arc<str> = "/namespaces".into();
        let encoded = Key::new(&resource, "", "default").encode();
        let parts = Parts { resource: "/namespaces", namespace: "", name: "default" };
        assert_eq!(Parts::of(&encoded), Some(parts));
        assert_eq!(Parts::of(b"/namespaces"), None);
    }
}
