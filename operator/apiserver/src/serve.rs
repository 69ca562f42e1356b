//! HTTPS: accepts connections and hands their requests to the router.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer;

use crate::ApiServer;
use crate::http::{Connection, Limits, Peer};
use crate::places::Places;
use crate::stalled::{Impatient, Unread};
pub use crate::tls::{ServerTls, TlsError};

/// A peer that needs longer for its handshake or its headers is not a client.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a peer may leave what it was sent unread, unless a route allows more.
/// Somebody who looks at a pager comes back sooner or starts again.
const UNREAD: Duration = Duration::from_secs(60);

/// How long answers may take after the shutdown began.
const GRACE: Duration = Duration::from_secs(5);

/// As many connections are open at once. Each costs some tens of kilobytes, and
/// one carries many requests.
const MAX_CONNECTIONS: usize = 1000;

/// And as many from one network.
const MAX_OF_NETWORK: usize = 250;

/// A connection on which nobody showed a good token for this long is closed.
const STRANGER: Duration = Duration::from_secs(30);

/// Requests under way at once on one connection, as many as Go's servers allow.
const MAX_STREAMS: u32 = 250;

/// The largest head of a request, selectors in its address included.
const MAX_HEAD: usize = 64 << 10;

/// How long to wait when the system has no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What connections are held to.
#[derive(Clone, Debug)]
struct Terms {
    patience: Duration,
    stranger: Duration,
    limits: Arc<Limits>,
    connections: usize,
    of_network: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            patience: PATIENCE,
            stranger: STRANGER,
            limits: Arc::default(),
            connections: MAX_CONNECTIONS,
            of_network: MAX_OF_NETWORK,
        }
    }
}

impl ApiServer {
    /// Serves the API over HTTPS until `shutdown`. Then open watches end, other
    /// answers may finish for a few seconds, and the rest is cut off. Clients of
    /// this process are not touched.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: &ServerTls,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        self.serve_on(listener, tls, shutdown, Terms::default()).await
    }

    async fn serve_on(
        self,
        listener: TcpListener,
        tls: &ServerTls,
        shutdown: CancellationToken,
        terms: Terms,
    ) -> io::Result<()> {
        let ends = shutdown.child_token();
        let router = self.router();
        let places = Places::new(terms.connections, terms.of_network);
        let acceptor = TlsAcceptor::from(tls.config());
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        loop {
            let (stream, address) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) if is_passing(&error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(EXHAUSTED).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
                () = shutdown.cancelled() => break,
            };
            let Some(place) = places.take(address.ip()) else { continue };
            let context = Connection::new(ends.clone(), Arc::clone(&terms.limits));
            let connection = converse(
                (stream, Peer(address)),
                acceptor.clone(),
                router.clone(),
                context,
                terms.clone(),
            );
            let cut = cut.clone();
            connections.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = connection => {}
                    () = cut.cancelled() => {}
                }
            });
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
            tracing::warn!("some answers took too long and were cut off");
            cut.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

/// Errors of one connection attempt, or of a moment.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    // Out of descriptors: EMFILE and ENFILE have no kind of their own.
    matches!(error.raw_os_error(), Some(23 | 24))
        || matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        )
}

async fn converse(
    (stream, peer): (TcpStream, Peer),
    acceptor: TlsAcceptor,
    router: Router,
    context: Connection,
    terms: Terms,
) {
    // Watch events are small and wanted at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection without TCP_NODELAY");
    }
    let unread = Unread::new(UNREAD);
    let stream = Impatient::new(stream, unread.clone());
    let stream = match tokio::time::timeout(terms.patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    // The handshake settled which HTTP it is. Looking at the first bytes instead
    // would wait for them without end.
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => builder.http2_only(),
        _ => builder.http1_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(terms.patience)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32);
    let ends = context.ends.clone();
    let stranger = stranger(context.clone(), terms.stranger);
    let layers = (axum::Extension(unread), axum::Extension(peer), axum::Extension(context));
    let service = TowerToHyperService::new(layers.layer(router));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = ends.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = stranger => {
            tracing::debug!("a connection closes: nobody logged in on it");
            // A login that is under way may end.
            connection.as_mut().graceful_shutdown();
            let Ok(outcome) = tokio::time::timeout(PATIENCE, connection).await else { return };
            outcome
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Ends when a connection has had its time and nobody is known on it.
async fn stranger(connection: Connection, time: Duration) {
    tokio::time::sleep(time).await;
    if connection.is_known() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
