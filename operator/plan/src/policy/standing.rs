//! Containers that are there: made under rules that may have changed since.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{DockerHostSpec, MountForm, MountSource, ProjectPolicy, ServiceSpec, VolumeMount};

use super::{Violations, allows_host, confinement, image, path, port};
use crate::desired::{Confinement, ContainerSpec};

/// The rules by which a container that is there is started again.
#[derive(Debug, Clone)]
pub struct Standing {
    policy: ProjectPolicy,
    sockets: BTreeSet<String>,
}

impl Standing {
    /// Those of a policy; `hosts` are all DockerHosts.
    pub fn new(policy: &ProjectPolicy, hosts: &BTreeMap<String, DockerHostSpec>) -> Self {
        Self { policy: policy.clone(), sockets: path::sockets(hosts) }
    }

    /// Whether the policy, as it is now, allows a container of `spec` on `host`.
    pub fn allows(&self, host: &str, spec: &ContainerSpec) -> bool {
        let service = as_service(spec);
        let mut violations = Violations { project: "", found: Vec::new() };
        confinement::check(&self.sockets, "", &service, &self.policy, &mut violations);
        image::check("", &service, &self.policy, &mut violations);
        port::check("", &service, &self.policy, &mut violations);
        violations.found.is_empty() && allows_host(&self.policy, host)
    }
}

/// What a policy is asked about, as a manifest would ask for it.
fn as_service(spec: &ContainerSpec) -> ServiceSpec {
    // Taken apart whole, so that a new field can't be forgotten.
    let Confinement {
        cap_add,
        cap_drop: _,
        group_add: _,
        read_only: _,
        privileged,
        host_network,
        host_pid,
        host_ipc,
        devices,
        security_opt,
        sysctls: _,
    } = spec.confinement.clone();
    let binds = spec.mounts.iter().filter(|mount| mount.bind).map(|mount| VolumeMount {
        source: MountSource::HostPath(mount.source.clone()),
        path: mount.path.clone(),
        read_only: mount.read_only,
        form: MountForm::Short,
    });
    ServiceSpec {
        image: Some(spec.image.clone()),
        ports: Some(spec.ports.clone()),
        volumes: Some(binds.collect()),
        cap_add: Some(cap_add),
        privileged: Some(privileged),
        host_network: Some(host_network),
        host_pid: Some(host_pid),
        host_ipc: Some(host_ipc),
        devices: Some(devices),
        security_opt: Some(security_opt),
        ..ServiceSpec::default()
    }
}
