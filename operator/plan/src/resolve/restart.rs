//! Restarts that people ask for by annotation.

use std::collections::BTreeMap;

use hades_api::annotation;
use jiff::Timestamp;

use super::findings::Findings;
use super::{Inputs, suggest};

/// The latest restart that was asked for, of everything and by service.
#[derive(Debug, Default)]
pub(super) struct Restarts<'a> {
    all: Option<Timestamp>,
    services: BTreeMap<&'a str, Timestamp>,
}

impl Restarts<'_> {
    /// The latest restart that concerns `service`, RFC 3339.
    pub(super) fn of(&self, service: &str) -> Option<String> {
        self.all.max(self.services.get(service).copied()).map(|time| time.to_string())
    }
}

/// Reads the annotations. What can't be read is pointed out and asks for
/// nothing: an annotation is no reason to hold an environment up.
pub(super) fn requests<'a>(inputs: &Inputs<'a>, findings: &mut Findings) -> Restarts<'a> {
    let mut restarts = Restarts::default();
    for (key, value) in inputs.annotations {
        let service = key.strip_prefix(annotation::RESTARTED_AT_SERVICE);
        if service.is_none() && key != annotation::RESTARTED_AT {
            continue;
        }
        let field = format!("metadata.annotations[{key}]");
        let Ok(time) = value.parse::<Timestamp>() else {
            findings.lint(
                field,
                format!("{value:?} is not a time such as 2026-01-31T12:00:00Z, so that nothing is restarted"),
            );
            continue;
        };
        match service {
            None => restarts.all = Some(time),
            Some(service) => {
                if !inputs.spec.services.contains_key(service) {
                    let hint = suggest::hint(service, "services", inputs.spec.services.keys());
                    findings.lint(field, format!("there is no service {service:?}; {hint}"));
                }
                restarts.services.insert(service, time);
            }
        }
    }
    restarts
}
