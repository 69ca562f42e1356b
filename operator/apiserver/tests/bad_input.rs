//! What clients should not send: the server answers, and goes on.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hades_apiserver::{ApiServer, Credential, Identity, ServerConfig, bootstrap};
use http::Request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use support::{Server, config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

async fn answer(router: &Router, path: &str) -> (u16, Option<Vec<u8>>) {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = router.clone().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    (code, body.ok().map(|body| body.to_vec()))
}

#[tokio::test]
async fn a_panic_ends_its_request_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let broken = || async {
        let parts = futures::stream::iter([0, 1]).map(|part| match part {
            0 => Ok::<_, std::io::Error>("a part"),
            _ => panic!("a mistake with the secret hunter2"),
        });
        Body::from_stream(parts)
    };
    use futures::StreamExt;
    let routes = Router::new()
        .route("/head", get(|| async { panic!("a mistake with the secret hunter2") as () }))
        .route("/body", get(broken));
    let server =
        ApiServer::open(config(&directory)).await.unwrap().with_routes("/apis/extra/v1", routes);
    let router = server.router();
    let (code, body) = answer(&router, "/apis/extra/v1/head").await;
    let status: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    assert_eq!((code, status["reason"].as_str()), (500, Some("InternalError")));
    assert!(!status.to_string().contains("hunter2"));
    let (code, body) = answer(&router, "/apis/extra/v1/body").await;
    assert_eq!((code, body), (200, None), "the answer breaks off");
    assert_eq!(answer(&router, "/version").await.0, 200);
}

#[tokio::test]
async fn the_longest_timeout_of_a_watch_is_no_overflow() {
    let server = Server::start().await;
    let path = "/apis/farm.example/v1/barns?watch=true&timeoutSeconds=18446744073709551615";
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = server.server.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// A request as the fuzzer writes it: `METHOD ADDRESS`, a line for the content
/// type, one for what is accepted, and the body.
fn request(input: &[u8]) -> Option<Request<Body>> {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (first, content_type, accept) = (line()?, line()?, line()?);
    let (method, address) = first.split_once(' ')?;
    let body = lines.next().unwrap_or_default().to_vec();
    let mut request = Request::builder().method(method).uri(address);
    for (name, value) in [("content-type", content_type), ("accept", accept)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let mut request = request.body(Body::from(body)).ok()?;
    request.extensions_mut().insert(Identity::administrator("fuzzer"));
    Some(request)
}

async fn is_answered_well(router: &Router, input: &[u8]) {
    let Some(request) = request(input) else { return };
    let response = router.clone().oneshot(request).await.unwrap();
    let (code, shown) = (response.status().as_u16(), String::from_utf8_lossy(input));
    assert!(code < 500, "{code} for {shown}");
    let body = axum::body::to_bytes(response.into_body(), 64 << 20);
    // A watch goes on; anything else ends by itself.
    if let Ok(body) = tokio::time::timeout(Duration::from_millis(20), body).await {
        body.unwrap();
    }
}

/// Random choices that can be made again.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS"];

const PLACES: &[&str] = &[
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/default/events",
    "/apis/events.k8s.io/v1/namespaces/default/events",
    "/apis/farm.example/v1/namespaces/default/barns",
    "/apis/farm.example/v1/farms",
    "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/api/v1/namespaces",
    "/openapi/v3/apis/farm.example/v1",
    "/%2e%2e/%00",
];

const ENDS: &[&str] = &["", "", "/a", "/a", "/a/status", "/a/scale", "/a/b/c", "/%ff"];

const QUERIES: &[&str] = &[
    "",
    "",
    "?dryRun=All&fieldValidation=Strict&fieldManager=m&force=true",
    "?fieldManager=m&force=true",
    "?labelSelector=a%20in%20(&fieldSelector=a%5c",
    "?limit=-1&continue=%7b%7d",
    "?limit=1&continue=eyJ2IjoibWV0YSJ9",
    "?resourceVersion=99999999999999999999&resourceVersionMatch=Exact",
    "?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "?propagationPolicy=Foreground&gracePeriodSeconds=x",
];

const TYPES: &[&str] = &[
    "application/json",
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "text/plain",
];

const FORMS: &[&str] = &[
    "",
    "application/json",
    "application/yaml",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "image/png",
];

const VALUES: &[&str] = &[
    "null",
    "[]",
    "{}",
    "1",
    "-1.5e300",
    "\"a\"",
    "\"\\u0000\"",
    "[null,{}]",
    "{\"a\":null}",
    "[{\"name\":\"a\"},{\"name\":\"a\"}]",
    "true",
    "\"2026-01-01T00:00:00Z\"",
    "{\"$patch\":\"delete\"}",
];

const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "status",
    "data",
    "stringData",
    "immutable",
    "involvedObject",
    "regarding",
    "series",
    "eventTime",
    "type",
    "subsets",
    "$patch",
];

const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "deletionTimestamp",
    "creationTimestamp",
];

fn made_up(choices: &mut Choices) -> Vec<u8> {
    let place = choices.of(PLACES);
    let plural = place.rsplit('/').next().unwrap_or_default();
    let (version, kind) = match plural {
        "barns" => ("farm.example/v1", "Barn"),
        "farms" => ("farm.example/v1", "Farm"),
        "leases" => ("coordination.k8s.io/v1", "Lease"),
        "secrets" => ("v1", "Secret"),
        "namespaces" => ("v1", "Namespace"),
        "events" if place.starts_with("/apis") => ("events.k8s.io/v1", "Event"),
        "events" => ("v1", "Event"),
        "customresourcedefinitions" => ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        _ => ("v1", "ConfigMap"),
    };
    let mut object: Value = serde_json::json!({"apiVersion": version, "kind": kind,
        "metadata": {"name": "a"}, "spec": {"cows": 1}});
    for _ in 0..choices.below(4) {
        let value: Value = serde_json::from_str(choices.of(VALUES)).unwrap();
        if choices.below(2) == 0 {
            object[choices.of(FIELDS)] = value;
        } else if object["metadata"].is_object() {
            object["metadata"][choices.of(METADATA)] = value;
        }
    }
    let body = match choices.below(5) {
        0 => choices.of(VALUES).to_owned(),
        1 => format!(
            "[{{\"op\":\"add\",\"path\":\"/{}\",\"value\":{}}}]",
            choices.of(FIELDS),
            choices.of(VALUES)
        ),
        _ => object.to_string(),
    };
    let (method, end, query) = (choices.of(METHODS), choices.of(ENDS), choices.of(QUERIES));
    let (sent, wanted) = (choices.of(TYPES), choices.of(FORMS));
    format!("{method} {place}{end}{query}\n{sent}\n{wanted}\n{body}").into_bytes()
}

#[tokio::test]
async fn no_request_makes_the_server_fail() {
    let server = Server::start().await;
    let router = server.server.router();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/request");
    for file in std::fs::read_dir(corpus).unwrap() {
        is_answered_well(&router, &std::fs::read(file.unwrap().path()).unwrap()).await;
    }
    let mut choices = Choices(0x5eed);
    for _ in 0..3000 {
        is_answered_well(&router, &made_up(&mut choices)).await;
    }
    // It is a server still.
    let made = server.raw("GET", "/api/v1/namespaces/default", Value::Null).await;
    assert_eq!(made.0, 200);
}

const TOKEN: &str = "for-bad-input";

/// A server over HTTPS with its address and a client's side of TLS.
async fn listening() -> (Server, std::net::SocketAddr, TlsConnector, CancellationToken) {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let data = directory.path().join("data");
    let installation = bootstrap::prepare(&data, &[], &format!("https://{address}")).unwrap();
    let mut config = ServerConfig::new(&data, support::definitions());
    config.credentials = vec![Credential::of_token(TOKEN, Identity::administrator("tester"))];
    let server = ApiServer::open(config).await.unwrap();
    let shutdown = CancellationToken::new();
    let (tls, ends, serving) = (installation.tls.clone(), shutdown.clone(), server.clone());
    tokio::spawn(async move { serving.serve(listener, &tls, ends).await });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(installation.ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    (Server { server, directory }, address, connector, shutdown)
}

async fn connect(address: std::net::SocketAddr, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    connector.connect(name, stream).await.unwrap()
}

fn head(path: &str, length: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\nconnection: close\r\n{length}\r\n\r\n"
    )
}

/// The code of the answer; 0 where the connection ended without one.
async fn code(stream: &mut TlsStream<TcpStream>) -> u16 {
    let mut answer = Vec::new();
    // The server need not listen to the end of what it refused.
    let _ = stream.read_to_end(&mut answer).await;
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The head of the next answer on a connection that stays open, all of it but the
/// body in lower case.
async fn next_head(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
    stream.read_exact(&mut vec![0; length.parse().unwrap()]).await.ok()?;
    Some(head)
}

#[tokio::test]
async fn a_connection_outlives_an_answer_that_needed_no_body() {
    let (server, address, connector, shutdown) = listening().await;
    let mut stream = connect(address, &connector).await;
    // The head and the body come one after the other, as many clients send them.
    let head = format!("POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: 300\r\n\r\n");
    for _ in 0..2 {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(&[b'x'; 300]).await.unwrap();
        let answer = next_head(&mut stream).await.expect("the connection is open");
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    shutdown.cancel();
    server.server.shutdown().await;
}

#[tokio::test]
async fn an_answer_says_when_its_connection_closes() {
    let (server, address, connector, shutdown) = listening().await;
    for (length, body) in [
        // A body that doesn't come, one that is long, and one that waits to be asked for.
        ("content-length: 300", String::new()),
        ("content-length: 400000", "x".repeat(300_000)),
        ("content-length: 300\r\nexpect: 100-continue", String::new()),
    ] {
        let mut stream = connect(address, &connector).await;
        let head = format!("POST {MAPS} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = next_head(&mut stream).await.expect("an answer");
        assert!(answer.starts_with("http/1.1 401"), "{length}: {answer}");
        assert!(answer.contains("connection: close"), "{length}: {answer}");
    }
    shutdown.cancel();
    server.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_end_is_cut_off() {
    let (server, address, connector, shutdown) = listening().await;
    let mut stream = connect(address, &connector).await;
    stream.write_all(head(MAPS, "transfer-encoding: chunked").as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0;
    while stream.write_all(chunk.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {
        sent += chunk.len();
        assert!(sent < 64 << 20, "the server takes it all");
    }
    assert!(sent > 2 << 20, "{sent} bytes are no endless body");
    shutdown.cancel();
    server.server.shutdown().await;
}

/// Kilobytes of memory that this process has used at most.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_large_bodies_costs_no_more_memory_than_a_few() {
    let (server, address, connector, shutdown) = listening().await;
    // As many values as a body may hold, and more bytes than an object may have.
    let body: Arc<str> = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"a\"}},\
         \"data\":{{\"a\":[{}0]}}}}",
        "[\"0000000000\"],".repeat(90_000)
    )
    .into();
    assert!(body.len() > 1 << 20);
    let before = peak_memory();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (body, connector) = (Arc::clone(&body), connector.clone());
        clients.spawn(async move {
            let mut stream = connect(address, &connector).await;
            let head = head(MAPS, &format!("content-length: {}", body.len()));
            stream.write_all(head.as_bytes()).await.unwrap();
            let _ = stream.write_all(body.as_bytes()).await;
            let _ = stream.flush().await;
            code(&mut stream).await
        });
    }
    let codes = clients.join_all().await;
    assert!(codes.iter().all(|code| matches!(code, 400..500)), "{codes:?}");
    let grown = (peak_memory() - before) / 1024;
    println!("{grown} MiB for {} bodies of {} KiB", codes.len(), body.len() / 1024);
    assert!(grown < 700, "{grown} MiB");
    shutdown.cancel();
    server.server.shutdown().await;
}
