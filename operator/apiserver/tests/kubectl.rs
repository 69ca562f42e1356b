//! The real kubectl over HTTPS, with the kubeconfig that the bootstrap makes.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::process::Stdio;

use hades_apiserver::bootstrap;
use hades_apiserver::{ApiServer, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Cluster {
    home: TempDir,
    kubeconfig: PathBuf,
    url: String,
    ca: String,
    server: ApiServer,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

struct Output {
    ok: bool,
    out: String,
    err: String,
}

impl Cluster {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let data = home.path().join("data");
        let installation = bootstrap::prepare(&data, &[], &url).unwrap();
        let mut config = ServerConfig::new(&data, support::definitions());
        config.credentials = installation.credentials.clone();
        let server = ApiServer::open(config).await.unwrap();
        let shutdown = CancellationToken::new();
        let (tls, token, serving) = (installation.tls.clone(), shutdown.clone(), server.clone());
        let serving = tokio::spawn(async move { serving.serve(listener, &tls, token).await });
        let kubeconfig = installation.kubeconfig.clone();
        let ca = installation.ca.clone();
        Self { home, kubeconfig, url, ca, server, shutdown, serving }
    }

    async fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = tokio::process::Command::new(kubectl())
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Output {
            ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command line that must succeed and answers what it printed.
    async fn ok(&self, line: &str) -> String {
        self.ok_with(line, "").await
    }

    async fn ok_with(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.kubectl(&arguments, input).await;
        assert!(output.ok, "kubectl {line}\n{}\n{}", output.out, output.err);
        output.out
    }

    /// Runs a command line that must fail and answers what it complained.
    async fn fails(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.kubectl(&arguments, input).await;
        assert!(!output.ok, "kubectl {line} should fail\n{}", output.out);
        output.err
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), self.serving).await;
        ended.expect("the server stops").unwrap().unwrap();
        self.server.shutdown().await;
    }
}

/// The kubectl to test with; `KUBECTL` names another than the one in the path.
fn kubectl() -> String {
    std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned())
}

/// Whether kubectl is installed; says so when it is not.
fn kubectl_is_here() -> bool {
    let here = std::process::Command::new(kubectl())
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !here {
        eprintln!("SKIPPED: kubectl is not installed; install it to run this test");
    }
    here
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

const BARN: &str = "
apiVersion: farm.example/v1
kind: Barn
metadata: {name: red, namespace: shop, labels: {tier: front}}
spec: {cows: 3}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_by_kubectl() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::start().await;
    contains(&cluster.ok("version").await, &["Server Version: v1.", "+hades"]);
    contains(&cluster.ok("create namespace shop").await, &["namespace/shop created"]);
    contains(&cluster.ok_with("apply -f -", BARN).await, &["barn.farm.example/red created"]);
    contains(&cluster.ok_with("apply -f -", BARN).await, &["unchanged"]);
    let changed = BARN.replace("cows: 3", "cows: 4");
    let difference = cluster.kubectl(&["diff", "-f", "-"], &changed).await;
    contains(&difference.out, &["-  cows: 3", "+  cows: 4", "generation: 2"]);
    contains(&cluster.ok_with("apply -f -", &changed).await, &["configured"]);
    contains(&cluster.ok("get barns -n shop").await, &["NAME", "COWS", "AGE", "red", "4"]);
    contains(&cluster.ok("get ba -n shop -o wide").await, &["MILK"]);
    contains(&cluster.ok("get farm -A").await, &["barn.farm.example/red"]);
    contains(&cluster.ok("get barn red -n shop -o yaml").await, &["color: red", "generation: 2"]);
    contains(
        &cluster.ok("get barns -n shop -l tier=front -o name").await,
        &["barn.farm.example/red"],
    );
    assert!(cluster.ok("get barns -n shop -l tier!=front -o name").await.is_empty());
    contains(&cluster.ok("describe barn red -n shop").await, &["Name:", "red", "Cows:", "Events:"]);
    contains(&cluster.ok("explain barn.spec.cows").await, &["how many cows"]);
    contains(&cluster.ok("label barn red -n shop size=big").await, &["labeled"]);
    contains(&cluster.ok("annotate barn red -n shop note=x").await, &["annotated"]);
    let merge =
        ["patch", "barn", "red", "-n", "shop", "--type=merge", "-p", r#"{"spec":{"cows":5}}"#];
    contains(&cluster.kubectl(&merge, "").await.out, &["patched"]);
    let json = [
        "patch",
        "barn",
        "red",
        "-n",
        "shop",
        "--type=json",
        "-p",
        r#"[{"op":"replace","path":"/spec/cows","value":6}]"#,
    ];
    contains(&cluster.kubectl(&json, "").await.out, &["patched"]);
    let status = [
        "patch",
        "barn",
        "red",
        "-n",
        "shop",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#,
    ];
    contains(&cluster.kubectl(&status, "").await.out, &["patched"]);
    contains(
        &cluster.ok("wait barn/red -n shop --for=condition=Ready --timeout=20s").await,
        &["condition met"],
    );
    contains(&cluster.ok("get barn red -n shop -o jsonpath={.spec.cows}").await, &["6"]);
    contains(
        &cluster.ok_with("apply --server-side --force-conflicts -f -", BARN).await,
        &["serverside-applied"],
    );
    contains(&cluster.ok("get crds").await, &["barns.farm.example"]);
    contains(&cluster.ok("api-resources").await, &["barns", "farms", "configmaps"]);
    contains(&cluster.ok("delete barn red -n shop").await, &["deleted"]);
    contains(&cluster.ok("delete namespace shop --timeout=20s").await, &["deleted"]);
    contains(&cluster.fails("get barn red -n shop", "").await, &["NotFound"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_by_kubectl() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::start().await;
    let missing = cluster.fails("apply -f -", BARN).await;
    contains(&missing, &["namespaces \"shop\" not found"]);
    cluster.ok("create namespace shop").await;
    let wrong = BARN.replace("cows: 3", "cows: many");
    contains(&cluster.fails("apply -f -", &wrong).await, &["spec.cows"]);
    let unknown = BARN.replace("cows: 3", "cows: 3, colour: red");
    contains(&cluster.fails("apply -f -", &unknown).await, &["unknown field \"spec.colour\""]);
    cluster.ok_with("apply --server-side --field-manager=git -f -", BARN).await;
    let other = BARN.replace("cows: 3", "cows: 4");
    let conflict = cluster.fails("apply --server-side --field-manager=hand -f -", &other).await;
    contains(&conflict, &["conflict", ".spec.cows", "git", "--force-conflicts"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn built_in_kinds_and_questions_by_kubectl() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::start().await;
    contains(
        &cluster.ok("get namespaces").await,
        &["default", "Active", "hades-system", "kube-system"],
    );
    cluster.ok("create configmap settings --from-literal=a=b").await;
    contains(&cluster.ok("get cm settings -o jsonpath={.data.a}").await, &["b"]);
    cluster.ok("create secret generic db --from-literal=password=hunter2").await;
    let shown = cluster.ok("get secret db -o yaml").await;
    assert!(!shown.contains("aHVudGVyMg"), "{shown}");
    contains(&cluster.ok("get secrets").await, &["db", "Opaque", "1"]);
    contains(&cluster.ok("describe secret db").await, &["password"]);
    cluster.ok("create serviceaccount robot").await;
    contains(&cluster.ok("auth whoami").await, &["admin", "system:masters"]);
    contains(&cluster.ok("auth can-i delete barns").await, &["yes"]);
    contains(&cluster.ok("auth can-i --list").await, &["*.*"]);
    let event = "
apiVersion: v1
kind: Event
metadata: {name: settings.1, namespace: default}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: default, uid: UID}
reason: Changed
message: somebody touched it
type: Warning
firstTimestamp: 2026-01-01T00:00:00Z
lastTimestamp: 2026-01-01T00:00:00Z
count: 1
source: {component: tester}
";
    let uid = cluster.ok("get cm settings -o jsonpath={.metadata.uid}").await;
    let event = event.replace("UID", &uid);
    cluster.ok_with("create -f -", &event).await;
    contains(&cluster.ok("get events").await, &["Changed", "somebody touched it", "Warning"]);
    contains(&cluster.ok("events --for configmap/settings").await, &["somebody touched it"]);
    contains(&cluster.ok("describe configmap settings").await, &["somebody touched it"]);
    contains(&cluster.ok("get events.events.k8s.io").await, &["Changed"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_applied_twice_by_kubectl_is_unchanged_and_never_shown() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::start().await;
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
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::start().await;
    let ca = cluster.home.path().join("ca.crt");
    std::fs::write(&ca, &cluster.ca).unwrap();
    let server = format!("--server={}", cluster.url);
    let ca = format!("--certificate-authority={}", ca.display());
    let anonymous = ["--kubeconfig=/dev/null", &server, &ca, "--token=wrong", "get", "namespaces"];
    let output = cluster.kubectl(&anonymous, "").await;
    assert!(!output.ok);
    contains(&output.err, &["You must be logged in to the server"]);
    let mut watching = tokio::process::Command::new(kubectl())
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
