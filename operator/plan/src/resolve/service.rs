//! One service: how its containers run.

use hades_api::ServiceSpec;
use hades_api::label;
use hades_api::name::{MAX_LENGTH, check_label};

use super::findings::Findings;
use super::host::Place;
use super::restart::Restarts;
use super::{
    Inputs, confinement, file, health_check, image, image_policy, limits, logging, lookup,
    variables, volume,
};
use crate::check::{Check, Rollout};
use crate::desired::{ContainerSpec, DesiredContainer};
use crate::{digest, naming};

/// Longest name of a container: it is also a name in the engine's DNS.
const LONGEST_CONTAINER_NAME: usize = 63;
/// More replicas than that are a slip of the finger.
const MOST_REPLICAS: u32 = 100;

/// A service with its host.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) name: &'a str,
    /// Without hosts when the manifest names none that is there.
    pub(super) place: Place<'a>,
    pub(super) replicas: u32,
    pub(super) service: &'a ServiceSpec,
    pub(super) spec: ContainerSpec,
    pub(super) check: Option<Check>,
    pub(super) rollout: Rollout,
}

/// How the containers of a service run.
pub(super) fn container_spec(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    restarts: &Restarts<'_>,
    findings: &mut Findings,
) -> ContainerSpec {
    // Taken apart whole, so that a new field can't be forgotten.
    let ServiceSpec {
        image: _, // with the policy: see image_policy
        image_pull_policy,
        image_policy: _,
        image_pull_secrets: _,
        host: _,
        replicas,
        command,
        entrypoint,
        user,
        working_dir,
        env: _,
        env_from: _,
        ports,
        volumes: _,
        labels: _,
        aliases: _,
        restart,
        stop_signal,
        stop_grace_period,
        init,
        placement: _,
        health_check: _, // see health_check
        depends_on: _,
        strategy: _,
        resources: _, // with the two below: see limits
        shm_size: _,
        ulimits: _,
        cap_add: _, // with the ten below: see confinement
        cap_drop: _,
        group_add: _,
        read_only: _,
        privileged: _,
        devices: _,
        host_network: _,
        host_pid: _,
        host_ipc: _,
        security_opt: _,
        sysctls: _,
        tmpfs: _, // with the one below: see file
        files: _,
        hostname: _, // with the two below: see lookup
        extra_hosts: _,
        dns: _,
        logging: _, // see logging
    } = service;
    check_name(inputs, name, replicas.unwrap_or(1), findings);
    check_labels(name, service, findings);
    check_values(name, service, findings);
    let mounts = volume::mounts(inputs, name, service, findings);
    ContainerSpec {
        image: image_policy::image(inputs, name, service),
        image_pull_policy: image_pull_policy.unwrap_or_default(),
        command: command.clone(),
        entrypoint: entrypoint.clone(),
        user: user.clone(),
        working_dir: working_dir.clone(),
        env: variables::resolve(inputs, name, service, findings),
        ports: ports.clone().unwrap_or_default(),
        limits: limits::resolve(name, service, findings),
        confinement: confinement::resolve(inputs, name, service, findings),
        lookup: lookup::resolve(inputs, name, service, findings),
        tmpfs: file::tmpfs(name, service, &mounts, findings),
        files: file::files(inputs, name, service, &mounts, findings),
        logging: logging::resolve(name, service, findings),
        health_check: health_check::resolve(name, service, findings),
        mounts,
        labels: service.labels.clone(),
        aliases: aliases(inputs, name, service, findings),
        restart: restart.unwrap_or_default(),
        stop_signal: stop_signal.clone(),
        stop_grace_seconds: stop_grace_period.as_ref().map(|period| {
            let period = period.get();
            period.as_secs() + u64::from(period.subsec_nanos() > 0)
        }),
        init: *init,
        restarted_at: restarts.of(name),
    }
}

/// What can be told of single values.
fn check_values(name: &str, service: &ServiceSpec, findings: &mut Findings) {
    let ServiceSpec { image, image_policy, replicas, working_dir, .. } = service;
    let field = |last: &str| format!("spec.services.{name}.{last}");
    match image {
        Some(reference) => {
            let by_policy = image_policy.is_some();
            image::check(&field("image"), reference, by_policy, findings);
            image_policy::check(name, service, findings);
        }
        None => findings.invalid(
            field("image"),
            "missing: name an image here or in the template, such as nginx:1.29",
        ),
    }
    if replicas.is_some_and(|replicas| replicas > MOST_REPLICAS) {
        findings.invalid(field("replicas"), format!("at most {MOST_REPLICAS}"));
    }
    if let Some(folder) = working_dir.as_deref().filter(|folder| !folder.starts_with('/')) {
        findings.invalid(field("workingDir"), format!("{folder:?} is not an absolute path"));
    }
}

fn check_name(inputs: &Inputs<'_>, name: &str, replicas: u32, findings: &mut Findings) {
    let field = format!("spec.services.{name}");
    if check_label(name).is_err() || name.len() > MAX_LENGTH {
        findings.invalid(
            field,
            format!(
                "the name of a service is lower-case letters, digits and '-', at most {MAX_LENGTH}"
            ),
        );
        return;
    }
    let longest = naming::container(&inputs.environment, name, replicas.max(1), "00000000");
    if longest.len() > LONGEST_CONTAINER_NAME {
        findings.invalid(
            field,
            format!(
                "its containers would have names of {} characters (project, environment, service, number and hash), and {LONGEST_CONTAINER_NAME} is the most: shorten the name of the service or of the environment",
                longest.len()
            ),
        );
    }
}

fn check_labels(name: &str, service: &ServiceSpec, findings: &mut Findings) {
    for key in service.labels.keys() {
        let field = format!("spec.services.{name}.labels.{key}");
        if key.starts_with(label::PREFIX) {
            findings
                .invalid(field, "labels below hades.dev/ belong to Hades: choose another prefix");
        } else if key.is_empty() {
            findings.invalid(field, "a label can't have an empty name");
        }
    }
}

/// Names on the network: the service's own first, the others sorted, none twice.
fn aliases(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Vec<String> {
    let mut aliases = Vec::new();
    for (index, alias) in service.aliases.iter().flatten().enumerate() {
        let field = format!("spec.services.{name}.aliases[{index}]");
        if alias.len() > 253 || alias.split('.').any(|part| check_label(part).is_err()) {
            findings.invalid(
                field,
                format!(
                    "{alias:?} is not a host name: write lower-case letters, digits, '-' and '.'"
                ),
            );
        } else if alias != name && inputs.spec.services.contains_key(alias) {
            findings.lint(
                field,
                format!("{alias} is also a service: requests to it reach both in turn"),
            );
        }
        if alias != name {
            aliases.push(alias.clone());
        }
    }
    aliases.sort();
    aliases.dedup();
    aliases.insert(0, name.to_owned());
    aliases
}

/// The containers of a service; none when it has no host.
pub(super) fn containers<'a>(
    inputs: &'a Inputs<'_>,
    placed: &'a Placed<'_>,
) -> impl Iterator<Item = DesiredContainer> + 'a {
    let spec_hash = digest::spec_hash(&inputs.environment, placed.name, &placed.spec);
    let hosts = placed.place.hosts.iter().zip(1..=placed.replicas);
    hosts.map(move |(host, replica)| {
        let pinned_image = inputs
            .pins
            .iter()
            .find(|pin| pin.host == *host && pin.image == placed.spec.image)
            .map(|pin| pin.id.clone());
        DesiredContainer {
            host: (*host).to_owned(),
            service: placed.name.to_owned(),
            replica,
            name: naming::container(&inputs.environment, placed.name, replica, &spec_hash),
            spec_hash: spec_hash.clone(),
            spec: placed.spec.clone(),
            pinned_image,
            pinned_digest: image::digest(inputs, placed, host),
            by_policy: placed.service.image_policy.is_some(),
            image_unresolved: image_policy::unresolved(inputs, placed),
            check: placed.check.clone(),
            rollout: placed.rollout.clone(),
            depends_on: placed.service.depends_on.clone().unwrap_or_default(),
        }
    })
}
