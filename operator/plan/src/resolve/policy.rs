//! What the policy of the project doesn't allow.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::{Inputs, SpecErrorKind};
use crate::policy::{self, Subject};

/// Holds the spec to the rules of its project, where they are known. Services that
/// run nothing are let be, so that what isn't allowed any more can be stopped.
pub(super) fn check(inputs: &Inputs<'_>, stopped: &BTreeSet<String>, findings: &mut Findings) {
    let Some(rules) = &inputs.rules else { return };
    let subject = Subject {
        environment: &inputs.environment,
        spec: inputs.spec,
        hosts: inputs.hosts,
        host_labels: inputs.host_labels,
        current: inputs.current,
    };
    let runs = |name: &String| {
        let replicas = inputs.spec.services.get(name).and_then(|service| service.replicas);
        replicas != Some(0) && !stopped.contains(name)
    };
    let idle: Vec<String> = inputs
        .spec
        .services
        .keys()
        .filter(|name| !runs(name))
        .map(|name| format!("spec.services.{name}."))
        .collect();
    let mut found = policy::check(&subject, rules);
    found.retain(|violation| !idle.iter().any(|prefix| violation.field.starts_with(prefix)));
    for violation in found {
        let message = violation.to_string();
        findings.error(SpecErrorKind::PolicyViolation, violation.field, message);
    }
}
