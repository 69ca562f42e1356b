//! What containers may do. What of it their project allows, its policy says: here
//! only what makes no sense is refused.

use std::collections::BTreeMap;

use hades_api::{DeviceMapping, IntOrString, ServiceSpec};

use super::findings::Findings;
use super::{Inputs, suggest};
use crate::desired::Confinement;
use crate::{capability, policy};

/// Settings of the IPC namespace; those of the network begin with `net.`, those
/// of message queues with `fs.mqueue.`.
const KERNEL_SETTINGS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// What the containers of a service may do.
pub(super) fn resolve(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Confinement {
    check_host_network(inputs, name, service, findings);
    Confinement {
        cap_add: capabilities(name, "capAdd", service.cap_add.as_deref(), findings),
        cap_drop: capabilities(name, "capDrop", service.cap_drop.as_deref(), findings),
        group_add: groups(name, service, findings),
        read_only: service.read_only.unwrap_or(false),
        privileged: service.privileged.unwrap_or(false),
        host_network: service.host_network.unwrap_or(false),
        host_pid: service.host_pid.unwrap_or(false),
        host_ipc: service.host_ipc.unwrap_or(false),
        devices: devices(name, service, findings),
        security_opt: security_opt(name, service, findings),
        sysctls: sysctls(name, service, findings),
    }
}

/// A container on the network of its host has nothing on that of its environment.
fn check_host_network(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) {
    let field = |last: &str| format!("spec.services.{name}.{last}");
    if service.host_ipc == Some(true) && service.shm_size.is_some() {
        let message = "with hostIPC, /dev/shm is the host's, which has its size: leave it out";
        findings.invalid(field("shmSize"), message);
    }
    if service.host_network != Some(true) {
        return;
    }
    if service.ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
        let message =
            "with hostNetwork, every port that a process opens is one of the host: leave ports out";
        findings.invalid(field("ports"), message);
    }
    if service.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty()) {
        let message = "with hostNetwork, a container is not on the network that knows these names: leave them out";
        findings.invalid(field("aliases"), message);
    }
    if inputs.spec.services.len() > 1 {
        findings.lint(
            field("hostNetwork"),
            format!("{name} is not on the network of the environment: neither do the other services reach it by name, nor it them"),
        );
    }
}

fn devices(name: &str, service: &ServiceSpec, findings: &mut Findings) -> Vec<DeviceMapping> {
    let devices = service.devices.clone().unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        let mut earlier = devices.iter().take(index);
        if earlier.any(|other| other.container_path() == device.container_path()) {
            findings.invalid(
                format!("spec.services.{name}.devices[{index}]"),
                format!("there is a device at {} already", device.container_path()),
            );
        }
    }
    devices
}

/// Sorted, in the form in which the policy was asked about them.
fn security_opt(name: &str, service: &ServiceSpec, findings: &mut Findings) -> Vec<String> {
    let mut options = Vec::new();
    for (index, written) in service.security_opt.iter().flatten().enumerate() {
        let option = policy::normal_security_opt(written);
        let fits = match option.split_once('=') {
            Some(("no-new-privileges", value)) => matches!(value, "true" | "false"),
            // A profile of one's own would have to be a file of the host.
            Some(("seccomp", value)) => matches!(value, "unconfined" | "builtin"),
            Some(("apparmor" | "label", value)) => !value.is_empty(),
            _ => false,
        };
        if !fits {
            findings.invalid(
                format!("spec.services.{name}.securityOpt[{index}]"),
                format!("{written:?} is no option: write no-new-privileges, seccomp=unconfined, apparmor=PROFILE or label=…"),
            );
        }
        options.push(option);
    }
    options.sort();
    options.dedup();
    options
}

fn capabilities(
    name: &str,
    list: &str,
    given: Option<&[String]>,
    findings: &mut Findings,
) -> Vec<String> {
    let mut capabilities = Vec::new();
    for (index, text) in given.unwrap_or_default().iter().enumerate() {
        let field = format!("spec.services.{name}.{list}[{index}]");
        let capability = capability::short(text);
        if !capability::is_known(capability) {
            let known = capability::names();
            let hint = suggest::hint(capability, "capabilities", &known);
            findings.invalid(field, format!("there is no capability {text:?}; {hint}"));
        }
        capabilities.push(capability.to_owned());
    }
    capabilities.sort();
    capabilities.dedup();
    capabilities
}

fn groups(name: &str, service: &ServiceSpec, findings: &mut Findings) -> Vec<String> {
    let mut groups = Vec::new();
    for (index, group) in service.group_add.iter().flatten().enumerate() {
        let is_group = match group {
            IntOrString::Int(number) => u32::try_from(*number).is_ok(),
            IntOrString::String(text) => !text.is_empty() && !text.contains([':', '\0', ' ']),
        };
        if !is_group {
            findings.invalid(
                format!("spec.services.{name}.groupAdd[{index}]"),
                format!(
                    "{:?} is no group: write its number or its name in the image",
                    group.to_string()
                ),
            );
        }
        groups.push(group.to_string());
    }
    groups.sort();
    groups.dedup();
    groups
}

fn sysctls(name: &str, service: &ServiceSpec, findings: &mut Findings) -> BTreeMap<String, String> {
    for key in service.sysctls.keys() {
        let own = key.starts_with("net.")
            || key.starts_with("fs.mqueue.")
            || KERNEL_SETTINGS.contains(&key.as_str());
        if !own {
            findings.invalid(
                format!("spec.services.{name}.sysctls.{key}"),
                format!("{key} is a setting of the whole host and not of a container: set it on the host (sysctl -w), or leave it out; containers have net.*, fs.mqueue.* and kernel.shm*, kernel.msg*, kernel.sem"),
            );
        } else if service.host_network == Some(true) && key.starts_with("net.") {
            findings.invalid(
                format!("spec.services.{name}.sysctls.{key}"),
                format!("with hostNetwork, {key} would be set for the whole host: set it there (sysctl -w), or leave it out"),
            );
        } else if service.host_ipc == Some(true) && !key.starts_with("net.") {
            findings.invalid(
                format!("spec.services.{name}.sysctls.{key}"),
                format!("with hostIPC, {key} would be set for the whole host: set it there (sysctl -w), or leave it out"),
            );
        }
    }
    service.sysctls.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
}
