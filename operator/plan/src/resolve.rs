//! From manifests to [`Desired`]: the one place where errors of a manifest are
//! found, all at once, each with the path of its field.

mod check;
mod confinement;
mod dependency;
mod file;
mod findings;
mod health_check;
mod host;
mod image;
mod image_policy;
mod limits;
mod logging;
mod lookup;
mod offline;
mod policy;
mod port;
mod pull_secret;
mod restart;
mod secret_use;
mod service;
mod stop;
mod strategy;
mod suggest;
mod variables;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hades_api::name::{EnvironmentName, check_label, is_object_name};
use hades_api::{DockerHostSpec, EnvValue, EnvironmentSpec, PinnedImage, PolicyImage};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::desired::{Desired, DesiredVolume};
use crate::naming;
use crate::placement::Current;
use crate::policy::{Rules, Standing};
use findings::Findings;
pub(crate) use host::selected as selected_hosts;
pub use offline::check_offline;
pub use secret_use::{SecretUse, UsedBy, secret_uses};
pub use variables::{holds_password, looks_secret};

/// What an environment refers to, for the caller to fetch before [`resolve`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Names of DockerHosts.
    pub hosts: BTreeSet<String>,
    /// Names of Secrets of the project.
    pub secrets: BTreeSet<String>,
}

impl Needs {
    /// With what variables refer to, such as those of the project.
    pub fn add_variables(&mut self, env: &BTreeMap<String, EnvValue>) {
        self.secrets.extend(env.values().filter_map(|value| match value {
            EnvValue::Scalar(_) => None,
            EnvValue::From(source) => Some(source.secret_key_ref.name.clone()),
        }));
        self.secrets.retain(|name| is_object_name(name));
    }
}

/// All that [`resolve`] works from.
#[derive(Clone)]
pub struct Inputs<'a> {
    /// Which environment.
    pub environment: EnvironmentName,
    /// UID of its object.
    pub uid: &'a str,
    /// Id of this installation.
    pub installation: &'a str,
    /// The merged spec.
    pub spec: &'a EnvironmentSpec,
    /// Variables of the project, below those of the spec.
    pub project_env: &'a BTreeMap<String, EnvValue>,
    /// Annotations of the Environment: requests for restarts and stops.
    pub annotations: &'a BTreeMap<String, String>,
    /// Every DockerHost there is, by name; the names also serve suggestions.
    pub hosts: &'a BTreeMap<String, DockerHostSpec>,
    /// Labels of the DockerHosts, by name.
    pub host_labels: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// Where its things are now.
    pub current: &'a Current,
    /// The Secrets it needs, by name; those that aren't there are missing.
    pub secrets: &'a BTreeMap<String, SecretData>,
    /// What image references meant before.
    pub pins: &'a [PinnedImage],
    /// What registries have said.
    pub found: &'a FoundImages,
    /// What its project allows; none only where that isn't known, and nothing is
    /// carried out.
    pub rules: Option<Rules<'a>>,
    /// Makes the keyed fingerprint of a secret value.
    pub fingerprint: &'a (dyn Fn(&str) -> String + Send + Sync),
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("environment", &self.environment)
            .field("spec", self.spec)
            .field("project_env", self.project_env)
            .field("annotations", self.annotations)
            .field("hosts", self.hosts)
            .field("secrets", &self.secrets.keys())
            .field("pins", &self.pins)
            .field("found", &self.found)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What registries have said of the images of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundImages {
    /// What image policies have led to.
    pub policies: Vec<PolicyImage>,
    /// Why a policy has led to nothing yet, by service.
    pub troubles: BTreeMap<String, String>,
}

/// Values of a Secret by key.
#[derive(Debug, Clone, Default)]
pub struct SecretData(pub BTreeMap<String, SecretString>);

/// Something in a manifest that can't be carried out.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[error("{field}: {message}")]
#[serde(rename_all = "camelCase")]
pub struct SpecError {
    /// What kind of error, for the condition's reason.
    pub kind: SpecErrorKind,
    /// Path of the field, such as `spec.services.web.image`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpecErrorKind {
    /// The spec itself.
    Invalid,
    /// A DockerHost that isn't there, or none is named.
    HostNotFound,
    /// A Secret, or a key, that isn't there.
    SecretNotFound,
    /// What the policy of the project doesn't allow.
    PolicyViolation,
}

/// What an environment refers to. `spec` is the merged one, `host_labels` those
/// of all DockerHosts by name, of which placements select some.
pub fn needs(
    spec: &EnvironmentSpec,
    host_labels: &BTreeMap<String, BTreeMap<String, String>>,
) -> Needs {
    let mut needs = Needs::default();
    needs.hosts.extend(spec.defaults.iter().filter_map(|defaults| defaults.host.clone()));
    needs.hosts.extend(spec.services.values().filter_map(|service| service.host.clone()));
    for placement in spec.services.values().filter_map(|service| service.placement.as_ref()) {
        needs.hosts.extend(placement.hosts.iter().flatten().cloned());
        if let Some(selector) = &placement.selector {
            let selected = host::selected(host_labels.keys(), host_labels, selector);
            needs.hosts.extend(selected.into_iter().map(str::to_owned));
        }
    }
    needs.add_variables(&spec.env);
    for service in spec.services.values() {
        needs.add_variables(&service.env);
    }
    let whole = spec.services.values().flat_map(|service| service.env_from.iter().flatten());
    needs.secrets.extend(whole.map(|source| source.secret_ref.name.clone()));
    let files = spec.services.values().flat_map(|service| service.files.values());
    let references = files.filter_map(|file| file.secret_key_ref.as_ref());
    needs.secrets.extend(references.map(|reference| reference.name.clone()));
    needs.secrets.extend(pull_secret::all(spec).map(|(_, secret)| secret.name.clone()));
    // Others can't be names of objects, and would end up in paths of requests.
    needs.secrets.retain(|name| is_object_name(name));
    needs
}

/// Checks a merged spec and completes it.
///
/// # Errors
/// All that is wrong with it, sorted by field, none twice.
pub fn resolve(inputs: &Inputs<'_>) -> Result<Desired, Vec<SpecError>> {
    let mut findings = Findings::default();
    check_names(inputs, &mut findings);
    let restarts = restart::requests(inputs, &mut findings);
    let stopped = stop::requests(inputs, &mut findings);
    let idle = policy::idle(inputs, &stopped);
    policy::check(inputs, &idle, &mut findings);
    dependency::check(inputs, &mut findings);
    let mut places = host::place(inputs, &idle, &mut findings);
    let mut placed = Vec::new();
    for (name, service) in &inputs.spec.services {
        let spec = service::container_spec(inputs, name, service, &restarts, &mut findings);
        placed.push(service::Placed {
            name,
            place: places.remove(name.as_str()).unwrap_or_default(),
            check: check::by_hades(name, service, &mut findings),
            rollout: strategy::rollout(service),
            replicas: if stopped.contains(name) { 0 } else { service.replicas.unwrap_or(1) },
            service,
            spec,
        });
    }
    pull_secret::check(inputs, &mut findings);
    port::check(&placed, &mut findings);
    host::lint_several(&placed, &mut findings);
    let volumes = volume::resolve(inputs, &placed, &mut findings);
    let hosts = host::settings(inputs, &placed, &mut findings);
    let containers = placed.iter().flat_map(|placed| service::containers(inputs, placed)).collect();
    let scaled_to_zero = placed
        .iter()
        .filter(|placed| placed.replicas == 0)
        .map(|placed| placed.name.to_owned())
        .collect();
    let lints = findings.into_lints()?;
    Ok(Desired {
        environment: inputs.environment.clone(),
        uid: inputs.uid.to_owned(),
        installation: inputs.installation.to_owned(),
        deleting: false,
        hosts,
        volumes,
        containers,
        scaled_to_zero,
        stopped,
        retry: false,
        standing: inputs.rules.map(|rules| Standing::new(rules.policy, inputs.hosts)),
        lints,
    })
}

/// Names that Hades would make can't be made from some names that people write.
fn check_names(inputs: &Inputs<'_>, findings: &mut Findings) {
    let EnvironmentName { project, environment } = &inputs.environment;
    for (field, name) in [("metadata.namespace", project), ("metadata.name", environment)] {
        if let Err(error) = check_label(name) {
            findings.invalid(field, error.to_string());
        }
    }
}

/// See [`Desired::for_deletion`].
pub(crate) fn for_deletion(
    environment: EnvironmentName,
    uid: &str,
    installation: &str,
    spec: &EnvironmentSpec,
    hosts: &BTreeMap<String, DockerHostSpec>,
) -> Desired {
    let volumes = hosts
        .keys()
        .flat_map(|host| spec.volumes.iter().map(move |(key, volume)| (host, key, volume)))
        .map(|(host, key, volume)| DesiredVolume {
            host: host.clone(),
            key: key.clone(),
            name: naming::volume(&environment, key),
            deletion_policy: volume.deletion_policy.unwrap_or_default(),
        })
        .collect();
    Desired {
        environment,
        uid: uid.to_owned(),
        installation: installation.to_owned(),
        deleting: true,
        hosts: BTreeMap::new(),
        volumes,
        containers: Vec::new(),
        scaled_to_zero: BTreeSet::new(),
        stopped: BTreeSet::new(),
        retry: false,
        standing: None,
        lints: Vec::new(),
    }
}
