//! What every controller is handed: no globals.

use std::path::PathBuf;
use std::sync::Arc;

use hades_api::role;
use hades_provider::Connect;
use http::{HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use tower::service_fn;

use crate::events::Events;
use crate::health::Monitor;
use crate::hook::Hooks;
use crate::hosts::Hosts;
use crate::images::Images;
use crate::metrics::Metrics;
use crate::redaction::SecretValues;
use crate::volume_copy::Copies;

/// In whose name a request is.
const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
/// Somebody without any right.
const NOBODY: &str = "system:anonymous";

/// Tells the time; injected, so that tests stay still.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Makes keyed fingerprints of secret values, of a project and a value. Those of two
/// projects must differ for the same value: members of one see its fingerprints, and
/// could otherwise try guesses in another, where they write Secrets themselves.
pub type Fingerprint = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// What the binary decides.
#[derive(Clone)]
pub struct Settings {
    /// API server to work against, with the controllers' own identity.
    pub client: Client,
    /// Makes providers.
    pub connect: Arc<dyn Connect>,
    /// Id of this installation; on everything it makes.
    pub installation: String,
    /// Keyed fingerprint of a secret value.
    pub fingerprint: Fingerprint,
    /// Knows the values that nobody must read.
    pub secret_values: Arc<dyn SecretValues>,
    /// Folder for copies of git repositories; may be emptied at any time.
    pub cache_dir: PathBuf,
    /// Tells the time.
    pub clock: Clock,
}

/// What every controller is handed.
pub struct Context {
    pub(crate) client: Client,
    pub(crate) installation: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) secret_values: Arc<dyn SecretValues>,
    pub(crate) cache_dir: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) hosts: Hosts,
    pub(crate) hooks: Hooks,
    pub(crate) monitor: Monitor,
    pub(crate) images: Images,
    pub(crate) copies: Copies,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
}

impl Context {
    /// From what the binary decides.
    pub fn new(settings: Settings) -> Arc<Self> {
        let Settings {
            client,
            connect,
            installation,
            fingerprint,
            secret_values,
            cache_dir,
            clock,
        } = settings;
        let hosts = Hosts::new(client.clone(), connect);
        Arc::new(Self {
            events: Events::new(client.clone(), Arc::clone(&secret_values)),
            monitor: Monitor::new(hosts.waker()),
            hosts,
            hooks: Hooks::default(),
            images: Images::default(),
            copies: Copies::default(),
            metrics: Metrics::default(),
            client,
            installation,
            fingerprint,
            secret_values,
            cache_dir,
            clock,
        })
    }

    /// What the controllers count, for the binary to expose.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A client that acts as a service account, with the rights of that one: the
    /// controllers' own, with each request in the name of the account. Names must be
    /// those of Kubernetes, which are texts that a header can hold.
    pub fn client_as(&self, namespace: &str, service_account: &str) -> Client {
        let client = self.client.clone();
        let user = role::service_account_user(namespace, service_account);
        let user = HeaderValue::try_from(user).unwrap_or(HeaderValue::from_static(NOBODY));
        let service = service_fn(move |mut request: Request<Body>| {
            request.headers_mut().insert(IMPERSONATE_USER, user.clone());
            let client = client.clone();
            async move { client.send(request).await }
        });
        Client::new(service, namespace)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
