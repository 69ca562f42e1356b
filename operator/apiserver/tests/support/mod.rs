//! A server with a custom resource of its own, for every test.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use hades_apiserver::{ApiServer, Identity, ServerConfig};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ObjectMeta;
use kube::{Client, CustomResource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const GROUP: &str = "farm.example";

/// A kind that the server knows only through its definition.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "farm.example", version = "v1", kind = "Barn", namespaced, status = "BarnStatus")]
#[kube(schema = "disabled", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct BarnSpec {
    #[serde(default)]
    pub cows: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BarnStatus {
    #[serde(default)]
    pub milk: i64,
}

fn definition_json(kind: &str, plural: &str, scope: &str) -> Value {
    json!({
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {
                "kind": kind, "plural": plural, "singular": kind.to_lowercase(),
                "shortNames": [&kind.to_lowercase()[..2]], "categories": ["farm"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Cows", "type": "integer", "jsonPath": ".spec.cows"},
                    {"name": "Milk", "type": "integer", "jsonPath": ".status.milk", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object",
                            "description": "what is in it",
                            "required": ["cows"],
                            "x-kubernetes-validations": [{
                                "rule": "self.cows != 13", "message": "13 cows bring bad luck",
                            }],
                            "properties": {
                                "cows": {"type": "integer", "minimum": 0, "description": "how many cows"},
                                "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                            },
                        },
                        "status": {
                            "type": "object",
                            "properties": {
                                "milk": {"type": "integer"},
                                "conditions": {
                                    "type": "array",
                                    "x-kubernetes-list-type": "map",
                                    "x-kubernetes-list-map-keys": ["type"],
                                    "items": {
                                        "type": "object",
                                        "required": ["type", "status"],
                                        "properties": {
                                            "type": {"type": "string"},
                                            "status": {"type": "string"},
                                            "reason": {"type": "string"},
                                            "message": {"type": "string"},
                                            "lastTransitionTime": {"type": "string", "format": "date-time"},
                                        },
                                    },
                                },
                            },
                        },
                    },
                }},
            }],
        },
    })
}

pub fn definitions() -> Vec<CustomResourceDefinition> {
    let barn = definition_json("Barn", "barns", "Namespaced");
    let farm = definition_json("Farm", "farms", "Cluster");
    [barn, farm].map(|json| serde_json::from_value(json).unwrap()).to_vec()
}

pub struct Server {
    pub server: ApiServer,
    pub directory: TempDir,
}

impl Server {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::open(config(&directory)).await.unwrap();
        Self { server, directory }
    }

    /// The same data under a new server.
    pub async fn restart(self) -> Self {
        let Self { server, directory } = self;
        server.shutdown().await;
        drop(server);
        let server = ApiServer::open(config(&directory)).await.unwrap();
        Self { server, directory }
    }

    pub fn admin(&self) -> Client {
        self.server.client(Identity::administrator("tester"))
    }

    pub fn controller(&self) -> Client {
        self.server.client(Identity::controller("tester"))
    }

    /// A request as bytes; code and JSON of the answer.
    pub async fn raw(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        self.raw_with(method, path, &headers, body.to_string().into_bytes()).await
    }

    pub async fn raw_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (u16, Value) {
        let (code, bytes) = self.bytes(method, path, headers, body).await;
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// A request as bytes; code and bytes of the answer.
    pub async fn bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (u16, Vec<u8>) {
        let (parts, bytes) = self.answer(method, path, headers, body).await;
        (parts.status.as_u16(), bytes)
    }

    /// Everything that is answered to a request, headers and body, for a search.
    pub async fn whole(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Vec<u8> {
        let (parts, bytes) = self.answer(method, path, headers, body).await;
        [format!("{} {:?}\n", parts.status, parts.headers).into_bytes(), bytes].concat()
    }

    async fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (http::response::Parts, Vec<u8>) {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(axum::body::Body::from(body)).unwrap();
        request.extensions_mut().insert(Identity::administrator("tester"));
        let response = tower::ServiceExt::oneshot(self.server.router(), request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, axum::body::to_bytes(body, usize::MAX).await.unwrap().into())
    }
}

pub fn config(directory: &TempDir) -> ServerConfig {
    ServerConfig::new(directory.path(), definitions())
}

pub fn barn(name: &str, cows: i64) -> Barn {
    Barn {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: BarnSpec { cows, color: None },
        status: None,
    }
}

/// Polls until `check` holds; panics with `what` when it doesn't in time.
pub async fn eventually<F>(what: &str, mut check: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !check().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: it did not happen");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
