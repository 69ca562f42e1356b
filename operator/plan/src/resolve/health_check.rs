//! Health checks: exactly one way to check, and what of it is the engine's.

use std::time::Duration;

use hades_api::{HealthCheck, ServiceSpec};

use super::findings::Findings;
use crate::desired::{CommandCheck, EngineCheck};

/// Time between two checks when the manifest says none.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// How long one check may take when the manifest says nothing.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row that make a container unhealthy when the manifest doesn't
/// say how many.
pub(crate) const DEFAULT_RETRIES: u32 = 3;

/// The engine's part: none where the image's own check stays, and
/// [`EngineCheck::Disabled`] where Hades checks itself, so that there are never
/// two opinions of one container.
pub(super) fn resolve(
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> Option<EngineCheck> {
    let check = service.health_check.as_ref()?;
    let HealthCheck { http, tcp, command, none, interval, timeout, retries, start_period } = check;
    let field = format!("spec.services.{name}.healthCheck");
    let ways = [http.is_some(), tcp.is_some(), command.is_some(), *none == Some(true)];
    match ways.iter().filter(|given| **given).count() {
        1 => {}
        0 => findings.invalid(
            &field,
            "it says not how to check: give one of http, tcp, command and none: true",
        ),
        _ => findings.invalid(
            &field,
            "there is one way to check: give one of http, tcp, command and none: true",
        ),
    }
    let given = [
        ("http.port", http.as_ref().map(|http| http.port)),
        ("tcp.port", tcp.as_ref().map(|tcp| tcp.port)),
    ];
    for (last, port) in given {
        match port {
            Some(None) => findings
                .invalid(format!("{field}.{last}"), "missing: name the port of the container"),
            Some(Some(0)) => findings.invalid(format!("{field}.{last}"), "a port is 1 to 65535"),
            _ => {}
        }
    }
    let spans = [("interval", interval), ("timeout", timeout)];
    for (last, span) in spans {
        // Docker refuses less, and takes 0 for its own default.
        if span.as_ref().is_some_and(|span| span.get() < Duration::from_millis(1)) {
            findings.invalid(format!("{field}.{last}"), "must be at least 1ms");
        }
    }
    let Some(command) = command else { return Some(EngineCheck::Disabled) };
    if command.is_empty() {
        findings.invalid(format!("{field}.command"), "a command has at least one word");
    }
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let or = |span: &Option<hades_api::Duration>, default: Duration| {
        millis(span.as_ref().map_or(default, hades_api::Duration::get))
    };
    Some(EngineCheck::Command(CommandCheck {
        command: command.clone(),
        interval_millis: or(interval, DEFAULT_INTERVAL),
        timeout_millis: or(timeout, DEFAULT_TIMEOUT),
        retries: retries.unwrap_or(DEFAULT_RETRIES),
        start_period_millis: or(start_period, Duration::ZERO),
    }))
}
