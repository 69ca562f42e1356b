//! Schemathesis against the OpenAPI documents of the server itself: whatever it
//! sends, valid or not, the server answers without a mistake of its own.
//!
//! `hack/schemathesis.sh SECONDS` runs this longer. `HADES_SCHEMATHESIS` names the
//! program where it is not in the path, `HADES_SCHEMATHESIS_SECONDS` the time for
//! each document and `HADES_SCHEMATHESIS_SEED` what the inputs follow from.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hades_apiserver::{ApiServer, Credential, Identity, ServerConfig, bootstrap};
use serde_json::Value;
use support::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What must hold of every answer.
const CHECKS: &str = "not_a_server_error,content_type_conformance,response_schema_conformance,\
                      ignored_auth";

/// A token of this test alone.
const TOKEN: &str = "for-schemathesis";

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn program() -> Option<PathBuf> {
    let program = PathBuf::from(setting("HADES_SCHEMATHESIS", "schemathesis"));
    let found = Command::new(&program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    found.then_some(program)
}

struct Target {
    server: Server,
    url: String,
    ca: PathBuf,
    shutdown: CancellationToken,
}

async fn start() -> Target {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let data = directory.path().join("data");
    let installation = bootstrap::prepare(&data, &[], &url).unwrap();
    let mut config = ServerConfig::new(&data, support::definitions());
    config.credentials = vec![Credential::of_token(TOKEN, Identity::administrator("schemathesis"))];
    let server = ApiServer::open(config).await.unwrap();
    let shutdown = CancellationToken::new();
    let (tls, ends, serving) = (installation.tls.clone(), shutdown.clone(), server.clone());
    tokio::spawn(async move { serving.serve(listener, &tls, ends).await });
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, &installation.ca).unwrap();
    Target { server: Server { server, directory }, url, ca, shutdown }
}

/// Every document of the index, that of the definitions last: it can take the
/// others away.
async fn documents(target: &Target) -> Vec<(String, PathBuf)> {
    let (_, index) = target.server.raw("GET", "/openapi/v3", Value::Null).await;
    let mut names: Vec<String> = index["paths"].as_object().unwrap().keys().cloned().collect();
    names.sort_by_key(|name| (name.contains("apiextensions"), name.clone()));
    let mut documents = Vec::new();
    for name in names {
        let path = index["paths"][&name]["serverRelativeURL"].as_str().unwrap();
        let (code, document) = target.server.raw("GET", path, Value::Null).await;
        assert_eq!(code, 200, "{path}");
        let file = target.server.directory.path().join(name.replace('/', "_") + ".json");
        std::fs::write(&file, document.to_string()).unwrap();
        documents.push((name, file));
    }
    documents
}

fn run(program: &Path, target: &Target, document: &Path) -> (bool, String) {
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis/hooks.py");
    let seconds = setting("HADES_SCHEMATHESIS_SECONDS", "6");
    let output = Command::new(program)
        .current_dir(target.server.directory.path())
        .env("SCHEMATHESIS_HOOKS", hooks)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["run", "--no-color", "--warnings", "off", "--suppress-health-check", "all"])
        .args(["--checks", CHECKS, "--max-time", &seconds, "--request-timeout", "20"])
        .args(["--seed", &setting("HADES_SCHEMATHESIS_SEED", "1"), "--no-shrink"])
        .args(["--phases", "coverage,fuzzing", "--generation-database", "none"])
        .args(["--url", &target.url, "--tls-verify"])
        .arg(&target.ca)
        .args(["--header", &format!("Authorization:Bearer {TOKEN}")])
        .arg(document)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_schemathesis_sends_the_server_makes_no_mistake() {
    let Some(program) = program() else {
        println!("SKIPPED: schemathesis is not installed; hack/test.sh installs it");
        return;
    };
    let target = start().await;
    let mut failures = Vec::new();
    for (name, document) in documents(&target).await {
        let (ok, report) = tokio::task::block_in_place(|| run(&program, &target, &document));
        println!("{name}: {}", if ok { "well" } else { "FAILED" });
        if !ok {
            failures.push(format!("== {name}\n{}", report));
        }
        let (code, _) = target.server.raw("GET", "/version", Value::Null).await;
        assert_eq!(code, 200, "the server lives on after {name}");
    }
    target.shutdown.cancel();
    target.server.server.shutdown().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
