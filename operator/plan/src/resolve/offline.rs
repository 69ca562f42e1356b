//! What can be told of a spec without a server.

use std::collections::BTreeMap;

use hades_api::name::EnvironmentName;
use hades_api::{DockerHostSpec, EnvironmentSpec, ProjectPolicy};

use crate::policy::Rules;

use super::{Current, FoundImages, Inputs, SpecError, SpecErrorKind, needs, resolve};

/// All that is wrong with a merged spec, whatever hosts and Secrets there are.
/// Which those are only a server knows, so that nothing is said of them. `policy`
/// is that of the project, where it is known.
pub fn check_offline(
    environment: EnvironmentName,
    spec: &EnvironmentSpec,
    policy: Option<&ProjectPolicy>,
) -> Vec<SpecError> {
    let some_host = DockerHostSpec { endpoint: String::new(), ..DockerHostSpec::default() };
    let (labels, current) = (BTreeMap::new(), Current::default());
    let hosts =
        needs(spec, &labels).hosts.into_iter().map(|host| (host, some_host.clone())).collect();
    let resolved = resolve(&Inputs {
        environment,
        uid: "",
        installation: "",
        spec,
        project_env: &BTreeMap::new(),
        annotations: &BTreeMap::new(),
        hosts: &hosts,
        host_labels: &labels,
        current: &current,
        secrets: &BTreeMap::new(),
        pins: &[],
        found: &FoundImages::default(),
        rules: policy.map(Rules::of),
        fingerprint: &|_| String::new(),
    });
    let needs_no_server = |error: &SpecError| {
        matches!(error.kind, SpecErrorKind::Invalid | SpecErrorKind::PolicyViolation)
    };
    resolved.err().into_iter().flatten().filter(needs_no_server).collect()
}
