//! Endpoints of fake hosts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hades_api::reason;

use crate::{Connect, ErrorClass, HostAddress, Provider, ProviderError};

use super::FakeHost;

/// Makes providers from endpoints that tests have given to fake hosts. Cheap to
/// clone; clones share the endpoints.
#[derive(Debug, Clone, Default)]
pub struct FakeConnect {
    hosts: Arc<Mutex<BTreeMap<String, FakeHost>>>,
    connected: Arc<Mutex<Vec<HostAddress>>>,
}

impl FakeConnect {
    /// With no host yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a host at an endpoint, such as `unix:///fake.sock`.
    pub fn insert(&self, endpoint: &str, host: FakeHost) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(endpoint.to_owned(), host);
    }

    /// What was connected to so far, with the credentials that were shown.
    pub fn connected(&self) -> Vec<HostAddress> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// With one more host, for building up in one expression.
    #[must_use]
    pub fn with(self, endpoint: &str, host: FakeHost) -> Self {
        self.insert(endpoint, host);
        self
    }
}

impl Connect for FakeConnect {
    fn connect(&self, address: &HostAddress) -> Result<Arc<dyn Provider>, ProviderError> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).push(address.clone());
        let HostAddress { endpoint, credentials: _ } = address;
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.get(endpoint) {
            Some(host) => Ok(Arc::new(host.clone())),
            None => Err(ProviderError::new(
                ErrorClass::Terminal,
                reason::INVALID_ENDPOINT,
                format!("{endpoint} is not an endpoint of a fake host"),
            )),
        }
    }
}
