//! A server of its own for a test, its command line client, and what it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
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
        checked(
            Command::new(testbed("sample-image.sh"))
                .arg("hades-sample:1")
                .env("DOCKER_HOST", &engine.endpoint),
        );
        engine
    }

    /// Runs the Docker client; returns what it printed.
    pub fn docker(&self, args: &[&str]) -> String {
        checked(Command::new("docker").args(args).env("DOCKER_HOST", &self.endpoint))
    }

    pub fn socket(&self) -> &str {
        self.endpoint.trim_start_matches("unix://")
    }
}

/// A server in a temporary folder.
pub struct Hades {
    pub engine: Engine,
    pub dir: TempDir,
    /// Different for each test, so that names on the shared engine are, too.
    pub project: String,
    child: Option<Child>,
    pub address: String,
}

impl Hades {
    /// Starts one on that engine.
    pub fn start(engine: Engine) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hades = Self {
            engine,
            dir: tempfile::tempdir().unwrap(),
            project: format!("t{}-{number}", std::process::id()),
            child: None,
            address: String::new(),
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
            child: None,
            address: String::new(),
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
            .args(["--docker-socket", self.engine.socket()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.child = Some(child);
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let Some((_, address)) = first.split_once("https://") else {
            panic!("the server didn't start: {first:?}\n{}", self.log())
        };
        self.address = address.to_owned();
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
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

    /// Applies manifests; `PROJECT` in them is the test's project.
    pub fn apply(&self, manifests: &str) {
        let file = self.dir.path().join("apply.yaml");
        std::fs::write(&file, manifests.replace("PROJECT", &self.project)).unwrap();
        self.hadesctl(&["apply", "-f", file.to_str().unwrap()]);
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

    /// Waits until the environment is as its newest spec says.
    pub fn wait_ready(&self, environment: &str) {
        eventually(&format!("{environment} to be ready"), || {
            let found = self.object("environment", environment, &self.project);
            let current = found["status"]["observedGeneration"] == found["metadata"]["generation"];
            let ready = condition(&found, "Ready");
            if current && ready["status"] == "True" { Ok(()) } else { Err(found["status"].clone()) }
        });
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
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
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
