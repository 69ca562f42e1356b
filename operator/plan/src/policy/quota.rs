//! How much a project may have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Add, Sub};

use hades_api::name::EnvironmentName;
use hades_api::{EnvironmentSpec, ProjectQuotas, Quantity, ResourceStatus, ServiceSpec};

use super::{Rules, Subject, Violations};
use crate::{naming, setting};

/// What environments take of their project's quotas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Environments.
    pub environments: u64,
    /// Services.
    pub services: u64,
    /// Replicas of services.
    pub replicas: u64,
    /// Named volumes.
    pub volumes: u64,
    /// Limits of processors over all replicas, in thousand-millionths.
    pub nano_cpus: i128,
    /// Limits of memory over all replicas, in bytes.
    pub memory_bytes: i128,
}

impl Usage {
    /// Of one environment by its merged spec.
    pub fn of(spec: &EnvironmentSpec) -> Self {
        Self::of_running(spec, &BTreeSet::new())
    }

    /// The same where the `idle` services run nothing.
    fn of_running(spec: &EnvironmentSpec, idle: &BTreeSet<String>) -> Self {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let mut usage = Self {
            environments: 1,
            services: count(spec.services.len()),
            volumes: count(spec.volumes.len()),
            ..Self::default()
        };
        for (_, service) in spec.services.iter().filter(|(name, _)| !idle.contains(*name)) {
            let replicas = replicas(service);
            let (cpu, memory) = limits(service);
            usage.replicas += u64::from(replicas);
            usage.nano_cpus += cpu.map_or(0, Quantity::nanos) * i128::from(replicas);
            usage.memory_bytes += memory.map_or(0, bytes) * i128::from(replicas);
        }
        usage
    }

    /// Of one environment by what its status says is there, whatever its spec says by
    /// now: suspended, or with something wrong in it, it keeps all it has. Replicas
    /// that are being replaced count once.
    pub fn there(resources: &[ResourceStatus]) -> Self {
        let (mut services, mut volumes) = (BTreeSet::new(), BTreeSet::new());
        let mut replicas: BTreeMap<(&str, String), (i128, i128)> = BTreeMap::new();
        for found in resources {
            match (found.kind.as_str(), &found.service) {
                ("Container", Some(service)) => {
                    services.insert(service.as_str());
                    let most = replicas.entry((service, slot(&found.name))).or_default();
                    let limits = found.limits.as_ref();
                    let cpu = limits.and_then(|limits| limits.cpu.as_ref());
                    let memory = limits.and_then(|limits| limits.memory.as_ref());
                    most.0 = most.0.max(cpu.map_or(0, Quantity::nanos));
                    most.1 = most.1.max(memory.map_or(0, bytes));
                }
                ("Volume", _) => {
                    volumes.insert(found.name.as_str());
                }
                _ => {}
            }
        }
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Self {
            environments: u64::from(!resources.is_empty()),
            services: count(services.len()),
            replicas: count(replicas.len()),
            volumes: count(volumes.len()),
            nano_cpus: replicas.values().map(|(cpu, _)| cpu).sum(),
            memory_bytes: replicas.values().map(|(_, memory)| memory).sum(),
        }
    }

    /// Of one environment with that merged spec and, by its status, that: what it asks
    /// for or has, whichever is more.
    pub fn of_stored(
        name: &EnvironmentName,
        spec: &EnvironmentSpec,
        resources: &[ResourceStatus],
    ) -> Self {
        let mut asked = Self::of(spec);
        asked.volumes += kept_volumes(name, spec, resources);
        asked.max(Self::there(resources))
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            environments: self.environments.max(other.environments),
            services: self.services.max(other.services),
            replicas: self.replicas.max(other.replicas),
            volumes: self.volumes.max(other.volumes),
            nano_cpus: self.nano_cpus.max(other.nano_cpus),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// Volumes that an environment has and its merged spec doesn't name any more: they stay
/// with their data, and count.
pub fn kept_volumes(
    name: &EnvironmentName,
    spec: &EnvironmentSpec,
    resources: &[ResourceStatus],
) -> u64 {
    let named: BTreeSet<String> =
        spec.volumes.keys().map(|key| naming::volume(name, key)).collect();
    let there = resources.iter().filter(|found| found.kind == "Volume").map(|found| &found.name);
    let kept: BTreeSet<&String> = there.filter(|volume| !named.contains(*volume)).collect();
    u64::try_from(kept.len()).unwrap_or(u64::MAX)
}

/// A container's name without its hash: the same for what takes its place.
fn slot(name: &str) -> String {
    name.rsplit_once('-').map_or(name, |(slot, _)| slot).to_owned()
}

fn bytes(memory: &Quantity) -> i128 {
    memory.whole().unwrap_or(i64::MAX).into()
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            environments: self.environments + other.environments,
            services: self.services + other.services,
            replicas: self.replicas + other.replicas,
            volumes: self.volumes + other.volumes,
            nano_cpus: self.nano_cpus + other.nano_cpus,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    /// Never below nothing.
    fn sub(self, other: Self) -> Self {
        Self {
            environments: self.environments.saturating_sub(other.environments),
            services: self.services.saturating_sub(other.services),
            replicas: self.replicas.saturating_sub(other.replicas),
            volumes: self.volumes.saturating_sub(other.volumes),
            nano_cpus: (self.nano_cpus - other.nano_cpus).max(0),
            memory_bytes: (self.memory_bytes - other.memory_bytes).max(0),
        }
    }
}

fn replicas(service: &ServiceSpec) -> u32 {
    service.replicas.unwrap_or(1)
}

fn limits(service: &ServiceSpec) -> (Option<&Quantity>, Option<&Quantity>) {
    let limits = service.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    (
        limits.and_then(|limits| limits.cpu.as_ref()),
        limits.and_then(|limits| limits.memory.as_ref()),
    )
}

/// One quota and what there is of it.
struct Account {
    rule: &'static str,
    field: &'static str,
    most: Option<i128>,
    own: i128,
    others: i128,
    before: Option<i128>,
    shown: fn(i128) -> String,
}

/// Whether an environment, with the others of its project, stays within quotas.
pub(super) fn check(
    subject: &Subject<'_>,
    quotas: &ProjectQuotas,
    rules: &Rules<'_>,
    violations: &mut Violations<'_>,
) {
    let Subject { spec, idle, .. } = *subject;
    let runs = |name: &String, service| replicas(service) > 0 && !idle.contains(name);
    for (name, service) in spec.services.iter().filter(|(name, service)| runs(name, service)) {
        let (cpu, memory) = limits(service);
        for (quota, limit, last) in [(&quotas.cpu, cpu, "cpu"), (&quotas.memory, memory, "memory")]
        {
            if quota.is_some() && limit.is_none() {
                let message = format!(
                    "missing: project {} has a quota of {last}, so that every service must say how much it may take",
                    violations.project
                );
                let field = format!("spec.services.{name}.resources.limits.{last}");
                violations.say(field, &format!("quotas.{last}"), message);
            }
        }
    }
    let mut own = Usage::of_running(spec, idle);
    own.volumes += rules.kept_volumes;
    for account in accounts(own, quotas, rules) {
        let Account { rule, field, most, own, others, before, shown } = account;
        let Some(most) = most else { continue };
        let grows = before.is_none_or(|before| own > before);
        if own + others > most && grows {
            let message = format!(
                "quota of project {}: {rule} {} of {} (this environment {}, others {})",
                violations.project,
                shown(own + others),
                shown(most),
                shown(own),
                shown(others)
            );
            violations.say(field, &format!("quotas.{rule}"), message);
        }
    }
}

fn accounts(own: Usage, quotas: &ProjectQuotas, rules: &Rules<'_>) -> Vec<Account> {
    let ProjectQuotas { environments, services, replicas, volumes, cpu, memory } = quotas;
    let Rules { policy: _, others, before, kept_volumes: _ } = *rules;
    let count = |rule, field, most: &Option<u32>, of: fn(&Usage) -> u64| Account {
        rule,
        field,
        most: most.map(i128::from),
        own: of(&own).into(),
        others: of(&others).into(),
        before: before.map(|before| of(&before).into()),
        shown: |number| number.to_string(),
    };
    vec![
        count("environments", "metadata.name", environments, |usage| usage.environments),
        count("services", "spec.services", services, |usage| usage.services),
        count("replicas", "spec.services", replicas, |usage| usage.replicas),
        count("volumes", "spec.volumes", volumes, |usage| usage.volumes),
        Account {
            rule: "cpu",
            field: "spec.services",
            most: cpu.as_ref().map(Quantity::nanos),
            own: own.nano_cpus,
            others: others.nano_cpus,
            before: before.map(|before| before.nano_cpus),
            shown: |nanos| setting::cpus(i64::try_from(nanos).unwrap_or(i64::MAX)),
        },
        Account {
            rule: "memory",
            field: "spec.services",
            most: memory.as_ref().map(bytes),
            own: own.memory_bytes,
            others: others.memory_bytes,
            before: before.map(|before| before.memory_bytes),
            shown: |bytes| setting::bytes(i64::try_from(bytes).unwrap_or(i64::MAX)),
        },
    ]
}
