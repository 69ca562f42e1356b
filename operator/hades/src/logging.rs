//! Log lines, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// What is logged when `HADES_LOG` says nothing. The controller runtime logs
/// every pass that failed, which the controllers have said better already.
const DEFAULT_FILTER: &str = "info,kube_runtime=error,kube_client=warn,rustls=warn,hyper=warn";

/// Sets the process's log up, once.
pub(crate) fn init(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("HADES_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber is refused; there is none but in tests.
    let _ = match format {
        LogFormat::Text => log.compact().try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}
