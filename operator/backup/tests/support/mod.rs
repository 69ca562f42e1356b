//! An installation with something in it, and a key for its backups.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use hades_apiserver::audit::AuditEvent;
use hades_apiserver::{ApiServer, Identity, IdentitySource, ServerConfig, bootstrap};
use hades_backup::{Gathered, Key, Recipient, Surroundings};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tempfile::TempDir;

pub const PLANTED: &str = "planted-hunter2-value";

pub struct Bed {
    pub dir: TempDir,
    pub server: ApiServer,
    _installation: bootstrap::Installation,
}

impl Bed {
    pub async fn new() -> Self {
        Self::with(IdentitySource::default()).await
    }

    /// One whose Secrets that identity opens.
    pub async fn with(identity: IdentitySource) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let installation = bootstrap::prepare(&data, &[], "https://127.0.0.1:7443").unwrap();
        let server = open_with(&data, identity).await;
        let client = server.client(Identity::controller("tester"));
        let secrets: Api<Secret> = Api::default_namespaced(client.clone());
        let data = [("password".to_owned(), PLANTED.to_owned())].into();
        let secret = Secret { string_data: Some(data), metadata: named("db"), ..Secret::default() };
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let bed = Self { dir, server, _installation: installation };
        bed.write("first").await;
        bed.server.audit().record(AuditEvent::new("login", "/auth/login"));
        bed
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub async fn write(&self, name: &str) {
        let maps: Api<ConfigMap> = Api::default_namespaced(self.client());
        let map = ConfigMap { metadata: named(name), ..ConfigMap::default() };
        maps.create(&PostParams::default(), &map).await.unwrap();
    }

    pub fn client(&self) -> kube::Client {
        self.server.client(Identity::controller("tester"))
    }

    pub fn gather(&self) -> Gathered {
        let surroundings = surroundings(&self.data());
        hades_backup::gather(&surroundings, |path| self.server.copy_store(path)).unwrap()
    }

    /// A backup for a key.
    pub fn backup(&self, recipient: &Recipient) -> Vec<u8> {
        let mut bytes = Vec::new();
        let recipients = std::slice::from_ref(recipient);
        self.gather().write(recipients, &mut bytes).unwrap();
        bytes
    }
}

pub fn surroundings(data: &Path) -> Surroundings {
    Surroundings {
        data_dir: data.to_owned(),
        audit_dir: data.join("audit"),
        program: "hades test".to_owned(),
        time: Timestamp::now(),
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

pub async fn open(data: &Path) -> ApiServer {
    open_with(data, IdentitySource::default()).await
}

pub async fn open_with(data: &Path, identity: IdentitySource) -> ApiServer {
    let config = ServerConfig { identity, ..ServerConfig::new(data, Vec::new()) };
    ApiServer::open(config).await.unwrap()
}

/// The planted value, as the controllers see it.
pub async fn read(server: &ApiServer) -> String {
    let secrets: Api<Secret> =
        Api::default_namespaced(server.client(Identity::controller("tester")));
    let mut data = secrets.get("db").await.unwrap().data.unwrap();
    String::from_utf8(data.remove("password").unwrap().0).unwrap()
}

/// A key in a file, and its public half.
pub fn key(dir: &Path) -> (Key, Recipient, PathBuf) {
    let path = dir.join("backup-key.txt");
    let recipient = hades_backup::generate_key(&path, Timestamp::now()).unwrap();
    (hades_backup::read_identities(&path).unwrap(), recipient, path)
}

/// Names of what is in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
