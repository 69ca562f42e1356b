//! A server over HTTPS and a kubectl that talks to it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hades_apiserver::bootstrap;
use hades_apiserver::{ApiServer, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support;

/// No command of a test takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub home: TempDir,
    pub kubeconfig: PathBuf,
    pub url: String,
    pub ca: String,
    kubectl: PathBuf,
    server: ApiServer,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

pub struct Output {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl Cluster {
    pub async fn start(kubectl: &Path) -> Self {
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
        let kubectl = kubectl.to_owned();
        Self { home, kubeconfig, url, ca, kubectl, server, shutdown, serving }
    }

    /// Runs kubectl with these arguments and this text on its standard input.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(&self.kubectl)
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

    /// Runs a line of shell in `directory`, where `kubectl` is the kubectl of this
    /// cluster: what it printed to both outputs, as a terminal shows it, and its
    /// exit code.
    pub async fn shell(&self, script: &str, directory: &Path) -> (String, i32) {
        let programs = self.home.path().join("bin");
        let kubectl = programs.join("kubectl");
        if !kubectl.exists() {
            std::fs::create_dir_all(&programs).unwrap();
            std::os::unix::fs::symlink(&self.kubectl, &kubectl).unwrap();
        }
        let child = Command::new("bash")
            .args(["-c", &format!("exec 2>&1\n. ./functions.sh\n{script}")])
            .current_dir(directory)
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .env("SERVER", &self.url)
            // Gone before there is much garbage.
            .env("GOGC", "off")
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
            Ok(output) => {
                let output = output.unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                (text, output.status.code().unwrap_or(-1))
            }
            Err(_) => (format!("not finished after {PATIENCE:?}\n"), -1),
        }
    }

    /// Runs a command line that must succeed and answers what it printed.
    pub async fn ok(&self, line: &str) -> String {
        self.ok_with(line, "").await
    }

    pub async fn ok_with(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.kubectl(&arguments, input).await;
        assert!(output.ok, "kubectl {line}\n{}\n{}", output.out, output.err);
        output.out
    }

    /// Stops the listener and the server.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.serving).await;
        ended.expect("the server stops").unwrap().unwrap();
        self.server.shutdown().await;
    }
}
