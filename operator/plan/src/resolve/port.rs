//! Ports of the host that two containers can't both have.

use hades_api::PortMapping;

use super::findings::Findings;
use super::service::Placed;

/// Finds collisions within a service, between its replicas, and between the
/// services of a host.
pub(super) fn check(placed: &[Placed<'_>], findings: &mut Findings) {
    let running = || placed.iter().filter(|placed| placed.replicas > 0);
    for service in running() {
        let ports = published(service);
        for (index, port) in ports.iter().enumerate() {
            let field = format!("spec.services.{}.ports[{index}]", service.name);
            let earlier = &ports[..index];
            if let Some(other) = earlier.iter().find(|other| port.collides_with(other)) {
                findings.invalid(&field, format!("{port} takes the same host port as {other}"));
            }
            if let (Some(host_port), true) = (port.host_port, service.replicas > 1) {
                let message = format!(
                    "{} replicas can't all have host port {host_port}: set replicas to 1, or publish {} without a host port",
                    service.replicas, port.container_port
                );
                findings.invalid(&field, message);
            }
        }
    }
    for (index, service) in running().enumerate() {
        for other in running().take(index) {
            if same_host(service, other) {
                check_pair(service, other, findings);
            }
        }
    }
}

fn published<'a>(placed: &Placed<'a>) -> &'a [PortMapping] {
    placed.service.ports.as_deref().unwrap_or_default()
}

fn same_host(a: &Placed<'_>, b: &Placed<'_>) -> bool {
    matches!((a.host, b.host), (Some(a), Some(b)) if a.name == b.name)
}

fn check_pair(service: &Placed<'_>, other: &Placed<'_>, findings: &mut Findings) {
    for (index, port) in published(service).iter().enumerate() {
        let Some(taken) = published(other).iter().find(|taken| port.collides_with(taken)) else {
            continue;
        };
        let host = service.host.map(|place| place.name).unwrap_or_default();
        findings.invalid(
            format!("spec.services.{}.ports[{index}]", service.name),
            format!(
                "service {} has {taken} on host {host} already: choose another host port than {port}",
                other.name
            ),
        );
    }
}
