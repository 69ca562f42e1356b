//! An API server, the controllers and a fake host, in one process.
#![allow(dead_code)]

use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hades_api::{
    ConfigRepository, DockerHost, DockerHostSpec, Environment, EnvironmentStatus, condition,
};
use hades_apiserver::{ApiServer, Identity, ServerConfig};
use hades_controllers::{Clock, Context, SecretValues, Settings};
use hades_provider::fake::{FakeConnect, FakeHost};
use hades_redact::Redactor;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope};
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far above what anything takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

pub const INSTALLATION: &str = "test-installation";

/// One Hades with a fake host `local`.
pub struct Hades {
    pub client: Client,
    /// As the controllers read it: Secrets in the clear.
    pub inside: Client,
    pub host: FakeHost,
    pub connect: FakeConnect,
    pub dir: TempDir,
    pub context: Arc<Context>,
    server: ApiServer,
    shutdown: CancellationToken,
    controllers: Option<JoinHandle<()>>,
}

impl Hades {
    /// With the project `shop`, the host `local` and the image `app:1` on it.
    pub async fn start() -> Self {
        let mut hades = Self::prepare().await;
        hades.run_controllers();
        hades
    }

    /// As [`Self::start`], with no controllers yet.
    pub async fn prepare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(dir.path().join("data"), hades_api::schema::crds());
        config.first_objects = hades_api::role::first_objects();
        let server = ApiServer::open(config).await.unwrap();
        let client = server.client(Identity::administrator("tester"));
        let inside = server.client(Identity::controller("controllers"));
        let host = FakeHost::new();
        host.add_image("app:1", "one");
        host.add_image("app:2", "two");
        let connect = FakeConnect::new().with("unix:///fake.sock", host.clone());
        let context = context(&inside, &connect, dir.path(), Arc::new(Timestamp::now));
        let hades = Self {
            client,
            inside,
            host,
            connect,
            dir,
            context,
            server,
            shutdown: CancellationToken::new(),
            controllers: None,
        };
        hades.add_host("local", "unix:///fake.sock").await;
        hades.add_namespace("shop").await;
        hades
    }

    /// Starts the controllers, with nothing remembered.
    pub fn run_controllers(&mut self) {
        self.run_controllers_by(Arc::new(Timestamp::now));
    }

    /// As [`Self::run_controllers`], by another clock.
    pub fn run_controllers_by(&mut self, clock: Clock) {
        self.context = context(&self.inside, &self.connect, self.dir.path(), clock);
        self.shutdown = CancellationToken::new();
        let run = hades_controllers::run(self.context.clone(), self.shutdown.clone());
        self.controllers = Some(tokio::spawn(run));
    }

    /// What controllers that work through `client` are handed, with nothing
    /// remembered.
    pub fn context_through(&self, client: &Client) -> Arc<Context> {
        context(client, &self.connect, self.dir.path(), Arc::new(Timestamp::now))
    }

    /// A client of a person, with the groups of everybody.
    pub fn client_of(&self, user: &str, groups: &[&str]) -> Client {
        let groups = groups.iter().copied().chain(["system:authenticated"]);
        self.server.client(Identity::of_user(user, groups.map(str::to_owned).collect()))
    }

    /// Ends the controllers.
    pub async fn stop_controllers(&mut self) {
        self.shutdown.cancel();
        if let Some(controllers) = self.controllers.take() {
            controllers.await.unwrap();
        }
    }

    pub async fn add_host(&self, name: &str, endpoint: &str) {
        let hosts: Api<DockerHost> = Api::all(self.client.clone());
        let spec = DockerHostSpec { endpoint: endpoint.to_owned(), ..DockerHostSpec::default() };
        hosts.create(&PostParams::default(), &DockerHost::new(name, spec)).await.unwrap();
    }

    pub async fn add_namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }

    /// Applies a manifest given as JSON.
    pub async fn apply(&self, manifest: Value) {
        self.try_apply(manifest).await.unwrap();
    }

    pub async fn try_apply(&self, manifest: Value) -> Result<DynamicObject, kube::Error> {
        let text = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let gvk = GroupVersionKind::gvk(group, version, &kind);
        let (resource, capabilities): (ApiResource, _) =
            kube::discovery::pinned_kind(&self.client, &gvk).await?;
        let api: Api<DynamicObject> = match manifest["metadata"]["namespace"].as_str() {
            Some(namespace) if capabilities.scope == Scope::Namespaced => {
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource),
        };
        let name = manifest["metadata"]["name"].as_str().unwrap();
        api.patch(name, &PatchParams::apply("tester").force(), &Patch::Apply(&manifest)).await
    }

    /// Applies the Environment `shop/NAME` with that spec.
    pub async fn apply_environment(&self, name: &str, spec: Value) {
        self.apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        }))
        .await;
    }

    pub fn environments(&self) -> Api<Environment> {
        Api::namespaced(self.client.clone(), "shop")
    }

    pub fn repositories(&self, namespace: &str) -> Api<ConfigRepository> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub async fn status(&self, name: &str) -> EnvironmentStatus {
        let environment = self.environments().get_opt(name).await.unwrap();
        environment.and_then(|found| found.status).unwrap_or_default()
    }

    /// Waits until `shop/NAME` is as its newest spec says.
    pub async fn ready(&self, name: &str) -> EnvironmentStatus {
        let environments = self.environments();
        eventually(&format!("{name} to be ready"), || async {
            let found = environments.get_opt(name).await.unwrap();
            let Some(found) = found else { return Err(EnvironmentStatus::default()) };
            let status = found.status.unwrap_or_default();
            let current = status.observed_generation == found.metadata.generation;
            let ready = is_true(&status.conditions, condition::READY);
            if current && ready { Ok(status) } else { Err(status) }
        })
        .await
    }

    /// Waits until the Ready condition of `shop/NAME` is false for that reason.
    pub async fn not_ready(&self, name: &str, reason: &str) -> Condition {
        eventually(&format!("{name} not to be ready: {reason}"), || async {
            let status = self.status(name).await;
            match condition::find(&status.conditions, condition::READY) {
                Some(ready) if ready.status == "False" && ready.reason == reason => {
                    Ok(ready.clone())
                }
                _ => Err(status),
            }
        })
        .await
    }

    /// Notes of all events about objects of that name, sorted by time.
    pub async fn events(&self, namespace: &str, about: &str) -> Vec<String> {
        let events: Api<k8s_openapi::api::events::v1::Event> =
            Api::namespaced(self.client.clone(), namespace);
        let mut found = events.list(&Default::default()).await.unwrap().items;
        found.sort_by_key(|event| event.event_time.clone().map(|time| time.0));
        found
            .into_iter()
            .filter(|event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(about))
            .map(|event| {
                format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default())
            })
            .collect()
    }

    /// The value of a counter's series.
    pub fn counted(&self, series: &str) -> u64 {
        let mut registry = Registry::default();
        self.context.metrics().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// Names of the environment's running containers, without their hashes.
    pub fn running(&self) -> Vec<String> {
        let names = self.host.running();
        let mut short: Vec<String> = names
            .iter()
            .map(|name| name.rsplit_once('-').map_or(name.as_str(), |(name, _)| name).to_owned())
            .collect();
        short.sort();
        short
    }
}

/// The one value of a Secret that is known.
pub const VALUE: &str = "hunter2-hunter2";

/// Knows [`VALUE`], in the project `shop`.
struct OneValue(Redactor);

impl SecretValues for OneValue {
    fn redactor(&self, namespace: &str) -> Redactor {
        if namespace == "shop" { self.0.clone() } else { Redactor::default() }
    }
}

fn context(client: &Client, connect: &FakeConnect, dir: &Path, clock: Clock) -> Arc<Context> {
    Context::new(Settings {
        client: client.clone(),
        connect: Arc::new(connect.clone()),
        installation: INSTALLATION.to_owned(),
        fingerprint: Arc::new(|project, value| format!("fp-{project}-{:x}", value.len())),
        secret_values: Arc::new(OneValue(Redactor::new([VALUE.as_bytes()]))),
        cache_dir: dir.join("repositories"),
        clock,
    })
}

pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    condition::find(conditions, type_).is_some_and(|found| found.status == "True")
}

/// Tries until `probe` answers `Ok`; fails with the last `Err`.
pub async fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(last) if tokio::time::Instant::now() > deadline => {
                panic!("gave up waiting for {what}: {last:#?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A git repository on disk.
pub struct Repository {
    pub dir: TempDir,
}

impl Repository {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let repository = Self { dir: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.git(&["config", "user.name", "tester"]);
        repository.git(&["config", "user.email", "tester@example.com"]);
        repository.commit(files);
        repository
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }

    /// Writes files (an empty text removes one) and commits; returns the id.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.dir.path().join(name);
            if text.is_empty() {
                std::fs::remove_file(path).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub fn git(&self, args: &[&str]) -> String {
        let output =
            Command::new("git").arg("-C").arg(self.dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
