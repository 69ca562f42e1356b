//! A real engine for the checks, and the `docker` command as the hands that
//! change it behind the provider's back.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hades_plan::{ContainerSpec, EnvVar};
use hades_provider::Provider;
use hades_provider::conformance::{SeenFile, Testbed};
use hades_provider_docker::DockerHost;
use ipnet::Ipv4Net;

/// The sample app, put onto the engine by `hack/testbed/sample-image.sh`.
pub const IMAGE: &str = "hades-sample:provider-test";
/// On what tests make as somebody else.
const FOREIGN_LABEL: &str = "hades-provider-test";

/// A real engine. Dropping it removes what the test has made.
pub struct DockerBed {
    pub endpoint: String,
    pub host: DockerHost,
    installation: String,
    next: AtomicU32,
    taken_ports: Mutex<Vec<TcpListener>>,
}

impl DockerBed {
    /// On the engine that all tests share.
    pub fn shared() -> Self {
        let endpoint = match std::env::var("HADES_TEST_DOCKER") {
            Ok(endpoint) if endpoint.starts_with("unix://") => endpoint,
            Ok(path) => format!("unix://{path}"),
            Err(_) => testbed("dockerd.sh", &["start"], &[]),
        };
        Self::at(&endpoint)
    }

    /// On the engine at `endpoint`.
    pub fn at(endpoint: &str) -> Self {
        testbed("sample-image.sh", &[IMAGE], &[("DOCKER_HOST", endpoint)]);
        let installation = unique("installation");
        Self {
            host: DockerHost::connect(endpoint, &installation).unwrap(),
            endpoint: endpoint.to_owned(),
            installation,
            next: AtomicU32::new(0),
            taken_ports: Mutex::default(),
        }
    }

    /// Another provider for the same installation, at another endpoint.
    pub fn provider_at(&self, endpoint: &str) -> DockerHost {
        DockerHost::connect(endpoint, &self.installation).unwrap()
    }

    /// Path of the engine's socket.
    pub fn socket(&self) -> &Path {
        Path::new(self.endpoint.trim_start_matches("unix://"))
    }

    /// `docker …` on the engine; answers what it prints.
    pub fn docker(&self, arguments: &[&str]) -> String {
        run(Command::new("docker").args(arguments), &[("DOCKER_HOST", &self.endpoint)])
    }

    /// Runs a container of an image as somebody else; answers its id.
    pub fn run_foreign_container_of(&self, name: &str, image: &str) -> String {
        let label = self.foreign_label();
        self.docker(&["run", "-d", "--name", name, "--label", &label, "--network", "none", image])
    }

    fn foreign_label(&self) -> String {
        format!("{FOREIGN_LABEL}={}", self.installation)
    }

    /// Like [`Self::docker`], for cleaning up: failures are for the next step.
    fn try_docker(&self, arguments: &[&str]) -> Vec<String> {
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", &self.endpoint)
            .stderr(Stdio::null())
            .output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for DockerBed {
    fn drop(&mut self) {
        let ours = format!("label=hades.dev/installation={}", self.installation);
        let foreign = format!("label={}", self.foreign_label());
        for filter in [&ours, &foreign] {
            for (list, remove) in [
                (&["ps", "-aq", "--filter"][..], &["rm", "-fv"][..]),
                (&["network", "ls", "-q", "--filter"], &["network", "rm"]),
                (&["volume", "ls", "-q", "--filter"], &["volume", "rm"]),
            ] {
                let ids = self.try_docker(&[list, &[filter.as_str()]].concat());
                if !ids.is_empty() {
                    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                    self.try_docker(&[remove, &ids].concat());
                }
            }
        }
    }
}

/// Runs a script of `hack/testbed`; answers what it prints.
pub fn testbed(script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../hack/testbed");
    run(Command::new(root.join(script)).args(arguments), variables)
}

fn run(command: &mut Command, variables: &[(&str, &str)]) -> String {
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A name that no other test of any process uses.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t{}-{count}-{what}", std::process::id())
}

#[async_trait]
impl Testbed for DockerBed {
    fn provider(&self) -> &dyn Provider {
        &self.host
    }
    fn installation(&self) -> &str {
        &self.installation
    }
    fn project(&self) -> String {
        unique("shop")
    }
    fn subnet(&self) -> Ipv4Net {
        // Four for each process, in a range of their own.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < 4, "more subnets than a test has");
        let process = std::process::id() % (1 << 13);
        let address = (10 << 24) | (224 << 16) | (process << 8) | (number << 6);
        Ipv4Net::new(Ipv4Addr::from(address), 26).unwrap()
    }
    fn free_port(&self) -> (IpAddr, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (address.ip(), address.port())
    }
    fn running_spec(&self) -> ContainerSpec {
        ContainerSpec { image: IMAGE.to_owned(), ..ContainerSpec::default() }
    }
    fn ending_spec(&self, code: i64) -> ContainerSpec {
        let mut spec = self.running_spec();
        spec.env.insert("EXIT_AT_ONCE".to_owned(), EnvVar::Plain(code.to_string()));
        spec
    }
    fn missing_image(&self) -> String {
        // Nothing listens on the discard port.
        "127.0.0.1:9/hades-missing:1".to_owned()
    }
    async fn take_port(&self, address: IpAddr, port: u16) {
        let listener = TcpListener::bind((address, port)).unwrap();
        self.taken_ports.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }
    async fn run_foreign_container(&self, name: &str) -> String {
        self.run_foreign_container_of(name, IMAGE)
    }
    async fn make_foreign_network(&self, name: &str, subnet: Ipv4Net) -> String {
        let (label, subnet) = (self.foreign_label(), subnet.to_string());
        self.docker(&["network", "create", "--label", &label, "--subnet", &subnet, name])
    }
    async fn make_foreign_volume(&self, name: &str) {
        self.docker(&["volume", "create", "--label", &self.foreign_label(), name]);
    }
    async fn make_volume_of_another_installation(&self, name: &str) {
        let label = self.foreign_label();
        let theirs = "hades.dev/installation=another-one";
        self.docker(&["volume", "create", "--label", &label, "--label", theirs, name]);
    }
    async fn stop_by_hand(&self, id: &str) {
        self.docker(&["stop", "-t", "1", id]);
    }
    async fn pause_by_hand(&self, id: &str) {
        self.docker(&["pause", id]);
    }
    async fn detach_by_hand(&self, id: &str, network: &str) {
        self.docker(&["network", "disconnect", network, id]);
    }
    async fn file_of(&self, id: &str, path: &str) -> Option<SeenFile> {
        let output = Command::new("docker")
            .args(["cp", &format!("{id}:{path}"), "-"])
            .env("DOCKER_HOST", &self.endpoint)
            .output()
            .unwrap();
        let mut archive = tar::Archive::new(output.stdout.as_slice());
        let mut entry = archive.entries().unwrap().next()?.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let header = entry.header();
        let number = |id: std::io::Result<u64>| u32::try_from(id.unwrap()).unwrap();
        let (uid, gid) = (number(header.uid()), number(header.gid()));
        Some(SeenFile { text, mode: header.mode().unwrap() & 0o7777, uid, gid })
    }
    async fn remove_by_hand(&self, id: &str) {
        self.docker(&["rm", "-f", id]);
    }
    async fn remove_network_by_hand(&self, name: &str) {
        self.docker(&["network", "rm", name]);
    }
    async fn output_of(&self, id: &str) -> String {
        for _ in 0..100 {
            if self.docker(&["logs", id]).contains("listening on port 8080") {
                return "listening on port 8080".to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("container {id} writes nothing");
    }
}
