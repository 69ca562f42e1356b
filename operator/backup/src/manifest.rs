//! `manifest.json`, the first entry of a backup: what it is of, and what is in it.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of the entry.
pub(crate) const FILE: &str = "manifest.json";

/// The format of backups that this program writes. Raise it when an older program
/// would restore a backup wrongly; what it can ignore needs no new format.
pub(crate) const FORMAT: u32 = 1;

/// No manifest is longer.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// Files without which an installation isn't one.
const NEEDED: [&str; 3] = ["store.redb", "installation-id", "fingerprint.key"];

/// The identity of an installation that doesn't keep it elsewhere.
const IDENTITY: &str = "identity.age";

/// No text of a manifest is longer: a public key has 62 characters.
const MAX_TEXT: usize = 256;

/// No name of a file is longer: a longer one needs an entry of its own in a tar.
const MAX_NAME: usize = 100;

/// Folders that may be in a backup.
const FOLDERS: [&str; 1] = ["audit"];

/// What a backup says of itself. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Format of the backup.
    pub format: u32,
    /// Program and version that made it.
    pub program: String,
    /// Id of the installation.
    pub installation: String,
    /// When it was made.
    pub time: Timestamp,
    /// Format of the store in it.
    pub store_format: u64,
    /// The resourceVersion of the last change in it.
    pub store_version: u64,
    /// Public keys that it is encrypted to.
    pub recipients: Vec<String>,
    /// Everything else in it, in this order.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Path in the data directory, with `/` between folder and file.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Why a manifest isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A later program made it.
    #[error(
        "the backup has format {0}, which this version of hades can't read; use the version that \
         made it, or a later one"
    )]
    Format(u32),
    /// The store in it is of a later program.
    #[error(
        "the store in the backup has format {found}, and this version of hades reads formats up \
         to {known}; use the version that made it, or a later one"
    )]
    StoreFormat {
        /// Format of the store.
        found: u64,
        /// The latest format that this program knows.
        known: u64,
    },
    /// It isn't of the form that it should have.
    #[error("the manifest of the backup can't be read: {0}")]
    Form(String),
    /// It holds what would do something to a terminal.
    #[error("the manifest of the backup can't be read: its {0} is no short plain text")]
    Text(&'static str),
    /// It names a file that must not be in a backup.
    #[error("the backup holds {0:?}, which has no place in a data directory")]
    Name(String),
    /// It names a file twice.
    #[error("the backup holds {0:?} twice")]
    Twice(String),
    /// It lacks a file.
    #[error("the backup holds no {0}")]
    Missing(&'static str),
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// When it can't be read, is of a later format, or names files that can't be.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let form = |error: serde_json::Error| ManifestError::Form(error.to_string());
        // First, as a later format may have other fields.
        let Format { format } = serde_json::from_slice(bytes).map_err(form)?;
        if format != FORMAT {
            return Err(ManifestError::Format(format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(form)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as it is written.
    ///
    /// # Errors
    /// When it names files that can't be, which a restore would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| ManifestError::Form(error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Whether what opens the Secrets is in the backup. Otherwise the installation
    /// keeps it elsewhere.
    #[must_use]
    pub fn holds_identity(&self) -> bool {
        self.files.iter().any(|file| file.name == IDENTITY)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    fn check(&self) -> Result<(), ManifestError> {
        let Self { program, installation, recipients, .. } = self;
        let texts = [("program", program), ("installation", installation)].into_iter();
        let keys = recipients.iter().map(|key| ("recipients", key));
        if let Some((field, _)) = texts.chain(keys).find(|(_, text)| !is_plain(text)) {
            return Err(ManifestError::Text(field));
        }
        let mut seen = HashSet::new();
        for FileEntry { name, .. } in &self.files {
            if !is_name(name) {
                return Err(ManifestError::Name(name.clone()));
            }
            if !seen.insert(name.as_str()) {
                return Err(ManifestError::Twice(name.clone()));
            }
        }
        match NEEDED.into_iter().find(|needed| !seen.contains(needed)) {
            Some(missing) => Err(ManifestError::Missing(missing)),
            None => Ok(()),
        }
    }
}

/// Whether a text can be shown on a terminal: whoever knows a recipient can make a
/// manifest that says anything.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Whether a name stays inside of the data directory, and is of nothing that each
/// directory has of its own.
fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if name.len() > MAX_NAME {
        return false;
    }
    match name.split_once('/') {
        Some((folder, file)) => FOLDERS.contains(&folder) && plain(file),
        None => plain(name) && !FOLDERS.contains(&name) && !crate::is_left_out(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(name: &str) -> FileEntry {
        FileEntry { name: name.to_owned(), size: 1, sha256: "00".to_owned() }
    }

    fn manifest(more: &[&str]) -> Manifest {
        Manifest {
            format: FORMAT,
            program: "hades 0.1.0".to_owned(),
            installation: "11111111-2222-3333-4444-555555555555".to_owned(),
            time: "2026-03-01T02:00:00Z".parse().unwrap(),
            store_format: 1,
            store_version: 77,
            recipients: vec!["age1x".to_owned()],
            files: NEEDED.iter().chain(more).copied().map(file).collect(),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let written = manifest(&["audit/head", "audit/audit-20260301-1.log"]);
        assert_eq!(Manifest::read(&written.to_bytes().unwrap()).unwrap(), written);
        assert_eq!(written.size(), 5);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "audit",
            "audit/",
            "audit/..",
            "audit/a/b",
            "other/x",
            ".hidden",
            "a\0b",
            "a b",
            "lock",
            "instance.json",
            "admin.sock",
            "restore.partial",
            "backup.partial",
            &"x".repeat(101),
        ] {
            let bytes = serde_json::to_vec(&manifest(&[name])).unwrap();
            let found = Manifest::read(&bytes);
            assert_eq!(found, Err(ManifestError::Name(name.to_owned())), "{name:?}");
        }
        let twice = manifest(&["ca.crt", "ca.crt"]).to_bytes();
        assert_eq!(twice, Err(ManifestError::Twice("ca.crt".to_owned())));
        let mut without = manifest(&[]);
        without.files.remove(1);
        assert_eq!(without.to_bytes(), Err(ManifestError::Missing("installation-id")));
    }

    #[test]
    fn what_would_reach_the_terminal_is_plain() {
        let change = |change: fn(&mut Manifest, String)| {
            for text in ["\u{1b}]0;x\u{7}", "a\nb", "\u{9b}2J", "\u{202e}", &"x".repeat(257)] {
                let mut changed = manifest(&[]);
                change(&mut changed, text.to_owned());
                let error = Manifest::read(&serde_json::to_vec(&changed).unwrap()).unwrap_err();
                assert!(matches!(error, ManifestError::Text(_)), "{text:?}: {error}");
            }
        };
        change(|manifest, text| manifest.program = text);
        change(|manifest, text| manifest.installation = text);
        change(|manifest, text| manifest.recipients.push(text));
    }

    #[test]
    fn a_later_format_says_so_whatever_else_it_holds() {
        let later = json!({"format": 2, "files": {"of": "another form"}}).to_string();
        assert_eq!(Manifest::read(later.as_bytes()), Err(ManifestError::Format(2)));
        assert!(matches!(Manifest::read(b"{}"), Err(ManifestError::Form(_))));
        // What a later program adds without need of a new format is no trouble.
        let mut more = serde_json::to_value(manifest(&[])).unwrap();
        more["comment"] = json!("from the future");
        Manifest::read(more.to_string().as_bytes()).unwrap();
    }
}
