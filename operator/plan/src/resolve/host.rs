//! Which host a service runs on, and what its DockerHost says.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{DockerHostSpec, HostSelector, Placement, ServiceSpec, VolumeMount};
use ipnet::Ipv4Net;

use super::findings::Findings;
use super::service::Placed;
use super::{Inputs, SpecErrorKind, suggest};
use crate::desired::HostSettings;
use crate::placement::{Candidate, Current, Placer, Request};
use crate::policy::{self, Rules};

/// Longest prefix that still has room for a gateway and a few containers.
const LONGEST_PREFIX: u8 = 29;

/// The hosts of a service.
#[derive(Debug, Clone, Default)]
pub(super) struct Place<'a> {
    /// The host of each replica in their order; for a service without replicas
    /// the one that its volumes are on.
    pub(super) hosts: Vec<&'a str>,
    /// Path of the field that names them.
    field: String,
    /// How many hosts there are to choose from.
    pub(super) candidates: usize,
}

impl<'a> Place<'a> {
    /// Every host that is used, once.
    pub(super) fn distinct(&self) -> BTreeSet<&'a str> {
        self.hosts.iter().copied().collect()
    }
}

/// Where a service may run.
struct Candidates<'a> {
    names: BTreeSet<&'a str>,
    field: String,
}

/// The hosts of every service that names some that are there.
pub(super) fn place<'a>(
    inputs: &Inputs<'a>,
    idle: &BTreeSet<String>,
    findings: &mut Findings,
) -> BTreeMap<&'a str, Place<'a>> {
    let services = inputs.spec.services.iter();
    let mut known: Vec<(&str, &ServiceSpec, Candidates<'_>)> = services
        .filter_map(|(name, service)| {
            let asks = Asks { inputs, name, service, idle: idle.contains(name) };
            Some((name.as_str(), service, candidates(&asks, findings)?))
        })
        .collect();
    // Those that have no choice first: their volumes hold others to their host.
    known.sort_by_key(|(name, _, candidates)| (candidates.names.len() > 1, *name));
    let environment = &inputs.environment;
    let mut placer = Placer::new(environment, inputs.current);
    let mut places = BTreeMap::new();
    for (name, service, Candidates { names, field }) in known {
        let schedulable = |host: &str| {
            !inputs.hosts.get(host).is_some_and(|spec| spec.unschedulable.unwrap_or(false))
        };
        let request = Request {
            service: name,
            replicas: service.replicas.unwrap_or(1),
            candidates: names
                .iter()
                .map(|host| Candidate { name: host, schedulable: schedulable(host) })
                .collect(),
            volumes: service.volumes.iter().flatten().filter_map(VolumeMount::volume).collect(),
            one_per_host: service.ports.iter().flatten().any(|port| port.host_port.is_some()),
        };
        let hosts = placer.place(&request);
        let place = Place { hosts, field, candidates: names.len() };
        lint_drained(inputs, name, service, &place, findings);
        places.insert(name, place);
    }
    places
}

/// A service that needs hosts.
struct Asks<'s, 'a> {
    inputs: &'s Inputs<'a>,
    name: &'a str,
    service: &'a ServiceSpec,
    /// It runs nothing.
    idle: bool,
}

impl Asks<'_, '_> {
    /// Whether the policy lets the service be on that host. One that runs nothing stays
    /// where it has something: it may be stopped, and its data is there.
    fn may_use(&self, host: &str) -> bool {
        let allowed = |rules: &Rules<'_>| policy::allows_host(rules.policy, host);
        self.inputs.rules.as_ref().is_none_or(allowed) || (self.idle && self.is_on(host))
    }

    /// Whether something of the service is on that host.
    fn is_on(&self, host: &str) -> bool {
        let Current { replicas, volumes, unreachable: _ } = self.inputs.current;
        let mut keys = self.service.volumes.iter().flatten().filter_map(VolumeMount::volume);
        replicas.iter().any(|((service, _), hosts)| {
            service == self.name && hosts.iter().any(|found| found == host)
        }) || keys.any(|key| volumes.get(key).is_some_and(|hosts| hosts.contains(host)))
    }

    /// What to say where a host was expected. Not everybody who may write, or plan, an
    /// environment may see the hosts: only what the policy names is told.
    fn hint(&self, wanted: Option<&str>) -> String {
        let Inputs { hosts, rules, environment, .. } = self.inputs;
        let Some(rules) = rules else {
            let known: Vec<&str> = hosts.keys().map(String::as_str).collect();
            return match wanted {
                Some(wanted) => suggest::hint(wanted, "hosts", hosts.keys()),
                None => format!("hosts: {}", suggest::list(&known)),
            };
        };
        let allowed = hosts.keys().filter(|host| policy::allows_host(rules.policy, host));
        match (wanted.and_then(|wanted| suggest::slip(wanted, allowed)), &rules.policy.hosts) {
            (Some(near), _) => format!("did you mean {near:?}?"),
            (None, Some(patterns)) => format!(
                "policy of project {} allows: {}",
                environment.project,
                match patterns.as_slice() {
                    [] => "none".to_owned(),
                    patterns => patterns.join(", "),
                }
            ),
            (None, None) => "ask whoever keeps the DockerHosts for a name".to_owned(),
        }
    }
}

/// The hosts that a service may run on; none, with an error, when there is none.
fn candidates<'a>(asks: &Asks<'_, 'a>, findings: &mut Findings) -> Option<Candidates<'a>> {
    let Asks { inputs, name, service, idle: _ } = *asks;
    let default = inputs.spec.defaults.as_ref().and_then(|defaults| defaults.host.as_deref());
    let own = format!("spec.services.{name}.host");
    let (wanted, field): (Vec<&str>, String) = match (&service.placement, &service.host, default) {
        (Some(_), Some(_), _) => {
            findings.invalid(own, "a service has either host or placement: leave one out");
            return None;
        }
        (Some(placement), None, _) => return placed(asks, placement, findings),
        (None, Some(host), _) => (vec![host], own),
        (None, None, Some(host)) => (vec![host], "spec.defaults.host".to_owned()),
        (None, None, None) => {
            let message = format!("no host: set spec.defaults.host or {own}; {}", asks.hint(None));
            findings.error(SpecErrorKind::HostNotFound, own, message);
            return None;
        }
    };
    there(asks, &wanted, |_| field.clone(), findings)
        .then(|| Candidates { names: wanted.into_iter().collect(), field })
}

/// The hosts of a placement.
fn placed<'a>(
    asks: &Asks<'_, 'a>,
    placement: &'a Placement,
    findings: &mut Findings,
) -> Option<Candidates<'a>> {
    let Asks { inputs, name, .. } = *asks;
    let field = format!("spec.services.{name}.placement");
    let Placement { hosts, selector } = placement;
    match (hosts, selector) {
        (Some(hosts), None) if !hosts.is_empty() => {
            let wanted: Vec<&str> = hosts.iter().map(String::as_str).collect();
            let path = |index: usize| format!("{field}.hosts[{index}]");
            there(asks, &wanted, path, findings).then(|| Candidates {
                names: wanted.into_iter().collect(),
                field: format!("{field}.hosts"),
            })
        }
        (None, Some(selector)) => {
            let mut names = selected(inputs.hosts.keys(), inputs.host_labels, selector);
            if names.is_empty() {
                let labels: Vec<String> = selector
                    .match_labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                let message = format!(
                    "no DockerHost has the labels {}; {}",
                    labels.join(","),
                    asks.hint(None)
                );
                findings.error(SpecErrorKind::HostNotFound, format!("{field}.selector"), message);
                return None;
            }
            // When none is left, the policy's own check says so.
            names.retain(|host| asks.may_use(host));
            (!names.is_empty()).then(|| Candidates { names, field: format!("{field}.selector") })
        }
        _ => {
            findings.invalid(field, "a placement has either hosts or a selector");
            None
        }
    }
}

/// The hosts that have all labels of a selector.
pub(crate) fn selected<'a>(
    hosts: impl Iterator<Item = &'a String>,
    labels: &BTreeMap<String, BTreeMap<String, String>>,
    selector: &HostSelector,
) -> BTreeSet<&'a str> {
    let fits = |host: &&String| {
        let own = labels.get(*host);
        selector.match_labels.iter().all(|(key, value)| {
            own.is_some_and(|own| own.get(key).is_some_and(|found| found == value))
        })
    };
    hosts.filter(fits).map(String::as_str).collect()
}

/// Whether there are DockerHosts of these names that the service may be on.
fn there(
    asks: &Asks<'_, '_>,
    wanted: &[&str],
    field: impl Fn(usize) -> String,
    findings: &mut Findings,
) -> bool {
    let mut all = true;
    for (index, host) in wanted.iter().enumerate() {
        // The policy's own check says so, and whether there is such a host is nothing to
        // tell then.
        if !asks.may_use(host) {
            all = false;
            continue;
        }
        if !asks.inputs.hosts.contains_key(*host) {
            let message = format!("there is no DockerHost {host:?}; {}", asks.hint(Some(host)));
            findings.error(SpecErrorKind::HostNotFound, field(index), message);
            all = false;
        }
    }
    all
}

/// Says why something stays on a host that is being drained.
fn lint_drained(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    place: &Place<'_>,
    findings: &mut Findings,
) {
    for host in place.distinct() {
        let spec = inputs.hosts.get(host);
        if !spec.is_some_and(|spec| spec.unschedulable.unwrap_or(false)) {
            continue;
        }
        let why = match service.volumes.iter().flatten().find_map(VolumeMount::volume) {
            Some(volume) if place.candidates > 1 => {
                format!("the data of volume {volume} is there")
            }
            _ => "it may run on no other host that takes anything".to_owned(),
        };
        findings.lint(
            &place.field,
            format!("DockerHost {host} is unschedulable, and service {name} stays there: {why}"),
        );
    }
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
        for host in placed.place.distinct() {
            let Some(spec) = inputs.hosts.get(host) else { continue };
            match parse(spec) {
                Ok(parsed) => {
                    settings.insert(host.to_owned(), parsed);
                }
                Err(problem) => findings
                    .invalid(placed.place.field.clone(), format!("DockerHost {host}: {problem}")),
            }
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
    let unschedulable = spec.unschedulable.unwrap_or(false);
    Ok(HostSettings { subnet_pool: pool, subnet_prefix: prefix, unschedulable })
}

/// A network ends at its host.
pub(super) fn lint_several(placed: &[Placed<'_>], findings: &mut Findings) {
    let all = placed;
    let hosts: BTreeSet<&str> = placed
        .iter()
        .filter(|placed| placed.replicas > 0)
        .flat_map(|placed| placed.place.distinct())
        .collect();
    for placed in placed.iter().filter(|placed| placed.replicas > 0) {
        lint_dependencies(placed, all, findings);
    }
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

/// Points out what a service depends on and can't reach by name.
fn lint_dependencies(service: &Placed<'_>, all: &[Placed<'_>], findings: &mut Findings) {
    for (index, name) in service.service.depends_on.iter().flatten().enumerate() {
        let Some(other) = all.iter().find(|other| other.name == name && other.replicas > 0) else {
            continue;
        };
        let there = other.place.distinct();
        let alone: Vec<&str> =
            service.place.distinct().into_iter().filter(|host| !there.contains(host)).collect();
        if !alone.is_empty() {
            findings.lint(
                format!("spec.services.{}.dependsOn[{index}]", service.name),
                format!(
                    "{name} doesn't run on {}, where {} does, and can't be reached by name from there",
                    alone.join(" and "),
                    service.name
                ),
            );
        }
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
