//! Services that people have stopped by annotation.

use std::collections::BTreeSet;

use hades_api::annotation;

use super::findings::Findings;
use super::{Inputs, suggest};

/// The services that run no container until somebody starts them again. How many
/// they have otherwise stays as the manifest says.
pub(super) fn requests(inputs: &Inputs<'_>, findings: &mut Findings) -> BTreeSet<String> {
    let mut stopped = BTreeSet::new();
    for key in inputs.annotations.keys() {
        let Some(service) = key.strip_prefix(annotation::STOPPED_SERVICE) else { continue };
        if inputs.spec.services.contains_key(service) {
            stopped.insert(service.to_owned());
            continue;
        }
        let hint = suggest::hint(service, "services", inputs.spec.services.keys());
        let field = format!("metadata.annotations[{key}]");
        findings.lint(field, format!("there is no service {service:?}; {hint}"));
    }
    stopped
}
