//! The server: its configuration, its start and its end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Router;
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::Body;
use prometheus_client::registry::Registry as MetricsRegistry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use crate::admission::{Right, Surroundings, Validator};
use crate::audit::{AuditError, AuditOptions, Auditor};
use crate::authn::{Authenticator, Credential, Identity, ServiceAccounts, Tokens};
use crate::authz::{self, Granted, Rights};
use crate::definitions::{self, DefinitionError};
use crate::first_objects;
use crate::http::list::Held;
use crate::http::seats::Seats;
use crate::metrics::Metrics;
use crate::private_file;
use crate::registry::{Nature, Registry};
use crate::rotation::{self, Rotated, RotationError};
use crate::seal::{IdentitySource, Keyring, SealError};
use crate::state::{Clock, State};
use crate::store::{Copied, Key, Observer, Store, StoreError};
use crate::vault::Vault;
use crate::wire::discovery::Announced;
use crate::wire::status::StatusError;
use crate::write::{self, Call, SYSTEM_NAMESPACES, WriteOptions};
use crate::{http, lifecycle};

/// How many changes watchers may lag behind by default.
pub const DEFAULT_WATCH_RING: usize = 8192;

/// Field manager of what the server itself writes.
pub(crate) const MANAGER: &str = "hades-apiserver";

/// What a server is made of.
pub struct ServerConfig {
    /// Where the store and the keys lie; made where it is absent.
    pub data_dir: PathBuf,
    /// Where the identity lies that opens what is sealed.
    pub identity: IdentitySource,
    /// The custom resources that come with the server. Others can be defined over
    /// the API; these can't be changed there.
    pub crds: Vec<CustomResourceDefinition>,
    /// Further checks of objects.
    pub validators: Vec<Arc<dyn Validator>>,
    /// The bearer tokens to accept.
    pub credentials: Vec<Credential>,
    /// How many changes are kept for watchers that lag behind.
    pub watch_ring: usize,
    /// Tells the time.
    pub clock: Clock,
    /// What routes of [`ApiServer::with_routes`] serve, so that clients find it by
    /// discovery.
    pub announced: Vec<Announced>,
    /// How much of the audit log is kept, and where.
    pub audit: AuditOptions,
    /// Objects that must be there from the first start on. Roles and bindings are
    /// looked through at every start: what they lack is put back, what people added
    /// stays, unless their annotation `rbac.authorization.kubernetes.io/autoupdate`
    /// says `false`. All others are only made where they are absent.
    pub first_objects: Vec<Value>,
}

impl ServerConfig {
    /// A server of these resources with the system's clock and no tokens.
    pub fn new(data_dir: impl Into<PathBuf>, crds: Vec<CustomResourceDefinition>) -> Self {
        Self {
            data_dir: data_dir.into(),
            identity: IdentitySource::default(),
            crds,
            validators: Vec::new(),
            credentials: Vec::new(),
            watch_ring: DEFAULT_WATCH_RING,
            clock: Arc::new(Timestamp::now),
            announced: Vec::new(),
            audit: AuditOptions::default(),
            first_objects: Vec::new(),
        }
    }
}

impl std::fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerConfig").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory can't be made.
    #[error("the data directory {path} can't be made")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A custom resource definition can't be served.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A key is missing or unreadable.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log can't be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A first object could not be written.
    #[error("{what} could not be written: {message}")]
    FirstObject {
        /// Which.
        what: String,
        /// Why.
        message: String,
    },
}

/// A running API server; clones share it. It ends when the last clone and the
/// last client of it are dropped, or at [`ApiServer::shutdown`].
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
    routes: Router,
    public: Router,
}

struct Inner {
    state: Arc<State>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    _ends: DropGuard,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiServer")
    }
}

impl ApiServer {
    /// Opens or creates the store, installs the custom resource definitions and
    /// the namespaces that the server needs, and starts the background tasks.
    ///
    /// # Errors
    /// When the data directory is in use or unreadable, or a definition can't be
    /// served.
    pub async fn open(config: ServerConfig) -> Result<Self, OpenError> {
        let ServerConfig {
            data_dir,
            identity,
            crds,
            validators,
            credentials,
            watch_ring,
            clock,
            announced,
            audit,
            first_objects: wanted,
        } = config;
        private_file::make_directory(&data_dir)
            .map_err(|source| OpenError::Directory { path: data_dir.clone(), source })?;
        let definitions = definitions::check(&crds)?;
        let registry = Registry::builtin();
        let keyring = Arc::new(Keyring::open(&data_dir, &identity)?);
        let metrics = Metrics::default();
        let policy = registry.policy();
        let store =
            Store::open(&data_dir, policy, Arc::clone(&keyring), watch_ring, metrics.clone())?;
        let (folder, key) = (audit.folder(&data_dir), keyring.audit_key());
        let auditor = Auditor::open(&folder, key, audit, Arc::clone(&clock))?;
        let shutdown = CancellationToken::new();
        let service_accounts = ServiceAccounts::open(store.clone(), Arc::clone(&clock))
            .await
            .map_err(|error| first_object("the key of service accounts' tokens", error))?;
        let rights = Arc::<Rights>::default();
        store.observe(Arc::<Rights>::clone(&rights))?;
        let state = Arc::new(State {
            store,
            served: RwLock::new(Arc::new(registry)),
            installed: definitions.iter().map(|one| write::text(one, "name").to_owned()).collect(),
            definitions: tokio::sync::Mutex::new(()),
            keyring,
            rotations: tokio::sync::Mutex::default(),
            validators,
            clock,
            metrics,
            auditor,
            tokens: Tokens::new(credentials),
            authenticators: RwLock::new(vec![Arc::new(service_accounts.clone())]),
            rights,
            service_accounts,
            announced,
            held: Held::default(),
            seats: Seats::default(),
            shutdown: shutdown.clone(),
        });
        let turn = definitions::turn(&state).await;
        let installed = definitions::install(&state, &turn, definitions).await;
        installed.map_err(|error| first_object("the custom resource definitions", error))?;
        drop(turn);
        make_namespaces(&state).await?;
        first_objects::reconcile(&state, &authz::bootstrap::objects()).await?;
        first_objects::reconcile(&state, &wanted).await?;
        let tasks = lifecycle::start(&state);
        Ok(Self {
            inner: Arc::new(Inner {
                state,
                tasks: Mutex::new(tasks),
                _ends: shutdown.drop_guard(),
            }),
            routes: Router::new(),
            public: Router::new(),
        })
    }

    /// A client that calls this server without a socket, as `identity`.
    pub fn client(&self, identity: Identity) -> kube::Client {
        let server = self.clone();
        let router = self.router();
        let service = tower::service_fn(move |mut request: axum::http::Request<Body>| {
            request.extensions_mut().insert(identity.clone());
            let router = router.clone();
            // As long as the client lives, so does the server.
            let server = server.clone();
            async move {
                let response = router.oneshot(request).await;
                drop(server);
                response
            }
        });
        kube::Client::new(service, "default")
    }

    /// A keyed fingerprint of a secret value: the same for the same place and
    /// value within this installation, and of no use to anybody without its key.
    pub fn fingerprint(&self, place: &[&str], value: &[u8]) -> String {
        self.inner.state.keyring.fingerprint(place, value)
    }

    /// Makes a new identity and seals everything for it, while everybody reads and
    /// writes. The former identity is gone from its file afterwards.
    ///
    /// # Errors
    /// When the file of the identity can't be written, or the store can't. What was
    /// begun is ended by the next rotation, or after the next start.
    pub async fn rotate_identity(&self) -> Result<Rotated, RotationError> {
        let state = &self.inner.state;
        rotation::rotate(&state.store, &state.keyring, &state.rotations).await
    }

    /// Records of this kind that only this process reads and writes.
    pub fn vault(&self, kind: &str) -> Vault {
        Vault::new(self.inner.state.store.clone(), kind)
    }

    /// Shows somebody all objects of the resources that it follows, and from then
    /// on each change before whoever made it hears that it is done.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        self.inner.state.store.observe(observer)
    }

    /// Copies everything in the store, as it is now, into a new file, while writers go
    /// on. Takes as long as the disk needs for it; don't call it from async code.
    ///
    /// # Errors
    /// When the store can't be read, or the file can't be written.
    pub fn copy_store(&self, target: &Path) -> Result<Copied, StoreError> {
        self.inner.state.store.copy(target)
    }

    /// The audit log, for what no request of the API tells: logins, consoles.
    pub fn audit(&self) -> Auditor {
        self.inner.state.auditor.clone()
    }

    /// Whether somebody may do something, by the rights as they are now.
    #[must_use]
    pub fn may(&self, who: &Identity, right: Right<'_>) -> bool {
        Surroundings::may(&*self.inner.state, who, right)
    }

    /// Every binding that names somebody, those of the cluster first, whatever the
    /// scope of a token leaves of them.
    #[must_use]
    pub fn granted(&self, who: &Identity) -> Vec<Granted> {
        self.inner.state.rights.granted(who)
    }

    /// Has callers known by somebody besides the tokens that the server was
    /// opened with.
    pub fn authenticate_with(&self, authenticator: Arc<dyn Authenticator>) {
        let authenticators = &self.inner.state.authenticators;
        authenticators.write().unwrap_or_else(PoisonError::into_inner).push(authenticator);
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.inner.state
    }

    /// The whole API. Requests need an [`Identity`] among their extensions or a
    /// bearer token, except on the public routes.
    pub fn router(&self) -> Router {
        http::router(&self.inner.state, self.routes.clone(), self.public.clone())
    }

    /// Adds routes under `prefix`, behind the same authentication. Handlers find
    /// the caller as `Extension<Identity>`.
    #[must_use]
    pub fn with_routes(mut self, prefix: &str, router: Router) -> Self {
        self.routes = self.routes.nest(prefix, router);
        self
    }

    /// Adds routes that need no authentication, such as `/readyz`.
    #[must_use]
    pub fn public_routes(mut self, router: Router) -> Self {
        self.public = self.public.merge(router);
        self
    }

    /// Registers the server's metrics under `hades_apiserver_`.
    pub fn register_metrics(&self, registry: &mut MetricsRegistry) {
        self.inner.state.metrics.register(registry);
        self.inner.state.auditor.register(registry);
    }

    /// Ends when a part panicked that the server can't do without: whoever runs
    /// it should end the process and start it anew. Never, as long as all is well.
    pub async fn broken(&self) {
        self.inner.state.store.broken().cancelled().await;
    }

    /// Ends watches and background tasks, commits what is queued and closes the
    /// store, so that another server can open it. Later requests answer 503.
    pub async fn shutdown(&self) {
        self.inner.state.shutdown.cancel();
        let tasks = {
            let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            // A task that panicked has said so already.
            let _ = task.await;
        }
        self.inner.state.held.close();
        self.inner.state.store.close().await;
        self.inner.state.auditor.close().await;
    }
}

pub(crate) fn first_object(what: impl Into<String>, error: impl std::fmt::Display) -> OpenError {
    OpenError::FirstObject { what: what.into(), message: error.to_string() }
}

async fn make_namespaces(state: &State) -> Result<(), OpenError> {
    let registry = state.registry();
    let Some(resource) = registry.stored().find(|resource| resource.nature == Nature::Namespace)
    else {
        return Ok(());
    };
    let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
    for name in SYSTEM_NAMESPACES {
        let key = Key::new(&resource.storage, "", name);
        if state.store.get(&key)?.is_some() {
            continue;
        }
        let caller = &Identity::server();
        let call = Call { state, resource, namespace: None, caller, options: &options };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let created = write::create(call, object, &[]).await;
        created
            .map_err(|error: StatusError| first_object(format!("the namespace {name}"), error))?;
    }
    Ok(())
}
