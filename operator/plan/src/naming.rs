//! Names and labels of what Hades makes: the same for the same input, so that
//! a crash between making and recording can never make a thing twice.
//!
//! Parts are joined by `_`, which none of them can hold: environment
//! `eu-production` of project `shop` and `production` of `shop-eu` never want
//! the same name.

use std::collections::BTreeMap;

use hades_api::label;
use hades_api::name::EnvironmentName;

/// Characters of the spec hash that a container's name ends in.
const HASH_IN_NAME: usize = 8;

/// Name of the network of an environment on any of its hosts.
pub fn network(environment: &EnvironmentName) -> String {
    format!("{}_{}", environment.project, environment.environment)
}

/// Name of a volume on its host.
pub fn volume(environment: &EnvironmentName, key: &str) -> String {
    format!("{}_{}_{key}", environment.project, environment.environment)
}

/// Name of a container. The hash lets a new version start beside the old one.
pub fn container(
    environment: &EnvironmentName,
    service: &str,
    replica: u32,
    spec_hash: &str,
) -> String {
    let hash = spec_hash.get(..HASH_IN_NAME).unwrap_or(spec_hash);
    format!("{}_{}_{service}-{replica}-{hash}", environment.project, environment.environment)
}

/// Which replica of `service` a container of that name is.
pub fn replica(environment: &EnvironmentName, service: &str, container: &str) -> Option<u32> {
    let prefix = format!("{}_{}_{service}-", environment.project, environment.environment);
    let (replica, _) = container.strip_prefix(&prefix)?.rsplit_once('-')?;
    replica.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_environments_share_a_name() {
        let (one, other) =
            (EnvironmentName::new("shop", "eu-prod"), EnvironmentName::new("shop-eu", "prod"));
        assert_ne!(network(&one), network(&other));
        assert_ne!(volume(&one, "data"), volume(&other, "data"));
        let name = container(&one, "web", 2, "0123456789");
        assert_eq!(name, "shop_eu-prod_web-2-01234567");
        assert_eq!(replica(&one, "web", &name), Some(2));
        assert_eq!(replica(&other, "web", &name), None);
        assert_eq!(replica(&one, "we", &name), None);
    }
}
