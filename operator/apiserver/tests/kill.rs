//! The server is killed while many clients write, again and again.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use hades_apiserver::{ApiServer, Identity, ServerConfig, maintenance};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const ROUNDS: u64 = 30;
const WRITERS: usize = 16;

/// Names the data directory to the process that is killed.
const DIRECTORY: &str = "HADES_KILL_TEST_DIRECTORY";

/// A text that is wrong when only a part of it was kept.
fn filled(count: u64) -> String {
    format!("{count}:{}", format!("{count}.").repeat(200))
}

fn count_in(text: &str) -> u64 {
    let count = text.split_once(':').unwrap().0.parse().unwrap();
    assert_eq!(text, filled(count), "an object is torn");
    count
}

/// A line for the parent, in one write.
fn tell(line: &Value) {
    let mut line = line.to_string();
    line.push('\n');
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Writes one object without end: creates it, replaces it, and now and then
/// deletes it.
async fn write_one<K>(api: Api<K>, kind: &str, name: String, make: impl Fn(&str) -> K)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let params = PostParams::default();
    let mut stored = api.get_opt(&name).await.unwrap();
    for count in 1_u64.. {
        // Counts go on from run to run.
        let before = stored.as_ref().map_or(0, |object| count_in(&object.annotations()["text"]));
        let next = before.max(count) + 1;
        let mut object = make(&name);
        object.annotations_mut().insert("text".to_owned(), filled(next));
        tell(&json!({"try": kind, "name": name, "count": next}));
        let written = match &stored {
            Some(old) => {
                object.meta_mut().resource_version = old.resource_version();
                api.replace(&name, &params, &object).await.unwrap()
            }
            None => api.create(&params, &object).await.unwrap(),
        };
        let version = written.resource_version();
        tell(&json!({"done": kind, "name": name, "count": next, "version": version}));
        stored = Some(written);
        if next % 17 == 0 && kind == "map" {
            tell(&json!({"try": kind, "name": name, "count": 0}));
            api.delete(&name, &Default::default()).await.unwrap();
            tell(&json!({"done": kind, "name": name, "count": 0}));
            // The next one begins higher than any before.
            let mut object = make(&name);
            object.annotations_mut().insert("text".to_owned(), filled(next + 1));
            tell(&json!({"try": kind, "name": name, "count": next + 1}));
            let written = api.create(&params, &object).await.unwrap();
            let version = written.resource_version();
            tell(&json!({"done": kind, "name": name, "count": next + 1, "version": version}));
            stored = Some(written);
        }
    }
}

/// Tells what is in the store.
async fn tell_all(client: &Client) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let list = maps.list(&ListParams::default()).await.unwrap();
    for map in &list.items {
        let count = count_in(&map.annotations()["text"]);
        tell(&json!({"found": "map", "name": map.name_any(), "count": count}));
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), "default");
    for lease in leases.list(&ListParams::default()).await.unwrap().items {
        let count = count_in(&lease.annotations()["text"]);
        tell(&json!({"found": "lease", "name": lease.name_any(), "count": count}));
    }
    tell(&json!({"started": list.metadata.resource_version}));
}

/// The process that is killed. It runs only as a child of the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test that kills it"]
async fn writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let server = ApiServer::open(ServerConfig::new(directory, Vec::new())).await.unwrap();
    let client = server.client(Identity::administrator("tester"));
    tell_all(&client).await;
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..WRITERS {
        let client = client.clone();
        writers.spawn(async move {
            let metadata = |name: &str| kube::api::ObjectMeta {
                name: Some(name.to_owned()),
                ..Default::default()
            };
            if index % 4 == 0 {
                let make = |name: &str| Lease { metadata: metadata(name), ..Lease::default() };
                write_one(Api::namespaced(client, "default"), "lease", format!("l{index}"), make)
                    .await;
            } else {
                let make =
                    |name: &str| ConfigMap { metadata: metadata(name), ..ConfigMap::default() };
                write_one(Api::namespaced(client, "default"), "map", format!("m{index}"), make)
                    .await;
            }
        });
    }
    writers.join_all().await;
}

/// What the parent knows of one object.
#[derive(Debug, Default)]
struct Known {
    /// What was acknowledged last; zero is deleted.
    done: u64,
    /// What was asked for last.
    tried: u64,
}

/// Checks what each run found against what the ones before were told.
#[derive(Default)]
struct Witness {
    maps: HashMap<String, Known>,
    versions: HashSet<u64>,
    latest: u64,
    acknowledged: u64,
}

impl Witness {
    /// Reads what a run says until it has acknowledged `writes` more, and what is
    /// left in the pipe after its end.
    fn listen(&mut self, directory: &Path, writes: u64) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let until = self.acknowledged + writes;
        let mut found = HashMap::new();
        let mut killed = false;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // The test harness talks, too, and the last line may be cut.
            let Ok(line) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            self.note(&line, &mut found);
            if self.acknowledged >= until && !killed {
                killed = true;
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(killed, "the process ended by itself");
    }

    fn note(&mut self, line: &Value, found: &mut HashMap<String, u64>) {
        let name = line["name"].as_str().unwrap_or_default();
        let count = line["count"].as_u64().unwrap_or_default();
        if line["found"] == "map" {
            found.insert(name.to_owned(), count);
        } else if let Some(version) = line["started"].as_str() {
            let version: u64 = version.parse().unwrap();
            assert!(version >= self.latest, "{version} after {}", self.latest);
            self.compare(found);
            // What was found was written, whether its writer heard of it or not.
            for (name, known) in &mut self.maps {
                known.done = found.get(name).copied().unwrap_or_default();
                known.tried = known.done;
            }
        } else if line["try"] == "map" {
            self.maps.entry(name.to_owned()).or_default().tried = count;
        } else if !line["done"].is_null() {
            self.acknowledged += 1;
            if line["done"] == "map" {
                self.maps.entry(name.to_owned()).or_default().done = count;
            }
            if let Some(version) = line["version"].as_str() {
                let version: u64 = version.parse().unwrap();
                assert!(self.versions.insert(version), "{version} was given twice");
                self.latest = self.latest.max(version);
            }
        }
    }

    /// Every object is as it was acknowledged last, or as it was asked for after
    /// that.
    fn compare(&self, found: &HashMap<String, u64>) {
        for (name, Known { done, tried }) in &self.maps {
            let count = found.get(name).copied().unwrap_or_default();
            assert!(
                count == *done || count == *tried,
                "{name} has {count}; {done} was acknowledged, and {tried} asked for"
            );
        }
        assert!(found.keys().all(|name| self.maps.contains_key(name)));
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_the_server_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut witness = Witness::default();
    // Not a multiple of anything in the server.
    let mut moment = 7919;
    for round in 0..ROUNDS {
        moment = moment * 48_271 % 2_147_483_647;
        witness.listen(directory.path(), 1 + moment % 400);
        let report = maintenance::verify(directory.path()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "round {round}");
        assert!(!report.closed);
    }
    assert!(witness.maps.len() == WRITERS - WRITERS / 4);
    assert!(witness.acknowledged > 1000);
}
