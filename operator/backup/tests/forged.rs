//! Archives that somebody made who knows a public key, and isn't hades.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_apiserver::{IdentitySource, maintenance};
use hades_backup::{FileEntry, Key, Manifest, ManifestError, RestoreError, inspect, restore};
use sha2::{Digest, Sha256};
use support::key;
use tar::{EntryType, Header};

/// The files of the archive that the others differ from.
const FILES: [&str; 3] = ["store.redb", "installation-id", "fingerprint.key"];

const CONTENT: &[u8] = b"content";

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn manifest() -> Manifest {
    let file = |name: &str| FileEntry {
        name: name.to_owned(),
        size: CONTENT.len() as u64,
        sha256: hex(CONTENT),
    };
    Manifest {
        format: 1,
        program: "hades 0.1.0".to_owned(),
        installation: "11111111-2222-3333-4444-555555555555".to_owned(),
        time: "2026-03-01T02:00:00Z".parse().unwrap(),
        store_format: maintenance::latest_format(),
        store_version: 1,
        recipients: Vec::new(),
        files: FILES.map(file).to_vec(),
    }
}

/// An entry as it is in a tar, with any name and of any kind.
fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name.as_bytes());
    gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str) -> Vec<u8> {
    entry(EntryType::Regular, name, "", CONTENT)
}

/// What that key opens.
struct Forger {
    dir: tempfile::TempDir,
    key: Key,
    recipient: age::x25519::Recipient,
}

impl Forger {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, recipient, _) = key(dir.path());
        Self { dir, key, recipient: recipient.to_string().parse().unwrap() }
    }

    fn inspect(&self, manifest: &Manifest, entries: &[Vec<u8>]) -> Result<Manifest, RestoreError> {
        let manifest = serde_json::to_vec(manifest).unwrap();
        let first = entry(EntryType::Regular, "manifest.json", "", &manifest);
        self.open(&[first, entries.concat()].concat())
    }

    /// Looks at it, and sees that a restore says the same and leaves nothing.
    fn open(&self, entries: &[u8]) -> Result<Manifest, RestoreError> {
        let tar = [entries, &[0; 1024]].concat();
        let backup = age::encrypt(&self.recipient, &tar).unwrap();
        let target = self.dir.path().join("restored");
        let restored =
            restore(&backup[..], &self.key, &target, &IdentitySource::default(), |_| Ok(()));
        assert!(restored.is_err() && !target.exists());
        inspect(&backup[..], &self.key)
    }
}

#[test]
fn what_is_no_plain_file_in_its_place_is_refused() {
    let forger = Forger::new();
    let [store, id, print] = FILES.map(file);
    forger.inspect(&manifest(), &[store.clone(), id.clone(), print.clone()]).unwrap();
    let kinds = [
        (EntryType::Symlink, "/etc/passwd"),
        (EntryType::Link, "/etc/shadow"),
        (EntryType::GNUSparse, ""),
        (EntryType::Directory, ""),
        (EntryType::Char, ""),
        (EntryType::Fifo, ""),
        (EntryType::Continuous, ""),
    ];
    for (kind, link) in kinds {
        let special = entry(kind, "store.redb", link, CONTENT);
        let error = forger.inspect(&manifest(), &[special, id.clone(), print.clone()]).unwrap_err();
        assert!(error.to_string().contains("something else"), "{kind:?}: {error}");
    }
    for (what, entries) in [
        ("twice", vec![&store, &store, &print]),
        ("another order", vec![&id, &store, &print]),
        ("one less", vec![&store, &id]),
        ("one more", vec![&store, &id, &print, &store]),
    ] {
        let entries: Vec<Vec<u8>> = entries.into_iter().cloned().collect();
        let error = forger.inspect(&manifest(), &entries).unwrap_err();
        let told = matches!(error, RestoreError::Entry { .. } | RestoreError::Damaged(_));
        assert!(told, "{what}: {error}");
    }
    for name in ["../store.redb", "/store.redb", "./store.redb", "store.redb/"] {
        let error = forger.inspect(&manifest(), &[file(name), id.clone(), print.clone()]);
        assert!(error.unwrap_err().to_string().contains("something else"), "{name}");
    }
    let other = entry(EntryType::Regular, "store.redb", "", b"CONTENT");
    let error = forger.inspect(&manifest(), &[other, id.clone(), print.clone()]).unwrap_err();
    assert!(error.to_string().contains("its digest"), "{error}");
    let longer = entry(EntryType::Regular, "store.redb", "", b"content and more");
    let error = forger.inspect(&manifest(), &[longer, id, print]).unwrap_err();
    assert!(error.to_string().contains("16 bytes instead of 7"), "{error}");
}

/// They would be read into memory, however long they are.
#[test]
fn what_extends_the_next_entry_is_refused_and_not_read() {
    let forger = Forger::new();
    let [store, id, print] = FILES.map(file);
    let pax = b"14 size=7\n";
    for (kind, content) in [
        (EntryType::GNULongName, &b"store.redb\0"[..]),
        (EntryType::GNULongLink, b"x\0"),
        (EntryType::XHeader, pax),
        (EntryType::XGlobalHeader, pax),
    ] {
        let before = entry(kind, "extension", "", content);
        let entries = [before.clone(), store.clone(), id.clone(), print.clone()];
        let error = forger.inspect(&manifest(), &entries).unwrap_err();
        assert!(error.to_string().contains("something else"), "{kind:?}: {error}");
        let manifest = serde_json::to_vec(&manifest()).unwrap();
        let first = entry(EntryType::Regular, "manifest.json", "", &manifest);
        let entries = [&before, &first, &store, &id, &print].map(|entry| &entry[..]);
        let error = forger.open(&entries.concat()).unwrap_err();
        assert!(error.to_string().contains("doesn't begin with"), "{kind:?}: {error}");
    }
}

#[test]
fn a_manifest_of_a_later_store_or_for_a_terminal_is_refused() {
    let forger = Forger::new();
    let entries = FILES.map(file);
    let later = Manifest { store_format: 99, ..manifest() };
    // It can be looked at; `open` sees that it isn't restored.
    forger.inspect(&later, &entries).unwrap();
    let program = "hades \u{1b}]0;owned\u{7}".to_owned();
    let error = forger.inspect(&Manifest { program, ..manifest() }, &entries).unwrap_err();
    assert!(matches!(error, RestoreError::Manifest(ManifestError::Text("program"))), "{error}");
    let mut broken = entry(EntryType::Regular, "a\u{1b}[2J", "", b"");
    broken[148..156].copy_from_slice(b"zzzzzzz\0");
    let error = forger.inspect(&manifest(), &[broken]).unwrap_err().to_string();
    assert!(!error.contains(char::is_control), "{error:?}");
}
