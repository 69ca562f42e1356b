//! A real API server with the kinds of Hades over HTTPS, without controllers:
//! what they would report is written by the tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hades_accounts::{Accounts, Cost, Method, Origin, Settings, UserRules};
use hades_apiserver::{ApiServer, Identity, ServerConfig, bootstrap};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The time on the server's clock, so that ages in its tables stay the same.
const NOW: &str = "2026-01-01T00:00:00Z";

/// A server that runs until it is dropped.
pub struct Server {
    pub kubeconfig: PathBuf,
    pub address: SocketAddr,
    /// Certificate of the authority that its own is of.
    pub authority: String,
    client: kube::Client,
    runtime: Runtime,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::open(false)
    }

    /// With users who log in, and what they ask about themselves.
    pub fn with_accounts() -> Self {
        Self::open(true)
    }

    fn open(accounts: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let shutdown = CancellationToken::new();
        let (kubeconfig, address, client) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let installation =
                bootstrap::prepare(folder.path(), &[], &format!("https://{address}")).unwrap();
            let mut config = ServerConfig::new(folder.path(), hades_api::schema::crds());
            config.credentials.clone_from(&installation.credentials);
            config.clock = Arc::new(|| NOW.parse::<Timestamp>().unwrap());
            config.first_objects = hades_api::role::first_objects();
            config.validators = vec![Arc::new(UserRules)];
            config.announced = hades_accounts::announced();
            let server = ApiServer::open(config).await.unwrap();
            let server = if accounts { let_in(server, folder.path()).await } else { server };
            let client = server.client(Identity::controller("tests"));
            let server = server.with_routes("/apis/operations.hades.dev/v1alpha1", operations());
            let ends = shutdown.clone();
            let kubeconfig = installation.kubeconfig.clone();
            tokio::spawn(async move {
                server.serve(listener, &installation.tls, ends).await.unwrap();
            });
            (kubeconfig, address, client)
        });
        let authority = std::fs::read_to_string(folder.path().join("ca.crt")).unwrap();
        Self { kubeconfig, address, authority, client, runtime, shutdown, _folder: folder }
    }

    /// Makes a namespace, as the controller of HadesProjects does.
    pub fn namespace(&self, name: &str) {
        self.apply("v1", "Namespace", None, json!({"metadata": {"name": name}}));
    }

    /// Applies an object as a controller.
    pub fn apply(&self, api_version: &str, kind: &str, namespace: Option<&str>, mut object: Value) {
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let api = self.api(api_version, kind, namespace);
        let parameters = PatchParams::apply("tests").force();
        self.runtime.block_on(api.patch(&name, &parameters, &Patch::Apply(&object))).unwrap();
    }

    /// Writes a status as a controller.
    pub fn status(&self, kind: &str, namespace: Option<&str>, name: &str, status: &Value) {
        let api = self.api(hades_api::API_VERSION, kind, namespace);
        let patch = Patch::Merge(json!({"status": status}));
        self.runtime.block_on(api.patch_status(name, &PatchParams::default(), &patch)).unwrap();
    }

    /// Does something to the server while the caller waits for a command.
    pub fn later<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runtime.spawn(work);
    }

    pub fn api(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        let resource = kube::core::ApiResource::from_gvk(&gvk);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Gives a server users, what they ask about themselves, and an audit log.
async fn let_in(server: ApiServer, data: &std::path::Path) -> ApiServer {
    let mut settings = Settings::new(data);
    settings.clock = Arc::new(|| NOW.parse::<Timestamp>().unwrap());
    settings.cost = Cost { memory: 64, passes: 1, lanes: 1 };
    let accounts = Accounts::open(&server, settings).await.unwrap();
    server.authenticate_with(accounts.authenticator());
    let known = server.clone();
    let own = move |Extension(who): Extension<Identity>| async move {
        let bindings = known.granted(&who).into_iter().filter(|one| !one.namespace.is_empty());
        let items: Vec<Value> = bindings
            .map(|one| {
                let names: Vec<String> = one
                    .rules
                    .iter()
                    .filter(|rule| rule.resources.iter().flatten().any(|it| it == "environments"))
                    .flat_map(|rule| rule.resource_names.clone().unwrap_or_default())
                    .collect();
                let role = json!({"name": one.role, "subject": one.subject, "environments": names,
                    "binding": format!("RoleBinding {}", one.binding)});
                json!({"name": one.namespace, "roles": [role]})
            })
            .collect();
        Json(json!({"everywhere": [], "items": items}))
    };
    let routes = Router::new()
        .route("/selfprojects", get(own))
        .route("/auditevents", get(|| async { audit_log() }))
        .route("/auditevents/verify", get(|| async { Json(audit_report()) }));
    server
        .with_routes("/apis/operations.hades.dev/v1alpha1", accounts.router().merge(routes))
        .public_routes(accounts.public_router())
        .public_routes(devices(accounts))
}

/// Logins by a browser: at the second question the server starts anew, and whoever asks
/// a third time was let in as alice meanwhile.
fn devices(accounts: Accounts) -> Router {
    let asked = Arc::new(AtomicU64::new(0));
    let begin = || async {
        Json(json!({"device_code": "d3vice", "user_code": "BCDF-GHJK", "interval": 1,
            "verification_uri": "https://hades.example/login/device", "expires_in": 60}))
    };
    let answer = move |form: String| async move {
        let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error})));
        if !form.contains("device_code=d3vice") || !form.contains("client_id=hadesctl") {
            return refused("invalid_grant");
        }
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => return refused("authorization_pending"),
            1 => return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({}))),
            _ => {}
        }
        let how = Method::Device { groups: vec![], until: None };
        let alice = accounts.person("alice").unwrap();
        let session = accounts.begin_session(&alice, how, &Origin::default()).await.unwrap();
        let token = secrecy::ExposeSecret::expose_secret(&session.token).to_owned();
        (StatusCode::OK, Json(json!({"access_token": token, "expires_in": 3600})))
    };
    Router::new().route("/auth/device", post(begin)).route("/auth/device/token", post(answer))
}

fn audit_log() -> String {
    let record = |verb: &str, code: u16, object: Value| {
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": verb,
            "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
            "user": {"username": "alice"}, "sourceIPs": ["192.0.2.7"], "objectRef": object,
            "requestURI": "/auth/login", "responseStatus": {"code": code}})
    };
    let secret = json!({"resource": "secrets", "namespace": "shop", "name": "db"});
    let records = [record("delete", 403, secret), record("login", 201, Value::Null)];
    records.map(|record| format!("{record}\n")).concat()
}

fn audit_report() -> Value {
    json!({"files": 1, "records": 7, "first": 1, "last": 8, "notes": [],
        "problems": ["record 5 is missing before line 5 of audit-20260101-1.log"]})
}

/// Plans and logs as `hades serve` answers them, made up.
fn operations() -> Router {
    Router::new()
        .route(
            "/namespaces/{namespace}/environments/{name}/plan",
            get(|path| plan(path, false)).post(|path| plan(path, true)),
        )
        .route("/namespaces/{namespace}/environments/{name}/stats", get(stats_of))
        .route(
            "/namespaces/{namespace}/configrepositories/{name}/webhook",
            get(webhook).post(register_webhook),
        )
        .route(
            "/namespaces/{namespace}/environments/{name}/logs",
            get(|| async {
                [
                    json!({"service": "api", "replica": 1, "container": "c1", "stream": "stdout", "line": "listening"}),
                    json!({"service": "api", "replica": 2, "container": "c2", "stream": "stderr", "line": "listening, too"}),
                    json!({"service": "api", "replica": 3, "container": "c3", "stream": "", "line": "", "error": "host local doesn't answer"}),
                    json!({"service": "", "replica": 0, "container": "", "stream": "", "line": "", "error": "web-2 doesn't answer"}),
                ]
                .map(|line| format!("{line}\n"))
                .concat()
            }),
        )
}

fn failure(code: StatusCode, reason: &str, message: &str) -> (StatusCode, Json<Value>) {
    let status = json!({"kind": "Status", "status": "Failure", "reason": reason,
                        "code": code.as_u16(), "message": message});
    (code, Json(status))
}

/// An environment that went meanwhile, one that can't be read, and all others.
async fn stats_of(
    Path((_project, environment)): Path<(String, String)>,
) -> (StatusCode, Json<Value>) {
    match environment.as_str() {
        "gone" => failure(StatusCode::NOT_FOUND, "NotFound", "environment gone not found"),
        "broken" => failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "out of luck"),
        _ => (StatusCode::OK, Json(stats())),
    }
}

/// Webhooks of repositories that are named for what is the matter with them.
async fn webhook(Path((project, name)): Path<(String, String)>) -> Json<Value> {
    let account = (name != "alone").then_some("studio");
    let forge = if name == "bucket" { "bitbucket" } else { "gitea" };
    Json(json!({
        "url": format!("https://hooks.example.com/hooks/config/{project}/{name}"),
        "public": name != "hidden", "forge": forge, "account": account,
        "secret": format!("{name}-webhook"), "hasToken": true,
    }))
}

async fn register_webhook() -> (StatusCode, Json<Value>) {
    failure(StatusCode::BAD_REQUEST, "BadRequest", "git.example.com doesn't answer")
}

/// A busy container, one that has ended, and a host that doesn't answer. Every
/// call is a second later than the one before.
fn stats() -> Value {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let time = NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(call as i64);
    let entry = |replica: u64, stats: Value, error: Value| {
        json!({"service": "api", "replica": replica, "container": format!("c{replica}"),
               "host": "local", "time": time, "stats": stats, "error": error})
    };
    let counters = json!({
        "cpuNanoseconds": call * 250_000_000, "memoryBytes": 20 << 20, "memoryLimitBytes": 64 << 20,
        "receivedBytes": call * 2048, "sentBytes": call * 100, "processes": 4,
    });
    json!({"items": [
        entry(1, counters, Value::Null),
        entry(2, Value::Null, json!("it is exited")),
        {"service": "", "replica": 0, "container": "", "host": "web-2", "time": time,
         "error": "connection refused"},
    ]})
}

/// Nothing to do for what is stored, a network to make for what is previewed.
async fn plan(
    Path((project, environment)): Path<(String, String)>,
    preview: bool,
) -> (StatusCode, Json<Value>) {
    if environment == "prod" {
        let message = "environments.hades.dev \"prod\" not found";
        let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": message});
        return (StatusCode::NOT_FOUND, Json(status));
    }
    let (status, answer) = (StatusCode::OK, plan_or_errors(&project, &environment, preview));
    (status, Json(answer))
}

fn plan_or_errors(project: &str, environment: &str, preview: bool) -> Value {
    if environment == "broken" {
        return json!({"plan": null, "errors": [{
            "kind": "HostNotFound", "field": "spec.defaults.host",
            "message": "there is no DockerHost \"web-1\", did you mean local?",
        }]});
    }
    let target =
        json!({"host": "local", "kind": "Network", "name": format!("{project}-{environment}")});
    let actions = if preview {
        json!([{
            "id": "create-network", "target": target,
            "operation": {"verb": "createNetwork", "subnet": "10.213.0.0/24", "labels": {}},
            "reason": {"code": "absent"},
        }])
    } else {
        json!([])
    };
    json!({"errors": [], "plan": {
        "environment": {"project": project, "environment": environment},
        "digest": "0123", "actions": actions, "waiting": [], "lints": [], "resources": [],
    }})
}
