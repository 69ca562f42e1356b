//! Names and labels of what Hades makes: the same for the same input, so that
//! a crash between making and recording can never make a thing twice.

use std::collections::BTreeMap;

use hades_api::label;
use hades_api::name::EnvironmentName;

/// Characters of the spec hash that a container's name ends in.
const HASH_IN_NAME: usize = 8;

/// Name of the network of an environment on any of its hosts.
pub fn network(environment: &EnvironmentName) -> String {
    format!("{}-{}", environment.project, environment.environment)
}

/// Name of a volume on its host.
pub fn volume(environment: &EnvironmentName, key: &str) -> String {
    format!("{}-{}-{key}", environment.project, environment.environment)
}

/// Name of a container. The hash lets a new version start beside the old one.
pub fn container(
    environment: &EnvironmentName,
    service: &str,
    replica: u32,
    spec_hash: &str,
) -> String {
    let hash = spec_hash.get(..HASH_IN_NAME).unwrap_or(spec_hash);
    format!("{}-{}-{service}-{replica}-{hash}", environment.project, environment.environment)
}

/// Labels that say who made a thing, and for what.
pub fn ownership(
    installation: &str,
    environment: &EnvironmentName,
    uid: &str,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::INSTALLATION.to_owned(), installation.to_owned()),
        (label::PROJECT.to_owned(), environment.project.clone()),
        (label::ENVIRONMENT.to_owned(), environment.environment.clone()),
        (label::ENVIRONMENT_UID.to_owned(), uid.to_owned()),
    ])
}
