//! What can go wrong between a person and the server, in words that help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kube::core::Status;

use crate::Credential;

/// Group of what is no object.
const OPERATIONS: &str = "operations.hades.dev";

/// An error of this crate. [`Error::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file says where the server is.
    #[error("no kubeconfig found, so there is no server to talk to")]
    NoKubeconfig {
        /// Where it would have been.
        home: Option<PathBuf>,
    },
    /// A kubeconfig can't be used.
    #[error("the kubeconfig {} can't be used", path.display())]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A context that the kubeconfig doesn't have.
    #[error("the kubeconfig {} has no context {name:?}", path.display())]
    NoContext {
        /// Its path.
        path: PathBuf,
        /// The context asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The server doesn't answer, or can't be trusted.
    #[error("cannot talk to the server at {server}: {failure}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What stood in the way.
        failure: Failure,
    },
    /// A kubeconfig can't be written.
    #[error("cannot write the kubeconfig {}", path.display())]
    WriteKubeconfig {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A kubeconfig that no login is kept in.
    #[error("no login is kept in {}: {why}", path.display())]
    NotForLogins {
        /// Its path.
        path: PathBuf,
        /// Whose it is instead.
        why: &'static str,
    },
    /// A file can't be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What should be the address of a server is none.
    #[error("{text:?} is no address of a server: {why}")]
    BadServer {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that should hold the certificate of a CA.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// Its path.
        path: PathBuf,
    },
    /// The server doesn't know who asks.
    #[error("the server at {server} {}", credential.refused())]
    Unauthorized {
        /// Its address.
        server: String,
        /// By what we asked.
        credential: Credential,
    },
    /// The server answered, and the answer is no.
    #[error("{}", api_message(.0))]
    Api(Box<Status>),
    /// The server answered something that is no answer.
    #[error("the answer of the server at {server} makes no sense")]
    Protocol {
        /// Its address.
        server: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request was handled, and nothing more will come of it by itself.
    #[error("{what} is stalled: {why}")]
    Stalled {
        /// Such as `environment shop/production`.
        what: String,
        /// In one sentence.
        why: String,
    },
    /// The time given to wait is over.
    #[error("{what} after {}s: {state}", after.as_secs())]
    TimedOut {
        /// Such as `environment shop/production is not ready`.
        what: String,
        /// How long was waited.
        after: Duration,
        /// How things stood at the end.
        state: String,
    },
}

/// What stands between the client and the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The certificate isn't signed by the CA of the kubeconfig.
    #[error("its certificate is not signed by the CA in the kubeconfig")]
    UnknownCa,
    /// The certificate can't be used for another reason.
    #[error("its certificate is not accepted: {0}")]
    Certificate(String),
    /// The host name doesn't resolve.
    #[error("the host name can't be resolved")]
    NameResolution,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke off.
    #[error("the connection broke off")]
    Broken,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// From an error of the Kubernetes client on a call to `server`, by what the
    /// kubeconfig shows.
    pub(crate) fn of_call(server: &str, credential: Credential, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                Self::Unauthorized { server: server.to_owned(), credential }
            }
            kube::Error::Api(status) => Self::Api(status),
            error @ (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) => {
                Self::Protocol { server: server.to_owned(), source: Box::new(error) }
            }
            other => Self::Unreachable { server: server.to_owned(), failure: failure(&other) },
        }
    }

    /// Whether the server says that the person may not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_forbidden())
    }

    /// Whether it is about what somebody wrote, and nothing was asked yet.
    pub fn is_called_wrongly(&self) -> bool {
        matches!(
            self,
            Self::BadServer { .. } | Self::NoCertificate { .. } | Self::NotForLogins { .. }
        )
    }

    /// Whether the server says that the object isn't there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_not_found())
    }

    /// Whether the server says that an object of that name is there already.
    pub fn is_already_there(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_already_exists())
    }

    /// Whether another manager owns a field, or the object changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(status) if status.is_conflict())
    }

    /// Whether trying again later may help.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether it says nothing about the next try: a connection that broke off, a
    /// server that is busy or starts anew.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { failure, .. } => {
                !matches!(failure, Failure::UnknownCa | Failure::Certificate(_))
            }
            Self::Api(status) => matches!(status.code, 429 | 502..=504),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoKubeconfig { home } => Some(no_kubeconfig_hint(home.as_deref())),
            Self::Kubeconfig { .. } => Some(
                "`hades serve` writes a good one as admin.kubeconfig into its data directory"
                    .to_owned(),
            ),
            Self::NoContext { name, known, .. } => {
                Some(crate::nearest::suggestion(name, "contexts in it", known))
            }
            Self::Unreachable { server, failure } => failure.hint(server),
            Self::Unauthorized { credential, .. } => Some(credential.hint().to_owned()),
            Self::BadServer { .. } => {
                Some("write https://HOST[:PORT], such as https://hades.example.com:7443".to_owned())
            }
            Self::NoCertificate { .. } => {
                Some("the server keeps it as ca.crt in its data directory".to_owned())
            }
            Self::NotForLogins { .. } => Some(
                "name one of your own, such as --kubeconfig ~/.hades/kubeconfig, or unset \
                 KUBECONFIG"
                    .to_owned(),
            ),
            Self::Api(status) if status.is_forbidden() => {
                Some("ask an administrator of the project for the role that allows it".to_owned())
            }
            Self::Stalled { .. } => {
                Some("`hadesctl describe` shows all there is to know".to_owned())
            }
            Self::Api(_)
            | Self::WriteKubeconfig { .. }
            | Self::ReadFile { .. }
            | Self::Protocol { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}

impl Failure {
    /// Of a connection that was made by hand.
    pub(crate) fn of(error: &io::Error) -> Self {
        failure(error)
    }

    fn hint(&self, server: &str) -> Option<String> {
        match self {
            Self::Refused => Some(format!("is `hades serve` running at {server}?")),
            Self::UnknownCa => Some(
                "the kubeconfig may be of another installation, or somebody listens in between. If \
                 the server was set up anew: `hadesctl login`, or take admin.kubeconfig from its \
                 data directory"
                    .to_owned(),
            ),
            Self::Certificate(_) => Some(
                "does the address in the kubeconfig match what the server listens on?".to_owned(),
            ),
            Self::NameResolution => Some("is the address in the kubeconfig right?".to_owned()),
            Self::TimedOut => Some("is a firewall or a VPN in the way?".to_owned()),
            Self::Broken => Some("was `hades serve` restarted? Try again".to_owned()),
            Self::Other(_) => None,
        }
    }
}

fn no_kubeconfig_hint(home: Option<&std::path::Path>) -> String {
    let home = home.map_or_else(String::new, |path| format!(" as {}", path.display()));
    format!(
        "`hadesctl login URL` makes one{home}. On the server itself, `hades serve` writes \
         admin.kubeconfig into its data directory: pass it with --kubeconfig"
    )
}

fn api_message(status: &Status) -> String {
    if status.message.is_empty() {
        let reason = if status.reason.is_empty() { "no reason given" } else { &status.reason };
        return format!("the server answered {} ({reason})", status.code);
    }
    // Small documents have no name and no kind that people know.
    if let Some(details) = status.details.as_ref()
        && details.group == OPERATIONS
        && !details.causes.is_empty()
    {
        let causes = details.causes.iter().map(|cause| {
            let field = cause.field.strip_prefix("spec.").unwrap_or(&cause.field);
            format!("{field}: {}", cause.message)
        });
        return causes.collect::<Vec<_>>().join("; ");
    }
    status.message.clone()
}

/// What stood in the way, dug out of the layers of HTTP and TLS.
fn failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut current = Some(error);
    let mut innermost = error.to_string();
    while let Some(layer) = current {
        innermost = layer.to_string();
        if let Some(tls) = layer.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        // hyper says of a lookup only this.
        if innermost.contains("dns error") {
            return Failure::NameResolution;
        }
        current = match layer.downcast_ref::<io::Error>() {
            None => layer.source(),
            Some(io) => match (of_io(io.kind()), io.get_ref()) {
                (Some(known), _) => return known,
                // Its source skips the error that it wraps.
                (None, Some(wrapped)) => Some(wrapped),
                (None, None) => None,
            },
        };
    }
    Failure::Other(innermost)
}

fn of_io(kind: io::ErrorKind) -> Option<Failure> {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Some(Failure::Refused),
        io::ErrorKind::TimedOut => Some(Failure::TimedOut),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Failure::Broken),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature,
        ) => Failure::UnknownCa,
        rustls::Error::InvalidCertificate(other) => Failure::Certificate(other.to_string()),
        other => Failure::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_service(error: io::Error) -> Error {
        Error::of_call(
            "https://127.0.0.1:7443",
            Credential::Other,
            kube::Error::Service(Box::new(error)),
        )
    }

    #[test]
    fn refused() {
        let error = of_service(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(
            error.to_string(),
            "cannot talk to the server at https://127.0.0.1:7443: connection refused"
        );
        assert_eq!(error.hint().unwrap(), "is `hades serve` running at https://127.0.0.1:7443?");
    }

    #[test]
    fn unknown_ca_inside_an_io_error() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = of_service(io::Error::other(io::Error::other(tls)));
        assert!(error.to_string().contains("not signed by the CA"), "{error}");
        assert!(error.hint().unwrap().contains("another installation"));
    }

    #[test]
    fn what_passes_and_what_does_not() {
        let unreachable = |failure| Error::Unreachable { server: String::new(), failure };
        let answer = |code| {
            let status = Status::failure("x", "").with_code(code);
            Error::of_call("s", Credential::Other, kube::Error::Api(Box::new(status)))
        };
        for passing in [
            unreachable(Failure::Broken),
            unreachable(Failure::Refused),
            unreachable(Failure::TimedOut),
            answer(429),
            answer(503),
        ] {
            assert!(passing.is_passing(), "{passing}");
        }
        for lasting in [unreachable(Failure::UnknownCa), answer(400), answer(401), answer(500)] {
            assert!(!lasting.is_passing(), "{lasting}");
        }
    }

    #[test]
    fn answers_of_the_server_are_passed_on_plainly() {
        let status = Status::failure("environments \"x\" not found", "NotFound").with_code(404);
        let error = Error::of_call("s", Credential::Other, kube::Error::Api(Box::new(status)));
        assert_eq!(error.to_string(), "environments \"x\" not found");
        assert!(error.is_not_found());
        let status = Status::failure("Unauthorized", "Unauthorized").with_code(401);
        let until = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let error = Error::of_call(
            "https://s",
            Credential::Session { until },
            kube::Error::Api(Box::new(status)),
        );
        assert_eq!(
            error.to_string(),
            "the server at https://s doesn't accept your login any more (it was good until \
             2026-01-01T00:00:00Z at most)"
        );
        assert!(error.hint().unwrap().contains("hadesctl login"), "{error:?}");
    }
}
