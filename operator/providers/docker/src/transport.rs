//! The ways to an engine: a socket of this machine, TLS, SSH.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{ClientVersion, Docker};
use hades_api::reason;
use hades_provider::{ByteStream, Credentials, ErrorClass, HostAddress, ProviderError, refusal};
use hades_ssh::{HostKey, Link, Target};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::net::{TcpStream, UnixStream};

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::tls;
use crate::wire::{Connector, Cut, of_ssh};

/// The client library's own limit, in seconds. Every call has a tighter one
/// ([`crate::client`]); this one must only never strike first.
const NO_LIMIT_SECONDS: u64 = 24 * 60 * 60;

/// How long a connection to address of a container may take.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Connections that are kept for the next call, and for how long: a TLS
/// handshake, or a channel of an SSH connection, costs more than a call.
const KEPT: usize = 8;
const KEPT_FOR: Duration = Duration::from_secs(30);

/// What a client is for. Streams that are read slowly must not hold up calls
/// where both share one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Calls whose answers are read at once, and events.
    Calls,
    /// Streams that are read as fast as somebody else takes them: output.
    Streams,
    /// One stream of any size that is read as slowly as it may be: archives.
    Bulk,
}

/// The way to one engine. Nothing is sent before it is used.
pub(crate) struct Transport {
    endpoint: Endpoint,
    way: Way,
}

enum Way {
    Unix(String),
    Tcp { host: String, port: u16, tls: Option<Arc<ClientConfig>> },
    Ssh { calls: Link, streams: Link, socket: String },
}

impl Transport {
    /// The way to the engine at `address`.
    ///
    /// # Errors
    /// [`ErrorClass::Terminal`] when that is no endpoint, or the credentials
    /// aren't what it needs.
    pub fn new(address: &HostAddress) -> Result<Self, ProviderError> {
        let invalid =
            |message| ProviderError::new(ErrorClass::Terminal, reason::INVALID_ENDPOINT, message);
        let endpoint =
            Endpoint::parse(&address.endpoint).map_err(|error| invalid(error.to_string()))?;
        let unusable = |words: &str| {
            ProviderError::new(
                ErrorClass::Terminal,
                reason::INVALID_CREDENTIALS,
                format!("{endpoint} can't be used: {words}"),
            )
        };
        let way = match (&endpoint, &address.credentials) {
            (Endpoint::Unix(path), _) => Way::Unix(path.clone()),
            (Endpoint::Tcp { host, port }, Credentials::Tls { ca, certificate, key }) => {
                let tls = tls::config(ca, certificate, key).map_err(|words| unusable(&words))?;
                Way::Tcp { host: host.clone(), port: *port, tls: Some(tls) }
            }
            (Endpoint::Tcp { host, port }, _) if endpoint.is_local() => {
                Way::Tcp { host: host.clone(), port: *port, tls: None }
            }
            (Endpoint::Tcp { .. }, _) => {
                return Err(invalid(format!(
                    "{endpoint} needs certificates (spec.tls): whoever reaches the port without \
                     is root on the machine"
                )));
            }
            (
                Endpoint::Ssh { user, host, port, socket },
                Credentials::Ssh { private_key, host_keys },
            ) => {
                let host_keys: Result<Vec<HostKey>, _> =
                    host_keys.iter().map(|key| key.parse()).collect();
                let target = Target {
                    host: host.clone(),
                    port: *port,
                    user: user.clone(),
                    private_key: private_key.clone(),
                    host_keys: host_keys.map_err(|error| unusable(&error.to_string()))?,
                };
                let (calls, streams) = (Link::new(target.clone()), Link::passing(target));
                Way::Ssh { calls, streams, socket: socket.clone() }
            }
            (Endpoint::Ssh { .. }, _) => {
                return Err(invalid(format!(
                    "{endpoint} needs a key and the host keys (spec.ssh)"
                )));
            }
        };
        Ok(Self { endpoint, way })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A client that hasn't talked yet, and what tells whether a stream of it was cut
    /// off.
    ///
    /// # Errors
    /// When nothing can listen there, such as a socket that doesn't exist.
    pub fn open(&self, purpose: Purpose, version: &ClientVersion) -> Result<(Docker, Cut), Error> {
        let connector = match &self.way {
            Way::Unix(path) => {
                let docker = Docker::connect_with_unix(path, NO_LIMIT_SECONDS, version)?;
                return Ok((docker, Cut::default()));
            }
            Way::Tcp { host, port, tls } => Connector::tcp(host, *port, tls.clone()),
            Way::Ssh { calls, streams, socket } => {
                let link = match purpose {
                    Purpose::Calls => calls.clone(),
                    Purpose::Streams => streams.clone(),
                    Purpose::Bulk => Link::alone(calls.target().clone()),
                };
                Connector::ssh(link, socket)
            }
        };
        let cut = connector.cut();
        let kept = if purpose == Purpose::Calls { KEPT } else { 0 };
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(kept)
            .pool_idle_timeout(KEPT_FOR)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let docker = Docker::connect_with_custom_transport(
            move |request| {
                let client: legacy::Client<_, _> = client.clone();
                async move { client.request(request).await.map_err(Error::from) }
            },
            // Only a name: the connector knows the way.
            Some("http://docker"),
            NO_LIMIT_SECONDS,
            version,
        )?;
        Ok((docker, cut))
    }

    /// A connection to the engine apart from those of the client library, for
    /// streams that are no longer HTTP's once they are begun.
    pub async fn open_stream(&self) -> Result<ByteStream, ProviderError> {
        let connector =
            match &self.way {
                Way::Unix(path) => {
                    return match UnixStream::connect(path).await {
                        Ok(stream) => Ok(Box::new(stream)),
                        Err(err) => Err(Failure::new(&Error::IOError { err }, &self.endpoint)
                            .into_provider_error()),
                    };
                }
                Way::Tcp { host, port, tls } => Connector::tcp(host, *port, tls.clone()),
                Way::Ssh { streams, socket, .. } => Connector::ssh(streams.clone(), socket),
            };
        connector.connect().await.map_err(|error| error.into_provider_error(&self.endpoint))
    }

    /// The way for commands on the host itself, where there is one.
    pub fn ssh(&self) -> Option<&Link> {
        match &self.way {
            Way::Ssh { calls, .. } => Some(calls),
            Way::Unix(_) | Way::Tcp { .. } => None,
        }
    }

    /// A stream to an address of the host's own network.
    pub async fn dial(&self, address: SocketAddr) -> Result<ByteStream, ProviderError> {
        let silent = |words: &str| {
            ProviderError::new(
                ErrorClass::Retry,
                reason::ACTION_FAILED,
                format!("nothing answers at {address}: {words}"),
            )
        };
        match &self.way {
            Way::Unix(_) => {
                match tokio::time::timeout(DIAL_LIMIT, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => Ok(Box::new(stream)),
                    Ok(Err(error)) => Err(silent(&error.to_string())),
                    Err(_) => Err(silent("no answer in time")),
                }
            }
            Way::Ssh { calls, .. } => {
                match calls.open_tcp(&address.ip().to_string(), address.port()).await {
                    Ok(stream) => Ok(Box::new(stream)),
                    Err(hades_ssh::Error::Refused { reason, .. }) => Err(silent(&reason)),
                    Err(error) => Err(of_ssh(&error).into_provider_error(&self.endpoint)),
                }
            }
            Way::Tcp { .. } => Err(ProviderError::new(
                ErrorClass::Terminal,
                reason::INVALID_ENDPOINT,
                format!(
                    "addresses of containers can't be reached through {}: use an ssh:// endpoint, \
                     or checks that run within the container",
                    self.endpoint
                ),
            )),
        }
    }
}

/// As a provider's error.
pub(crate) fn unreachable(endpoint: &Endpoint, reason: &'static str, words: &str) -> ProviderError {
    let mut error = refusal::unreachable(format!("cannot reach Docker at {endpoint}: {words}"));
    error.reason = reason;
    error
}
