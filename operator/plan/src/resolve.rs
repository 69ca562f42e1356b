//! From manifests to [`Desired`]: the one place where errors of a manifest are
//! found, all at once, each with the path of its field.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::name::EnvironmentName;
use hades_api::{DockerHostSpec, EnvironmentSpec, PinnedImage};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::desired::{Desired, DesiredVolume};
use crate::naming;

/// What an environment refers to, for the caller to fetch before [`resolve`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Names of DockerHosts.
    pub hosts: BTreeSet<String>,
    /// Names of Secrets of the project.
    pub secrets: BTreeSet<String>,
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
    /// Annotations of the Environment: requests for restarts.
    pub annotations: &'a BTreeMap<String, String>,
    /// Every DockerHost there is, by name; the names also serve suggestions.
    pub hosts: &'a BTreeMap<String, DockerHostSpec>,
    /// The Secrets it needs, by name; those that aren't there are missing.
    pub secrets: &'a BTreeMap<String, SecretData>,
    /// What image references meant before.
    pub pins: &'a [PinnedImage],
    /// Makes the keyed fingerprint of a value (for variables composed with a secret).
    pub fingerprint: &'a dyn Fn(&str) -> String,
}

/// Values of a Secret by key.
#[derive(Debug, Clone, Default)]
pub struct SecretData(pub BTreeMap<String, SecretString>);

/// Something in a manifest that can't be carried out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
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
    /// A DockerHost that isn't there.
    HostNotFound,
    /// A Secret, or a key, that isn't there.
    SecretNotFound,
}

/// What an environment refers to.
pub fn needs(spec: &EnvironmentSpec) -> Needs {
    let _ = spec;
    Needs::default()
}

/// Checks a merged spec and completes it.
///
/// # Errors
/// All that is wrong with it, sorted.
pub fn resolve(inputs: &Inputs<'_>) -> Result<Desired, Vec<SpecError>> {
    Ok(Desired {
        environment: inputs.environment.clone(),
        uid: inputs.uid.to_owned(),
        installation: inputs.installation.to_owned(),
        deleting: false,
        hosts: BTreeMap::new(),
        volumes: Vec::new(),
        containers: Vec::new(),
        scaled_to_zero: BTreeSet::new(),
        lints: Vec::new(),
    })
}

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
        lints: Vec::new(),
    }
}
