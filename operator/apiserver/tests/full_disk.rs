//! The server on file systems that are full. They are mounted for the test, which
//! is skipped where that is not allowed.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::body::Body;
use hades_apiserver::{ApiServer, Identity, ServerConfig, maintenance};
use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A small file system of its own, gone with this.
struct Mounted {
    directory: TempDir,
    at: PathBuf,
}

impl Mounted {
    /// `None`, with a line that says so, where mounting is not possible.
    fn new(kind: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let image = directory.path().join("image");
        let ran = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.is_ok_and(|output| output.status.success())
        };
        let (image_text, at_text) = (image.to_str().unwrap(), at.to_str().unwrap());
        let mounted = match kind {
            "tmpfs" => ran("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", at_text]),
            kind => {
                File::create(&image).unwrap().set_len(32 << 20).unwrap();
                let make = format!("mkfs.{kind}");
                ran(&make, &["-q", image_text])
                    && ran("mount", &["-o", "loop", image_text, at_text])
            }
        };
        if !mounted {
            println!("SKIPPED: a {kind} can't be mounted here");
            return None;
        }
        Some(Self { directory, at })
    }

    fn data(&self) -> PathBuf {
        self.at.join("data")
    }

    /// Takes every byte that is free.
    fn fill(&self) {
        let mut file = File::create(self.at.join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).and_then(|()| file.sync_all()).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.at).status();
        assert!(done.is_ok_and(|status| status.success()), "{:?}", self.directory);
    }
}

async fn open(data: &Path) -> ApiServer {
    ApiServer::open(ServerConfig::new(data, Vec::new())).await.unwrap()
}

async fn ask(server: &ApiServer, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let mut request = request.body(Body::from(body.to_string())).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = tower::ServiceExt::oneshot(server.router(), request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, size: usize) -> Value {
    json!({"metadata": {"name": name}, "data": {"text": "x".repeat(size)}})
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Creates objects until one is refused. How many were stored.
async fn create_until_refused(server: &ApiServer, prefix: &str) -> (usize, Value) {
    for index in 0..10_000 {
        let (code, status) =
            ask(server, "POST", MAPS, map(&format!("{prefix}-{index:04}"), 20_000)).await;
        if code != 201 {
            assert_eq!(code, 507, "{status}");
            return (index, status);
        }
    }
    panic!("the disk never filled");
}

async fn run(disk: &Mounted) {
    let server = open(&disk.data()).await;
    for index in 0..50 {
        assert_eq!(ask(&server, "POST", MAPS, map(&format!("a-{index}"), 20_000)).await.0, 201);
    }
    disk.fill();
    let (stored, status) = create_until_refused(&server, "b").await;
    assert_eq!(status["reason"], "InsufficientStorage");
    assert!(status["message"].as_str().unwrap().contains("make room"), "{status}");
    // Everything that was acknowledged can be read, and nothing else is there.
    let (code, list) = ask(&server, "GET", MAPS, Value::Null).await;
    assert_eq!((code, names(&list).len()), (200, 50 + stored));
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    // Deletions go on, and people who watch see them.
    for index in 0..50 {
        assert_eq!(ask(&server, "DELETE", &format!("{MAPS}/a-{index}"), json!({})).await.0, 200);
    }
    let watch = format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion={version}");
    let request = Request::builder().uri(watch);
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = tower::ServiceExt::oneshot(server.router(), request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 50);
    // A full disk keeps no server from starting.
    server.shutdown().await;
    let report = maintenance::verify(&disk.data()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let server = open(&disk.data()).await;
    let (code, list) = ask(&server, "GET", MAPS, Value::Null).await;
    assert_eq!((code, names(&list).len()), (200, stored));
    // And nobody has to start it again once there is room.
    let (more, _) = create_until_refused(&server, "c").await;
    disk.make_room();
    assert_eq!(ask(&server, "POST", MAPS, map("again", 20_000)).await.0, 201);
    let (_, list) = ask(&server, "GET", MAPS, Value::Null).await;
    assert_eq!(names(&list).len(), stored + more + 1);
    server.shutdown().await;
    assert_eq!(maintenance::verify(&disk.data()).unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_full_tmpfs_costs_nothing_but_writes() {
    if let Some(disk) = Mounted::new("tmpfs") {
        run(&disk).await;
    }
}

#[tokio::test]
async fn a_full_ext4_costs_nothing_but_writes() {
    if let Some(disk) = Mounted::new("ext4") {
        run(&disk).await;
    }
}
