//! Things as they were found, for status.

use hades_api::{Drift, Health};

use super::draft::Draft;
use super::scope::Found;
use crate::action::Target;
use crate::desired::DesiredContainer;
use crate::observed::{ContainerHealth, ContainerState, ObservedContainer};
use crate::plan::{ResourceState, WaitCause};
use crate::{render, setting};

/// A thing about which nothing more is known.
fn state(target: Target, state: &str, health: Health, drift: Drift) -> ResourceState {
    ResourceState {
        target,
        state: state.to_owned(),
        health,
        drift,
        message: None,
        image: None,
        image_id: None,
        ports: Vec::new(),
        id: None,
        created_at: None,
        failure: None,
        limits: None,
    }
}

/// A network or volume that is there as described.
pub(super) fn present(target: Target) -> ResourceState {
    state(target, "present", Health::Healthy, Drift::InSync)
}

/// A thing that should be there.
pub(super) fn absent(target: Target, cause: Option<&WaitCause>) -> ResourceState {
    let mut state = state(target, "absent", Health::Missing, Drift::OutOfSync);
    state.message = cause.map(render::cause);
    state
}

/// A thing on a host that doesn't answer: it is waited for.
pub(super) fn unreachable(target: Target, message: &str, draft: &mut Draft) {
    let cause = WaitCause::HostUnreachable { message: message.to_owned() };
    let mut state = state(target.clone(), "unknown", Health::Unknown, Drift::Unknown);
    state.message = Some(render::cause(&cause));
    draft.resources.push(state);
    draft.wait(target, cause);
}

/// A container that isn't there, with what it will be.
pub(super) fn absent_container(target: Target, desired: &DesiredContainer) -> ResourceState {
    let mut state = state(target, "absent", Health::Missing, Drift::OutOfSync);
    state.image = Some(desired.spec.image.clone());
    state.limits = setting::limits(&desired.spec.limits);
    state
}

/// A container as it was found.
pub(super) fn container(found: &Found<'_>, drift: Drift) -> ResourceState {
    let container = found.container;
    let health = match container.state {
        ContainerState::Running => match container.health {
            ContainerHealth::None | ContainerHealth::Healthy => Health::Healthy,
            ContainerHealth::Starting => Health::Progressing,
            ContainerHealth::Unhealthy => Health::Degraded,
        },
        ContainerState::Created | ContainerState::Removing => Health::Progressing,
        ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Exited
        | ContainerState::Dead => Health::Degraded,
    };
    let mut state = state(found.target(), container.state.as_str(), health, drift);
    // As the manifest has it: the engine may only tell an id or a digest.
    let spec = found.spec();
    state.limits = spec.as_ref().and_then(|spec| setting::limits(&spec.limits));
    let image = spec.map(|spec| spec.image).filter(|image| !image.is_empty());
    state.image = Some(image.unwrap_or_else(|| container.image.clone()));
    state.image_id = Some(container.image_id.clone()).filter(|id| !id.is_empty());
    state.ports = ports(container);
    state.id = Some(container.id.clone());
    state.created_at = container.created_at;
    state
}

/// Published ports, `host:container`. Engines list a port once for each address
/// family; that it is open on all addresses goes without saying.
fn ports(container: &ObservedContainer) -> Vec<String> {
    let mut ports: Vec<String> = container
        .ports
        .iter()
        .map(|port| {
            let mut mapping = super::port::mapping(port);
            mapping.host_ip = mapping.host_ip.filter(|ip| !ip.is_unspecified());
            mapping.to_string()
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports
}
