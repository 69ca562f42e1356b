//! Looking through the whole store for anything that should not be.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadTransaction, ReadableDatabase};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::format::{self, Counters};
use super::key::Parts;
use super::overlay::Overlay;
use super::row::{self, Header};
use super::{FILE, OBJECTS, PRIVATE, StoreError, keys, sealed};
use crate::seal::{IdentitySource, Keyring};

const CACHE_BYTES: usize = 8 << 20;

/// Secrets must not lie on disk in the clear.
const SECRETS: &str = "/secrets";

/// What a store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
    /// Whether it was closed in good order. A file that was not is repaired by
    /// the next start; that is no problem.
    pub closed: bool,
    /// Format of the store.
    pub format: u64,
    /// The resourceVersion of the last change in the file.
    pub version: u64,
    /// Objects of each resource (`group/plural`).
    pub resources: BTreeMap<String, Tally>,
    /// Bytes of keys and rows.
    pub stored: u64,
    /// Bytes of the trees around them.
    pub overhead: u64,
    /// Bytes inside of used pages that hold nothing.
    pub fragmented: u64,
    /// Everything that is wrong, a sentence each. Never holds a value.
    pub problems: Vec<String>,
}

/// Objects of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub objects: u64,
    /// Bytes of their rows.
    pub bytes: u64,
}

/// Looks through the store of a data directory. The file is not changed; what
/// redb would repair is repaired in memory.
///
/// # Errors
/// When there is no store, when a server has it open, when a later version wrote
/// it, or when it can't be read. What is wrong with its content is in the report.
pub fn verify(directory: &Path) -> Result<Report, StoreError> {
    verify_with(directory, &IdentitySource::default())
}

/// Like [`verify`], with an identity that lies elsewhere.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(directory: &Path, identity: &IdentitySource) -> Result<Report, StoreError> {
    let path = directory.join(FILE);
    let failed = |source| StoreError::File { path: path.clone(), source };
    let file = File::open(&path).map_err(failed)?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let length = file.metadata().map_err(failed)?.len();
    let mut report = Report { path: path.clone(), length, ..Report::default() };
    let overlay = || file.try_clone().and_then(Overlay::new).map_err(failed);
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let Some(database) = check_pages(&mut builder, &overlay, &mut report)? else {
        return Ok(report);
    };
    let read = database.begin_read().map_err(StoreError::database)?;
    let Some(counters) = format::counters_of(&read)? else {
        report.problems.push("the file has no counters: it is not a store of hades".to_owned());
        return Ok(report);
    };
    report.format = counters.format;
    report.version = counters.version;
    check_counters(counters, &mut report)?;
    let keyring = keyring(directory, identity, &read, &mut report.problems);
    check_rows(&read, counters, keyring.as_ref(), &mut report)?;
    drop(read);
    measure(&database, &mut report)?;
    Ok(report)
}

/// Verifies the checksum of every page, and what redb knows of free pages.
/// `None` when nothing can be read.
fn check_pages(
    builder: &mut Builder,
    overlay: &dyn Fn() -> Result<Overlay, StoreError>,
    report: &mut Report,
) -> Result<Option<Database>, StoreError> {
    builder.set_check_integrity_on_open(true);
    match builder.create_with_backend(overlay()?) {
        Ok(_) => {}
        Err(redb::DatabaseError::Storage(redb::StorageError::Io(error))) => {
            return Err(StoreError::File { path: report.path.clone(), source: error });
        }
        Err(error) => {
            report.problems.push(format!("the pages of the file are damaged: {error}"));
            return Ok(None);
        }
    }
    // The pages are good, so that a plain open is safe.
    report.closed = builder.open_read_only_with_backend(overlay()?).is_ok();
    builder.set_check_integrity_on_open(false);
    let mut database = builder.create_with_backend(overlay()?).map_err(StoreError::database)?;
    match database.check_integrity() {
        Ok(true) => {}
        Ok(false) => report.problems.push(
            "redb's record of free pages did not match the pages in use; `hades store compact` \
             makes it anew"
                .to_owned(),
        ),
        Err(error) => report.problems.push(format!("redb's check of the file failed: {error}")),
    }
    Ok(Some(database))
}

fn check_counters(counters: Counters, report: &mut Report) -> Result<(), StoreError> {
    let Counters { format, version, ceiling } = counters;
    if format > format::latest(format::STEPS) {
        return Err(StoreError::Format(format));
    }
    if format < format::FIRST {
        report.problems.push(format!("the format is {format}, and there never was such a one"));
    }
    if version > ceiling {
        report.problems.push(format!(
            "the version is {version}, past the ceiling {ceiling} that was reserved for it"
        ));
    }
    Ok(())
}

/// The keys, which must be there already: a check makes none.
fn keyring(
    directory: &Path,
    identity: &IdentitySource,
    read: &ReadTransaction,
    problems: &mut Vec<String>,
) -> Option<Keyring> {
    let keyring = Keyring::load(directory, identity)
        .map_err(StoreError::from)
        .and_then(|keyring| keys::load(read, &keyring).map(|()| keyring));
    keyring.map_err(|error| problems.push(error.to_string())).ok()
}

/// What the server relies on in an object.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(flatten)]
    _rest: HashMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    resource_version: String,
    deletion_timestamp: Option<String>,
}

fn check_rows(
    read: &ReadTransaction,
    counters: Counters,
    keyring: Option<&Keyring>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let objects = read.open_table(OBJECTS).map_err(StoreError::database)?;
    let mut seen = Seen::default();
    for entry in objects.range::<&[u8]>(..).map_err(StoreError::database)? {
        let (key, value) = entry.map_err(StoreError::database)?;
        let Some(parts) = Parts::of(key.value()) else {
            report
                .problems
                .push(format!("a row has a key of {} bytes that can't be read", key.value().len()));
            continue;
        };
        let tally = report.resources.entry(parts.resource.to_owned()).or_default();
        tally.objects += 1;
        tally.bytes += value.value().len() as u64;
        let found = check_row(key.value(), parts, value.value(), counters, keyring, &mut seen);
        let Parts { resource, namespace, name } = parts;
        let place = if namespace.is_empty() {
            format!("{resource} {name}")
        } else {
            format!("{resource} {namespace}/{name}")
        };
        report.problems.extend(found.into_iter().map(|problem| format!("{place}: {problem}")));
    }
    Ok(())
}

/// What no two rows share.
#[derive(Default)]
struct Seen {
    uids: HashSet<String>,
    versions: HashSet<u64>,
}

fn check_row(
    encoded: &[u8],
    key: Parts<'_>,
    row: &[u8],
    counters: Counters,
    keyring: Option<&Keyring>,
    seen: &mut Seen,
) -> Vec<String> {
    let Ok((header, payload)) = row::decode(row) else {
        return vec!["the row can't be decoded".to_owned()];
    };
    let mut problems = Vec::new();
    if header.version > counters.version {
        problems.push(format!(
            "its version {} is past the version {} of the store",
            header.version, counters.version
        ));
    }
    if !seen.versions.insert(header.version) {
        problems.push(format!("another object has its version {}, too", header.version));
    }
    if (key.resource == SECRETS || key.resource.starts_with(PRIVATE)) && !header.is_sealed() {
        problems.push("it is not encrypted".to_owned());
    }
    let opened = match (header.is_sealed(), keyring) {
        (false, _) => Ok(Cow::Borrowed(payload)),
        (true, Some(keyring)) => {
            sealed::open(keyring, encoded, header, payload).map_err(|error| error.to_string())
        }
        (true, None) => Err("it can't be opened without the key".to_owned()),
    };
    match opened {
        Ok(json) => check_object(key, header, &json, seen, &mut problems),
        Err(problem) => problems.push(problem),
    }
    problems
}

fn check_object(
    key: Parts<'_>,
    header: Header,
    json: &[u8],
    seen: &mut Seen,
    problems: &mut Vec<String>,
) {
    let metadata = match serde_json::from_slice::<Object>(json) {
        Ok(object) => object.metadata,
        Err(error) => {
            // The text of the error could show a value.
            problems.push(format!(
                "the object can't be read: line {}, column {}",
                error.line(),
                error.column()
            ));
            return;
        }
    };
    if metadata.name != key.name || metadata.namespace != key.namespace {
        problems.push("name and namespace in the object are not those of its key".to_owned());
    }
    if metadata.resource_version != header.version.to_string() {
        problems.push(format!(
            "resourceVersion {:?} in the object is not the {} of its row",
            metadata.resource_version, header.version
        ));
    }
    if metadata.deletion_timestamp.is_some() != header.terminating {
        problems.push("deletionTimestamp and the mark of its row don't agree".to_owned());
    }
    if metadata.uid.is_empty() {
        problems.push("it has no uid".to_owned());
    } else if !seen.uids.insert(metadata.uid) {
        problems.push("another object has its uid, too".to_owned());
    }
}

fn measure(database: &Database, report: &mut Report) -> Result<(), StoreError> {
    let txn = database.begin_write().map_err(StoreError::database)?;
    let stats = txn.stats().map_err(StoreError::database)?;
    report.stored = stats.stored_bytes();
    report.overhead = stats.metadata_bytes();
    report.fragmented = stats.fragmented_bytes();
    txn.abort().map_err(StoreError::database)
}

impl Report {
    /// Bytes of the file that hold nothing: free pages and the rest of used
    /// ones.
    #[must_use]
    pub fn unused(&self) -> u64 {
        self.length.saturating_sub(self.stored + self.overhead)
    }
}
