//! Names that containers know besides those of their network.

use std::net::IpAddr;

use hades_api::ServiceSpec;

use super::Inputs;
use super::findings::Findings;
use crate::desired::Lookup;

/// Docker's word for the host as containers see it.
const HOST_GATEWAY: &str = "host-gateway";
/// Longest host name that Linux takes.
const LONGEST_HOST_NAME: usize = 63;

/// Names that the containers of a service know.
pub(super) fn resolve(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Lookup {
    if let Some(hostname) = &service.hostname
        && (!is_host_name(hostname) || hostname.len() > LONGEST_HOST_NAME)
    {
        findings.invalid(
            format!("spec.services.{name}.hostname"),
            format!("{hostname:?} is not a host name: write letters, digits, '-' and '.', at most {LONGEST_HOST_NAME}"),
        );
    }
    for (host, address) in &service.extra_hosts {
        let field = format!("spec.services.{name}.extraHosts.{host}");
        if !is_host_name(host) {
            findings.invalid(&field, format!("{host:?} is not a host name"));
        } else if inputs.spec.services.contains_key(host) {
            findings.lint(
                &field,
                format!("{host} is also a service, which can't be reached by that name then"),
            );
        }
        if address != HOST_GATEWAY && address.parse::<IpAddr>().is_err() {
            findings.invalid(
                field,
                format!(
                    "{address:?} is not an IP address: write one, or {HOST_GATEWAY} for the host"
                ),
            );
        }
    }
    for (index, server) in service.dns.iter().flatten().enumerate() {
        if server.parse::<IpAddr>().is_err() {
            findings.invalid(
                format!("spec.services.{name}.dns[{index}]"),
                format!(
                    "{server:?} is not an IP address, and only by one can a name server be reached"
                ),
            );
        }
    }
    Lookup {
        hostname: service.hostname.clone(),
        extra_hosts: service.extra_hosts.clone(),
        dns: service.dns.clone().unwrap_or_default(),
    }
}

/// Underscores are common in names of containers, though no DNS name has them.
fn is_host_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(is_part)
}
