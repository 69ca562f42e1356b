//! Connections to hosts: one provider per DockerHost, and what it wakes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use hades_provider::{Connect, Provider, ProviderError, Wake};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Wakes that may pile up before a slow listener loses some. One that did is
/// told so and looks at everything.
const WAKE_BUFFER: usize = 1024;

/// A wake and the host it came from.
#[derive(Debug, Clone)]
pub(crate) struct HostWake {
    pub(crate) host: String,
    pub(crate) wake: Wake,
}

struct Connection {
    endpoint: String,
    provider: Arc<dyn Provider>,
    stop: CancellationToken,
}

/// Providers by name of their DockerHost.
pub(crate) struct Hosts {
    connect: Arc<dyn Connect>,
    connections: Mutex<HashMap<String, Connection>>,
    wakes: broadcast::Sender<HostWake>,
}

impl Hosts {
    pub(crate) fn new(connect: Arc<dyn Connect>) -> Self {
        let (wakes, _) = broadcast::channel(WAKE_BUFFER);
        Self { connect, connections: Mutex::new(HashMap::new()), wakes }
    }

    /// The provider for a host. Made at the first call and whenever the endpoint
    /// is another one; its wakes are then listened to.
    pub(crate) fn get(
        &self,
        host: &str,
        endpoint: &str,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(host) {
            if connection.endpoint == endpoint {
                return Ok(connection.provider.clone());
            }
            connection.stop.cancel();
        }
        let provider = self.connect.connect(endpoint)?;
        let stop = CancellationToken::new();
        tokio::spawn(forward(host.to_owned(), provider.clone(), self.wakes.clone(), stop.clone()));
        let connection =
            Connection { endpoint: endpoint.to_owned(), provider: provider.clone(), stop };
        connections.insert(host.to_owned(), connection);
        Ok(provider)
    }

    /// Ends the connection to a host that is no more.
    pub(crate) fn forget(&self, host: &str) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.remove(host) {
            connection.stop.cancel();
        }
    }

    /// Ends all connections.
    pub(crate) fn close(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, connection) in connections.drain() {
            connection.stop.cancel();
        }
    }

    /// Wakes of all hosts from now on.
    pub(crate) fn wakes(&self) -> broadcast::Receiver<HostWake> {
        self.wakes.subscribe()
    }

    /// For others to wake what uses a host.
    pub(crate) fn waker(&self) -> broadcast::Sender<HostWake> {
        self.wakes.clone()
    }

    /// Wakes everything that uses a host.
    pub(crate) fn wake(&self, host: &str) {
        let _ = self.wakes.send(HostWake { host: host.to_owned(), wake: Wake::Everything });
    }
}

async fn forward(
    host: String,
    provider: Arc<dyn Provider>,
    wakes: broadcast::Sender<HostWake>,
    stop: CancellationToken,
) {
    let mut stream = provider.wakes();
    loop {
        let wake = tokio::select! {
            () = stop.cancelled() => return,
            wake = stream.next() => wake,
        };
        let Some(wake) = wake else { return };
        // No listener yet is no error: controllers look at everything at start.
        let _ = wakes.send(HostWake { host: host.clone(), wake });
    }
}
