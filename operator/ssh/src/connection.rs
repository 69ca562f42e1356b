//! One connection: made, checked, logged in; channels opened on it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Preferred};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::key::read_private;
use crate::{Error, HostKey, Target};

/// How long it may take until a server is reached, checked and logged in to.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How long a server may take to open a channel. One that takes longer is taken
/// for lost.
pub(crate) const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// A silent server is asked for a sign of life this often, and given up after
/// [`SILENT_SIGNS`] of them: after 20 s.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
const SILENT_SIGNS: usize = 3;

/// What a channel is opened to.
#[derive(Debug, Clone)]
pub(crate) enum Opening {
    /// A unix socket on the server.
    Unix(String),
    /// An address as the server sees it.
    Tcp(String, u16),
    /// A session, for a command.
    Session,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "the socket {path}"),
            Self::Tcp(host, port) => write!(f, "a connection to {host}:{port}"),
            Self::Session => f.write_str("a session"),
        }
    }
}

/// A connection that is logged in. It ends when it and all channels are dropped.
pub(crate) struct Connection {
    handle: Arc<Handle<Checker>>,
    address: String,
    user: String,
    given_up: AtomicBool,
}

impl Connection {
    /// Connects, checks the host key, logs in.
    pub async fn open(target: &Target) -> Result<Self, Error> {
        let address = target.address();
        if target.host_keys.is_empty() {
            return Err(Error::NoHostKey { address });
        }
        let key = Arc::new(read_private(&target.private_key)?);
        match timeout(CONNECT_LIMIT, login(target, key)).await {
            Ok(Ok(handle)) => Ok(Self {
                handle: Arc::new(handle),
                address,
                user: target.user.clone(),
                given_up: AtomicBool::new(false),
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(silent(address)),
        }
    }

    /// Whether another one must be made.
    pub fn is_over(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || self.handle.is_closed()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens a channel within [`OPEN_LIMIT`].
    pub async fn channel(&self, opening: &Opening) -> Result<Channel<Msg>, Error> {
        let (told, opened) = oneshot::channel();
        let handle = self.handle.clone();
        let wanted = opening.clone();
        // A task of its own: a caller who goes away leaves no channel behind.
        tokio::spawn(async move {
            if let Err(Ok(unwanted)) = told.send(ask(&handle, wanted).await) {
                let _ = unwanted.close().await;
            }
        });
        let lost = || Error::Lost { address: self.address.clone() };
        match timeout(OPEN_LIMIT, opened).await {
            Ok(Ok(Ok(channel))) => Ok(channel),
            Ok(Ok(Err(russh::Error::ChannelOpenFailure(reason)))) => Err(Error::Refused {
                address: self.address.clone(),
                what: opening.to_string(),
                reason: self.refusal(opening, &reason),
            }),
            Ok(Ok(Err(_)) | Err(_)) => {
                self.given_up.store(true, Ordering::Relaxed);
                Err(lost())
            }
            Err(_) => {
                self.given_up.store(true, Ordering::Relaxed);
                Err(silent(self.address.clone()))
            }
        }
    }

    fn refusal(&self, opening: &Opening, reason: &ChannelOpenFailure) -> String {
        let user = &self.user;
        match (opening, reason) {
            (Opening::Unix(path), ChannelOpenFailure::ConnectFailed) => format!(
                "nothing listens there, or user {user} may not connect to it (`ls -l {path}` \
                 there; for Docker's socket: `usermod -aG docker {user}`)"
            ),
            (Opening::Tcp(..), ChannelOpenFailure::ConnectFailed) => {
                "the connection was refused".to_owned()
            }
            (_, ChannelOpenFailure::AdministrativelyProhibited) => {
                "its SSH server forbids it; set AllowTcpForwarding and AllowStreamLocalForwarding \
                 to yes or local in its sshd_config, and see whether authorized_keys restricts \
                 the key"
                    .to_owned()
            }
            (_, ChannelOpenFailure::ResourceShortage) => "it is short of resources".to_owned(),
            (_, ChannelOpenFailure::UnknownChannelType) => {
                "its SSH server doesn't know how; use OpenSSH 6.7 or later".to_owned()
            }
            (_, other) => format!("{other:?}"),
        }
    }
}

async fn ask(handle: &Handle<Checker>, opening: Opening) -> Result<Channel<Msg>, russh::Error> {
    match opening {
        Opening::Unix(path) => handle.channel_open_direct_streamlocal(path).await,
        Opening::Tcp(host, port) => {
            handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await
        }
        Opening::Session => handle.channel_open_session().await,
    }
}

async fn login(
    target: &Target,
    key: Arc<russh::keys::PrivateKey>,
) -> Result<Handle<Checker>, Error> {
    let algorithms: Vec<_> = target.host_keys.iter().flat_map(HostKey::algorithms).collect();
    let checker = Checker { accepted: target.host_keys.clone() };
    let mut handle = connect(&target.host, target.port, algorithms, checker)
        .await
        .map_err(|failure| failure.into_error(target))?;
    let hash = match key.algorithm().is_rsa() {
        true => handle
            .best_supported_rsa_hash()
            .await
            .ok()
            .flatten()
            .flatten()
            .or(Some(HashAlg::Sha512)),
        false => None,
    };
    let login = PrivateKeyWithHashAlg::new(key.clone(), hash);
    let denied = || Error::Denied {
        address: target.address(),
        user: target.user.clone(),
        fingerprint: key.public_key().fingerprint(HashAlg::Sha256).to_string(),
        public_key: key.public_key().to_openssh().unwrap_or_default(),
    };
    match handle.authenticate_publickey(&target.user, login).await {
        Ok(AuthResult::Success) => Ok(handle),
        Ok(AuthResult::Failure { .. }) if handle.is_closed() => Err(Error::Unreachable {
            address: target.address(),
            reason: "it ended the connection during the login (too many attempts, or its SSH \
                     server is stopping)"
                .to_owned(),
        }),
        Ok(AuthResult::Failure { .. }) => Err(denied()),
        Err(error) => {
            Err(Error::Unreachable { address: target.address(), reason: error.to_string() })
        }
    }
}

/// A connection whose host key was checked, not logged in.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    algorithms: Vec<russh::keys::Algorithm>,
    checker: Checker,
) -> Result<Handle<Checker>, Unconnected> {
    let config = client::Config {
        keepalive_interval: Some(SIGN_OF_LIFE),
        keepalive_max: SILENT_SIGNS,
        nodelay: true,
        preferred: Preferred { key: algorithms.into(), ..Preferred::DEFAULT },
        ..client::Config::default()
    };
    let socket = TcpStream::connect((host, port)).await.map_err(Unconnected::Tcp)?;
    // Small requests must not wait for one another.
    let _ = socket.set_nodelay(true);
    client::connect_stream(Arc::new(config), socket, checker).await
}

/// Compares the key that a server shows with those that it may show.
pub(crate) struct Checker {
    pub accepted: Vec<HostKey>,
}

impl client::Handler for Checker {
    type Error = Unconnected;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Unconnected> {
        let shown = HostKey::new(&shown.public_key());
        if self.accepted.contains(&shown) {
            return Ok(true);
        }
        Err(Unconnected::HostKey(shown))
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unconnected {
    Tcp(io::Error),
    Ssh(russh::Error),
    HostKey(HostKey),
}

impl From<russh::Error> for Unconnected {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Unconnected {
    pub(crate) fn into_error(self, target: &Target) -> Error {
        let address = target.address();
        let reason = match self {
            Self::HostKey(found) => {
                return Error::HostKey {
                    address,
                    expected: target.expected(),
                    found: found.fingerprint(),
                };
            }
            Self::Ssh(russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, .. }) => {
                return Error::HostKeyKind { address, expected: target.expected() };
            }
            other => other.reason(),
        };
        Error::Unreachable { address, reason }
    }

    /// What happened, for people.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Tcp(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "connection refused; no SSH server listens there, or a firewall refuses"
                        .to_owned()
                }
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    format!("{error}; the machine is off, or there is no route to it")
                }
                _ => error.to_string(),
            },
            Self::Ssh(russh::Error::Disconnect | russh::Error::HUP) => {
                "it ended the connection before a login was possible; its SSH server may be \
                 overloaded (MaxStartups) or block this address"
                    .to_owned()
            }
            Self::Ssh(russh::Error::Version) => "what answers there is no SSH server".to_owned(),
            Self::Ssh(error) => error.to_string(),
            Self::HostKey(found) => format!("unexpected host key {}", found.fingerprint()),
        }
    }
}

fn silent(address: String) -> Error {
    Error::Unreachable {
        address,
        reason: "no answer in time; the machine is off, the network is cut, or a firewall drops \
                 what is sent"
            .to_owned(),
    }
}
