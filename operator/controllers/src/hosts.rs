//! Connections to hosts: one provider per DockerHost, and what it wakes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use hades_api::{DockerHostSpec, SshAccess, TlsAccess};
use hades_provider::{Connect, HostAddress, Provider, ProviderError, Wake};
use kube::Client;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::credentials;
use crate::host_users::HostUsers;

/// Wakes that may pile up before a slow listener loses some. One that did is
/// told so and looks at everything.
const WAKE_BUFFER: usize = 1024;

/// A wake and the host it came from.
#[derive(Debug, Clone)]
pub(crate) struct HostWake {
    /// Empty when it may concern those too that don't look at the host yet.
    pub(crate) host: String,
    pub(crate) wake: Wake,
}

struct Connection {
    /// What of the spec it was made from.
    access: Access,
    /// What it was made from, credentials included.
    address: HostAddress,
    provider: Arc<dyn Provider>,
    stop: CancellationToken,
}

/// What of a spec says how the host is reached.
#[derive(Debug, Clone, PartialEq)]
struct Access {
    endpoint: String,
    ssh: Option<SshAccess>,
    tls: Option<TlsAccess>,
}

impl Access {
    fn new(spec: &DockerHostSpec) -> Self {
        Self { endpoint: spec.endpoint.clone(), ssh: spec.ssh.clone(), tls: spec.tls.clone() }
    }
}

/// Providers by name of their DockerHost.
pub(crate) struct Hosts {
    client: Client,
    connect: Arc<dyn Connect>,
    connections: Mutex<HashMap<String, Connection>>,
    /// Hosts that are known not to answer, and why.
    outages: Mutex<HashMap<String, ProviderError>>,
    wakes: broadcast::Sender<HostWake>,
    /// Who looks at which host.
    pub(crate) users: HostUsers,
}

impl Hosts {
    pub(crate) fn new(client: Client, connect: Arc<dyn Connect>) -> Self {
        let (wakes, _) = broadcast::channel(WAKE_BUFFER);
        let (connections, outages, users) = Default::default();
        Self { client, connect, connections, outages, wakes, users }
    }

    /// The provider for a host. Made at the first call and whenever its spec says
    /// something else of how it is reached; its wakes are then listened to.
    ///
    /// # Errors
    /// At once when the host is known not to answer; else when no connection can
    /// be made from the spec.
    pub(crate) async fn get(
        &self,
        host: &str,
        spec: &DockerHostSpec,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        if let Some(provider) = self.known(host, &Access::new(spec)) {
            let outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
            return outages.get(host).map_or(Ok(provider), |error| Err(error.clone()));
        }
        self.renew(host, spec).await
    }

    /// The provider for a host whose Secret may have changed too, and whether or
    /// not it is known to answer.
    pub(crate) async fn renew(
        &self,
        host: &str,
        spec: &DockerHostSpec,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        let address = credentials::address(&self.client, spec).await?;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get_mut(host)
            && connection.address == address
        {
            connection.access = Access::new(spec);
            return Ok(connection.provider.clone());
        }
        let provider = self.connect.connect(&address)?;
        let stop = CancellationToken::new();
        tokio::spawn(forward(host.to_owned(), provider.clone(), self.wakes.clone(), stop.clone()));
        let access = Access::new(spec);
        let connection = Connection { access, address, provider: provider.clone(), stop };
        // Only now: what can't be replaced is still listened to.
        if let Some(replaced) = connections.insert(host.to_owned(), connection) {
            replaced.stop.cancel();
        }
        Ok(provider)
    }

    /// A provider that shares nothing with the others: it knocks anew.
    pub(crate) async fn fresh(
        &self,
        spec: &DockerHostSpec,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        self.connect.connect(&credentials::address(&self.client, spec).await?)
    }

    fn known(&self, host: &str, access: &Access) -> Option<Arc<dyn Provider>> {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = connections.get(host)?;
        (connection.access == *access).then(|| connection.provider.clone())
    }

    /// Notes that a host doesn't answer, so that nobody waits for it, or that it
    /// does again.
    pub(crate) fn set_outage(&self, host: &str, outage: Option<ProviderError>) {
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        match outage {
            Some(error) => outages.insert(host.to_owned(), error),
            None => outages.remove(host),
        };
    }

    /// Ends the connection to a host that is no more.
    pub(crate) fn forget(&self, host: &str) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.remove(host) {
            connection.stop.cancel();
        }
        drop(connections);
        self.set_outage(host, None);
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

    /// Wakes everything that may come to use a host whose spec has changed.
    pub(crate) fn wake_all(&self) {
        self.wake("");
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
