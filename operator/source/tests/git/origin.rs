//! A repository made by the git command, and a server that serves it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A repository with a work tree, at `ROOT/repo`.
pub struct Origin {
    root: TempDir,
}

impl Origin {
    /// Without a commit.
    pub fn empty() -> Self {
        let origin = Origin { root: tempfile::tempdir().unwrap() };
        fs::create_dir(origin.path()).unwrap();
        origin.git(&["init", "--quiet", "--initial-branch=main"]);
        origin
    }

    /// With one commit of one manifest.
    pub fn new() -> Self {
        let origin = Origin::empty();
        origin.write("shop/production.yaml", object("production"));
        origin.commit("first");
        origin
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits everything and returns the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.path(), arguments).unwrap()
    }
}

/// Runs git, away from the settings of whoever runs the tests.
pub fn git(dir: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_AUTHOR_DATE", "1700000000 +0100")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_DATE", "1700000000 +0100")
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A manifest.
pub fn object(name: &str) -> String {
    format!("apiVersion: hades.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\n")
}

/// `backend.py`, which ends with this.
pub struct Server {
    child: Child,
    port: u16,
    scheme: &'static str,
    log: PathBuf,
    /// The CA of its certificate.
    pub ca: Option<Vec<u8>>,
}

impl Server {
    pub fn http(origin: &Origin) -> Self {
        Server::start(origin, None)
    }

    /// With a certificate for 127.0.0.1 of a CA that nobody knows.
    pub fn https(origin: &Origin) -> Self {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let certificate_path = origin.root().join("certificate.pem");
        let key_path = origin.root().join("key.pem");
        fs::write(&certificate_path, certificate.pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        let mut server = Server::start(origin, Some((&certificate_path, &key_path)));
        server.ca = Some(ca_certificate.pem().into_bytes());
        server
    }

    fn start(origin: &Origin, tls: Option<(&Path, &Path)>) -> Self {
        let log = tempfile::Builder::new()
            .prefix("log")
            .tempfile_in(origin.root())
            .unwrap()
            .into_temp_path()
            .keep()
            .unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/git/backend.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(origin.root()).arg(&log);
        if let Some((certificate, key)) = tls {
            command.arg(certificate).arg(key);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server {
            child,
            port: line.trim().parse().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            log,
            ca: None,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `behaviour` is the first part of the path: see `backend.py`.
    pub fn url(&self, behaviour: &str) -> String {
        let (scheme, port) = (self.scheme, self.port);
        format!("{scheme}://127.0.0.1:{port}/{behaviour}/repo/.git")
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap();
        fs::write(&self.log, "").unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
