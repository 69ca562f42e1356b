//! Gathers what goes into a backup: a copy of the store at one moment, the keys that
//! open it, and the audit log.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hades_apiserver::audit;
use hades_apiserver::bootstrap::LOCK_FILE;
use hades_apiserver::maintenance::{Copied, StoreError};
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;

use crate::manifest::FORMAT;
use crate::{BackupError, FileEntry, Manifest, digest};

pub(crate) const STORE: &str = "store.redb";

/// Tells a data directory from a copy of it.
pub(crate) const INSTANCE: &str = "instance.json";
const INSTALLATION: &str = "installation-id";

/// Files of a data directory that are in a backup, beside the store and the audit log.
const KEPT: [&str; 11] = [
    INSTALLATION,
    "identity.age",
    "fingerprint.key",
    "ca.crt",
    "ca.key",
    "server.crt",
    "server.key",
    "server.json",
    "admin.kubeconfig",
    "admin.token.sha256",
    "first-login",
];

/// Those without which there is no installation.
const NEEDED: [&str; 2] = [INSTALLATION, "fingerprint.key"];

/// What each directory has of its own, or makes anew.
const LEFT_OUT: [&str; 7] = [
    LOCK_FILE,
    INSTANCE,
    "admin.sock",
    "repositories",
    SCRATCH,
    crate::UNFINISHED,
    "store.redb.new",
];

/// Where the copy of the store is made.
const SCRATCH: &str = "backup.partial";

/// No key file is longer.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// How often to begin again where the keys change while the store is copied.
const ATTEMPTS: u32 = 5;

/// Whether a file of a data directory is in each backup, if it is there.
#[must_use]
pub fn is_kept(name: &str) -> bool {
    name == STORE || name == "audit" || KEPT.contains(&name)
}

/// Whether a file or folder of a data directory is never in a backup.
#[must_use]
pub fn is_left_out(name: &str) -> bool {
    LEFT_OUT.contains(&name) || name.starts_with("store.redb.format-")
}

/// Where and when a backup is made.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Folder of the audit log.
    pub audit_dir: PathBuf,
    /// Program and version, such as `hades 0.1.0`.
    pub program: String,
    /// Now.
    pub time: Timestamp,
}

/// The content of a file.
pub(crate) enum Content {
    Bytes(Zeroizing<Vec<u8>>),
    File(File),
}

/// All that goes into a backup: open files, so that it is what it was however the
/// data directory changes meanwhile.
pub struct Gathered {
    pub(crate) manifest: Manifest,
    /// In the order of the manifest.
    pub(crate) contents: Vec<Content>,
    /// The data directory, where there is room for what has to be kept for a while.
    pub(crate) data_dir: PathBuf,
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl Gathered {
    /// What is in it.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn add(&mut self, name: String, content: Content) -> Result<(), BackupError> {
        let failed = |source| BackupError::Read { path: PathBuf::from(&name), source };
        let (size, sha256) = match &content {
            Content::Bytes(bytes) => digest::of(&bytes[..]).map_err(failed)?,
            Content::File(file) => digest::of(file).map_err(failed)?,
        };
        self.manifest.files.push(FileEntry { name, size, sha256 });
        self.contents.push(content);
        Ok(())
    }
}

/// Gathers a backup. `copy` makes a copy of the store at the path that it is given:
/// by the server that has it open, or of one that no server has. Blocks. Two at once
/// in one directory are in each other's way.
///
/// # Errors
/// When a file can't be read, or there is no room for the copy.
pub fn gather(
    surroundings: &Surroundings,
    copy: impl Fn(&Path) -> Result<Copied, StoreError>,
) -> Result<Gathered, BackupError> {
    let Surroundings { data_dir, audit_dir, program, time } = surroundings;
    let (keys, store, copied) = consistent(data_dir, copy)?;
    let installation = keys.iter().find(|(name, _)| *name == INSTALLATION);
    let installation = installation
        .map_or_else(String::new, |(_, bytes)| String::from_utf8_lossy(bytes).trim().to_owned());
    let manifest = Manifest {
        format: FORMAT,
        program: program.clone(),
        installation,
        time: *time,
        store_format: copied.format,
        store_version: copied.version,
        recipients: Vec::new(),
        files: Vec::new(),
    };
    let mut gathered = Gathered { manifest, contents: Vec::new(), data_dir: data_dir.clone() };
    gathered.add(STORE.to_owned(), Content::File(rewound(store)?))?;
    for (name, bytes) in keys {
        gathered.add(name.to_owned(), Content::Bytes(bytes))?;
    }
    add_log(&mut gathered, audit_dir)?;
    for content in &mut gathered.contents {
        if let Content::File(file) = content {
            file.rewind().map_err(BackupError::Write)?;
        }
    }
    Ok(gathered)
}

fn rewound(mut file: File) -> Result<File, BackupError> {
    file.rewind().map_err(BackupError::Write)?;
    Ok(file)
}

fn add_log(gathered: &mut Gathered, folder: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Read { path: folder.to_owned(), source };
    let log = audit::copy(folder).map_err(failed)?;
    if !log.head.is_empty() {
        gathered.add("audit/head".to_owned(), Content::Bytes(Zeroizing::new(log.head)))?;
    }
    for audit::LogFile { name, file, length } in log.files {
        let (size, sha256) = digest::of((&file).take(length)).map_err(failed)?;
        if size != length {
            return Err(BackupError::Changed(name));
        }
        gathered.manifest.files.push(FileEntry { name: format!("audit/{name}"), size, sha256 });
        gathered.contents.push(Content::File(file));
    }
    Ok(())
}

type Keys = Vec<(&'static str, Zeroizing<Vec<u8>>)>;

/// The store and keys that open every row of it: those that were there before the
/// copy and still are after it. A rotation in between could have dropped a key that
/// the copy needs, or sealed rows with one that was read too late.
fn consistent(
    data_dir: &Path,
    copy: impl Fn(&Path) -> Result<Copied, StoreError>,
) -> Result<(Keys, File, Copied), BackupError> {
    let scratch = Scratch::new(data_dir)?;
    let path = scratch.0.join(STORE);
    let mut keys = read_keys(data_dir)?;
    for _ in 0..ATTEMPTS {
        let copied = copy(&path)?;
        let failed = |source| BackupError::Scratch { path: path.clone(), source };
        let store = File::open(&path).map_err(failed)?;
        // Without a name, nothing is left of it whatever becomes of this process.
        std::fs::remove_file(&path).map_err(failed)?;
        let now = read_keys(data_dir)?;
        if now == keys {
            return Ok((keys, store, copied));
        }
        keys = now;
    }
    Err(BackupError::Restless)
}

fn read_keys(data_dir: &Path) -> Result<Keys, BackupError> {
    let mut keys = Keys::new();
    for name in KEPT {
        let path = data_dir.join(name);
        match read_key(&path) {
            Ok(bytes) if bytes.len() as u64 > MAX_KEY_BYTES => {
                return Err(BackupError::Large(path));
            }
            Ok(bytes) => keys.push((name, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if NEEDED.contains(&name) {
                    return Err(BackupError::Missing(path));
                }
            }
            Err(source) => return Err(BackupError::Read { path, source }),
        }
    }
    Ok(keys)
}

fn read_key(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(MAX_KEY_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes what is left of the copy of the store when a backup was killed. Nobody may
/// be making one.
///
/// # Errors
/// When the system refuses.
pub fn remove_scratch(data_dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(data_dir.join(SCRATCH)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A folder for the copy of the store, beside it, as there is no other place where
/// the server may surely write that much.
struct Scratch(PathBuf);

impl Scratch {
    fn new(data_dir: &Path) -> Result<Self, BackupError> {
        let path = data_dir.join(SCRATCH);
        let failed = |source| BackupError::Scratch { path: path.clone(), source };
        remove_scratch(data_dir).map_err(failed)?;
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a folder could not be removed");
        }
    }
}
