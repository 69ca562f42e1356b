//! What of a spec the engine's `HostConfig` and `Healthcheck` take.

use std::collections::HashMap;

use bollard::models::{
    DeviceMapping, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits,
};
use hades_api::{LogDriver, UlimitRange};
use hades_plan::{
    CommandCheck, Confinement, ContainerSpec, EngineCheck, Limits, LogOutput, Lookup, TmpfsMount,
};

/// The engine's word for the namespaces of the host.
pub const HOST: &str = "host";

const NANOS_IN_MILLI: u64 = 1_000_000;

/// Adds limits, confinement, names, folders in memory and output. The structs
/// are taken apart whole, so that a new field can't be forgotten.
pub fn fill(host: &mut HostConfig, spec: &ContainerSpec) {
    let Limits { nano_cpus, memory_bytes, pids, shm_bytes, ulimits } = &spec.limits;
    host.nano_cpus = *nano_cpus;
    host.memory = *memory_bytes;
    // Memory and swap together: the same number means no swap.
    host.memory_swap = *memory_bytes;
    host.pids_limit = pids.map(i64::from);
    host.shm_size = *shm_bytes;
    let ulimit = |(name, range): (&String, &UlimitRange)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(range.soft),
        hard: Some(range.hard),
    };
    host.ulimits = filled(ulimits.iter().map(ulimit).collect());

    let Confinement {
        cap_add,
        cap_drop,
        group_add,
        read_only,
        privileged,
        host_network: _, // with the networks: see config
        host_pid,
        host_ipc,
        devices,
        security_opt,
        sysctls,
    } = &spec.confinement;
    host.privileged = privileged.then_some(true);
    host.pid_mode = host_pid.then(|| HOST.to_owned());
    host.ipc_mode = host_ipc.then(|| HOST.to_owned());
    host.devices = filled(devices.iter().map(device).collect());
    host.security_opt = filled(security_opt.clone());
    host.cap_add = filled(cap_add.clone());
    host.cap_drop = filled(cap_drop.clone());
    host.group_add = filled(group_add.clone());
    host.readonly_rootfs = read_only.then_some(true);
    host.sysctls = filled_map(sysctls.clone().into_iter().collect());

    let Lookup { hostname: _, extra_hosts, dns } = &spec.lookup; // the name is not the host's matter
    let line = |(name, address): (&String, &String)| format!("{name}:{address}");
    host.extra_hosts = filled(extra_hosts.iter().map(line).collect());
    host.dns = filled(dns.clone());

    let folder = |(path, tmpfs): (&String, &TmpfsMount)| (path.clone(), tmpfs_options(tmpfs));
    host.tmpfs = filled_map(spec.tmpfs.iter().map(folder).collect());
    host.log_config = log_config(&spec.logging);
}

fn device(device: &hades_api::DeviceMapping) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.host_path.clone()),
        path_in_container: Some(device.container_path().to_owned()),
        cgroup_permissions: Some(device.permissions().to_owned()),
    }
}

/// As `mount -o` writes them; the engine adds `noexec,nosuid,nodev`.
fn tmpfs_options(tmpfs: &TmpfsMount) -> String {
    let TmpfsMount { size_bytes, mode } = tmpfs;
    let size = size_bytes.map(|size| format!("size={size}"));
    let mode = mode.map(|mode| format!("mode={mode:o}"));
    size.into_iter().chain(mode).collect::<Vec<_>>().join(",")
}

/// Without a driver the engine's own takes the options.
fn log_config(output: &LogOutput) -> Option<HostConfigLogConfig> {
    let LogOutput { driver, options } = output;
    (!output.is_empty()).then(|| HostConfigLogConfig {
        typ: Some(driver.map_or("", LogDriver::as_str).to_owned()),
        config: Some(options.clone().into_iter().collect()),
    })
}

/// The check in place of the image's own.
pub fn health_check(check: &EngineCheck) -> HealthConfig {
    let check = match check {
        EngineCheck::Disabled => {
            return HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() };
        }
        EngineCheck::Command(check) => check,
    };
    let CommandCheck { command, interval_millis, timeout_millis, retries, start_period_millis } =
        check;
    let nanos = |millis: u64| i64::try_from(millis.saturating_mul(NANOS_IN_MILLI)).ok();
    HealthConfig {
        test: Some(std::iter::once("CMD".to_owned()).chain(command.iter().cloned()).collect()),
        interval: nanos(*interval_millis),
        timeout: nanos(*timeout_millis),
        retries: Some(i64::from(*retries)),
        start_period: nanos(*start_period_millis),
        start_interval: None,
    }
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn filled_map(map: HashMap<String, String>) -> Option<HashMap<String, String>> {
    Some(map).filter(|map| !map.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_nothing_asked() {
        let mut host = HostConfig::default();
        fill(&mut host, &ContainerSpec::default());
        assert_eq!(host, HostConfig::default());
    }

    #[test]
    fn options_of_folders_in_memory() {
        let tmpfs = TmpfsMount { size_bytes: Some(65_536), mode: Some(0o1770) };
        assert_eq!(tmpfs_options(&tmpfs), "size=65536,mode=1770");
        assert_eq!(tmpfs_options(&TmpfsMount::default()), "");
    }

    #[test]
    fn options_without_a_driver_go_to_the_engines_own() {
        let options = [("max-size".to_owned(), "10m".to_owned())].into();
        let config = log_config(&LogOutput { driver: None, options }).unwrap();
        assert_eq!(config.typ.as_deref(), Some(""));
        assert_eq!(config.config.unwrap()["max-size"], "10m");
    }
}
