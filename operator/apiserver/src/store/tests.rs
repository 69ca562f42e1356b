//! The store as its callers see it, on a disk that works and on disks that fail.

mod copies;
mod failures;
mod formats;
mod maintenance;
mod sealing;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const LEASES: &str = "coordination.k8s.io/leases";
const SECRETS: &str = "/secrets";
const MAPS: &str = "/configmaps";

fn config(directory: &Path) -> Config {
    Config {
        policy: Policy {
            volatile: [LEASES.to_owned()].into(),
            sealed: [SECRETS.to_owned()].into(),
        },
        keyring: Arc::new(Keyring::load_or_create(directory).unwrap()),
        ring_capacity: 1000,
        metrics: Metrics::default(),
    }
}

fn open(directory: &Path) -> Store {
    open_on(directory, &Disk::default())
}

fn open_on(directory: &Path, disk: &Disk) -> Store {
    Store::open_on(directory, config(directory), disk.clone(), format::STEPS).unwrap()
}

/// A directory in memory where there is one: the tests write and sync a lot.
fn fast_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn object(name: &str, data: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"data": data}},
        "data": data,
    })
}

fn key(resource: &str, name: &str) -> Key {
    Key::new(&resource.into(), "", name)
}

fn put_object(resource: &str, name: &str, expect: Expect, object: Value) -> Write {
    let change = Change::Put(Box::new(object));
    Write { key: key(resource, name), expect, needs_namespace: false, change }
}

fn put(name: &str, resource: &str, expect: Expect) -> Write {
    put_object(resource, name, expect, object(name, ""))
}

fn delete(resource: &str, name: &str, version: u64) -> Write {
    let change = Change::Delete { last: None };
    let expect = Expect::Version(version);
    Write { key: key(resource, name), expect, needs_namespace: false, change }
}

/// Stores whatever there was before.
async fn set(store: &Store, resource: &str, name: &str, data: &str) -> Result<u64, WriteError> {
    let row = store.get(&key(resource, name)).map_err(|e| WriteError::Store(e.to_string()))?;
    let expect = row.map_or(Expect::Absent, |row| Expect::Version(row.version));
    let write = put_object(resource, name, expect, object(name, data));
    store.write(write).await.map(|written| version_of(&written.object))
}

fn version_of(object: &[u8]) -> u64 {
    let object: Value = serde_json::from_slice(object).unwrap();
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn data_of(object: &[u8]) -> String {
    let object: Value = serde_json::from_slice(object).unwrap();
    object["data"].as_str().unwrap().to_owned()
}

/// Everything in the store: data by resource and name.
fn content(store: &Store) -> HashMap<(String, String), String> {
    let mut scan = store.scan_range(Bound::Unbounded, Bound::Unbounded).unwrap();
    let mut all = HashMap::new();
    scan.visit(usize::MAX, |row| {
        all.insert((row.resource.to_owned(), row.name.to_owned()), data_of(&row.object));
        Ok::<_, StoreError>(())
    })
    .unwrap();
    all
}

/// What a crash leaves: the bytes that are in the files by now.
fn after_a_crash(directory: &Path) -> TempDir {
    let copy = fast_directory();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

#[track_caller]
fn assert_sound(directory: &Path) -> Report {
    let report = verify(directory).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    report
}

#[tokio::test]
async fn an_acknowledged_write_survives_a_crash_and_versions_never_go_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.write(put("kept", MAPS, Expect::Absent)).await.unwrap();
    for index in 0..20 {
        let name = format!("lost-{index}");
        store.write(put(&name, LEASES, Expect::Absent)).await.unwrap();
    }
    let handed_out = store.version().unwrap();
    let copy = after_a_crash(directory.path());
    let again = open(copy.path());
    assert!(again.get(&key(MAPS, "kept")).unwrap().is_some());
    let started = again.version().unwrap();
    assert!(started >= handed_out);
    // A start that wrote nothing has promised its version all the same.
    let copy = after_a_crash(copy.path());
    assert!(open(copy.path()).version().unwrap() >= started);
}

#[tokio::test]
async fn volatile_writes_survive_an_orderly_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.write(put("leader", LEASES, Expect::Absent)).await.unwrap();
    let version = store.version().unwrap();
    store.close().await;
    assert!(matches!(store.version(), Err(StoreError::Closed)));
    let store = open(directory.path());
    assert!(store.get(&key(LEASES, "leader")).unwrap().is_some());
    assert_eq!(store.version().unwrap(), version, "nothing was lost, nothing is skipped");
}

#[tokio::test]
async fn closing_waits_for_lists_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.write(put("a", MAPS, Expect::Absent)).await.unwrap();
    let mut scan = store.scan(MAPS, None).unwrap();
    let reading = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        scan.next_page(1).unwrap().len()
    });
    store.close().await;
    // Another server finds the file free.
    open(directory.path());
    assert_eq!(reading.await.unwrap(), 1);
}

#[tokio::test]
async fn the_writer_decides_who_was_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.write(put("a", MAPS, Expect::Absent)).await.unwrap();
    let version = store.version().unwrap();
    let again = store.write(put("a", MAPS, Expect::Absent)).await;
    assert!(matches!(again, Err(WriteError::Exists)));
    let writes = (0..10).map(|_| store.write(put("a", MAPS, Expect::Version(version))));
    let outcomes = futures::future::join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let gone = store.write(put("b", MAPS, Expect::Version(version))).await;
    assert!(matches!(gone, Err(WriteError::Missing)));
    let mut inside = put("c", MAPS, Expect::Absent);
    inside.key = Key::new(&MAPS.into(), "nowhere", "c");
    inside.needs_namespace = true;
    let refused = store.write(inside).await;
    assert!(matches!(refused, Err(WriteError::NamespaceMissing)));
}

#[tokio::test]
async fn a_scan_goes_on_after_a_key_and_stays_in_its_range() {
    let directory = fast_directory();
    let store = open(directory.path());
    for (resource, namespace) in [("/a", "x"), (MAPS, "x"), (MAPS, "y"), ("/z", "x")] {
        for name in ["a", "b", "c"] {
            let mut write = put(name, resource, Expect::Absent);
            write.key = Key::new(&resource.into(), namespace, name);
            store.write(write).await.unwrap();
        }
    }
    let names = |namespace: Option<&str>, last: &Key| -> Vec<String> {
        let mut scan = store.snapshot().unwrap().scan(MAPS, namespace, Some(last)).unwrap();
        let rows = scan.next_page(usize::MAX).unwrap();
        assert!(rows.iter().all(|row| row.key.resource() == MAPS));
        rows.iter().map(|row| format!("{}/{}", row.key.namespace(), row.key.name())).collect()
    };
    let at = |resource: &str, namespace, name| Key::new(&resource.into(), namespace, name);
    assert_eq!(names(None, &at(MAPS, "x", "b")), ["x/c", "y/a", "y/b", "y/c"]);
    assert_eq!(names(None, &at(MAPS, "x", "bb")), ["x/c", "y/a", "y/b", "y/c"]);
    assert_eq!(names(Some("x"), &at(MAPS, "x", "b")), ["x/c"]);
    assert_eq!(names(Some("y"), &at(MAPS, "x", "b")), ["y/a", "y/b", "y/c"]);
    assert_eq!(names(None, &at("/a", "x", "b")).len(), 6);
    assert!(names(None, &at(MAPS, "y", "c")).is_empty());
    assert!(names(Some("x"), &at(MAPS, "y", "a")).is_empty());
    assert!(names(None, &at("/z", "x", "a")).is_empty());
}

#[tokio::test]
async fn a_deletion_shows_the_stored_object_with_its_own_version() {
    let directory = fast_directory();
    let store = open(directory.path());
    let version = set(&store, SECRETS, "s", "hidden").await.unwrap();
    let gone = store.write(delete(SECRETS, "s", version)).await.unwrap();
    assert_eq!(version_of(&gone.object), version + 1);
    assert_eq!(data_of(&gone.object), "hidden");
    let (events, _) = store.ring().since(version, |_| true).unwrap();
    assert!(events[0].before.is_none(), "what is shown is what was stored");
}
