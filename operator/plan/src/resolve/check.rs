//! Health checks that Hades makes. What is wrong with the field as such, and what
//! of it is the engine's, [`super::health_check`] finds out.

use std::time::Duration;

use hades_api::{HealthCheck, HttpCheck, ServiceSpec, TcpCheck};

use super::findings::Findings;
use super::health_check::{DEFAULT_INTERVAL, DEFAULT_RETRIES, DEFAULT_TIMEOUT};
use crate::check::{Check, Probe};

/// More often would be a load rather than a check.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The check of a service that Hades makes, if it has such a one.
pub(super) fn by_hades(
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Option<Check> {
    let check = service.health_check.as_ref()?;
    // Taken apart whole, so that a new field can't be forgotten.
    let HealthCheck { http, tcp, command: _, none: _, interval, timeout, retries, start_period } =
        check;
    let field = |last: &str| format!("spec.services.{name}.healthCheck.{last}");
    let probe = match (http, tcp) {
        (Some(HttpCheck { path, port, scheme, headers }), _) => {
            for (header, value) in headers {
                if !is_header(header, value) {
                    let message = "letters, digits, '-' and '_', and a value in one line";
                    findings.invalid(field(&format!("http.headers.{header}")), message);
                }
            }
            Probe::Http {
                path: path.clone().unwrap_or_else(|| "/".to_owned()),
                port: (*port)?,
                scheme: scheme.unwrap_or_default(),
                headers: headers.clone(),
            }
        }
        (None, Some(TcpCheck { port })) => Probe::Tcp { port: (*port)? },
        (None, None) => return None,
    };
    let or = |given: &Option<hades_api::Duration>, default| {
        given.as_ref().map_or(default, hades_api::Duration::get)
    };
    let interval = or(interval, DEFAULT_INTERVAL);
    if interval < SHORTEST_INTERVAL {
        findings.invalid(field("interval"), "must be at least 100ms for checks over the network");
    }
    Some(Check {
        probe,
        interval,
        timeout: or(timeout, DEFAULT_TIMEOUT),
        retries: retries.unwrap_or(DEFAULT_RETRIES).max(1),
        start_period: or(start_period, Duration::ZERO),
    })
}

fn is_header(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && name.bytes().all(token) && !value.bytes().any(|b| b.is_ascii_control())
}
