//! Which host a service runs on, and what its DockerHost says.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{DockerHostSpec, ServiceSpec};
use ipnet::Ipv4Net;

use super::findings::Findings;
use super::service::Placed;
use super::suggest;
use super::{Inputs, SpecErrorKind};
use crate::desired::HostSettings;

/// Longest prefix that still has room for a gateway and a few containers.
const LONGEST_PREFIX: u8 = 29;

/// A service's host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    /// Whether `spec.defaults.host` said so.
    by_default: bool,
}

impl Place<'_> {
    /// Path of the field that names it.
    fn field(&self, service: &str) -> String {
        match self.by_default {
            true => "spec.defaults.host".to_owned(),
            false => format!("spec.services.{service}.host"),
        }
    }
}

/// The host of a service, if it names one that is there.
pub(super) fn place<'a>(
    inputs: &Inputs<'a>,
    name: &str,
    service: &'a ServiceSpec,
    findings: &mut Findings,
) -> Option<Place<'a>> {
    let default = inputs.spec.defaults.as_ref().and_then(|defaults| defaults.host.as_deref());
    let place = match (service.host.as_deref(), default) {
        (Some(name), _) => Place { name, by_default: false },
        (None, Some(name)) => Place { name, by_default: true },
        (None, None) => {
            let field = format!("spec.services.{name}.host");
            let known: Vec<&str> = inputs.hosts.keys().map(String::as_str).collect();
            let message = format!(
                "no host: set spec.defaults.host or {field}; hosts: {}",
                suggest::list(&known)
            );
            findings.invalid(field, message);
            return None;
        }
    };
    if inputs.hosts.contains_key(place.name) {
        return Some(place);
    }
    let hint = suggest::hint(place.name, "hosts", inputs.hosts.keys());
    let message = format!("there is no DockerHost {:?}; {hint}", place.name);
    findings.error(SpecErrorKind::HostNotFound, place.field(name), message);
    None
}

/// Settings of every host that is used. A host whose settings make no sense is
/// an error of those that use it alone.
pub(super) fn settings(
    inputs: &Inputs<'_>,
    placed: &[Placed<'_>],
    findings: &mut Findings,
) -> BTreeMap<String, HostSettings> {
    let mut settings = BTreeMap::new();
    for placed in placed {
        let Some(place) = placed.host else { continue };
        let Some(spec) = inputs.hosts.get(place.name) else {
            continue;
        };
        match parse(spec) {
            Ok(parsed) => {
                settings.insert(place.name.to_owned(), parsed);
            }
            Err(problem) => findings
                .invalid(place.field(placed.name), format!("DockerHost {}: {problem}", place.name)),
        }
    }
    settings
}

fn parse(spec: &DockerHostSpec) -> Result<HostSettings, String> {
    let (text, prefix) = (spec.pool(), spec.prefix());
    let pool: Ipv4Net = text.parse().map_err(|_| {
        format!("spec.subnetPool {text:?} is no IPv4 network: write it like 10.213.0.0/16")
    })?;
    if pool.addr() != pool.network() {
        return Err(format!(
            "spec.subnetPool {text} has bits behind its prefix: write {}",
            pool.trunc()
        ));
    }
    if prefix < pool.prefix_len() {
        return Err(format!(
            "spec.subnetPrefix /{prefix} doesn't fit into spec.subnetPool {text}: make it {} or more",
            pool.prefix_len()
        ));
    }
    if prefix > LONGEST_PREFIX {
        return Err(format!(
            "spec.subnetPrefix /{prefix} leaves no room for containers: make it {LONGEST_PREFIX} or less"
        ));
    }
    Ok(HostSettings { subnet_pool: pool, subnet_prefix: prefix })
}

/// A network ends at its host.
pub(super) fn lint_several(placed: &[Placed<'_>], findings: &mut Findings) {
    let hosts: BTreeSet<&str> = placed
        .iter()
        .filter(|placed| placed.replicas > 0)
        .filter_map(|placed| placed.host.map(|place| place.name))
        .collect();
    if hosts.len() > 1 {
        let hosts: Vec<&str> = hosts.into_iter().collect();
        findings.lint(
            "spec.services",
            format!(
                "services run on {}: those on different hosts don't reach one another by name; put those that talk to each other on one host",
                hosts.join(" and ")
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(pool: &str, prefix: u8) -> DockerHostSpec {
        DockerHostSpec {
            endpoint: "unix:///x".into(),
            subnet_pool: Some(pool.into()),
            subnet_prefix: Some(prefix),
            ..DockerHostSpec::default()
        }
    }

    #[test]
    fn nonsense_is_named() {
        assert!(parse(&spec("10.0.0.0/8", 24)).is_ok());
        for (pool, prefix, says) in [
            ("10.0.0.0/33", 24, "no IPv4 network"),
            ("10.0.0.1/16", 24, "write 10.0.0.0/16"),
            ("10.0.0.0/16", 12, "doesn't fit"),
            ("10.0.0.0/16", 30, "no room"),
        ] {
            let problem = parse(&spec(pool, prefix)).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
