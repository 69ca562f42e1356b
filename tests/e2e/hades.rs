//! A server of its own for a test, its command line client, and what it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far above what anything takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where hack/testbed is.
pub fn testbed(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/testbed").join(script)
}

fn checked(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// An engine, by the endpoint that hack/testbed/dockerd.sh prints.
#[derive(Clone)]
pub struct Engine {
    pub endpoint: String,
}

impl Engine {
    /// The machine's own, with the sample image on it.
    pub fn shared() -> Self {
        Self::named("shared")
    }

    /// One that a test may stop and start.
    pub fn named(name: &str) -> Self {
        let endpoint = checked(Command::new(testbed("dockerd.sh")).args(["start", name]));
        let engine = Self { endpoint: endpoint.trim().to_owned() };
        engine.load_sample("hades-sample:1", "");
        engine
    }

    /// Puts the sample image onto it; another variant is another image.
    pub fn load_sample(&self, tag: &str, variant: &str) {
        checked(
            Command::new(testbed("sample-image.sh"))
                .arg(tag)
                .env("VARIANT", variant)
                .env("DOCKER_HOST", &self.endpoint),
        );
    }

    /// Runs the Docker client; returns what it printed.
    pub fn docker(&self, args: &[&str]) -> String {
        checked(Command::new("docker").args(args).env("DOCKER_HOST", &self.endpoint))
    }

    pub fn socket(&self) -> &str {
        self.endpoint.trim_start_matches("unix://")
    }

    fn ask(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// What the engine answers to `GET path`, a JSON value a line or all in one.
    pub fn get(&self, path: &str) -> Vec<Value> {
        let answer = self.ask(path);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        serde_json::Deserializer::from_str(body).into_iter().map(Result::unwrap).collect()
    }

    /// What the engine answers to `GET path`; none when there is no such thing.
    pub fn find(&self, path: &str) -> Option<Value> {
        let answer = self.ask(path);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        if head.contains(" 404 ") {
            return None;
        }
        assert!(head.contains(" 200 "), "{path}: {answer}");
        Some(serde_json::from_str(body).unwrap())
    }

    /// All that it lists of what carries a label: containers, networks or volumes.
    pub fn labelled(&self, what: &str, label: &str) -> Vec<Value> {
        let path = if what == "containers" { "containers/json" } else { what };
        // Percent-encoded: {"label":["…"]}
        let filter = format!("%7B%22label%22%3A%5B%22{}%22%5D%7D", label.replace('=', "%3D"));
        let answer = self.get(&format!("/{path}?all=1&filters={filter}")).remove(0);
        let list = if what == "volumes" { &answer["Volumes"] } else { &answer };
        list.as_array().cloned().unwrap_or_default()
    }
}

/// A server in a temporary folder.
pub struct Hades {
    pub engine: Engine,
    pub dir: TempDir,
    /// Different for each test, so that names on the shared engine are, too.
    pub project: String,
    child: Arc<Mutex<Option<Child>>>,
    pub address: String,
    /// Where the server looks for an engine to begin with.
    docker_socket: PathBuf,
}

impl Hades {
    /// Starts one on that engine.
    pub fn start(engine: Engine) -> Self {
        let socket = PathBuf::from(engine.socket());
        Self::start_with(engine, socket)
    }

    /// Starts one that has no DockerHost yet; `engine` is one of those to come.
    pub fn start_without_host(engine: Engine) -> Self {
        Self::start_with(engine, PathBuf::from("/nonexistent.sock"))
    }

    fn start_with(engine: Engine, docker_socket: PathBuf) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hades = Self {
            engine,
            dir: tempfile::tempdir().unwrap(),
            project: format!("t{}-{number}", std::process::id()),
            child: Arc::default(),
            address: String::new(),
            docker_socket,
        };
        hades.launch();
        hades
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// One with a copy of the data folder; it isn't started.
    pub fn copied(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        checked(Command::new("cp").arg("-a").arg(self.data()).arg(dir.path().join("data")));
        Self {
            engine: self.engine.clone(),
            dir,
            project: self.project.clone(),
            child: Arc::default(),
            address: String::new(),
            docker_socket: self.docker_socket.clone(),
        }
    }

    /// Says that its data folder is the only one.
    pub fn adopt(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hades"));
        checked(command.args(["store", "adopt", "--data-dir"]).arg(self.data()));
    }

    /// Starts the server on its data folder and waits until it serves.
    pub fn launch(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("server.log"))
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hades"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.data())
            .arg("--docker-socket")
            .arg(&self.docker_socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        *self.child.lock().unwrap() = Some(child);
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let Some((_, address)) = first.split_once("https://") else {
            panic!("the server didn't start: {first:?}\n{}", self.log())
        };
        self.address = address.to_owned();
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.victim()();
    }

    /// `kill -9`, for somebody else to do.
    pub fn victim(&self) -> impl Fn() + Send + Sync + 'static {
        let child = self.child.clone();
        move || {
            if let Some(mut child) = child.lock().unwrap().take() {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.lock().unwrap().take() else { return };
        checked(Command::new("kill").arg(child.id().to_string()));
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("server.log")).unwrap_or_default()
    }

    /// The id that is on everything it makes.
    pub fn installation(&self) -> String {
        std::fs::read_to_string(self.data().join("installation-id")).unwrap().trim().to_owned()
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data().join("admin.kubeconfig")
    }

    /// `hadesctl`, ready to run.
    pub fn hadesctl_command(&self) -> Command {
        // Beside the server: both are built for the tests.
        let program = Path::new(env!("CARGO_BIN_EXE_hades")).with_file_name("hadesctl");
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", self.dir.path());
        command
    }

    /// Runs a client with the server's kubeconfig.
    fn client(&self, program: &Path, args: &[&str]) -> Output {
        Command::new(program)
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs `hadesctl`, whatever comes of it.
    pub fn try_hadesctl(&self, args: &[&str]) -> Output {
        // Beside the server: both are built for the tests.
        let program = Path::new(env!("CARGO_BIN_EXE_hades")).with_file_name("hadesctl");
        self.client(&program, args)
    }

    /// Runs `hadesctl`, which must succeed; returns what it printed.
    pub fn hadesctl(&self, args: &[&str]) -> String {
        let output = self.try_hadesctl(args);
        assert!(
            output.status.success(),
            "hadesctl {args:?}: {}{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `kubectl`, which must succeed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let output = self.client(Path::new("kubectl"), args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `kubectl`, whatever comes of it.
    pub fn try_kubectl(&self, args: &[&str]) -> Output {
        self.client(Path::new("kubectl"), args)
    }

    /// Applies manifests; `PROJECT` in them is the test's project.
    pub fn apply(&self, manifests: &str) {
        let file = self.manifests(manifests);
        self.hadesctl(&["apply", "-f", file.to_str().unwrap()]);
    }

    /// As [`Self::apply`], whatever comes of it.
    pub fn try_apply(&self, manifests: &str) -> Output {
        let file = self.manifests(manifests);
        self.try_hadesctl(&["apply", "-f", file.to_str().unwrap()])
    }

    fn manifests(&self, manifests: &str) -> PathBuf {
        let file = self.dir.path().join("apply.yaml");
        std::fs::write(&file, manifests.replace("PROJECT", &self.project)).unwrap();
        file
    }

    /// An object as JSON; null when there is none.
    pub fn object(&self, kind: &str, name: &str, namespace: &str) -> Value {
        let output = self.try_hadesctl(&["get", kind, name, "-p", namespace, "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The Ready condition of an environment of the test's project.
    pub fn ready_condition(&self, environment: &str) -> Value {
        condition(&self.object("environment", environment, &self.project), "Ready")
    }

    /// Lets the local engine pull however full the disk of this machine is.
    pub fn pull_whatever_the_disk(&self) {
        let full = r#"{"spec":{"disk":{"warnPercent":100,"criticalPercent":100}}}"#;
        self.kubectl(&["patch", "dockerhost", "local", "--type=merge", "--patch", full]);
    }

    /// Waits until the environment is as its newest spec says.
    pub fn wait_ready(&self, environment: &str) {
        eventually(&format!("{environment} to be ready"), || self.readiness(environment));
    }

    /// Whether the environment is as its newest spec says.
    pub fn is_ready(&self, environment: &str) -> bool {
        self.readiness(environment).is_ok()
    }

    fn readiness(&self, environment: &str) -> Result<(), Value> {
        let found = self.object("environment", environment, &self.project);
        let generation = &found["metadata"]["generation"];
        let current = found["status"]["observedGeneration"] == *generation;
        let ready = condition(&found, "Ready")["status"] == "True";
        if !generation.is_null() && current && ready {
            Ok(())
        } else {
            Err(found["status"].clone())
        }
    }

    /// Waits until the environment isn't ready for that reason; returns the message.
    pub fn wait_not_ready(&self, environment: &str, reason: &str) -> String {
        eventually(&format!("{environment} not to be ready: {reason}"), || {
            let ready = self.ready_condition(environment);
            if ready["reason"] == reason && ready["status"] == "False" {
                Ok(ready["message"].as_str().unwrap_or_default().to_owned())
            } else {
                Err(ready)
            }
        })
    }

    /// Names of the containers of this installation, in every state, sorted.
    pub fn containers(&self) -> Vec<String> {
        self.docker_names(&["ps", "--all"])
    }

    /// Names of those that run, sorted.
    pub fn running(&self) -> Vec<String> {
        self.docker_names(&["ps"])
    }

    fn docker_names(&self, command: &[&str]) -> Vec<String> {
        let filter = format!("label=hades.dev/installation={}", self.installation());
        let mut args = command.to_vec();
        args.extend(["--filter", &filter, "--format", "{{.Names}}"]);
        let mut names: Vec<String> = self.engine.docker(&args).lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The container of a service's first replica.
    pub fn container_of(&self, service: &str) -> Option<String> {
        let part = format!("_{service}-1-");
        self.running().into_iter().find(|name| name.contains(&part))
    }
}

impl Drop for Hades {
    fn drop(&mut self) {
        self.kill();
        let script = r#"
            docker ps -aq --filter "$1" | xargs -r docker rm -fv
            docker network ls -q --filter "$1" | xargs -r docker network rm
            docker volume ls -q --filter "$1" | xargs -r docker volume rm
        "#;
        let Ok(installation) = std::fs::read_to_string(self.data().join("installation-id")) else {
            return;
        };
        let filter = format!("label=hades.dev/installation={}", installation.trim());
        let _ = Command::new("bash")
            .args(["-c", script, "bash", &filter])
            .env("DOCKER_HOST", &self.engine.endpoint)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// A condition of an object; null when there is none.
pub fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|found| found["type"] == type_).unwrap_or_default()
}

/// Tries until `probe` answers `Ok`; fails with the last `Err`.
pub fn eventually<T, E: std::fmt::Debug>(what: &str, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe() {
            Ok(found) => return found,
            Err(last) if Instant::now() > deadline => {
                panic!("gave up waiting for {what}: {last:#?}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A port of 127.0.0.1 that nothing uses right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `GET path`; None while nothing answers.
pub fn http_get(port: u16, path: &str) -> Option<String> {
    http_get_at("127.0.0.1", port, path)
}

/// The same, of another address of this machine.
pub fn http_get_at(address: &str, port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((address, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// A git repository on disk.
pub struct Repository {
    pub dir: PathBuf,
}

impl Repository {
    pub fn new(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let repository = Self { dir };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.git(&["config", "user.name", "tester"]);
        repository.git(&["config", "user.email", "tester@example.com"]);
        repository
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.dir.display())
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.join(file), text).unwrap();
    }

    /// Commits all that is there; returns the id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub fn git(&self, args: &[&str]) -> String {
        checked(Command::new("git").arg("-C").arg(&self.dir).args(args))
    }
}
