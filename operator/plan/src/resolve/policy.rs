//! What the policy of the project doesn't allow.

use super::findings::Findings;
use super::{Inputs, SpecErrorKind};
use crate::policy::{self, Subject};

/// Holds the spec to the rules of its project, where they are known.
pub(super) fn check(inputs: &Inputs<'_>, findings: &mut Findings) {
    let Some(rules) = &inputs.rules else { return };
    let subject = Subject {
        environment: &inputs.environment,
        spec: inputs.spec,
        hosts: inputs.hosts,
        host_labels: inputs.host_labels,
        current: inputs.current,
    };
    for violation in policy::check(&subject, rules) {
        let message = violation.to_string();
        findings.error(SpecErrorKind::PolicyViolation, violation.field, message);
    }
}
