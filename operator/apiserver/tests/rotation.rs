//! The server is killed while its identity is replaced, again and again.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use hades_apiserver::{
    ApiServer, Identity, IdentityInfo, IdentitySource, ServerConfig, maintenance,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

const ROUNDS: u64 = 15;
const SECRETS: usize = 300;

/// Names the data directory to the process that is killed.
const DIRECTORY: &str = "HADES_ROTATION_TEST_DIRECTORY";

async fn open(directory: &Path) -> (ApiServer, Api<Secret>) {
    let server = ApiServer::open(ServerConfig::new(directory, Vec::new())).await.unwrap();
    let api = Api::namespaced(server.client(Identity::controller("tester")), "default");
    (server, api)
}

fn secret(name: &str, value: &str) -> Secret {
    serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"value": value}}))
        .unwrap()
}

async fn values(api: &Api<Secret>) -> BTreeMap<String, String> {
    let list = api.list(&ListParams::default()).await.unwrap();
    list.items
        .into_iter()
        .filter_map(|secret| {
            let value = secret.data?.remove("value")?;
            Some((secret.metadata.name?, String::from_utf8(value.0).unwrap()))
        })
        .collect()
}

/// The process that is killed. It runs only as a child of the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test that kills it"]
async fn rotates_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let (server, api) = open(Path::new(&directory)).await;
    let tell = |line: &str| std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
    tokio::spawn(async move {
        for count in 0_u64.. {
            let change = Patch::Merge(json!({"stringData": {"value": format!("written {count}")}}));
            api.patch("written", &PatchParams::default(), &change).await.unwrap();
        }
    });
    loop {
        tell("rotating");
        server.rotate_identity().await.unwrap();
    }
}

/// Starts the process, lets it begin with some rotations, and kills it after a while.
fn killed(directory: &Path, rotations: usize, after: std::time::Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rotates_until_it_is_killed", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.map_while(Result::ok).filter(|line| line.ends_with("rotating"));
    assert_eq!(begun.take(rotations).count(), rotations, "the process ended by itself");
    // Anywhere in the rotation: that is the point.
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn no_secret_is_lost_however_often_the_server_is_killed_while_it_rotates() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let expected: BTreeMap<String, String> =
        (0..SECRETS).map(|index| (format!("s{index}"), format!("planted {index}"))).collect();
    runtime.block_on(async {
        let (server, api) = open(directory.path()).await;
        for (name, value) in &expected {
            api.create(&PostParams::default(), &secret(name, value)).await.unwrap();
        }
        api.create(&PostParams::default(), &secret("written", "")).await.unwrap();
        server.shutdown().await;
    });
    let (mut moment, mut unfinished) = (7919_u64, 0);
    for round in 0..ROUNDS {
        moment = moment * 48_271 % 2_147_483_647;
        let after = std::time::Duration::from_micros(moment % 40_000);
        killed(directory.path(), 1 + usize::try_from(moment % 2).unwrap(), after);
        let report = maintenance::verify(directory.path()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "round {round}");
        let source = IdentitySource::default();
        let identity = IdentityInfo::read(directory.path(), &source).unwrap();
        unfinished += usize::from(!identity.former.is_empty());
    }
    assert!(unfinished > 0, "it was never killed while it rotated");
    runtime.block_on(async {
        let (server, api) = open(directory.path()).await;
        let mut found = values(&api).await;
        assert!(found.remove("written").unwrap().starts_with("written "));
        assert_eq!(found, expected);
        server.rotate_identity().await.unwrap();
        assert_eq!(values(&api).await.len(), SECRETS + 1);
        server.shutdown().await;
    });
    let source = IdentitySource::default();
    assert_eq!(IdentityInfo::read(directory.path(), &source).unwrap().former, Vec::<String>::new());
    assert_eq!(maintenance::verify(directory.path()).unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_rotation_that_a_later_start_ends_leaves_a_record_of_its_end() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = |data: &Path| data.join("identity.age");
    let recorded = || -> String {
        let log = std::fs::read_dir(directory.path().join("audit")).unwrap();
        log.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok()).collect()
    };
    let is_end = |line: &str| {
        line.contains(r#""verb":"rotate""#) && line.contains(r#""username":"system:apiserver""#)
    };
    runtime.block_on(async {
        let (server, api) = open(directory.path()).await;
        api.create(&PostParams::default(), &secret("a", "planted")).await.unwrap();
        server.shutdown().await;
        open(other.path()).await.0.shutdown().await;
    });
    assert!(!recorded().lines().any(is_end), "there was none");
    // As a kill leaves it when nothing is sealed for the new identity yet.
    let both = [&other, &directory]
        .map(|it| std::fs::read_to_string(identity(it.path())).unwrap())
        .concat();
    std::fs::write(identity(directory.path()), both).unwrap();
    runtime.block_on(async {
        let (server, _) = open(directory.path()).await;
        let is_done = || {
            let info = IdentityInfo::read(directory.path(), &IdentitySource::default()).unwrap();
            info.former.is_empty()
        };
        while !is_done() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // Another one comes after the first has left its record.
        server.rotate_identity().await.unwrap();
        server.shutdown().await;
    });
    let log = recorded();
    assert_eq!(log.lines().filter(|line| is_end(line)).count(), 1, "{log}");
}
