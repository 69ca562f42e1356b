//! What clients may keep of the documents about the API, and what is announced.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use axum::http::HeaderMap;
use hades_apiserver::{Announced, ApiServer, Identity};
use kube::discovery::Discovery;
use serde_json::{Value, json};
use support::{Server, config};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

async fn get(server: &ApiServer, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Value) {
    let mut request = http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = tower::ServiceExt::oneshot(server.router(), request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (parts.status.as_u16(), parts.headers, value)
}

#[tokio::test]
async fn documents_are_sent_again_only_when_they_changed() {
    let server = Server::start().await;
    let (_, _, index) = get(&server.server, "/openapi/v3", &[]).await;
    let url = index["paths"]["apis/farm.example/v1"]["serverRelativeURL"].as_str().unwrap();
    for (path, accept) in [
        ("/openapi/v3", "application/json"),
        (url, "application/json"),
        ("/openapi/v3/api/v1", "application/json"),
        ("/apis", AGGREGATED),
        ("/api", AGGREGATED),
    ] {
        let (code, headers, body) = get(&server.server, path, &[("accept", accept)]).await;
        assert_eq!((code, body.is_object()), (200, true), "{path}");
        assert_eq!(headers["vary"], "Accept");
        let tag = headers["etag"].to_str().unwrap();
        let known = [("accept", accept), ("if-none-match", tag)];
        let (code, headers, body) = get(&server.server, path, &known).await;
        assert_eq!((code, body), (304, Value::Null), "{path}");
        assert_eq!(headers["etag"], tag);
        let stale = [("accept", accept), ("if-none-match", "\"other\", W/\"old\"")];
        assert_eq!(get(&server.server, path, &stale).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn only_an_address_with_a_hash_is_kept_for_ever() {
    let server = Server::start().await;
    let (_, _, index) = get(&server.server, "/openapi/v3", &[]).await;
    let url = index["paths"]["apis/farm.example/v1"]["serverRelativeURL"].as_str().unwrap();
    let (_, headers, _) = get(&server.server, url, &[]).await;
    let control = headers["cache-control"].to_str().unwrap();
    assert!(control.contains("immutable") && control.contains("max-age"), "{control}");
    let (_, headers, _) = get(&server.server, "/openapi/v3/apis/farm.example/v1", &[]).await;
    assert!(headers.get("cache-control").is_none());
    let old = "/openapi/v3/apis/farm.example/v1?hash=OLD";
    let (code, headers, _) = get(&server.server, old, &[]).await;
    assert_eq!((code, headers["location"].to_str().unwrap()), (301, url));
    assert_eq!(get(&server.server, "/openapi/v3/apis/no.example/v1", &[]).await.0, 404);
}

#[tokio::test]
async fn what_extra_routes_serve_is_announced() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    let announced = |subresource: &str, kind: &str| Announced {
        group: "tasks.example".to_owned(),
        version: "v1".to_owned(),
        resource: "barns".to_owned(),
        subresource: subresource.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
        verbs: &["create"],
    };
    config.announced = vec![announced("feed", "Feeding"), announced("clean", "Cleaning")];
    let server = ApiServer::open(config).await.unwrap();
    let (_, _, groups) = get(&server, "/apis", &[]).await;
    let groups = groups["groups"].as_array().unwrap();
    assert_eq!(groups.iter().filter(|group| group["name"] == "tasks.example").count(), 1);
    let (_, _, group) = get(&server, "/apis/tasks.example", &[]).await;
    assert_eq!(group["preferredVersion"]["groupVersion"], "tasks.example/v1");
    let (_, _, list) = get(&server, "/apis/tasks.example/v1", &[]).await;
    let first = json!({"name": "barns/feed", "singularName": "", "namespaced": true,
        "kind": "Feeding", "verbs": ["create"]});
    assert_eq!(list["resources"][0], first);
    let (_, _, all) = get(&server, "/apis", &[("accept", AGGREGATED)]).await;
    let items = all["items"].as_array().unwrap();
    let mine = items.iter().find(|item| item["metadata"]["name"] == "tasks.example").unwrap();
    let resource = &mine["versions"][0]["resources"][0];
    assert_eq!(resource["subresources"].as_array().unwrap().len(), 2, "{mine}");
    // Clients live with objects that have no kind there.
    let client = server.client(Identity::administrator("tester"));
    let found = Discovery::new(client.clone()).run_aggregated().await.unwrap();
    assert!(found.has_group("farm.example"));
    assert!(Discovery::new(client).run().await.unwrap().has_group("farm.example"));
}
