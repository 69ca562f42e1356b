//! Secrets that images are pulled with.

use hades_api::{EnvironmentSpec, ImagePullSecret};

use super::findings::Findings;
use super::{Inputs, SpecErrorKind};

/// Key of a Secret of type `kubernetes.io/dockerconfigjson`.
pub(crate) const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";

/// Every pull secret of a spec with the path of its field.
pub(super) fn all(spec: &EnvironmentSpec) -> impl Iterator<Item = (String, &ImagePullSecret)> + '_ {
    let defaults =
        spec.defaults.iter().flat_map(|defaults| defaults.image_pull_secrets.iter().flatten());
    let defaults = defaults
        .enumerate()
        .map(|(index, secret)| (format!("spec.defaults.imagePullSecrets[{index}]"), secret));
    let services = spec.services.iter().flat_map(|(name, service)| {
        service.image_pull_secrets.iter().flatten().enumerate().map(move |(index, secret)| {
            (format!("spec.services.{name}.imagePullSecrets[{index}]"), secret)
        })
    });
    defaults.chain(services)
}

/// Checks that they are there and are what Docker writes.
pub(super) fn check(inputs: &Inputs<'_>, findings: &mut Findings) {
    for (field, secret) in all(inputs.spec) {
        let name = &secret.name;
        let project = &inputs.environment.project;
        match inputs.secrets.get(name) {
            None => findings.error(
                SpecErrorKind::SecretNotFound,
                format!("{field}.name"),
                format!(
                    "there is no Secret {name:?} in project {project}; make it with `kubectl -n {project} create secret docker-registry {name} --docker-server=… --docker-username=… --docker-password=…`"
                ),
            ),
            Some(data) if !data.0.contains_key(DOCKER_CONFIG_KEY) => findings.error(
                SpecErrorKind::SecretNotFound,
                format!("{field}.name"),
                format!(
                    "Secret {name:?} has no key {DOCKER_CONFIG_KEY}: it must be of type kubernetes.io/dockerconfigjson, as `kubectl create secret docker-registry` makes it"
                ),
            ),
            Some(_) => {}
        }
    }
}
