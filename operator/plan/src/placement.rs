//! Which host each replica runs on: decided from the manifest and from where
//! things are.
//!
//! Laws:
//! - what runs where it may run stays there, whatever hosts come or go beside it;
//! - a host that is drained, or that a service may no longer use, loses what it
//!   had and nothing else moves;
//! - a host that doesn't answer keeps what it has: nobody knows whether that
//!   still runs. To drain it is to say that it doesn't;
//! - replicas that have to find a host are spread evenly; services of one
//!   environment seek the same hosts, as they talk to each other;
//! - the same input gives the same answer.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::name::EnvironmentName;
use hades_api::{ResourceStatus, label};
use sha2::{Digest, Sha256};

use crate::naming;
use crate::observed::{ContainerState, HostView, Observed, is_owned};

/// Where things of an environment are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// Hosts of each replica by service and number, the likeliest first: several
    /// while it moves.
    pub replicas: BTreeMap<(String, u32), Vec<String>>,
    /// Hosts of each volume by its key.
    pub volumes: BTreeMap<String, BTreeSet<String>>,
    /// Hosts that don't answer.
    pub unreachable: BTreeSet<String>,
}

impl Current {
    /// From what was observed and, for hosts that don't answer, from what is on
    /// record.
    pub fn new(
        environment: &EnvironmentName,
        installation: &str,
        observed: &Observed,
        recorded: &[ResourceStatus],
    ) -> Self {
        let mut current = Self::default();
        // Rank and host: what runs is likelier than what has ended, and that than
        // what is only on record.
        let mut found: BTreeMap<(String, u32), BTreeSet<(u8, String)>> = BTreeMap::new();
        for (host, view) in &observed.hosts {
            let HostView::Snapshot(snapshot) = view else {
                current.unreachable.insert(host.clone());
                continue;
            };
            let owned = |labels: &BTreeMap<String, String>| {
                is_owned(labels, installation, &environment.project, &environment.environment)
            };
            for container in snapshot.containers.iter().filter(|found| owned(&found.labels)) {
                let rank = match container.state {
                    ContainerState::Running | ContainerState::Paused => 0,
                    ContainerState::Restarting
                    | ContainerState::Exited
                    | ContainerState::Created => 1,
                    ContainerState::Dead | ContainerState::Removing => continue,
                };
                let service = container.labels.get(label::SERVICE);
                let replica = container.labels.get(label::REPLICA).and_then(|n| n.parse().ok());
                if let (Some(service), Some(replica)) = (service, replica) {
                    let hosts = found.entry((service.clone(), replica)).or_default();
                    hosts.insert((rank, host.clone()));
                }
            }
            for volume in snapshot.volumes.iter().filter(|volume| owned(&volume.labels)) {
                if let Some(key) = volume.labels.get(label::VOLUME) {
                    current.volumes.entry(key.clone()).or_default().insert(host.clone());
                }
            }
        }
        let unseen = |found: &&ResourceStatus| {
            !matches!(observed.hosts.get(&found.host), Some(HostView::Snapshot(_)))
        };
        for known in recorded.iter().filter(unseen) {
            let service = known.service.as_deref();
            let replica =
                service.and_then(|service| naming::replica(environment, service, &known.name));
            if let (Some(service), Some(replica)) = (service, replica) {
                let hosts = found.entry((service.to_owned(), replica)).or_default();
                hosts.insert((2, known.host.clone()));
            }
            let prefix = naming::volume(environment, "");
            if let Some(key) = known.name.strip_prefix(&prefix).filter(|_| known.kind == "Volume") {
                current.volumes.entry(key.to_owned()).or_default().insert(known.host.clone());
            }
        }
        current.replicas = found
            .into_iter()
            .map(|(replica, hosts)| (replica, hosts.into_iter().map(|(_, host)| host).collect()))
            .collect();
        current
    }
}

/// A host that a service may run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Name of the DockerHost.
    pub name: &'a str,
    /// Whether new containers may be put there.
    pub schedulable: bool,
}

/// A service that needs hosts.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Its name.
    pub service: &'a str,
    /// How many replicas.
    pub replicas: u32,
    /// Where they may run; not empty.
    pub candidates: Vec<Candidate<'a>>,
    /// Keys of the volumes that it mounts: they hold all replicas together.
    pub volumes: Vec<&'a str>,
    /// Two replicas can't share a host, as they have a fixed host port.
    pub one_per_host: bool,
}

/// Finds hosts for the services of an environment, one after the other.
#[derive(Debug)]
pub struct Placer<'a> {
    environment: EnvironmentName,
    current: &'a Current,
    /// Hosts of volumes by key, as decided so far.
    pins: BTreeMap<&'a str, &'a str>,
    /// Hosts that have anything of the environment, or will.
    inhabited: BTreeSet<&'a str>,
}

impl<'a> Placer<'a> {
    /// For an environment whose things are where `current` says.
    pub fn new(environment: &EnvironmentName, current: &'a Current) -> Self {
        let hosts = current.replicas.values().filter_map(|hosts| hosts.first());
        let inhabited = hosts.map(String::as_str).collect();
        Self { environment: environment.clone(), current, pins: BTreeMap::new(), inhabited }
    }

    /// The host of each replica in their order; for a service without replicas
    /// the one that its volumes are on.
    pub fn place(&mut self, request: &Request<'a>) -> Vec<&'a str> {
        let hosts = match (self.pin(request), request.candidates.as_slice()) {
            (_, []) => Vec::new(),
            (_, [only]) => vec![only.name; request.replicas.max(1) as usize],
            (Some(pin), _) => vec![pin; request.replicas.max(1) as usize],
            (None, _) if request.volumes.is_empty() => {
                self.spread(request, request.replicas.max(1))
            }
            (None, _) => {
                let first = self.spread(request, 1);
                first.iter().cycle().take(request.replicas.max(1) as usize).copied().collect()
            }
        };
        for host in &hosts {
            self.inhabited.insert(host);
            for volume in &request.volumes {
                self.pins.entry(volume).or_insert(host);
            }
        }
        hosts
    }

    /// The host that has a volume of the service, if it may run there.
    fn pin(&self, request: &Request<'a>) -> Option<&'a str> {
        let candidate = |host: &str| {
            request.candidates.iter().find(|candidate| candidate.name == host).map(|c| c.name)
        };
        let decided = request.volumes.iter().find_map(|key| self.pins.get(key).copied());
        if let Some(host) = decided.and_then(candidate) {
            return Some(host);
        }
        let holds = |host: &str| {
            let there = request.volumes.iter().filter_map(|key| self.current.volumes.get(*key));
            there.filter(|hosts| hosts.contains(host)).count()
        };
        // Where the service runs, if several hosts have volumes of that name.
        let runs = |host: &str| {
            let first = self.current.replicas.get(&(request.service.to_owned(), 1));
            first.is_some_and(|hosts| hosts.iter().any(|found| found == host))
        };
        request
            .candidates
            .iter()
            .map(|candidate| candidate.name)
            .filter(|host| holds(host) > 0)
            .max_by_key(|host| (runs(host), holds(host), std::cmp::Reverse(*host)))
    }

    fn spread(&self, request: &Request<'a>, replicas: u32) -> Vec<&'a str> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        let mut hosts: Vec<Option<&'a str>> = Vec::new();
        for replica in 1..=replicas {
            let stays = self.known(request, replica).find(|candidate| {
                candidate.schedulable
                    && !(request.one_per_host && counts.contains_key(candidate.name))
            });
            let host = stays.map(|candidate| candidate.name);
            if let Some(host) = host {
                *counts.entry(host).or_default() += 1;
            }
            hosts.push(host);
        }
        let mut placed = Vec::new();
        for (replica, host) in (1..).zip(hosts) {
            let host = host.or_else(|| {
                let found = self.choose(request, replica, &counts);
                if let Some(host) = found {
                    *counts.entry(host).or_default() += 1;
                }
                found
            });
            placed.extend(host);
        }
        placed
    }

    /// The candidates that have a replica, the likeliest first.
    fn known<'s>(
        &'s self,
        request: &'s Request<'a>,
        replica: u32,
    ) -> impl Iterator<Item = &'s Candidate<'a>> {
        let hosts = self.current.replicas.get(&(request.service.to_owned(), replica));
        hosts
            .into_iter()
            .flatten()
            .filter_map(|host| request.candidates.iter().find(|candidate| candidate.name == host))
    }

    /// A host for a replica that has to go somewhere.
    fn choose(
        &self,
        request: &Request<'a>,
        replica: u32,
        counts: &BTreeMap<&str, u32>,
    ) -> Option<&'a str> {
        let least = |fits: &dyn Fn(&Candidate<'a>) -> bool| {
            let fitting = request.candidates.iter().filter(|candidate| fits(candidate));
            fitting.map(|candidate| candidate.name).min_by_key(|host| {
                let count = counts.get(host).copied().unwrap_or_default();
                (count, !self.inhabited.contains(host), self.rank(host))
            })
        };
        let free = |candidate: &Candidate<'_>| {
            !(request.one_per_host && counts.contains_key(candidate.name))
        };
        let open = |candidate: &Candidate<'a>| candidate.schedulable && free(candidate);
        let answers =
            |candidate: &Candidate<'a>| !self.current.unreachable.contains(candidate.name);
        least(&|candidate| open(candidate) && answers(candidate))
            // Better where it is than where nobody can start it.
            .or_else(|| self.known(request, replica).find(|c| free(c)).map(|c| c.name))
            .or_else(|| least(&open))
            .or_else(|| least(&free))
            .or_else(|| least(&|_| true))
    }

    /// The order in which an environment prefers hosts: its own, so that not all
    /// seek the same one, and the same for two hosts whatever others there are.
    fn rank(&self, host: &str) -> [u8; 8] {
        let EnvironmentName { project, environment } = &self.environment;
        let hash = Sha256::digest(format!("{project}/{environment}/{host}"));
        let mut rank = [0; 8];
        rank.copy_from_slice(&hash[..8]);
        rank
    }
}
