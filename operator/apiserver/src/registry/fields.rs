//! The fields that field selectors may name, besides name and namespace.

use super::{Nature, Resource};

/// What a selector calls a field, and where the stored object has it. With
/// several places the first that holds something counts.
type Field = (&'static str, &'static [&'static str]);

const NAMESPACE: &[Field] = &[("status.phase", &["status.phase"])];

const SECRET: &[Field] = &[("type", &["type"])];

const CORE_EVENT: &[Field] = &[
    ("involvedObject.kind", &["regarding.kind"]),
    ("involvedObject.namespace", &["regarding.namespace"]),
    ("involvedObject.name", &["regarding.name"]),
    ("involvedObject.uid", &["regarding.uid"]),
    ("involvedObject.apiVersion", &["regarding.apiVersion"]),
    ("involvedObject.resourceVersion", &["regarding.resourceVersion"]),
    ("involvedObject.fieldPath", &["regarding.fieldPath"]),
    ("reason", &["reason"]),
    ("reportingComponent", &["reportingController"]),
    ("source", &["deprecatedSource.component", "reportingController"]),
    ("type", &["type"]),
];

const EVENT: &[Field] = &[
    ("regarding.kind", &["regarding.kind"]),
    ("regarding.namespace", &["regarding.namespace"]),
    ("regarding.name", &["regarding.name"]),
    ("regarding.uid", &["regarding.uid"]),
    ("regarding.apiVersion", &["regarding.apiVersion"]),
    ("regarding.resourceVersion", &["regarding.resourceVersion"]),
    ("regarding.fieldPath", &["regarding.fieldPath"]),
    ("reason", &["reason"]),
    ("reportingController", &["reportingController"]),
    ("type", &["type"]),
];

impl Resource {
    fn fields(&self) -> &'static [Field] {
        match self.nature {
            Nature::Namespace => NAMESPACE,
            Nature::Secret => SECRET,
            Nature::CoreEvent => CORE_EVENT,
            Nature::Event => EVENT,
            Nature::Plain | Nature::Custom | Nature::Definition | Nature::Review(_) => &[],
        }
    }

    /// The dotted paths in a stored object at which a field that selectors may
    /// name is found, best first; `None` for a field that they may not.
    #[must_use]
    pub fn selectable_field(&self, name: &str) -> Option<Vec<String>> {
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        if let Some((_, paths)) = self.fields().iter().find(|(field, _)| *field == name) {
            return Some(owned(paths));
        }
        self.selectable.iter().any(|field| field == name).then(|| owned(&[name]))
    }

    /// All fields that selectors may name.
    pub fn selectable_fields(&self) -> impl Iterator<Item = &str> {
        let namespace = self.info.namespaced.then_some("metadata.namespace");
        std::iter::once("metadata.name")
            .chain(namespace)
            .chain(self.fields().iter().map(|(name, _)| *name))
            .chain(self.selectable.iter().map(String::as_str))
    }
}
