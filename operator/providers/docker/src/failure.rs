//! What the client library's errors mean.

use std::error::Error as StdError;
use std::io;

use bollard::errors::Error;
use hades_api::reason;
use hades_provider::engine::CallError;
use hades_provider::{ErrorClass, ProviderError, refusal};

use crate::endpoint::Endpoint;
use crate::wire::{DialError, of_tls, tls_error};

/// Why a call didn't succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The engine answered, and refused.
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        words: String,
    },
    /// Everything else, classified.
    Failed(ProviderError),
}

impl Failure {
    /// What the library's error means for an engine at `endpoint`.
    pub fn new(error: &Error, endpoint: &Endpoint) -> Self {
        if let Some(dialled) = dial_error(error) {
            return Self::Failed(dialled.into_provider_error(endpoint));
        }
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: *status_code, words: message.trim().to_owned() }
            }
            Error::DockerStreamError { error } => {
                Self::Refused { status: 500, words: error.trim().to_owned() }
            }
            Error::JsonDataError { message, .. } => {
                let words = format!("its answer can't be read: {message}");
                Self::Failed(refusal::failed(&format!("Docker at {endpoint}"), &words))
            }
            Error::JsonSerdeError { .. }
            | Error::URLEncodedError { .. }
            | Error::URLParseError { .. }
            | Error::InvalidURIError { .. }
            | Error::InvalidURIPartsError { .. }
            | Error::HttpClientError { .. } => {
                Self::Failed(refusal::bad_input("the request can't be made", &error.to_string()))
            }
            other => Self::Failed(unreachable(endpoint, other)),
        }
    }

    /// No answer within the time.
    pub fn timeout(endpoint: &Endpoint, limit: std::time::Duration) -> Self {
        let seconds = limit.as_secs();
        Self::Failed(refusal::unreachable(format!(
            "cannot reach Docker at {endpoint}: no answer within {seconds} s; \
             see whether the engine hangs (`docker ps` there)"
        )))
    }

    /// Whether the connection is in doubt, and with it what was agreed on it.
    pub fn loses_connection(&self) -> bool {
        match self {
            Self::Failed(error) => error.class == ErrorClass::Unreachable,
            Self::Refused { status, words } => *status == 400 && words.contains("client version"),
        }
    }

    /// Whether the engine says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// For cases that the caller has no better name for.
    pub fn into_provider_error(self) -> ProviderError {
        // Another version of the API is agreed on at the next call.
        let is_outdated = self.loses_connection();
        match self {
            Self::Failed(error) => error,
            Self::Refused { words, .. } if is_disk_full(&words) => {
                refusal::disk_full("the engine refuses", &words)
            }
            Self::Refused { status, words } => {
                let class = match status {
                    408 | 429 | 500.. => ErrorClass::Retry,
                    _ if is_outdated => ErrorClass::Retry,
                    _ => ErrorClass::Terminal,
                };
                ProviderError::new(class, reason::ACTION_FAILED, words)
            }
        }
    }
}

/// Whether the engine's words, or a program's that it ran, say that its disk is full.
pub fn is_disk_full(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("no space left on device") || words.contains("disk quota exceeded")
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure.into_provider_error())
    }
}

fn unreachable(endpoint: &Endpoint, error: &Error) -> ProviderError {
    let why = match (error, io_kind(error)) {
        (Error::SocketNotFoundError(_), _) | (_, Some(io::ErrorKind::NotFound)) => {
            "there is no such socket; install and start the engine, or correct spec.endpoint of \
             the DockerHost"
                .to_owned()
        }
        (_, Some(io::ErrorKind::PermissionDenied)) => {
            "permission denied; add the user to group docker or run as root".to_owned()
        }
        (_, Some(io::ErrorKind::ConnectionRefused)) => {
            "connection refused; the engine is not running (`systemctl start docker`)".to_owned()
        }
        _ => innermost(error),
    };
    refusal::unreachable(format!("cannot reach Docker at {endpoint}: {why}"))
}

/// Why there was no connection, or why TLS ended it, if that is what happened.
fn dial_error(error: &Error) -> Option<DialError> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(dialled) = error.downcast_ref::<DialError>() {
            return Some(dialled.clone());
        }
        // A server that refuses a certificate says so after the handshake.
        if let Some(io) = error.downcast_ref::<io::Error>()
            && tls_error(io).is_some()
        {
            return Some(of_tls(io));
        }
        next = error.source();
    }
    None
}

/// The kind of the IO error at the bottom of an error, if there is one.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    // This one is transparent: its source is the source of the IO error.
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::Unix("/run/d.sock".to_owned())
    }

    fn failure(error: Error) -> ProviderError {
        Failure::new(&error, &endpoint()).into_provider_error()
    }

    fn refused(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn unreachable_says_why_and_what_to_do() {
        let io = |kind| Error::IOError { err: io::Error::from(kind) };
        for (error, part) in [
            (Error::SocketNotFoundError("/run/d.sock".to_owned()), "no such socket"),
            (io(io::ErrorKind::NotFound), "no such socket"),
            (io(io::ErrorKind::PermissionDenied), "add the user to group docker"),
            (io(io::ErrorKind::ConnectionRefused), "systemctl start docker"),
            (io(io::ErrorKind::ConnectionReset), "connection reset"),
        ] {
            let error = failure(error);
            assert_eq!(error.class, ErrorClass::Unreachable);
            assert_eq!(error.reason, reason::HOST_UNREACHABLE);
            assert!(error.message.contains("unix:///run/d.sock"), "{error}");
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn refusals_by_status() {
        assert_eq!(failure(refused(500, "x")).class, ErrorClass::Retry);
        assert_eq!(failure(refused(429, "x")).class, ErrorClass::Retry);
        assert_eq!(failure(refused(400, "x")).class, ErrorClass::Terminal);
        let full = failure(refused(500, "write /var/lib/docker/tmp/x: no space left on device"));
        assert_eq!((full.class, full.reason), (ErrorClass::Retry, reason::DISK_FULL));
        let outdated = refused(400, "client version 1.53 is too new");
        assert!(Failure::new(&outdated, &endpoint()).loses_connection());
        assert_eq!(failure(outdated).class, ErrorClass::Retry);
    }
}
