//! The real kubectl over HTTPS, with the kubeconfig that the bootstrap makes.
//!
//! `sessions/` has what each command prints, the same for every version of kubectl
//! but where it says otherwise. After a change that is meant,
//! `HADES_GOLDEN=write cargo nextest run -p hades-apiserver --test kubectl golden`
//! writes what is printed now; read the difference before you commit it.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod definitions;
mod edit;
mod golden;
mod release;
mod session;
mod steady;

use std::process::Stdio;

use cluster::Cluster;
use release::Release;

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_applied_twice_by_kubectl_is_unchanged_and_never_shown() {
    let Some(kubectl) = Release::newest() else {
        return;
    };
    let cluster = Cluster::start(&kubectl.program).await;
    let secret = "
apiVersion: v1
kind: Secret
metadata: {name: db}
data: {password: aHVudGVyMg==}
";
    contains(&cluster.ok_with("apply -f -", secret).await, &["created"]);
    let version = "get secret db -o jsonpath={.metadata.resourceVersion}";
    let before = cluster.ok(version).await;
    cluster.ok_with("apply -f -", secret).await;
    assert_eq!(cluster.ok(version).await, before, "nothing was written");
    let shown = cluster.ok("get secret db -o yaml").await;
    assert!(!shown.contains("aHVudGVyMg"), "{shown}");
    cluster.ok_with("replace -f -", &shown).await;
    cluster.ok_with("apply -f -", &secret.replace("aHVudGVyMg==", "b3RoZXI=")).await;
    assert_ne!(cluster.ok(version).await, before);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_without_the_token_and_watches_end_at_shutdown() {
    let Some(kubectl) = Release::newest() else {
        return;
    };
    let cluster = Cluster::start(&kubectl.program).await;
    let ca = cluster.home.path().join("ca.crt");
    std::fs::write(&ca, &cluster.ca).unwrap();
    let server = format!("--server={}", cluster.url);
    let ca = format!("--certificate-authority={}", ca.display());
    let anonymous = ["--kubeconfig=/dev/null", &server, &ca, "--token=wrong", "get", "namespaces"];
    let output = cluster.kubectl(&anonymous, "").await;
    assert!(!output.ok);
    contains(&output.err, &["You must be logged in to the server"]);
    let mut watching = tokio::process::Command::new(&kubectl.program)
        .args(["get", "namespaces", "--watch"])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("HOME", cluster.home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(watching.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
    assert!(line.contains("NAME"), "{line}");
    cluster.stop().await;
    watching.kill().await.unwrap();
}
