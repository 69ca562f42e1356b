//! Two hosts of a test's own: private engines, each behind a gate.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::gate::{Gate, Ledger};
use crate::hades::{Engine, Hades, testbed};

/// A private engine, removed in the end.
pub struct PrivateEngine {
    name: String,
    pub engine: Engine,
}

impl PrivateEngine {
    /// Starts it, with the sample image on it.
    pub fn start(name: &str) -> Self {
        Self { name: name.to_owned(), engine: Engine::named(name) }
    }

    /// The same, with all that it keeps on a disk of that size.
    pub fn start_on_disk(name: &str, size: &str) -> Self {
        let command = ["start", name, "--disk", size];
        let status = Command::new(testbed("dockerd.sh")).args(command).status().unwrap();
        assert!(status.success(), "dockerd.sh {command:?}");
        Self::start(name)
    }

    /// Runs hack/testbed/dockerd.sh for it; returns what that printed.
    pub fn run(&self, command: &str) -> String {
        let output =
            Command::new(testbed("dockerd.sh")).args([command, &self.name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dockerd.sh {command} {}: {said}", self.name);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.run("remove");
    }
}

/// A host of a [`Bed`].
pub struct Host {
    pub gate: Gate,
    pub engine: PrivateEngine,
}

/// A server and its hosts `one` and `two`, and the project of the test.
pub struct Bed {
    pub hades: Hades,
    pub one: Host,
    pub two: Host,
    pub ledger: Arc<Ledger>,
    _sockets: TempDir,
}

impl Bed {
    /// Starts all of it; `name` tells its engines from those of other tests.
    pub fn start(name: &str) -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::default());
        let host = |key: &str| {
            let engine = PrivateEngine::start(&format!("e2e-{name}-{key}"));
            let gate = Gate::new(key, sockets.path(), engine.engine.socket(), &ledger);
            Host { gate, engine }
        };
        let (one, two) = std::thread::scope(|scope| {
            let other = scope.spawn(|| host("two"));
            (host("one"), other.join().unwrap())
        });
        let hades = Hades::start_without_host(one.engine.engine.clone());
        ledger.set_victim(Box::new(hades.victim()));
        let bed = Self { hades, one, two, ledger, _sockets: sockets };
        let mut manifests = String::from(
            "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}\n",
        );
        for (name, host) in [("one", &bed.one), ("two", &bed.two)] {
            manifests += &format!(
                "---\n{{apiVersion: hades.dev/v1alpha1, kind: DockerHost, metadata: {{name: {name}}}, \
                 spec: {{endpoint: '{}'}}}}\n",
                host.gate.endpoint()
            );
        }
        bed.hades.apply(&manifests);
        bed
    }

    pub fn hosts(&self) -> [&Host; 2] {
        [&self.one, &self.two]
    }

    /// The label of everything that the server makes.
    pub fn label(&self) -> String {
        format!("hades.dev/installation={}", self.hades.installation())
    }
}

impl Host {
    fn api(&self) -> &Engine {
        &self.engine.engine
    }

    /// Containers with that label, in every state, as the engine inspects them;
    /// without those that go meanwhile.
    pub fn containers(&self, label: &str) -> Vec<Value> {
        let found = self.api().labelled("containers", label);
        let inspect = |found: &Value| {
            let id = found["Id"].as_str().unwrap();
            self.api().find(&format!("/containers/{id}/json"))
        };
        found.iter().filter_map(inspect).collect()
    }

    /// Names of the networks, or volumes, with that label, sorted.
    pub fn names(&self, what: &str, label: &str) -> Vec<String> {
        let found = self.api().labelled(what, label);
        let mut names: Vec<String> =
            found.iter().filter_map(|found| found["Name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// Where the data of a volume are.
    pub fn data_of(&self, volume: &str) -> PathBuf {
        let found = self.api().get(&format!("/volumes/{volume}")).remove(0);
        PathBuf::from(found["Mountpoint"].as_str().unwrap())
    }

    /// The engine's time, in nanoseconds.
    pub fn now(&self) -> i64 {
        let found = self.api().get("/info").remove(0);
        let time: jiff::Timestamp = found["SystemTime"].as_str().unwrap().parse().unwrap();
        i64::try_from(time.as_nanosecond()).unwrap()
    }

    /// Starts and ends of containers since then: whether it started, id and
    /// labels, in their order.
    pub fn starts_and_ends(&self, since: i64) -> Vec<(bool, String, Value)> {
        let time = |time: i64| format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000);
        // {"event":["start","die"]}
        let filter = "%7B%22event%22%3A%5B%22start%22%2C%22die%22%5D%7D";
        let (since, until) = (time(since), time(self.now()));
        let events =
            self.api().get(&format!("/events?since={since}&until={until}&filters={filter}"));
        let read = |event: &Value| {
            let actor = &event["Actor"];
            let id = actor["ID"].as_str().unwrap_or_default().to_owned();
            (event["Action"] == "start", id, actor["Attributes"].clone())
        };
        events.iter().map(read).collect()
    }
}
