//! The releases of kubectl that the tests run, and where they are installed.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

/// Every minor version 1.N that `hack/lib/kubectl.sh` installs.
pub const MINORS: [u32; 9] = [29, 30, 31, 32, 33, 34, 35, 36, 37];

/// A kubectl of one minor version.
#[derive(Clone, Debug)]
pub struct Release {
    pub minor: u32,
    pub program: PathBuf,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

impl Release {
    /// The kubectl of this minor version, where it is installed and runs here.
    pub fn find(minor: u32) -> Option<Self> {
        let program = folder()?.join(format!("1.{minor}/kubectl"));
        let output =
            Command::new(&program).args(["version", "--client", "-o", "json"]).output().ok()?;
        let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let found = version.pointer("/clientVersion/minor")?.as_str()?.to_owned();
        assert_eq!(found, minor.to_string(), "{} is another version", program.display());
        Some(Self { minor, program })
    }

    /// The newest one, for tests that need no particular version.
    pub fn newest() -> Option<Self> {
        let found = MINORS.into_iter().rev().find_map(Self::find);
        if found.is_none() {
            eprintln!("SKIPPED: no kubectl is installed; hack/test.sh does it");
        }
        found
    }
}

/// As `hack/lib/kubectl.sh` has it.
fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = variable("HADES_KUBECTLS") {
        return Some(folder.into());
    }
    let cache = match variable("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(variable("HOME")?).join(".cache"),
    };
    Some(cache.join("hades/tools/kubectl"))
}
