//! Log lines, to standard error.

use std::any::Any;
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
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, text = harmless_text(panic.payload()), "a panic");
    }));
}

/// What a panic says, where it can't hold a value: texts that are put together
/// may repeat what a client sent, a Secret too.
fn harmless_text(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("not shown, it may hold values")
}

#[cfg(test)]
mod tests {
    use super::harmless_text;

    #[test]
    fn a_panic_shows_no_value() {
        assert_eq!(harmless_text(&"a fixed text"), "a fixed text");
        assert!(!harmless_text(&format!("token {}", 7)).contains('7'));
    }
}
