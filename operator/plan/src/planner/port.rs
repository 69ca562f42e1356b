//! Names and ports of a host that another container has.

use hades_api::PortMapping;

use super::scope::{Found, Scope};
use super::slot::{self, Fates, Slot, Step};
use super::{draft, rollout};
use crate::action::ActionId;
use crate::observed::PublishedPort;
use crate::plan::WaitCause;

/// A published port as a manifest would have it.
pub(super) fn mapping(port: &PublishedPort) -> PortMapping {
    PortMapping {
        host_ip: port.host_ip,
        host_port: Some(port.host_port),
        container_port: port.container_port,
        protocol: port.protocol,
    }
}

/// Whether a container has `port` of its host now.
pub(super) fn holds(found: &Found<'_>, port: &PortMapping) -> bool {
    found.container.state.is_live()
        && found.container.ports.iter().any(|held| port.collides_with(&mapping(held)))
}

/// Lets every slot wait whose name or port somebody has that stays. As one that waits
/// leaves its old container in place, with the ports that it has, this goes on
/// until nothing changes any more.
pub(super) fn settle<'a>(scope: &Scope<'a>, fates: &Fates<'a>, slots: &mut [Slot<'a>]) {
    loop {
        let blocked: Vec<(usize, WaitCause)> = slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.step.takes_ports())
            .filter_map(|(index, slot)| Some((index, blocker(scope, fates, slots, slot)?)))
            .collect();
        if blocked.is_empty() {
            return;
        }
        for (index, cause) in blocked {
            if let Some(slot) = slots.get_mut(index) {
                slot.step = Step::Wait(cause);
            }
        }
        rollout::hold_together(slots);
    }
}

fn blocker(
    scope: &Scope<'_>,
    fates: &Fates<'_>,
    slots: &[Slot<'_>],
    slot: &Slot<'_>,
) -> Option<WaitCause> {
    if namesake(scope, slot).is_some_and(|found| !fates.goes(slots, found)) {
        return Some(slot::name_taken(slot.desired));
    }
    holders(scope, slot).find(|(found, _)| !fates.goes(slots, found)).map(|(found, port)| {
        WaitCause::PortTaken { port: port.clone(), holder: found.container.name.clone() }
    })
}

/// The removals that free the name and the ports of a slot that needn't wait.
pub(super) fn freed_by(scope: &Scope<'_>, slot: &Slot<'_>) -> Vec<ActionId> {
    holders(scope, slot)
        .map(|(found, _)| found)
        .chain(namesake(scope, slot))
        .map(|found| draft::remove_container_id(found.host, &found.container.name))
        .collect()
}

/// Another container under the name of the one that a slot is to make.
fn namesake<'s, 'a: 's>(scope: &'s Scope<'a>, slot: &Slot<'a>) -> Option<&'s Found<'a>> {
    match slot.step {
        Step::Create(_) => {
            scope.hosts.get(slot.desired.host.as_str())?.container(&slot.desired.name)
        }
        _ => None,
    }
}

/// Others that hold a port which the slot's container wants.
fn holders<'s, 'a: 's>(
    scope: &'s Scope<'a>,
    slot: &'s Slot<'a>,
) -> impl Iterator<Item = (&'s Found<'a>, &'s PortMapping)> {
    let host = scope.hosts.get(slot.desired.host.as_str());
    let others = host
        .into_iter()
        .flat_map(|host| &host.containers)
        .filter(|found| slot.current.is_none_or(|current| current.key() != found.key()));
    others.flat_map(|found| {
        let ports = slot.desired.spec.ports.iter().filter(|port| port.host_port.is_some());
        ports.filter(move |port| holds(found, port)).map(move |port| (found, port))
    })
}
