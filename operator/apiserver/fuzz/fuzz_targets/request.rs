//! Whole requests against a whole server: whatever comes, no answer is the
//! server's own mistake.
//!
//! An input is `METHOD PATH-AND-QUERY`, a line for the content type, one for what
//! is accepted, and the body.
#![no_main]

use std::time::Duration;

use axum::body::Body;
use hades_apiserver::{ApiServer, Identity, ServerConfig};
use http::Request;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tower::ServiceExt;

struct Target {
    runtime: Runtime,
    router: axum::Router,
    _server: ApiServer,
    _directory: tempfile::TempDir,
}

fn definition() -> serde_json::Value {
    serde_json::json!({
        "metadata": {"name": "things.fuzz.example"},
        "spec": {
            "group": "fuzz.example", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "default": 1},
                        "any": {"x-kubernetes-preserve-unknown-fields": true},
                        "list": {"type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object",
                            "required": ["name"], "properties": {"name": {"type": "string"},
                            "value": {"x-kubernetes-int-or-string": true}}}}},
                        "x-kubernetes-validations": [{"rule": "self.size < 100"}]},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

fn start() -> Target {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // In memory: nothing of it is to be kept.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let definitions = vec![serde_json::from_value(definition()).unwrap()];
    let config = ServerConfig::new(directory.path(), definitions);
    let server = runtime.block_on(ApiServer::open(config)).unwrap();
    Target { router: server.router(), runtime, _server: server, _directory: directory }
}

fn request(data: &[u8]) -> Option<Request<Body>> {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (first, content_type, accept) = (line()?, line()?, line()?);
    let (method, target) = first.split_once(' ')?;
    let body = lines.next().unwrap_or_default().to_vec();
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in [("content-type", content_type), ("accept", accept)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let mut request = request.body(Body::from(body)).ok()?;
    request.extensions_mut().insert(Identity::administrator("fuzzer"));
    Some(request)
}

thread_local! {
    static TARGET: Target = start();
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else { return };
    TARGET.with(|target| {
        target.runtime.block_on(async {
            let watch = request.uri().query().is_some_and(|query| query.contains("watch"));
            let response = target.router.clone().oneshot(request).await.unwrap();
            assert!(response.status().as_u16() < 500, "{:?}", response.status());
            let body = axum::body::to_bytes(response.into_body(), 64 << 20);
            if watch {
                let _ = tokio::time::timeout(Duration::from_millis(2), body).await;
            } else {
                body.await.unwrap();
            }
        });
    });
});
