//! Connections for the HTTP client, made our way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hades_api::reason;
use hades_provider::{ByteStream, ErrorClass, ProviderError};
use hades_ssh::{LeftUnread, Link};
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::endpoint::Endpoint;
use crate::{tls, transport};

/// How long it may take until there is a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A silent peer is asked for a sign of life this often; the connection ends
/// after about 25 s without one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
const UNANSWERED_LIMIT: Duration = Duration::from_secs(25);

/// Why there is no connection: a reason of [`hades_api::reason`] and words.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{words}")]
pub(crate) struct DialError {
    pub reason: &'static str,
    pub words: String,
}

impl DialError {
    fn unreachable(words: impl Into<String>) -> Self {
        Self { reason: reason::HOST_UNREACHABLE, words: words.into() }
    }

    pub fn into_provider_error(self, endpoint: &Endpoint) -> ProviderError {
        transport::unreachable(endpoint, self.reason, &self.words)
    }
}

/// Notes that a stream was cut off because nobody read it: the client library
/// passes on that it ended, not why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, error: &io::Error) {
        if LeftUnread::is_cause_of(error) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// What [`Cut`] means: the host answers as before, so that it may be tried again.
pub(crate) fn left_unread() -> ProviderError {
    let words = "its output was cut off, as nobody read it and others wait on the same connection";
    ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, words)
}

/// Makes connections to one engine.
#[derive(Clone)]
pub(crate) struct Connector {
    to: Destination,
    cut: Cut,
}

#[derive(Clone)]
enum Destination {
    Tcp { way: HttpConnector, place: String, host: String, tls: Option<TlsConnector> },
    Ssh { link: Link, socket: String },
}

impl Connector {
    pub fn tcp(host: &str, port: u16, tls: Option<Arc<ClientConfig>>) -> Self {
        let mut way = HttpConnector::new();
        way.set_nodelay(true);
        way.set_connect_timeout(Some(CONNECT_LIMIT));
        way.set_keepalive(Some(SIGN_OF_LIFE));
        way.set_keepalive_interval(Some(SIGN_OF_LIFE / 2));
        way.set_keepalive_retries(Some(3));
        way.set_tcp_user_timeout(Some(UNANSWERED_LIMIT));
        let place = match host.contains(':') {
            true => format!("http://[{host}]:{port}"),
            false => format!("http://{host}:{port}"),
        };
        let (host, tls) = (host.to_owned(), tls.map(TlsConnector::from));
        Self { to: Destination::Tcp { way, place, host, tls }, cut: Cut::default() }
    }

    pub fn ssh(link: Link, socket: &str) -> Self {
        let to = Destination::Ssh { link, socket: socket.to_owned() };
        Self { to, cut: Cut::default() }
    }

    /// Whether one of its connections was cut off, from now on.
    pub fn cut(&self) -> Cut {
        self.cut.clone()
    }

    pub async fn connect(self) -> Result<ByteStream, DialError> {
        match self.to {
            Destination::Ssh { link, socket } => match link.open_unix(&socket).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(of_ssh(&error)),
            },
            Destination::Tcp { mut way, place, host, tls } => {
                let place: Uri =
                    place.parse().map_err(|_| DialError::unreachable("that is no address"))?;
                let stream = way.call(place).await.map_err(|error| of_tcp(&error))?.into_inner();
                let Some(tls) = tls else { return Ok(Box::new(stream)) };
                let name = ServerName::try_from(host)
                    .map_err(|_| DialError::unreachable("that is no name or address"))?;
                match tokio::time::timeout(CONNECT_LIMIT, tls.connect(name, stream)).await {
                    Ok(Ok(stream)) => Ok(Box::new(stream)),
                    Ok(Err(error)) => Err(of_tls(&error)),
                    Err(_) => Err(DialError::unreachable("no answer to the TLS handshake in time")),
                }
            }
        }
    }
}

/// What an error of SSH means for a host.
pub(crate) fn of_ssh(error: &hades_ssh::Error) -> DialError {
    use hades_ssh::Error;
    let reason = match error {
        Error::HostKey { .. } | Error::HostKeyKind { .. } => reason::HOST_IDENTITY_CHANGED,
        Error::Denied { .. } => reason::ACCESS_DENIED,
        Error::NoHostKey { .. } | Error::PrivateKey { .. } | Error::PublicKey { .. } => {
            reason::INVALID_CREDENTIALS
        }
        Error::Unreachable { .. } | Error::Refused { .. } | Error::Lost { .. } => {
            reason::HOST_UNREACHABLE
        }
    };
    DialError { reason, words: error.to_string() }
}

fn of_tcp(error: &(dyn std::error::Error + 'static)) -> DialError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let kind = innermost.downcast_ref::<io::Error>().map(io::Error::kind);
    DialError::unreachable(match kind {
        Some(io::ErrorKind::ConnectionRefused) => {
            "connection refused; the engine is not running, doesn't listen on that port (dockerd \
             --host tcp://…), or a firewall refuses"
                .to_owned()
        }
        Some(io::ErrorKind::TimedOut) => {
            "no answer in time; the machine is off, the network is cut, or a firewall drops what \
             is sent"
                .to_owned()
        }
        _ => innermost.to_string(),
    })
}

/// Words for an IO error that TLS may be the cause of.
pub(crate) fn of_tls(error: &io::Error) -> DialError {
    match tls_error(error) {
        Some(error) => {
            let (reason, words) = tls::explain(error);
            DialError { reason, words }
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => DialError::unreachable(
            "it ended the connection during the TLS handshake; see whether the engine runs with \
             --tlsverify",
        ),
        None => DialError::unreachable(error.to_string()),
    }
}

/// The error of TLS that an IO error carries, if it does.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Wire, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (connector, cut) = (self.clone(), self.cut());
        Box::pin(async move {
            let stream = TokioIo::new(connector.connect().await?);
            Ok(Wire { stream, cut })
        })
    }
}

/// A connection as the HTTP client takes it.
pub(crate) struct Wire {
    stream: TokioIo<ByteStream>,
    cut: Cut,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &read {
            self.cut.note(error);
        }
        read
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_read_was_cut_off() {
        let cut = Cut::default();
        cut.note(&io::Error::from(io::ErrorKind::TimedOut));
        cut.note(&io::Error::new(io::ErrorKind::ConnectionReset, "lost"));
        assert!(!cut.happened());
        cut.clone().note(&io::Error::new(io::ErrorKind::TimedOut, LeftUnread));
        assert!(cut.happened());
        let error = left_unread();
        assert_eq!(error.class, ErrorClass::Retry);
        assert!(!error.message.contains("cannot reach"), "{error}");
    }
}
