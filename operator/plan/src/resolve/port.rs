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
            // Nobody knows yet how many hosts a selector stands for.
            let unknown = service.place.candidates == 0 && service.service.placement.is_some();
            let held = service.service.volumes.iter().flatten().find_map(|mount| mount.volume());
            let hosts = match held {
                // Volumes hold all replicas to the host that they are on.
                Some(_) => 1,
                None if unknown => usize::MAX,
                None => service.place.candidates.max(1),
            };
            if let (Some(host_port), true) = (port.host_port, service.replicas as usize > hosts) {
                let where_ = match held {
                    Some(volume) if service.place.candidates > 1 => {
                        format!(" on the one host that has volume {volume}")
                    }
                    _ if hosts > 1 => format!(" on {hosts} hosts"),
                    _ => String::new(),
                };
                let message = format!(
                    "{} replicas can't all have host port {host_port}{where_}: set replicas to {hosts}, or publish {} without a host port",
                    service.replicas, port.container_port
                );
                findings.invalid(&field, message);
            }
        }
    }
    for (index, service) in running().enumerate() {
        for other in running().take(index) {
            if let Some(host) = same_host(service, other) {
                check_pair(service, other, host, findings);
            }
        }
    }
}

fn published<'a>(placed: &Placed<'a>) -> &'a [PortMapping] {
    placed.service.ports.as_deref().unwrap_or_default()
}

fn same_host<'a>(a: &Placed<'a>, b: &Placed<'a>) -> Option<&'a str> {
    a.place.distinct().intersection(&b.place.distinct()).next().copied()
}

fn check_pair(service: &Placed<'_>, other: &Placed<'_>, host: &str, findings: &mut Findings) {
    for (index, port) in published(service).iter().enumerate() {
        let Some(taken) = published(other).iter().find(|taken| port.collides_with(taken)) else {
            continue;
        };
        findings.invalid(
            format!("spec.services.{}.ports[{index}]", service.name),
            format!(
                "service {} has {taken} on host {host} already: choose another host port than {port}",
                other.name
            ),
        );
    }
}
