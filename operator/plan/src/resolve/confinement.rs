//! What containers may do: never so much that they have their host.

use std::collections::BTreeMap;

use hades_api::{IntOrString, ServiceSpec};

use super::findings::Findings;
use super::suggest;
use crate::desired::Confinement;

/// Capabilities that stay within the container's own namespaces: Docker's own
/// set, and those that give no way out.
const ALLOWED: [&str; 22] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_RESOURCE",
];
/// Capabilities with which a process gets at the host or its kernel.
const REFUSED: [&str; 19] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_PACCT",
    "SYS_RAWIO",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
/// Every capability there is.
const ALL: &str = "ALL";

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
pub(super) fn resolve(name: &str, service: &ServiceSpec, findings: &mut Findings) -> Confinement {
    Confinement {
        cap_add: capabilities(name, "capAdd", service.cap_add.as_deref(), findings),
        cap_drop: capabilities(name, "capDrop", service.cap_drop.as_deref(), findings),
        group_add: groups(name, service, findings),
        read_only: service.read_only.unwrap_or(false),
        sysctls: sysctls(name, service, findings),
    }
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
        let capability = text.strip_prefix("CAP_").unwrap_or(text);
        if list == "capAdd" && (capability == ALL || REFUSED.contains(&capability)) {
            findings.invalid(
                field,
                format!("{text} would give a container its host: leave it out, or name a smaller one ({})", suggest::list(&ALLOWED)),
            );
        } else if capability != ALL
            && !ALLOWED.contains(&capability)
            && !REFUSED.contains(&capability)
        {
            let known: Vec<String> =
                ALLOWED.iter().chain(&REFUSED).map(ToString::to_string).collect();
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
        }
    }
    service.sysctls.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
}
