//! Where the output of containers goes.

use hades_api::{LogDriver, Logging, ServiceSpec};

use super::findings::Findings;
use crate::desired::LogOutput;

/// Where the output of a service's containers goes.
pub(super) fn resolve(name: &str, service: &ServiceSpec, findings: &mut Findings) -> LogOutput {
    let Some(Logging { driver, options }) = &service.logging else {
        return LogOutput::default();
    };
    let field = |last: &str| format!("spec.services.{name}.logging.{last}");
    if *driver == Some(LogDriver::None) && !options.is_empty() {
        findings.invalid(field("options"), "the driver none takes no options");
    }
    for (key, value) in options {
        let value = value.to_string();
        if is_of_host(key, &value) {
            findings.invalid(
                field(&format!("options.{key}")),
                format!("{value} is a file or a socket of the host, which isn't the project's: write an address such as tcp://logs.example.com:514"),
            );
        }
    }
    let options = options.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    LogOutput { driver: *driver, options }
}

/// Whether an option names a file or a socket of the host. The driver runs in the
/// engine: what it opens is opened as root.
fn is_of_host(key: &str, value: &str) -> bool {
    let scheme = value.split_once(':').map_or("", |(scheme, _)| scheme.trim());
    // The engine takes a scheme in any case.
    let scheme = scheme.to_ascii_lowercase();
    let is_local = scheme.starts_with("unix") || scheme == "file";
    // Certificates and keys, also by a path relative to where the engine was started.
    let is_file = key.starts_with("syslog-tls-") && key != "syslog-tls-skip-verify";
    value.trim_start().starts_with('/') || is_local || (is_file && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_sockets_of_the_host() {
        for (key, value) in [
            ("syslog-address", "unix:///dev/log"),
            ("syslog-address", "unixgram:///dev/log"),
            ("fluentd-address", "UNIX:///run/some.sock"),
            ("gelf-address", "/run/some.sock"),
            ("syslog-tls-ca-cert", "/etc/ca.pem"),
            ("syslog-tls-key", "etc/key.pem"),
            ("syslog-tls-cert", "../cert.pem"),
        ] {
            assert!(is_of_host(key, value), "{key}: {value}");
        }
        for (key, value) in [
            ("syslog-address", "tcp+tls://logs.example.com:6514"),
            ("syslog-tls-skip-verify", "true"),
            ("max-size", "10m"),
            ("tag", "unix-tools"),
        ] {
            assert!(!is_of_host(key, value), "{key}: {value}");
        }
    }
}
