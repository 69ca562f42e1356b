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
        // The driver runs in the engine: what it opens is opened as root.
        let scheme = value.trim_start().to_ascii_lowercase();
        if scheme.starts_with('/') || scheme.starts_with("unix") || scheme.starts_with("file") {
            findings.invalid(
                field(&format!("options.{key}")),
                format!("{value} is a file or a socket of the host, which isn't the project's: write an address such as tcp://logs.example.com:514"),
            );
        }
    }
    let options = options.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    LogOutput { driver: *driver, options }
}
