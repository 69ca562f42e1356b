//! What every request and background task shares.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::Request;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::admission::Validator;
use crate::audit::Auditor;
use crate::authn::{Authenticator, Identity, ServiceAccounts, Tokens};
use crate::authz::Rights;
use crate::http::list::Held;
use crate::http::seats::Seats;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::seal::Keyring;
use crate::store::{Store, StoreError, WriteError};
use crate::wire::discovery::Announced;
use crate::wire::status::StatusError;

/// Group, version and kind of an object.
pub use kube::core::GroupVersionKind;

/// Tells the time; injected so that tests can stop it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The parts of a running server.
pub(crate) struct State {
    pub store: Store,
    /// The resources served now. Replaced whole when a definition changes.
    pub served: RwLock<Arc<Registry>>,
    /// Names of the definitions that the server was opened with.
    pub installed: HashSet<String>,
    /// Held by whoever writes definitions.
    pub definitions: tokio::sync::Mutex<()>,
    pub keyring: Arc<Keyring>,
    /// Held by whoever replaces the identity.
    pub rotations: tokio::sync::Mutex<()>,
    pub validators: Vec<Arc<dyn Validator>>,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Records who did what.
    pub auditor: Auditor,
    pub tokens: Tokens,
    /// Asked for callers whom no token of `tokens` proves.
    pub authenticators: RwLock<Vec<Arc<dyn Authenticator>>>,
    pub rights: Arc<Rights>,
    /// Makes and checks the tokens of service accounts.
    pub service_accounts: ServiceAccounts,
    /// What the extra routes serve, for discovery.
    pub announced: Vec<Announced>,
    /// What paged lists come back to.
    pub held: Held,
    /// How much that lasts goes on at once.
    pub seats: Seats,
    /// Ends watches and background tasks.
    pub shutdown: CancellationToken,
}

impl State {
    /// What is served at this moment. Hold on to it for as long as one request
    /// lasts, so that it sees one set of resources.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves other resources from now on. Requests that began go on with those
    /// they began with.
    pub fn serve(&self, registry: Arc<Registry>) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = registry;
    }

    /// The caller that a request proves, if it does.
    pub fn authenticate(&self, request: &Request) -> Result<Option<Identity>, StatusError> {
        if let Some(identity) = self.tokens.authenticate(request.headers()) {
            return Ok(Some(identity));
        }
        for one in self.authenticators.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(identity) = one.authenticate(request)? {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }

    /// The caller that a bearer token proves, if it does.
    pub fn identify(&self, token: &str) -> Option<Identity> {
        let authenticators = self.authenticators.read().unwrap_or_else(PoisonError::into_inner);
        self.tokens
            .identify(token)
            .or_else(|| authenticators.iter().find_map(|it| it.identify(token)))
    }

    /// The time of day as objects carry it: RFC 3339 in UTC with seconds.
    pub fn now(&self) -> String {
        wire_time((self.clock)())
    }
}

/// RFC 3339 in UTC with whole seconds, as `metav1.Time` is written.
pub(crate) fn wire_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl From<StoreError> for StatusError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed | StoreError::Broken(_) => Self::unavailable(error.to_string()),
            StoreError::SnapshotGone => Self::expired(error.to_string()),
            error => {
                tracing::error!(%error, "the store failed");
                Self::internal(error)
            }
        }
    }
}

/// A write's refusal in the words of the API.
pub(crate) fn write_error(
    error: &WriteError,
    group: &str,
    plural: &str,
    namespace: &str,
    name: &str,
) -> StatusError {
    match error {
        WriteError::Exists => StatusError::already_exists(group, plural, name),
        WriteError::Missing => StatusError::not_found(group, plural, name),
        WriteError::Changed => StatusError::conflict(group, plural, name, MODIFIED),
        WriteError::NamespaceMissing => StatusError::not_found("", "namespaces", namespace),
        WriteError::NamespaceTerminating => StatusError::forbidden(
            group,
            plural,
            name,
            format!(
                "unable to create new content in namespace {namespace} because it is being \
                 terminated"
            ),
        ),
        WriteError::Full => StatusError::insufficient_storage(error.to_string()),
        WriteError::Store(text) => StatusError::internal(text),
    }
}

/// What Kubernetes says about a stale resourceVersion.
pub(crate) const MODIFIED: &str = "the object has been modified; please apply your changes to the \
                                   latest version and try again";
