//! Files that are put into a container before it starts.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerFile {
    /// What it holds.
    pub content: FileContent,
    /// Permission bits.
    pub mode: u32,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
}

/// What a file holds. Serialised without the text, which would swell every
/// list of containers: what was deserialised can be compared and shown, never
/// put anywhere.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FileContent {
    /// Known to everybody who may read the manifest.
    Plain {
        /// SHA-256 of the text, hex.
        sha256: String,
        /// Length in bytes.
        size: u64,
        /// The text; absent after a round trip through JSON.
        #[serde(skip)]
        text: Option<String>,
    },
    /// From a Secret.
    Secret {
        /// Keyed fingerprint of the value.
        fingerprint: String,
        /// The value; absent after a round trip through JSON.
        #[serde(skip)]
        value: Option<SecretString>,
    },
}

impl FileContent {
    /// What to write, for the one who writes it; none after a round trip through
    /// JSON.
    pub fn expose(&self) -> Option<&str> {
        match self {
            Self::Plain { text, .. } => text.as_deref(),
            Self::Secret { value, .. } => value.as_ref().map(ExposeSecret::expose_secret),
        }
    }
}

impl PartialEq for FileContent {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain { sha256: a, .. }, Self::Plain { sha256: b, .. }) => a == b,
            (Self::Secret { fingerprint: a, .. }, Self::Secret { fingerprint: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl Eq for FileContent {}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { sha256, size, .. } => write!(f, "<{size} bytes, sha256 {sha256}>"),
            Self::Secret { fingerprint, .. } => write!(f, "<secret {fingerprint}>"),
        }
    }
}
