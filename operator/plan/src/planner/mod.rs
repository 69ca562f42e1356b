//! Desired and observed state in, a plan out.

use crate::desired::Desired;
use crate::observed::Observed;
use crate::plan::Plan;

/// What has to be done to make what is observed as desired.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let _ = observed;
    let actions = Vec::new();
    Plan {
        environment: desired.environment.clone(),
        digest: crate::digest::plan(&actions),
        actions,
        waiting: Vec::new(),
        lints: desired.lints.clone(),
        resources: Vec::new(),
    }
}
