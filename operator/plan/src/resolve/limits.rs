//! Limits: amounts that an engine can keep.

use std::collections::BTreeMap;

use hades_api::{Quantity, ResourceLimits, Resources, ServiceSpec, UlimitRange};

use super::findings::Findings;
use super::suggest;
use crate::desired::Limits;

/// Docker refuses less: a container needs some to be started at all.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;
/// A hundredth of a processor, the least that Docker takes.
const LEAST_NANO_CPUS: i128 = 10_000_000;
/// The names that `ulimit` has in Docker.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// How much the containers of a service may use.
pub(super) fn resolve(name: &str, service: &ServiceSpec, findings: &mut Findings) -> Limits {
    let field = |last: &str| format!("spec.services.{name}.{last}");
    let Resources { limits } = service.resources.clone().unwrap_or_default();
    let ResourceLimits { cpu, memory, pids } = limits.unwrap_or_default();
    let memory_field = field("resources.limits.memory");
    let memory_bytes = memory.as_ref().and_then(|memory| bytes(&memory_field, memory, findings));
    if let Some(memory) = memory.filter(|_| memory_bytes.is_some_and(|b| b < LEAST_MEMORY)) {
        findings.invalid(
            memory_field,
            format!("{memory} is less than the 6Mi that a container needs to start: write mebibytes like 256Mi (256m is a fraction of a byte)"),
        );
    }
    Limits {
        nano_cpus: cpu.and_then(|cpu| {
            let field = field("resources.limits.cpu");
            if cpu.nanos() < LEAST_NANO_CPUS {
                findings
                    .invalid(&field, format!("{cpu} is less than 10m, a hundredth of a processor"));
            }
            let nanos = i64::try_from(cpu.nanos()).ok();
            if nanos.is_none() {
                findings.invalid(field, format!("{cpu} are more processors than any host has"));
            }
            nanos
        }),
        memory_bytes,
        pids,
        shm_bytes: service.shm_size.as_ref().and_then(|size| {
            let field = field("shmSize");
            positive(&field, size, findings)
        }),
        ulimits: ulimits(name, service, findings),
    }
}

/// A size of something that must have one.
pub(super) fn positive(field: &str, size: &Quantity, findings: &mut Findings) -> Option<i64> {
    let bytes = bytes(field, size, findings)?;
    if bytes == 0 {
        findings.invalid(field, "must be more than nothing, such as 64Mi");
    }
    Some(bytes)
}

fn bytes(field: &str, size: &Quantity, findings: &mut Findings) -> Option<i64> {
    let bytes = size.whole();
    if bytes.is_none() {
        findings.invalid(field, format!("{size} is more than any host has"));
    }
    bytes
}

fn ulimits(
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> BTreeMap<String, UlimitRange> {
    let mut ranges = BTreeMap::new();
    for (key, limit) in &service.ulimits {
        let field = format!("spec.services.{name}.ulimits.{key}");
        if !ULIMITS.contains(&key.as_str()) {
            let known: Vec<String> = ULIMITS.iter().map(ToString::to_string).collect();
            let hint = suggest::hint(key, "limits", &known);
            findings.invalid(&field, format!("there is no limit {key:?}; {hint}"));
        }
        let range = limit.range();
        let UlimitRange { soft, hard } = range;
        if soft < -1 || hard < -1 {
            findings.invalid(&field, "a limit is -1 (none), 0 or more");
        } else if hard != -1 && (soft == -1 || soft > hard) {
            findings.invalid(&field, format!("the soft limit {soft} is above the hard one {hard}"));
        }
        ranges.insert(key.clone(), range);
    }
    ranges
}
