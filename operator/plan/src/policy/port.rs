//! Ports of hosts.

use hades_api::{PortRange, ProjectPolicy, ServiceSpec};

use super::Violations;

/// Whether a service publishes only ports that the policy names.
pub(super) fn check(
    name: &str,
    service: &ServiceSpec,
    policy: &ProjectPolicy,
    violations: &mut Violations<'_>,
) {
    let Some(ranges) = &policy.host_ports else { return };
    let shown = || match ranges.as_slice() {
        [] => "none".to_owned(),
        ranges => ranges.iter().map(PortRange::to_string).collect::<Vec<_>>().join(", "),
    };
    for (index, port) in service.ports.iter().flatten().enumerate() {
        let what = match port.host_port {
            Some(host_port) if ranges.iter().any(|range| range.contains(host_port)) => continue,
            Some(host_port) => format!("port {host_port} of the host; allowed are: {}", shown()),
            None => format!(
                "{port}: nobody knows which port of the host the engine picks; allowed are: {}",
                shown()
            ),
        };
        violations.denied(format!("spec.services.{name}.ports[{index}]"), "hostPorts", what);
    }
}
