//! What the policy of the project doesn't allow.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::{Inputs, SpecErrorKind};
use crate::policy::{self, Subject};

/// Services that run nothing: stopped ones, and those without replicas.
pub(super) fn idle(inputs: &Inputs<'_>, stopped: &BTreeSet<String>) -> BTreeSet<String> {
    let services = inputs.spec.services.iter();
    let idle = services
        .filter(|(name, service)| service.replicas == Some(0) || stopped.contains(*name))
        .map(|(name, _)| name.clone());
    idle.collect()
}

/// Holds what runs to the rules of its project, where they are known.
pub(super) fn check(inputs: &Inputs<'_>, idle: &BTreeSet<String>, findings: &mut Findings) {
    let Some(rules) = &inputs.rules else { return };
    let subject = Subject {
        environment: &inputs.environment,
        spec: inputs.spec,
        hosts: inputs.hosts,
        host_labels: inputs.host_labels,
        current: inputs.current,
        idle,
    };
    for violation in policy::check(&subject, rules) {
        let message = violation.to_string();
        findings.error(SpecErrorKind::PolicyViolation, violation.field, message);
    }
}
