//! The objects that a list, a watch or a deletion of many is about.

use crate::registry::{Nature, Resource};
use crate::wire::raw;
use crate::wire::selector::{FieldSelector, LabelSelector, Term};
use crate::wire::status::StatusError;
use crate::write::parameter;

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// What the path and the selectors of a request pick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub namespace: Option<String>,
    pub name: Option<String>,
    labels: LabelSelector,
    /// Terms about name and namespace, which the address alone answers.
    address: Vec<Term>,
    fields: Vec<FieldTerm>,
}

/// A term about a field of the object.
#[derive(Clone, Debug)]
struct FieldTerm {
    /// Where the stored object has it; the first place that holds something counts.
    places: Vec<Vec<String>>,
    value: String,
    equal: bool,
}

impl FieldTerm {
    fn holds(&self, object: &[u8]) -> bool {
        let found = self.places.iter().find_map(|place| {
            let value = raw::find(object, place)?;
            match raw::text(value) {
                Some(text) if text.is_empty() => None,
                Some(text) => Some(text == self.value.as_str()),
                None if value == b"null" => None,
                // Numbers and booleans are compared as they are written.
                None => Some(value == self.value.as_bytes()),
            }
        });
        // An absent field counts as an empty text.
        found.unwrap_or(self.value.is_empty()) == self.equal
    }
}

impl Filter {
    /// Reads the selectors of a query.
    ///
    /// # Errors
    /// 400 for a selector that can't be read, or that names a field which the
    /// resource can't be selected by.
    pub fn read(
        resource: &Resource,
        namespace: Option<&str>,
        name: Option<&str>,
        query: &[(String, String)],
    ) -> Result<Self, StatusError> {
        let labels = LabelSelector::parse(parameter(query, "labelSelector").unwrap_or_default())?;
        let selector = FieldSelector::parse(parameter(query, "fieldSelector").unwrap_or_default())?;
        if name.is_some_and(|name| selector.exact(NAME).is_some_and(|other| other != name)) {
            return Err(StatusError::bad_request(
                "both a name and a field selector provided; please provide one or the other.",
            ));
        }
        let exact = |path: &str| selector.exact(path).map(str::to_owned);
        let mut filter = Self {
            namespace: namespace.map(str::to_owned).or_else(|| exact(NAMESPACE)),
            name: name.map(str::to_owned).or_else(|| exact(NAME)),
            labels,
            ..Self::default()
        };
        for term in selector.terms() {
            if term.path == NAME || (term.path == NAMESPACE && resource.info.namespaced) {
                filter.address.push(term.clone());
            } else {
                filter.fields.push(field_term(resource, term)?);
            }
        }
        Ok(filter)
    }

    /// Whether the address alone allows the object.
    pub fn admits(&self, namespace: &str, name: &str) -> bool {
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
            && self.address.iter().all(|term| {
                let value = if term.path == NAME { name } else { namespace };
                (term.value == value) == term.equal
            })
    }

    /// Whether labels and fields of a stored object match.
    pub fn matches(&self, object: &[u8]) -> bool {
        self.labels.matches_bytes(object) && self.fields.iter().all(|term| term.holds(object))
    }

    /// Whether it picks everything below its path: only then a list can tell how
    /// many objects remain.
    pub fn is_whole(&self) -> bool {
        self.labels.is_empty() && self.address.is_empty() && self.fields.is_empty()
    }
}

fn field_term(resource: &Resource, term: &Term) -> Result<FieldTerm, StatusError> {
    let places = resource.selectable_field(&term.path).ok_or_else(|| unknown(resource, term))?;
    let split = |place: &String| place.split('.').map(str::to_owned).collect();
    Ok(FieldTerm {
        places: places.iter().map(split).collect(),
        value: term.value.clone(),
        equal: term.equal,
    })
}

fn unknown(resource: &Resource, term: &Term) -> StatusError {
    let quoted: Vec<String> =
        resource.selectable_fields().map(|field| format!("{field:?}")).collect();
    let known = quoted.join(", ");
    StatusError::bad_request(match resource.nature {
        Nature::Plain => {
            format!("{:?} is not a known field selector: only {known}", term.path)
        }
        _ => format!("field label not supported: {}; supported are {known}", term.path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn read(group: &str, plural: &str, selector: &str) -> Result<Filter, StatusError> {
        let registry = Registry::builtin();
        let resource = registry.find(group, "v1", plural).unwrap();
        let query = [("fieldSelector".to_owned(), selector.to_owned())];
        Filter::read(resource, None, None, &query)
    }

    #[test]
    fn name_and_namespace_are_looked_up_by_address() {
        let filter = read("", "configmaps", "metadata.name=a,metadata.namespace!=shop").unwrap();
        assert_eq!((filter.name.as_deref(), filter.namespace.as_deref()), (Some("a"), None));
        assert!(filter.admits("default", "a") && filter.matches(b"{}"));
        assert!(!filter.admits("shop", "a") && !filter.admits("default", "b"));
        let none = read("", "configmaps", "metadata.name=a,metadata.name=b").unwrap();
        assert!(!none.admits("shop", "a") && !none.admits("shop", "b"));
    }

    #[test]
    fn declared_fields_are_found_in_the_stored_object() {
        let secret = br#"{"metadata":{"name":"a"},"type":"Opaque"}"#;
        assert!(read("", "secrets", "type=Opaque").unwrap().matches(secret));
        assert!(!read("", "secrets", "type!=Opaque").unwrap().matches(secret));
        let event =
            br#"{"regarding":{"name":"a"},"reportingController":"kubelet","type":"Normal"}"#;
        let cases = [
            ("involvedObject.name=a", true),
            ("involvedObject.name=b", false),
            ("involvedObject.namespace=", true),
            ("involvedObject.namespace!=", false),
            ("source=kubelet", true),
            ("reportingComponent=kubelet,type=Normal", true),
            ("reason!=x", true),
        ];
        for (selector, expected) in cases {
            let filter = read("", "events", selector).unwrap();
            assert_eq!(filter.matches(event), expected, "{selector}");
        }
        assert!(read("events.k8s.io", "events", "regarding.name=a").unwrap().matches(event));
    }

    #[test]
    fn other_fields_are_refused_with_those_that_are_known() {
        let error = read("", "configmaps", "data.a=b").unwrap_err();
        let expected = "\"data.a\" is not a known field selector: only \"metadata.name\", \
                        \"metadata.namespace\"";
        assert_eq!((error.code(), error.message()), (400, expected));
        let error = read("", "namespaces", "metadata.namespace=x").unwrap_err();
        let expected = "field label not supported: metadata.namespace; supported are \
                        \"metadata.name\", \"status.phase\"";
        assert_eq!((error.code(), error.message()), (400, expected));
    }
}
