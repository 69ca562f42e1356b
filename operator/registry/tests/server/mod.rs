//! Registries on this machine, gone with their handle.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const USER: &str = "robot";
pub const PASSWORD: &str = "correct-horse";

/// Debian's docker-registry with a folder of its own.
pub struct RegistryServer {
    pub address: String,
    is_private: bool,
    process: Child,
    _dir: TempDir,
}

impl RegistryServer {
    pub async fn start(is_private: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let config = dir.path().join("config.yml");
        std::fs::write(&config, configuration(dir.path(), &address, is_private)).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed (apt-get install docker-registry)");
        let server = Self { address, is_private, process, _dir: dir };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&server.address).is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("docker-registry doesn't listen on {}", server.address);
    }

    /// Puts an image without files into it; answers its digest.
    pub fn push(&self, repository: &str, tag: &str, content: &str) -> String {
        let base = format!("http://{}/v2/{repository}", self.address);
        let config = format!(r#"{{"architecture":"amd64","os":"linux","content":"{content}"}}"#);
        let digest = sha256(config.as_bytes());
        let location = self.curl(
            &["-X", "POST", "-D", "-", "-o", "/dev/null", &format!("{base}/blobs/uploads/")],
            "",
        );
        let location =
            location.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim();
        let upload = format!("{location}&digest={digest}");
        self.curl(
            &[
                "-X",
                "PUT",
                "-H",
                "Content-Type: application/octet-stream",
                "--data-binary",
                "@-",
                &upload,
            ],
            &config,
        );
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{digest}"}},"layers":[]}}"#,
            config.len()
        );
        let header = format!("Content-Type: {kind}");
        let url = format!("{base}/manifests/{tag}");
        self.curl(&["-X", "PUT", "-H", &header, "--data-binary", "@-", &url], &manifest);
        sha256(manifest.as_bytes())
    }

    fn curl(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail", "--max-time", "20"]);
        if self.is_private {
            command.args(["-u", &format!("{USER}:{PASSWORD}")]);
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "curl {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(dir: &Path, address: &str, is_private: bool) -> String {
    let folder = dir.display();
    let auth = if is_private {
        let file = dir.join("htpasswd");
        let output = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output();
        let output = output.expect("htpasswd is installed (apt-get install apache2-utils)");
        std::fs::write(&file, output.stdout).unwrap();
        format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display())
    } else {
        String::new()
    };
    format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}, \
         delete: {{enabled: true}}}}\nhttp: {{addr: '{address}'}}\n{auth}"
    )
}

fn sha256(bytes: &[u8]) -> String {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    format!("sha256:{}", &String::from_utf8(output.stdout).unwrap()[..64])
}

/// Answers requests as it is told.
pub struct Stub {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    pub async fn start(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, seen, host) = (Arc::new(answer), requests.clone(), address.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, seen, host) = (answer.clone(), seen.clone(), host.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let request = String::from_utf8_lossy(&bytes).into_owned();
                    let reply = answer(&request, &host);
                    seen.lock().unwrap().push(request);
                    let _ = stream.write_all(reply.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, requests }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn json(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }
}
