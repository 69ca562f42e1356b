//! Where an engine listens, and how to get there.

use std::fmt;

use bollard::Docker;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// The client library's own limit, in seconds. Every call has a tighter one
/// ([`crate::client`]); this one must only never strike first.
const NO_LIMIT_SECONDS: u64 = 24 * 60 * 60;

/// Where an engine listens. TCP with TLS and SSH are further variants to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket on this machine, by its absolute path.
    Unix(String),
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No scheme, or one that isn't known.
    #[error("{0:?} is not an endpoint that Hades can use: write unix:///var/run/docker.sock")]
    Scheme(String),
    /// The path of a socket must be absolute.
    #[error(
        "{0:?} does not name an absolute path: write unix:///var/run/docker.sock, with three slashes"
    )]
    RelativePath(String),
}

impl Endpoint {
    /// From text such as `unix:///var/run/docker.sock`.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let Some(path) = text.strip_prefix("unix://") else {
            return Err(EndpointError::Scheme(text.to_owned()));
        };
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(EndpointError::RelativePath(text.to_owned()));
        }
        Ok(Self::Unix(path.to_owned()))
    }

    /// A client that hasn't talked yet.
    ///
    /// # Errors
    /// When nothing can listen there, such as a socket that doesn't exist.
    pub(crate) fn open(&self) -> Result<Docker, bollard::errors::Error> {
        match self {
            Self::Unix(path) => {
                Docker::connect_with_unix(path, NO_LIMIT_SECONDS, bollard::API_DEFAULT_VERSION)
            }
        }
    }
}

/// A connection of its own to an engine.
pub(crate) type EngineStream = Box<dyn Duplex>;

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Endpoint {
    /// A connection apart from those of the client library, for streams.
    ///
    /// # Errors
    /// When nothing listens there.
    pub(crate) async fn dial(&self) -> std::io::Result<EngineStream> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let text = "unix:///var/run/docker.sock";
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!(endpoint, Endpoint::Unix("/var/run/docker.sock".to_owned()));
        assert_eq!(endpoint.to_string(), text);
        for bad in ["", "/var/run/docker.sock", "tcp://10.0.0.1:2375", "UNIX:///x"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Scheme(_))), "{bad}");
        }
        for bad in ["unix://", "unix://var/run/docker.sock", "unix:///var/run/"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::RelativePath(_))), "{bad}");
        }
    }
}
