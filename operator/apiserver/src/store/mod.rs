//! The objects on disk. The only user of redb.
//!
//! ```text
//! handlers ──Write──▶ queue ─▶ writer thread: drain queue → one transaction → one fsync
//!    ▲                                           │            → publish to the ring → reply to all
//!    └── get, scan: read transactions ───────────┘
//! ```
//!
//! Invariants:
//! - A write is on disk before it is acknowledged, except for the resources that
//!   the policy calls volatile (leases, events), which follow with the next
//!   durable commit.
//! - There is one resourceVersion for the whole store and it never goes back,
//!   not even when a crash lost volatile writes: a durable ceiling is reserved
//!   ahead of use, and a start begins at the ceiling.
//! - Whether a write meets the version it expects is decided in the writer.
//! - Rows of the resources that the policy seals reach redb only encrypted.

mod key;
mod meta;
mod owners;
mod row;
mod scan;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, TableDefinition};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

pub use key::Key;
pub use meta::{Meta, OwnerReference};
pub use scan::{Row, Scan, Snapshot};

use crate::metrics::Metrics;
use crate::seal::{Keyring, SealError};
use crate::watch::Ring;
use owners::Owners;
use row::Header;
use writer::{Job, Writer};

const OBJECTS: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new("objects");
const COUNTERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("counters");
const VERSION: &str = "version";
const CEILING: &str = "ceiling";
const FORMAT: &str = "format";
const FORMAT_1: u64 = 1;

/// The store file inside the data directory.
pub const FILE: &str = "store.redb";

/// redb caches a gigabyte unless told otherwise.
const CACHE_BYTES: usize = 8 << 20;

/// How many writes may wait for the writer before senders wait too.
const QUEUE: usize = 1024;

/// How long lists under way may take to end when the store is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Resource of the namespaces, which guard what is created in them.
pub const NAMESPACES: &str = "/namespaces";

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another server in this one, has the file open.
    #[error(
        "{0} is in use by another hades; stop that one first, or choose another data directory"
    )]
    InUse(PathBuf),
    /// redb failed.
    #[error("the store failed: {0}")]
    Database(Box<redb::Error>),
    /// The file was written by a later version.
    #[error("the store has format {0}, which this version of hades can't read; upgrade hades")]
    Format(u64),
    /// A row has bytes that this program did not write.
    #[error("the store holds a row that can't be read; restore it from a backup")]
    CorruptRow,
    /// A row can't be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The writer thread could not be started.
    #[error("the store's writer thread could not be started: {0}")]
    Thread(std::io::Error),
    /// The store was closed.
    #[error("the server is shutting down")]
    Closed,
}

impl StoreError {
    fn database(error: impl Into<redb::Error>) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// Why one write was refused. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name is taken.
    #[error("the object exists already")]
    Exists,
    /// The object is gone.
    #[error("the object does not exist")]
    Missing,
    /// The object has another version than the write expects.
    #[error("the object has been modified")]
    Changed,
    /// The namespace of a new object does not exist.
    #[error("the namespace does not exist")]
    NamespaceMissing,
    /// The namespace of a new object is being deleted.
    #[error("the namespace is being terminated")]
    NamespaceTerminating,
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

/// Which resources are treated specially on disk, as `group/plural`.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Rows that are encrypted whole.
    pub sealed: HashSet<String>,
    /// Rows that a power cut may lose.
    pub volatile: HashSet<String>,
}

/// What the row must look like for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No row: a creation.
    Absent,
    /// A row of this resourceVersion.
    Version(u64),
}

/// What a write does.
#[derive(Debug)]
pub enum Change {
    /// Stores the object; `metadata.resourceVersion` is set by the writer.
    Put(Box<Value>),
    /// Removes the row. Watchers see `last`, or the stored object where absent.
    Delete {
        /// The last state to show.
        last: Option<Box<Value>>,
    },
}

/// One write of one object.
#[derive(Debug)]
pub struct Write {
    /// The object.
    pub key: Key,
    /// Its state before.
    pub expect: Expect,
    /// Refuse unless the namespace of the key exists and is not being deleted.
    pub needs_namespace: bool,
    /// What to do.
    pub change: Change,
}

/// A committed write.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object as stored, or the last state of a removed one.
    pub object: Bytes,
}

/// A handle on the store; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

pub(crate) struct Shared {
    /// `None` once closed.
    database: RwLock<Option<Arc<Database>>>,
    policy: Policy,
    keyring: Arc<Keyring>,
    ring: Ring,
    owners: Mutex<Owners>,
    metrics: Metrics,
}

impl Shared {
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Closed)
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_payload(&self, header: Header, payload: &[u8]) -> Result<Bytes, StoreError> {
        if header.sealed {
            Ok(Bytes::from(self.keyring.open(payload)?))
        } else {
            Ok(Bytes::copy_from_slice(payload))
        }
    }
}

impl Store {
    /// Opens or creates the store in `directory` and starts its writer.
    ///
    /// # Errors
    /// When the file is locked, unreadable or of a later format.
    pub fn open(
        directory: &Path,
        policy: Policy,
        keyring: Arc<Keyring>,
        ring_capacity: usize,
        metrics: Metrics,
    ) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create(&path).map_err(|error| {
                match error {
                    redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.clone()),
                    other => StoreError::database(other),
                }
            })?;
        restrict(&path);
        let database = Arc::new(database);
        let version = writer::start_version(&database)?;
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(Arc::clone(&database))),
            policy,
            keyring,
            ring: Ring::new(ring_capacity, version),
            owners: Mutex::default(),
            metrics,
        });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let store = Self { shared: Arc::clone(&shared), jobs };
        store.index()?;
        let writer = Writer::new(shared, database, version, queue);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(StoreError::Thread)?;
        Ok(store)
    }

    /// Fills the index of owners and the object counts from what is on disk.
    fn index(&self) -> Result<(), StoreError> {
        let mut scan = self.snapshot()?.range(None)?;
        loop {
            let page = scan.next_page(1 << 20)?;
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                self.shared.metrics.object_added(row.key.resource());
                let meta = Meta::read(&row.object).map_err(|_| StoreError::CorruptRow)?;
                let uids = meta.owner_references.into_iter().map(|owner| owner.uid).collect();
                self.shared.owners().set(&row.key, uids);
            }
        }
    }

    /// Reads one object. Short enough to call from async code.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn get(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let database = self.shared.database()?;
        let read = database.begin_read().map_err(StoreError::database)?;
        let table = read.open_table(OBJECTS).map_err(StoreError::database)?;
        let Some(value) = table.get(key.encode().as_slice()).map_err(StoreError::database)? else {
            return Ok(None);
        };
        let (header, payload) = row::decode(value.value())?;
        Ok(Some(Row {
            key: key.clone(),
            version: header.version,
            terminating: header.terminating,
            object: self.shared.open_payload(header, payload)?,
        }))
    }

    /// The resourceVersion of the last committed change.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn version(&self) -> Result<u64, StoreError> {
        let database = self.shared.database()?;
        let read = database.begin_read().map_err(StoreError::database)?;
        let counters = read.open_table(COUNTERS).map_err(StoreError::database)?;
        let version = counters.get(VERSION).map_err(StoreError::database)?;
        Ok(version.map_or(0, |version| version.value()))
    }

    /// Starts to read the objects of a resource (`group/plural`), of one
    /// namespace or of all.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn scan(&self, resource: &str, namespace: Option<&str>) -> Result<Scan, StoreError> {
        self.snapshot()?.scan(resource, namespace, None)
    }

    /// Everything as of now, to be read later or several times. Drop it when done:
    /// the file grows for as long as it lives.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let database = self.shared.database()?;
        let read = database.begin_read().map_err(StoreError::database)?;
        let counters = read.open_table(COUNTERS).map_err(StoreError::database)?;
        let version = counters.get(VERSION).map_err(StoreError::database)?;
        let version = version.map_or(0, |version| version.value());
        let table = read.open_table(OBJECTS).map_err(StoreError::database)?;
        let shared = Arc::clone(&self.shared);
        Ok(Snapshot { table, shared, version, database })
    }

    /// Queues a write and waits until it is committed.
    ///
    /// # Errors
    /// When the write does not meet what it expects, or the store failed. In
    /// both cases nothing was written.
    pub async fn write(&self, write: Write) -> Result<Written, WriteError> {
        let (reply, answer) = oneshot::channel();
        let closed = || WriteError::Store(StoreError::Closed.to_string());
        self.jobs.send(Job::Write(write, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// The changes since the start, for watchers.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.shared.ring
    }

    /// The objects that name the owner with this uid.
    #[must_use]
    pub fn dependents(&self, uid: &str) -> Vec<Key> {
        self.shared.owners().dependents(uid)
    }

    /// Every object that names an owner.
    #[must_use]
    pub fn owned(&self) -> Vec<Key> {
        self.shared.owners().owned()
    }

    /// Commits what is queued, makes it durable and closes the file. Later calls
    /// answer [`StoreError::Closed`].
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            // An error only says that the writer ended before it could answer.
            let _ = answer.await;
        }
        let database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(database) = database {
            last_reads(&database).await;
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Waits until no list or watch reads the file any longer: it is locked as long
/// as one does.
async fn last_reads(database: &Arc<Database>) {
    let deadline = Instant::now() + CLOSING;
    while Arc::strong_count(database) > 1 {
        if Instant::now() >= deadline {
            tracing::warn!("the store was closed while somebody still reads a list of it");
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Object metadata is nobody else's business, sealed rows or not.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "could not restrict the store to its owner");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LEASES: &str = "coordination.k8s.io/leases";

    fn open(directory: &Path) -> Store {
        let keyring = Arc::new(Keyring::load_or_create(directory).unwrap());
        let policy = Policy { volatile: [LEASES.to_owned()].into(), ..Policy::default() };
        Store::open(directory, policy, keyring, 100, Metrics::default()).unwrap()
    }

    fn put(name: &str, resource: &str, expect: Expect) -> Write {
        let object = json!({"metadata": {"name": name}});
        Write {
            key: Key::new(&resource.into(), "", name),
            expect,
            needs_namespace: false,
            change: Change::Put(Box::new(object)),
        }
    }

    /// What a power cut leaves: the bytes that are in the file by now.
    fn after_a_crash(directory: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    #[tokio::test]
    async fn an_acknowledged_write_survives_a_crash_and_versions_never_go_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        store.write(put("kept", "/configmaps", Expect::Absent)).await.unwrap();
        for index in 0..20 {
            let name = format!("lost-{index}");
            store.write(put(&name, LEASES, Expect::Absent)).await.unwrap();
        }
        let handed_out = store.version().unwrap();
        let copy = after_a_crash(directory.path());
        let again = open(copy.path());
        let kept = Key::new(&"/configmaps".into(), "", "kept");
        assert!(again.get(&kept).unwrap().is_some());
        assert!(again.version().unwrap() >= handed_out);
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
        assert!(store.get(&Key::new(&LEASES.into(), "", "leader")).unwrap().is_some());
        assert_eq!(store.version().unwrap(), version, "nothing was lost, nothing is skipped");
    }

    #[tokio::test]
    async fn closing_waits_for_lists_under_way() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        store.write(put("a", "/configmaps", Expect::Absent)).await.unwrap();
        let mut scan = store.scan("/configmaps", None).unwrap();
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
        store.write(put("a", "/configmaps", Expect::Absent)).await.unwrap();
        let version = store.version().unwrap();
        let again = store.write(put("a", "/configmaps", Expect::Absent)).await;
        assert!(matches!(again, Err(WriteError::Exists)));
        let writes =
            (0..10).map(|_| store.write(put("a", "/configmaps", Expect::Version(version))));
        let outcomes = futures::future::join_all(writes).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let gone = store.write(put("b", "/configmaps", Expect::Version(version))).await;
        assert!(matches!(gone, Err(WriteError::Missing)));
        let mut inside = put("c", "/configmaps", Expect::Absent);
        inside.key = Key::new(&"/configmaps".into(), "nowhere", "c");
        inside.needs_namespace = true;
        let refused = store.write(inside).await;
        assert!(matches!(refused, Err(WriteError::NamespaceMissing)));
    }
}
