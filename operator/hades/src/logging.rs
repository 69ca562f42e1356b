//! Log lines, to standard error.

use std::any::Any;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
        LogFormat::Text => log.compact().finish().with(filter_fn(is_harmless)).try_init(),
        LogFormat::Json => log.json().finish().with(filter_fn(is_harmless)).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let (place, text) = harmless(panic);
        tracing::error!(place, text, "a panic");
    }));
}

/// Has a panic of a command, which has no log, say no value either.
pub(crate) fn hide_values_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let (place, text) = harmless(panic);
        eprintln!("hades: a panic at {place}, which is a bug: {text}");
    }));
}

/// Where a panic was, and what may be shown of what it says.
fn harmless(panic: &PanicHookInfo<'_>) -> (String, &'static str) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    (place, harmless_text(panic.payload()))
}

/// Whether a line may be logged, whatever `HADES_LOG` says. In their details other crates
/// tell what they send: the environment of a container, the frames of a terminal.
fn is_harmless(line: &Metadata<'_>) -> bool {
    let krate = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || krate == "hades" || krate.starts_with("hades_")
}

/// What a panic says, where it can't hold a value: texts that are put together
/// may repeat what a client sent, a Secret too.
fn harmless_text(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("not shown, it may hold values")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn others_tell_no_details_whatever_the_filter_says() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("trace"))
            .with_writer(move || writer.clone())
            .finish()
            .with(filter_fn(is_harmless));
        tracing::subscriber::with_default(log, || {
            tracing::debug!(target: "bollard::docker", "one, with what is sent");
            tracing::trace!(target: "hadesish", "two");
            tracing::info!(target: "hyper_util::client", "three");
            tracing::trace!(target: "hades_controllers::environment", "four");
            tracing::debug!(target: "hades", "five");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let told = ["one", "two", "three", "four", "five"].map(|word| text.contains(word));
        assert_eq!(told, [false, false, true, true, true], "{text}");
    }

    #[test]
    fn a_panic_of_a_command_tells_its_place_and_no_value() {
        // The hook writes to standard error, so another process has to panic.
        const ASKED: &str = "HADES_TEST_PANICS";
        if std::env::var_os(ASKED).is_some() {
            hide_values_of_panics();
            panic!("token {}", 40 + 2);
        }
        let name = std::thread::current().name().unwrap().to_owned();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(ASKED, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("hades: a panic at ") && text.contains("logging.rs:"), "{text}");
        assert!(!text.contains("token 42"), "{text}");
    }

    #[test]
    fn a_panic_shows_no_value() {
        assert_eq!(harmless_text(&"a fixed text"), "a fixed text");
        assert!(!harmless_text(&format!("token {}", 7)).contains('7'));
    }
}
