//! The public listener: what the internet reaches. It serves webhooks and a probe,
//! over HTTPS with a certificate that forges trust, or over plain HTTP for a
//! reverse proxy. The API isn't on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::certificates::{CertificateError, Certificates};
use crate::cli::PublicFlags;

/// A peer that needs longer for its handshake, until it asks for something, or for
/// its headers is no forge.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection lasts no longer: forges open one for each delivery, or use one for
/// a few of them.
const LIFETIME: Duration = Duration::from_secs(60);

/// How long a request that is under way then may take.
const GRACE: Duration = Duration::from_secs(30);

/// As many connections are open at once. Those above wait to be accepted.
const MAX_CONNECTIONS: usize = 256;

/// Requests under way at once on one connection.
const MAX_STREAMS: u32 = 32;

/// The largest head of a request.
const MAX_HEAD: usize = 16 << 10;

/// How long to wait when a connection can't be accepted, as the system has no file
/// descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Why the listener can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublicError {
    #[error(
        "--public-listen {address} would serve webhooks without encryption to everybody: give \
         --public-cert and --public-key, or listen on 127.0.0.1, or say --behind-proxy if a \
         reverse proxy in front of it does the TLS"
    )]
    Unencrypted { address: SocketAddr },
    #[error("cannot listen on {address}; choose another address with --public-listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the certificate of --public-cert can't be used")]
    Certificate(#[from] CertificateError),
}

/// An open listener that doesn't accept yet.
pub(crate) struct PublicListener {
    listener: TcpListener,
    certificates: Option<Certificates>,
}

impl PublicListener {
    /// Opens what the flags ask for; none when they ask for nothing.
    pub(crate) async fn open(flags: &PublicFlags) -> Result<Option<Self>, PublicError> {
        let PublicFlags { public_url: _, public_listen, public_cert, public_key, behind_proxy } =
            flags;
        let Some(address) = *public_listen else { return Ok(None) };
        let certificates = match (public_cert, public_key) {
            (Some(chain), Some(key)) => Some(Certificates::load(chain, key)?),
            _ if address.ip().is_loopback() || *behind_proxy => None,
            _ => return Err(PublicError::Unencrypted { address }),
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| PublicError::Listen { address, source })?;
        Ok(Some(Self { listener, certificates }))
    }

    /// Logs where it listens.
    pub(crate) fn announce(&self) {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        match self.listener.local_addr() {
            Ok(address) => tracing::info!(%address, scheme, "webhooks are served"),
            Err(error) => tracing::warn!(%error, "the public listener has no address"),
        }
    }

    /// Serves until `shutdown`.
    pub(crate) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { listener, certificates } = self;
        if let Some(certificates) = certificates.clone() {
            tokio::spawn(certificates.keep_current(shutdown.clone()));
        }
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let accepting = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let stream = match listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a public connection could not be accepted");
                        tokio::time::sleep(EXHAUSTED).await;
                        continue;
                    }
                };
                let acceptor = certificates.as_ref().map(Certificates::acceptor);
                let (router, shutdown) = (router.clone(), shutdown.clone());
                tokio::spawn(async move {
                    shutdown.run_until_cancelled(converse(stream, acceptor, router)).await;
                    drop(place);
                });
            }
        };
        shutdown.run_until_cancelled(accepting).await;
    }
}

async fn converse(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router) {
    let Some(acceptor) = acceptor else { return answer(stream, router, PATIENCE).await };
    match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router, PATIENCE).await,
        Ok(Err(error)) => tracing::debug!(%error, "a public TLS handshake failed"),
        Err(_) => tracing::debug!("a public TLS handshake took too long"),
    }
}

/// Answers requests; `patience` is for whoever makes none.
async fn answer<S>(stream: S, router: Router, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32);
    // Whether HTTP/1 or HTTP/2 is spoken is read without any limit of time, and so is
    // the beginning of HTTP/2.
    let asked = CancellationToken::new();
    let silence = {
        let asked = asked.clone();
        async move {
            if tokio::time::timeout(patience, asked.cancelled()).await.is_ok() {
                std::future::pending::<()>().await;
            }
        }
    };
    let router = router.layer(map_request(move |request: Request| {
        asked.cancel();
        std::future::ready(request)
    }));
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = silence => return tracing::debug!("a public connection asked for nothing"),
        () = tokio::time::sleep(LIFETIME) => {
            // What is under way has its own limits of time.
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, connection).await {
                Ok(outcome) => outcome,
                Err(_) => return tracing::debug!("a public connection was cut off"),
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a public connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn flags(address: &str) -> PublicFlags {
        PublicFlags { public_listen: Some(address.parse().unwrap()), ..PublicFlags::default() }
    }

    #[tokio::test]
    async fn plain_http_is_for_loopback_or_a_proxy() {
        assert!(PublicListener::open(&PublicFlags::default()).await.unwrap().is_none());
        let error = PublicListener::open(&flags("0.0.0.0:0")).await.err().unwrap();
        assert!(matches!(error, PublicError::Unencrypted { .. }), "{error}");
        assert!(PublicListener::open(&flags("127.0.0.1:0")).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_not_in_the_router_is_not_there() {
        let listener = PublicListener::open(&flags("127.0.0.1:0")).await.unwrap().unwrap();
        let address = listener.listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/healthz", get(|| async { "ok" }));
        let serving = tokio::spawn(listener.serve(router, shutdown.clone()));
        for (path, code) in [("/healthz", "200"), ("/api/v1/secrets", "404"), ("/metrics", "404")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {text}");
        }
        shutdown.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_is_closed() {
        let router = || Router::new().route("/healthz", get(|| async { "ok" }));
        // Nothing, half of the preface of HTTP/2, all of it.
        for sent in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (near, mut far) = tokio::io::duplex(4096);
            let serving = tokio::spawn(answer(near, router(), Duration::from_millis(20)));
            far.write_all(sent.as_bytes()).await.unwrap();
            // Far below the lifetime of a connection.
            let ended = tokio::time::timeout(LIFETIME / 4, serving).await;
            assert!(ended.is_ok(), "after {sent:?}");
        }
        // Whoever has asked may ask again later.
        let (near, mut far) = tokio::io::duplex(4096);
        let serving = tokio::spawn(answer(near, router(), Duration::from_millis(200)));
        let mut answer = [0; 12];
        for _ in 0..2 {
            far.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
            far.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            while far.read_u8().await.unwrap() != b'k' {}
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        drop(far);
        serving.await.unwrap();
    }
}
