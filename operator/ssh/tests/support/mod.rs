//! A real SSH server, on an address of its own, ended with the test.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hades_ssh::{HostKey, KeyPair, Target};
use secrecy::SecretString;
use tempfile::TempDir;

/// How long the server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// An SSH server.
pub struct Sshd {
    folder: TempDir,
    address: String,
    port: u16,
    namespace: Option<String>,
    child: Option<Child>,
    key: SecretString,
}

#[allow(dead_code, reason = "not every test binary that includes this uses all of it")]
impl Sshd {
    /// On a free port of 127.0.0.1.
    pub fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        Self::start_at("127.0.0.1", port, None)
    }

    /// At an address, within a network namespace if one is named.
    pub fn start_at(address: &str, port: u16, namespace: Option<&str>) -> Self {
        let mut server = Self {
            folder: TempDir::new().unwrap(),
            address: address.to_owned(),
            port,
            namespace: namespace.map(str::to_owned),
            child: None,
            key: SecretString::default(),
        };
        server.rotate_login();
        server.restart();
        server
    }

    /// A new key pair is the one that may log in.
    pub fn rotate_login(&mut self) {
        let pair = KeyPair::generate("test").unwrap();
        std::fs::write(self.folder.path().join("authorized_keys"), pair.public + "\n").unwrap();
        self.key = pair.private;
    }

    /// The server gets another host key; it shows it after a restart.
    pub fn change_host_key(&self) {
        for name in ["host_key", "host_key.pub"] {
            std::fs::remove_file(self.folder.path().join(name)).unwrap();
        }
    }

    /// Ends the server and all of its connections.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Each connection has a process in a group of its own.
        let family = descendants(child.id());
        let _ = child.kill();
        let _ = child.wait();
        let _ = Command::new("kill").arg("-KILL").args(family).stderr(Stdio::null()).status();
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        self.stop();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find_map(|folder| {
            let script = folder.join("hack/testbed/sshd.sh");
            script.exists().then_some(script)
        });
        let mut command = Command::new(script.unwrap());
        command.arg(self.folder.path()).arg(&self.address).arg(self.port.to_string());
        command.args(&self.namespace);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let listening = self.log().matches("Server listening").count();
        self.child = Some(command.stderr(log).spawn().unwrap());
        let deadline = Instant::now() + START_LIMIT;
        while self.log().matches("Server listening").count() == listening {
            assert!(Instant::now() < deadline, "sshd doesn't start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The key that the server shows.
    pub fn host_key(&self) -> HostKey {
        std::fs::read_to_string(self.folder.path().join("host_key.pub")).unwrap().parse().unwrap()
    }

    /// The private key that may log in.
    pub fn login(&self) -> SecretString {
        self.key.clone()
    }

    /// `root@ADDRESS:PORT`.
    pub fn authority(&self) -> String {
        format!("root@{}:{}", self.address, self.port)
    }

    /// How to get in.
    pub fn target(&self) -> Target {
        Target {
            host: self.address.clone(),
            port: self.port,
            user: "root".to_owned(),
            private_key: self.key.clone(),
            host_keys: vec![self.host_key()],
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Processes that a process started, and those that they started.
fn descendants(process: u32) -> Vec<String> {
    let parent_of = |folder: std::fs::DirEntry| {
        let id = folder.file_name().to_str()?.parse::<u32>().ok()?;
        let stat = std::fs::read_to_string(folder.path().join("stat")).ok()?;
        // The name before it may hold blanks.
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        Some((id, parent))
    };
    let all: Vec<(u32, u32)> =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(parent_of).collect();
    let mut family = vec![process];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, found)| *found == parent).map(|(id, _)| *id));
        next += 1;
    }
    family.iter().skip(1).map(u32::to_string).collect()
}
