//! Health checks: those that Hades makes, and those that the engine makes.

use std::time::Duration;

use hades_api::{HealthCheck, HttpCheck, ServiceSpec, TcpCheck};

use super::findings::Findings;
use crate::check::{Check, EngineCheck, Probe};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;
/// More often would be a load rather than a check.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

struct Times {
    interval: Duration,
    timeout: Duration,
    retries: u32,
    start_period: Duration,
}

fn times(check: &HealthCheck) -> Times {
    let or = |given: &Option<hades_api::Duration>, default| {
        given.as_ref().map_or(default, hades_api::Duration::get)
    };
    Times {
        interval: or(&check.interval, DEFAULT_INTERVAL),
        timeout: or(&check.timeout, DEFAULT_TIMEOUT),
        retries: check.retries.unwrap_or(DEFAULT_RETRIES).max(1),
        start_period: or(&check.start_period, Duration::ZERO),
    }
}

/// The check of a service that Hades makes, if it has such a one.
pub(super) fn by_hades(
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Option<Check> {
    let check = service.health_check.as_ref()?;
    let field = |last: &str| format!("spec.services.{name}.healthCheck{last}");
    let HealthCheck {
        http,
        tcp,
        command,
        none,
        interval: _,
        timeout: _,
        retries: _,
        start_period: _,
    } = check;
    let kinds = [http.is_some(), tcp.is_some(), command.is_some(), none.is_some()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        findings.invalid(
            field(""),
            "a health check is one of http, tcp, command and none: write exactly one of them",
        );
        return None;
    }
    if command.as_ref().is_some_and(Vec::is_empty) {
        findings.invalid(field(".command"), "an empty command checks nothing: name a program");
    }
    let Times { interval, timeout, retries, start_period } = times(check);
    if interval < SHORTEST_INTERVAL {
        findings.invalid(field(".interval"), "at least 100ms");
    }
    if timeout.is_zero() {
        findings.invalid(field(".timeout"), "a check that may take no time always fails");
    }
    let no_port = "missing: the port of the container, such as 8080";
    let probe = match (http, tcp) {
        (Some(HttpCheck { path, port, scheme, headers }), _) => {
            let Some(port) = port else {
                findings.invalid(field(".http.port"), no_port);
                return None;
            };
            for (header, value) in headers {
                if header.is_empty()
                    || !header.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                    || value.bytes().any(|b| b.is_ascii_control())
                {
                    findings.invalid(field(&format!(".http.headers.{header}")), "no HTTP header");
                }
            }
            Probe::Http {
                path: path.clone().unwrap_or_else(|| "/".to_owned()),
                port: *port,
                scheme: scheme.unwrap_or_default(),
                headers: headers.clone(),
            }
        }
        (None, Some(TcpCheck { port })) => {
            let Some(port) = port else {
                findings.invalid(field(".tcp.port"), no_port);
                return None;
            };
            Probe::Tcp { port: *port }
        }
        (None, None) => return None,
    };
    Some(Check { probe, interval, timeout, retries, start_period })
}

/// The check that the engine makes, if it isn't the image's own.
pub(super) fn by_engine(check: &HealthCheck) -> Option<EngineCheck> {
    let switched_off = check.none == Some(true);
    if check.command.is_none() && !switched_off {
        return None;
    }
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if switched_off {
        // Times mean nothing then, and a change of them must not replace anything.
        let nothing =
            EngineCheck { command: None, interval: 0, timeout: 0, retries: 0, start_period: 0 };
        return Some(nothing);
    }
    let Times { interval, timeout, retries, start_period } = times(check);
    Some(EngineCheck {
        command: check.command.clone(),
        interval: millis(interval),
        timeout: millis(timeout),
        retries,
        start_period: millis(start_period),
    })
}
