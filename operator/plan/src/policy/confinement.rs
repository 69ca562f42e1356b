//! What gives a container its host, or a part of it.

use std::collections::BTreeSet;

use hades_api::{ProjectPolicy, ServiceSpec};

use super::Violations;
use super::path::{self, Engine};
use crate::capability;

/// Whether a service may have what it asks for beyond a container of its own.
/// `sockets` are those of the engines.
pub(super) fn check(
    sockets: &BTreeSet<String>,
    name: &str,
    service: &ServiceSpec,
    policy: &ProjectPolicy,
    violations: &mut Violations<'_>,
) {
    let field = |last: &str| format!("spec.services.{name}.{last}");
    for (wanted, allowed, last, what) in [
        (service.privileged, policy.privileged, "privileged", "privileged containers"),
        (
            service.host_network,
            policy.host_network,
            "hostNetwork",
            "containers on the network of their host",
        ),
        (service.host_pid, policy.host_pid, "hostPID", "containers among the host's processes"),
        (service.host_ipc, policy.host_ipc, "hostIPC", "containers that share the host's memory"),
    ] {
        if wanted == Some(true) && allowed != Some(true) {
            violations.denied(field(last), last, what);
        }
    }
    for (index, text) in service.cap_add.iter().flatten().enumerate() {
        let wanted = capability::short(text);
        let allows = |given: &String| [wanted, capability::ALL].contains(&capability::short(given));
        if !capability::is_default(wanted) && !policy.capabilities.iter().any(allows) {
            let what = format!("capability {wanted}");
            violations.denied(field(&format!("capAdd[{index}]")), "capabilities", what);
        }
    }
    for (index, device) in service.devices.iter().flatten().enumerate() {
        if !path::is_allowed(&policy.devices, &path::normal(&device.host_path), false) {
            let what = format!("device {}", device.host_path);
            violations.denied(field(&format!("devices[{index}]")), "devices", what);
        }
    }
    for (index, option) in service.security_opt.iter().flatten().enumerate() {
        let wanted = normal_security_opt(option);
        let allows = |given: &String| normal_security_opt(given) == wanted;
        if wanted != "no-new-privileges=true" && !policy.security_opt.iter().any(allows) {
            violations.denied(field(&format!("securityOpt[{index}]")), "securityOpt", &wanted);
        }
    }
    check_mounts(sockets, name, service, policy, violations);
}

/// In one form: engines take `key:value` and `key=value`.
pub fn normal_security_opt(option: &str) -> String {
    match option.split_once(['=', ':']) {
        Some((key, value)) => format!("{key}={value}"),
        None if option == "no-new-privileges" => "no-new-privileges=true".to_owned(),
        None => option.to_owned(),
    }
}

fn check_mounts(
    sockets: &BTreeSet<String>,
    name: &str,
    service: &ServiceSpec,
    policy: &ProjectPolicy,
    violations: &mut Violations<'_>,
) {
    let mounts = service.volumes.iter().flatten().enumerate();
    for (index, mount) in mounts {
        let Some(written) = mount.host_path() else { continue };
        let field = format!("spec.services.{name}.volumes[{index}]");
        let path = path::normal(written);
        let engine = path::engine(&path, sockets);
        let leads = match engine {
            Engine::Socket => Some(format!("the engine's socket {path} in a container")),
            Engine::Leads => {
                Some(format!("{path} of the host in a container: it leads to the engine"))
            }
            Engine::Elsewhere => path::writable_above(&policy.host_mounts, &path).map(|folder| {
                format!(
                    "{path} of the host in a container: {folder} may be written, and a link that \
                     lies there leads anywhere, to the engine too"
                )
            }),
        };
        if let Some(what) = leads.filter(|_| policy.docker_socket != Some(true)) {
            violations.denied(&field, "dockerSocket", what);
        }
        let covered = engine == Engine::Socket
            || path::is_allowed(&policy.host_mounts, &path, mount.read_only);
        if !covered {
            let writable = path::is_allowed(&policy.host_mounts, &path, true);
            let what = match writable {
                true => format!("{path} of the host in a container but read-only (add :ro)"),
                false => format!("{path} of the host in a container"),
            };
            violations.denied(field, "hostMounts", what);
        }
    }
}
