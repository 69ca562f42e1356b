//! A git server with a password (`me`, `secret`), and a log of who asked.
#![allow(dead_code)] // not every test uses all of it

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub struct GitServer {
    child: Child,
    port: u16,
    log: PathBuf,
    _dir: TempDir,
}

impl GitServer {
    /// Serves what is in a folder.
    pub fn start(root: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../source/tests/git/backend.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(root).arg(&log).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap(), log, _dir: dir }
    }

    /// `behaviour` is one of `backend.py`; `path` counts from the folder.
    pub fn url(&self, behaviour: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}/{behaviour}/{path}", self.port)
    }

    /// How many requests came so far.
    pub fn requests(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().count()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
