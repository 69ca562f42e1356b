//! The log as a whole: what requests leave in it, and what shows when somebody
//! touches it.

mod recorded;
mod tampered;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use futures::StreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::http::{Connection, Peer};
use crate::{ApiServer, Credential, Identity, ServerConfig};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A server, and what its log holds.
struct Bed {
    server: ApiServer,
    directory: TempDir,
}

fn config(directory: &Path) -> ServerConfig {
    let mut config = ServerConfig::new(directory, Vec::new());
    let jane = Identity::of_user("jane", vec!["system:authenticated".to_owned()]);
    config.credentials = vec![
        Credential::of_token("good", Identity::administrator("root")),
        Credential::of_token("janes", jane),
    ];
    config
}

impl Bed {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        change(&mut config);
        Self { server: ApiServer::open(config).await.unwrap(), directory }
    }

    /// Ends the server and gives what it leaves.
    async fn stop(self) -> TempDir {
        self.server.shutdown().await;
        self.directory
    }

    /// A request over a socket: its code and the header `audit-id`.
    async fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        self.ask_with(token, method, path, body, &[]).await
    }

    async fn ask_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let connection = Connection::new(CancellationToken::new(), Arc::default());
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .header("user-agent", "tester/1")
            .header("authorization", format!("Bearer {token}"))
            .extension(connection)
            .extension(Peer(([192, 0, 2, 7], 4711).into()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.server.router().oneshot(request).await.unwrap();
        let id = response.headers().get("audit-id");
        let id = id.map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
        (response.status().as_u16(), id)
    }

    /// A request of this process.
    async fn ask_here(&self, who: Identity, method: &str, path: &str, body: &str) -> u16 {
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .extension(who)
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.server.router().oneshot(request).await.unwrap().status().as_u16()
    }

    /// The records, the newest first.
    async fn records(&self, query: Query) -> Vec<Value> {
        records(&self.server, query).await
    }
}

async fn records(server: &ApiServer, query: Query) -> Vec<Value> {
    let mut lines = server.audit().read(query).await.unwrap();
    let mut text = Vec::new();
    while let Some(part) = lines.next().await {
        text.extend_from_slice(&part.unwrap());
    }
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn folder(directory: &Path) -> PathBuf {
    directory.join("audit")
}

/// Contents of all files of the log.
fn log_text(directory: &Path) -> String {
    let names = files::list(&folder(directory)).unwrap();
    let read = |name: &files::Name| std::fs::read_to_string(name.path(&folder(directory))).unwrap();
    names.iter().map(read).collect()
}
