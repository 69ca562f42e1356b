//! Which hosts.

use std::collections::BTreeSet;

use hades_api::{ProjectPolicy, ServiceSpec};

use super::{Subject, Violations};
use crate::resolve::selected_hosts;

/// Whether containers of the project may run on a host of that name.
pub fn allows_host(policy: &ProjectPolicy, host: &str) -> bool {
    let Some(patterns) = &policy.hosts else { return true };
    patterns.iter().any(|pattern| fits(pattern, host))
}

/// `*` stands for any text, all else for itself.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

/// Whether a service runs only where the policy says.
pub(super) fn check(
    subject: &Subject<'_>,
    name: &str,
    service: &ServiceSpec,
    policy: &ProjectPolicy,
    violations: &mut Violations<'_>,
) {
    if policy.hosts.is_none() {
        return;
    }
    let mut denied = |field: String, host: &str| {
        if !allows_host(policy, host) {
            violations.denied(field, "hosts", format!("DockerHost {host}"));
        }
    };
    let own = format!("spec.services.{name}");
    let default = subject.spec.defaults.as_ref().and_then(|defaults| defaults.host.as_deref());
    match (&service.placement, &service.host, default) {
        (Some(placement), _, _) => {
            for (index, host) in placement.hosts.iter().flatten().enumerate() {
                denied(format!("{own}.placement.hosts[{index}]"), host);
            }
            if let Some(selector) = &placement.selector {
                let field = format!("{own}.placement.selector");
                let selected = selected_hosts(subject.hosts.keys(), subject.host_labels, selector);
                check_selected(subject, name, &field, &selected, policy, violations);
            }
        }
        (None, Some(host), _) => denied(format!("{own}.host"), host),
        (None, None, Some(host)) => denied("spec.defaults.host".to_owned(), host),
        (None, None, None) => {}
    }
}

/// A selector chooses among the hosts that are allowed: one that is added to the
/// fleet is no matter of the project. But nothing moves away because a rule has
/// become stricter.
fn check_selected(
    subject: &Subject<'_>,
    name: &str,
    field: &str,
    selected: &BTreeSet<&str>,
    policy: &ProjectPolicy,
    violations: &mut Violations<'_>,
) {
    if !selected.is_empty() && !selected.iter().any(|host| allows_host(policy, host)) {
        violations.denied(field, "hosts", "any of the DockerHosts that have these labels");
    }
    let inhabited: BTreeSet<&str> = subject
        .current
        .replicas
        .iter()
        .filter(|((service, _), _)| service == name)
        .flat_map(|(_, hosts)| hosts.iter().map(String::as_str))
        .collect();
    for host in inhabited.iter().filter(|host| selected.contains(*host)) {
        if !allows_host(policy, host) {
            let what = format!("DockerHost {host}, where containers of the service are");
            violations.denied(field, "hosts", what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("web-1", "web-1", true),
            ("web-1", "web-10", false),
            ("web-*", "web-", true),
            ("web-*", "web-10", true),
            ("web-*", "my-web-1", false),
            ("*-1", "web-1", true),
            ("*-1", "web-12", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
