//! The settings of a container in words, by the names that manifests have for
//! them: what is new in a plan, and what differs.

use std::collections::BTreeMap;

use hades_api::{LogDriver, Quantity, ResourceLimits, UlimitRange};

use crate::desired::{
    CommandCheck, Confinement, ContainerFile, ContainerSpec, EngineCheck, FileContent, Limits,
    LogOutput, Lookup, TmpfsMount,
};

/// Characters of a digest that are shown.
const DIGEST_SHOWN: usize = 12;
/// Characters of a fingerprint that are shown.
const FINGERPRINT_SHOWN: usize = 8;
const NANO: i64 = 1_000_000_000;
const NANOS_IN_MILLI: i64 = 1_000_000;

/// Everything of `spec` that belongs to limits, confinement, names, files and
/// output: field by field, none for what isn't set. The structs are taken apart
/// whole, so that a new field can't be forgotten.
pub(crate) fn of(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let mut words = Words(BTreeMap::new());
    words.limits(&spec.limits);
    words.confinement(&spec.confinement);
    words.lookup(&spec.lookup);
    words.map("tmpfs", &spec.tmpfs, tmpfs);
    words.map("files", &spec.files, file);
    let LogOutput { driver, options } = &spec.logging;
    words.set("logging.driver", driver.map(LogDriver::as_str));
    words.map("logging.options", options, String::clone);
    if let Some(check) = &spec.health_check {
        words.health_check(check);
    }
    words.0
}

/// The beginning of a fingerprint, as plans show it.
pub(crate) fn fingerprint(fingerprint: &str) -> String {
    let shown: String = fingerprint.chars().take(FINGERPRINT_SHOWN).collect();
    format!("(secret) {shown}…")
}

struct Words(BTreeMap<String, String>);

impl Words {
    fn set(&mut self, field: &str, value: Option<impl ToString>) {
        self.0.extend(value.map(|value| (field.to_owned(), value.to_string())));
    }

    fn list(&mut self, field: &str, values: &[String]) {
        self.set(field, (!values.is_empty()).then(|| values.join(", ")));
    }

    fn map<V>(&mut self, field: &str, map: &BTreeMap<String, V>, shown: impl Fn(&V) -> String) {
        self.0.extend(map.iter().map(|(key, value)| (format!("{field}.{key}"), shown(value))));
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits { nano_cpus, memory_bytes, pids, shm_bytes, ulimits } = limits;
        self.set("resources.limits.cpu", nano_cpus.map(cpus));
        self.set("resources.limits.memory", memory_bytes.map(bytes));
        self.set("resources.limits.pids", *pids);
        self.set("shmSize", shm_bytes.map(bytes));
        self.map("ulimits", ulimits, |UlimitRange { soft, hard }| match soft == hard {
            true => soft.to_string(),
            false => format!("soft {soft}, hard {hard}"),
        });
    }

    fn confinement(&mut self, confinement: &Confinement) {
        let Confinement {
            cap_add,
            cap_drop,
            group_add,
            read_only,
            privileged,
            host_network,
            host_pid,
            host_ipc,
            devices,
            security_opt,
            sysctls,
        } = confinement;
        self.set("privileged", privileged.then_some(true));
        self.set("hostNetwork", host_network.then_some(true));
        self.set("hostPID", host_pid.then_some(true));
        self.set("hostIPC", host_ipc.then_some(true));
        self.list("devices", &devices.iter().map(ToString::to_string).collect::<Vec<_>>());
        self.list("securityOpt", security_opt);
        self.list("capAdd", cap_add);
        self.list("capDrop", cap_drop);
        self.list("groupAdd", group_add);
        self.set("readOnly", read_only.then_some(true));
        self.map("sysctls", sysctls, String::clone);
    }

    fn lookup(&mut self, lookup: &Lookup) {
        let Lookup { hostname, extra_hosts, dns } = lookup;
        self.set("hostname", hostname.as_ref());
        self.map("extraHosts", extra_hosts, String::clone);
        self.list("dns", dns);
    }

    fn health_check(&mut self, check: &EngineCheck) {
        let check = match check {
            EngineCheck::Disabled => {
                self.set("healthCheck", Some("not the image's own"));
                return;
            }
            EngineCheck::Command(check) => check,
        };
        let CommandCheck { command, interval_millis, timeout_millis, retries, start_period_millis } =
            check;
        self.set("healthCheck.command", Some(format!("{command:?}")));
        self.set("healthCheck.interval", Some(span(*interval_millis)));
        self.set("healthCheck.timeout", Some(span(*timeout_millis)));
        self.set("healthCheck.retries", Some(retries));
        self.set("healthCheck.startPeriod", Some(span(*start_period_millis)));
    }
}

/// Processors, memory and processes as a manifest writes them; none where nothing of
/// it is limited.
pub(crate) fn limits(limits: &Limits) -> Option<ResourceLimits> {
    let Limits { nano_cpus, memory_bytes, pids, .. } = limits;
    let written = ResourceLimits {
        cpu: nano_cpus.and_then(|nanos| Quantity::parse(&cpus(nanos)).ok()),
        memory: memory_bytes.and_then(|memory| Quantity::parse(&bytes(memory)).ok()),
        pids: *pids,
    };
    (written != ResourceLimits::default()).then_some(written)
}

/// In the notation of manifests: `500m`, `2`.
pub(crate) fn cpus(nanos: i64) -> String {
    match (nanos % NANO, nanos % NANOS_IN_MILLI) {
        (0, _) => (nanos / NANO).to_string(),
        (_, 0) => format!("{}m", nanos / NANOS_IN_MILLI),
        _ => format!("{nanos}n"),
    }
}

/// In the largest binary unit that divides it.
pub(crate) fn bytes(bytes: i64) -> String {
    let units = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.iter().find(|(size, _)| bytes != 0 && bytes % size == 0);
    unit.map_or_else(|| bytes.to_string(), |(size, name)| format!("{}{name}", bytes / size))
}

fn span(millis: u64) -> String {
    match millis % 1_000 {
        0 => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

fn tmpfs(tmpfs: &TmpfsMount) -> String {
    let TmpfsMount { size_bytes, mode } = tmpfs;
    let size = size_bytes.map(|size| format!("size {}", bytes(size)));
    let mode = mode.map(|mode| format!("mode {mode:04o}"));
    let words: Vec<String> = size.into_iter().chain(mode).collect();
    if words.is_empty() { "in memory".to_owned() } else { words.join(", ") }
}

fn file(file: &ContainerFile) -> String {
    let ContainerFile { content, mode, uid, gid } = file;
    let content = match content {
        FileContent::Plain { sha256, size, text: _ } => {
            let shown: String = sha256.chars().take(DIGEST_SHOWN).collect();
            format!("{size} bytes, sha256 {shown}…")
        }
        FileContent::Secret { fingerprint: of_value, value: _ } => fingerprint(of_value),
    };
    format!("{content}, mode {mode:04o}, owner {uid}:{gid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!([cpus(500_000_000), cpus(2 * NANO), cpus(1)], ["500m", "2", "1n"]);
        assert_eq!(
            [bytes(0), bytes(1000), bytes(1 << 30), bytes(3 << 19)],
            ["0", "1000", "1Gi", "1536Ki"]
        );
        assert_eq!([span(0), span(1_500), span(90_000)], ["0s", "1500ms", "90s"]);
    }
}
