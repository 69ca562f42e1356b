//! Environments as they are once template and project are merged in: what only
//! shows then, as far as files alone tell it.

use hades_api::name::EnvironmentName;
use hades_api::{API_VERSION, EnvironmentSpec, EnvironmentTemplateSpec, HadesProjectSpec};
use hades_source::manifest::{Document, ManifestError};
use serde::de::DeserializeOwned;

/// What is wrong with the environments among `documents`, all of which are
/// readable. Those whose template is elsewhere are the server's to judge.
pub fn check(documents: &[Document]) -> Vec<ManifestError> {
    let of_kind = |kind: &'static str| {
        documents.iter().filter(move |found| found.api_version == API_VERSION && found.kind == kind)
    };
    let mut errors = Vec::new();
    for document in of_kind("Environment") {
        let Some(spec) = spec::<EnvironmentSpec>(document) else { continue };
        let template = spec.template_ref.as_ref().map(|reference| {
            of_kind("EnvironmentTemplate")
                .find(|found| found.name == reference.name && found.namespace == document.namespace)
        });
        let merged = match template {
            None => spec,
            Some(None) => continue,
            Some(Some(template)) => match self::spec::<EnvironmentTemplateSpec>(template) {
                Some(base) => hades_plan::merge(&base, &spec),
                None => continue,
            },
        };
        let project = document.namespace.clone().unwrap_or_default();
        let of_project = of_kind("HadesProject").find(|found| found.name == project);
        let of_project = of_project.and_then(self::spec::<HadesProjectSpec>);
        // A project that is elsewhere may allow what isn't allowed here.
        let policy = of_project.as_ref().map(|project| project.policy.clone().unwrap_or_default());
        let merged = hades_plan::with_project(&of_project.unwrap_or_default(), merged);
        let name = EnvironmentName::new(project, document.name.clone());
        for error in hades_plan::check_offline(name, &merged, policy.as_ref()) {
            let place = place(document, template.flatten(), &error.field);
            errors.push(place.error_at(&error.field, error.to_string()));
        }
    }
    // Several environments find the same mistake of their template.
    errors.sort();
    errors.dedup();
    errors
}

/// The document that says `field`, or the most of its path: the environment's own
/// goes before its template's.
fn place<'a>(own: &'a Document, template: Option<&'a Document>, field: &str) -> &'a Document {
    let mut path = field;
    loop {
        let says = |document: &&'a Document| document.locate(path).is_some();
        if let Some(found) = Some(own).filter(says).or_else(|| template.filter(says)) {
            return found;
        }
        match path.rsplit_once('.') {
            Some((above, _)) => path = above,
            None => return own,
        }
    }
}

fn spec<T: DeserializeOwned>(document: &Document) -> Option<T> {
    let spec = document.value.get("spec").cloned().unwrap_or_else(|| serde_json::json!({}));
    serde_json::from_value(spec).ok()
}
