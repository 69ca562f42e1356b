//! A server with accounts, a clock that stands still, and cheap hashes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use hades_accounts::{Accounts, Cost, Settings, UserRules};
use hades_api::{User, UserSpec};
use hades_apiserver::{ApiServer, Clock, Identity, Peer, ServerConfig};
use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub const PASSWORD: &str = "correct horse battery";
pub const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };

/// Who sends a request.
#[derive(Clone, Copy)]
pub enum By<'a> {
    Nobody,
    /// A member of `system:masters`.
    Admin,
    Token(&'a str),
}

pub struct Bed {
    pub server: ApiServer,
    pub accounts: Accounts,
    pub directory: TempDir,
    pub now: Arc<AtomicI64>,
    /// Where requests come from.
    pub address: String,
    pub router: Router,
}

pub struct Answer {
    pub code: u16,
    pub body: Value,
    pub text: String,
    pub retry_after: Option<u32>,
    pub kept: bool,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.body
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// Where the requests about users are; the tests write `/ops`.
pub const OPERATIONS: &str = "/apis/operations.hades.dev/v1alpha1";

async fn open(directory: &TempDir, clock: Clock, cost: Cost) -> (ApiServer, Accounts) {
    let mut config = ServerConfig::new(directory.path(), hades_api::schema::crds());
    config.clock = Arc::clone(&clock);
    config.validators = vec![Arc::new(UserRules)];
    config.announced = hades_accounts::announced();
    config.first_objects = hades_api::role::first_objects();
    let server = ApiServer::open(config).await.unwrap();
    let mut settings = Settings::new(directory.path());
    settings.clock = clock;
    settings.cost = cost;
    settings.gather = Duration::from_millis(1);
    let accounts = Accounts::open(&server, settings).await.unwrap();
    server.authenticate_with(accounts.authenticator());
    let server = server.with_routes(OPERATIONS, accounts.router());
    let server = server.public_routes(accounts.public_router());
    (server, accounts)
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Arc::new(move || Timestamp::from_second(now.load(Ordering::Relaxed)).unwrap())
}

impl Bed {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(1_790_000_000));
        let (server, accounts) = open(&directory, clock(&now), CHEAP).await;
        let address = "192.0.2.1".to_owned();
        Self::of(server, accounts, directory, now, address)
    }

    fn of(
        server: ApiServer,
        accounts: Accounts,
        directory: TempDir,
        now: Arc<AtomicI64>,
        address: String,
    ) -> Self {
        let router = server.router();
        Self { server, accounts, directory, now, address, router }
    }

    /// The same data under a new server.
    pub async fn restart(self) -> Self {
        self.restart_with(CHEAP).await
    }

    pub async fn restart_with(self, cost: Cost) -> Self {
        let Self { server, accounts, directory, now, address, .. } = self;
        accounts.flush().await;
        server.shutdown().await;
        drop((server, accounts));
        let (server, accounts) = open(&directory, clock(&now), cost).await;
        Self::of(server, accounts, directory, now, address)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn client(&self) -> Client {
        self.server.client(Identity::administrator("tester"))
    }

    pub fn users(&self) -> Api<User> {
        Api::all(self.client())
    }

    pub async fn user(&self, name: &str, spec: Value) {
        let spec: UserSpec = serde_json::from_value(spec).unwrap();
        self.users().create(&PostParams::default(), &User::new(name, spec)).await.unwrap();
    }

    /// A user with [`PASSWORD`].
    pub async fn person(&self, name: &str) {
        self.user(name, json!({"groups": ["dev"]})).await;
        self.set_password(name, PASSWORD).await;
    }

    pub async fn set_password(&self, name: &str, password: &str) {
        let person = self.accounts.person(name).unwrap();
        let password = SecretString::from(password);
        self.accounts.set_password(&person, &password, None).await.unwrap();
    }

    pub async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.users().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn delete(&self, name: &str) {
        self.users().delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub async fn ask(&self, by: By<'_>, method: &str, path: &str, body: Value) -> Answer {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.ask_with(by, method, path, &[], text.into_bytes()).await
    }

    pub async fn ask_with(
        &self,
        by: By<'_>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let peer = Peer(format!("{}:4711", self.address).parse().unwrap());
        let uri = match path.strip_prefix("/ops") {
            Some(rest) => format!("{OPERATIONS}{rest}"),
            None => path.to_owned(),
        };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let By::Token(token) = by {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(Body::from(body)).unwrap();
        if let By::Admin = by {
            request.extensions_mut().insert(Identity::administrator("tester"));
        }
        request.extensions_mut().insert(peer);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let retry_after = header("retry-after").map(|text| text.parse().unwrap());
        let kept = header("cache-control").as_deref() != Some("no-store");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { code, body, text, retry_after, kept }
    }

    pub async fn log_in(&self, user: &str, password: &str, code: Option<&str>) -> Answer {
        let mut spec = json!({"user": user, "password": password});
        if let Some(code) = code {
            spec["code"] = json!(code);
        }
        let body = json!({"apiVersion": "operations.hades.dev/v1alpha1", "kind": "Login",
            "spec": spec});
        let headers = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        self.ask_with(By::Nobody, "POST", "/auth/login", &headers, body).await
    }

    /// The token of a session of a user with [`PASSWORD`].
    pub async fn session(&self, user: &str) -> String {
        let session = self.log_in(user, PASSWORD, None).await.expect(201);
        session["status"]["token"].as_str().unwrap().to_owned()
    }

    /// An API token of a user, by an administrator.
    pub async fn token(&self, user: &str, name: &str, spec: Value) -> String {
        let body = json!({"metadata": {"name": name}, "spec": spec});
        let path = format!("/ops/users/{user}/tokens");
        let token = self.ask(By::Admin, "POST", &path, body).await.expect(201);
        token["status"]["token"].as_str().unwrap().to_owned()
    }

    /// Gives a user these rights everywhere.
    pub async fn grant(&self, user: &str, rules: Value) {
        const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
        let headers = [("content-type", "application/json")];
        let name = format!("{user}-{}", self.accounts.now().as_nanosecond());
        let role = json!({"metadata": {"name": name}, "rules": rules});
        let binding = json!({"metadata": {"name": name},
            "subjects": [{"kind": "User", "name": user}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}});
        for (path, body) in [("clusterroles", role), ("clusterrolebindings", binding)] {
            let (path, body) = (format!("{RBAC}/{path}"), body.to_string().into_bytes());
            self.ask_with(By::Admin, "POST", &path, &headers, body).await.expect(201);
        }
        self.pass(1);
    }

    /// Whom the server takes the bearer of a token for, as it says itself.
    pub async fn who(&self, token: &str) -> Option<Value> {
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let headers = [("content-type", "application/json")];
        let answer = self.ask_with(By::Token(token), "POST", path, &headers, b"{}".to_vec()).await;
        match answer.code {
            201 => Some(answer.body["status"]["userInfo"].clone()),
            401 => None,
            _ => panic!("{}", answer.text),
        }
    }

    pub async fn is_known(&self, token: &str) -> bool {
        self.who(token).await.is_some()
    }

    /// Waits until a check holds.
    pub async fn eventually<F: Future<Output = bool>>(&self, mut check: impl FnMut() -> F) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !check().await {
            assert!(tokio::time::Instant::now() < deadline, "it did not happen");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
