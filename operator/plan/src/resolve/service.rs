//! One service: how its containers run.

use hades_api::ServiceSpec;
use hades_api::label;
use hades_api::name::{MAX_LENGTH, check_label};

use super::findings::Findings;
use super::host::Place;
use super::restart::Restarts;
use super::{Inputs, image, image_policy, variables, volume};
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
    /// Absent when the manifest names none that is there.
    pub(super) host: Option<Place<'a>>,
    pub(super) replicas: u32,
    pub(super) service: &'a ServiceSpec,
    pub(super) spec: ContainerSpec,
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
        image,
        image_pull_policy,
        image_policy,
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
    } = service;
    check_name(inputs, name, replicas.unwrap_or(1), findings);
    check_labels(name, service, findings);
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
    ContainerSpec {
        image: image_policy::image(inputs, name, service),
        image_pull_policy: image_pull_policy.unwrap_or_default(),
        command: command.clone(),
        entrypoint: entrypoint.clone(),
        user: user.clone(),
        working_dir: working_dir.clone(),
        env: variables::resolve(inputs, name, service, findings),
        ports: ports.clone(),
        mounts: volume::mounts(inputs, name, service, findings),
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
    for (index, alias) in service.aliases.iter().enumerate() {
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
    placed.host.into_iter().flat_map(move |place| {
        let pinned_image = inputs
            .pins
            .iter()
            .find(|pin| pin.host == place.name && pin.image == placed.spec.image)
            .map(|pin| pin.id.clone());
        let pinned_digest = image::digest(inputs, placed, place.name);
        let image_unresolved = image_policy::unresolved(inputs, placed);
        let spec_hash = spec_hash.clone();
        (1..=placed.replicas).map(move |replica| DesiredContainer {
            host: place.name.to_owned(),
            service: placed.name.to_owned(),
            replica,
            name: naming::container(&inputs.environment, placed.name, replica, &spec_hash),
            spec_hash: spec_hash.clone(),
            spec: placed.spec.clone(),
            pinned_image: pinned_image.clone(),
            pinned_digest: pinned_digest.clone(),
            by_policy: placed.service.image_policy.is_some(),
            image_unresolved: image_unresolved.clone(),
        })
    })
}
