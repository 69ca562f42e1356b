//! Runs the real binary, and records sessions as text.
// Helpers of tests: each test uses some of them, and may panic in them.
#![allow(dead_code, clippy::unwrap_used)]

pub mod server;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What came of one call.
#[derive(Debug)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub status: i32,
}

/// A place to run the binary in: a folder of its own, and no kubeconfig of the
/// person who runs the tests.
pub struct Shell {
    pub folder: tempfile::TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Shell {
    pub fn offline() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), kubeconfig: None }
    }

    pub fn with_kubeconfig(path: &Path) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), kubeconfig: Some(path.to_owned()) }
    }

    /// Writes a file into the folder.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The command, ready to run. `< FILE` at the end is its standard input.
    pub fn command(&self, line: &str) -> Command {
        let (line, stdin) = match line.split_once(" < ") {
            Some((line, file)) => (line, Some(self.folder.path().join(file.trim()))),
            None => (line, None),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_hadesctl"));
        command.args(line.split_whitespace()).current_dir(self.folder.path());
        command.env_remove("KUBECONFIG").env_remove("NO_COLOR").env("HOME", self.folder.path());
        if let Some(path) = &self.kubeconfig {
            command.env("KUBECONFIG", path);
        }
        command.stdin(stdin.map_or_else(Stdio::null, |path| File::open(path).unwrap().into()));
        command
    }

    pub fn run(&self, line: &str) -> Outcome {
        let output = self.command(line).output().unwrap();
        Outcome {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            status: output.status.code().unwrap(),
        }
    }

    /// Runs commands one after the other and writes down what a person would
    /// see: standard error behind `!`, the exit status when it isn't 0.
    pub fn session(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let Outcome { stdout, stderr, status } = self.run(line);
            text.push_str(&format!("$ hadesctl {line}\n{stdout}"));
            for line in stderr.lines() {
                text.push_str(&format!("! {line}\n"));
            }
            if status != 0 {
                text.push_str(&format!("[exit status {status}]\n"));
            }
            text.push('\n');
        }
        text.replace(self.folder.path().to_str().unwrap(), "[FOLDER]")
    }
}

/// Compares with the golden file, with all that changes from run to run redacted.
#[macro_export]
macro_rules! assert_golden {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"),
            filters => vec![
                (r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:[PORT]"),
                (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)", "[TIME]"),
                (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "[UID]"),
                (r#"(resourceVersion"?: ")\d+"#, "$1[VERSION]"),
                (r"\b([0-9A-F]{2}:){31}[0-9A-F]{2}\b", "[FINGERPRINT]"),
                (r"\b\d+[smhdy](\d+[smhd])? ago", "[AGE] ago"),
                // Ages of events and conditions run by the real clock.
                (r"\b\d+[dy](\d+[hd])? +", "[AGE]   "),
                (r"(SINCE|LAST SEEN) +", "$1   "),
            ],
        }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}
