//! The objects on disk. The only user of redb.
//!
//! ```text
//! handlers ─ Order ─▶ queue ─▶ writer thread: drain queue → one transaction → one fsync
//!    ▲                                           │            → publish to the ring → reply to all
//!    └── get, scan: snapshots ─── handle ────────┘
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
//! - Rows of the resources that the policy seals reach redb only encrypted. When the
//!   data key changes they are sealed anew in batches between other writes, which
//!   changes no version and is told to nobody.
//! - A disk that is full or fails for a while costs no acknowledged write and
//!   needs no restart.

mod batch;
mod compact;
mod copy;
mod disk;
mod draft;
mod error;
#[cfg(test)]
mod faults;
mod format;
mod handle;
mod key;
mod keys;
mod meta;
mod observer;
mod order;
mod overlay;
mod owners;
mod reseal;
mod row;
mod scan;
mod sealed;
mod snapshot;
#[cfg(test)]
mod tests;
mod unsaved;
mod vacuum;
mod verify;
mod writer;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::TableDefinition;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use compact::{Compacted, compact};
pub use copy::{Copied, copy_closed};
pub use error::{StoreError, WriteError};
pub use key::Key;
pub use meta::{Meta, OwnerReference};
pub use observer::Observer;
pub use scan::{Row, Scan};
pub use snapshot::Snapshot;
pub use verify::{Report, Tally, verify, verify_with};

use crate::metrics::Metrics;
use crate::seal::{Keyring, SealError};
use crate::vital::Vital;
use crate::watch::Ring;
use disk::Disk;
use format::Step;
use handle::{Handle, Reading};
use key::Parts;
use observer::Observers;
use order::Order;
use owners::Owners;
use row::Header;
use writer::{Job, Writer};

const OBJECTS: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new("objects");
const COUNTERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("counters");
const VERSION: &str = "version";
const CEILING: &str = "ceiling";
const FORMAT: &str = "format";
/// There, and more than zero, where the file may hold what was sealed for a former key:
/// it has to be rewritten. A new file begins without it.
const UNCLEAN: &str = "unclean";

/// The store file inside the data directory.
pub const FILE: &str = "store.redb";

/// How many writes may wait for the writer before senders wait too.
const QUEUE: usize = 1024;

/// How often a read is tried again while the file is opened anew, and how long
/// it waits in between.
const READ_ATTEMPTS: u32 = 20;
const READ_PAUSE: Duration = Duration::from_millis(5);

/// How long lists under way may take to end when the store is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// The format of the stores that this program writes. It reads earlier ones, too.
#[must_use]
pub fn latest_format() -> u64 {
    format::latest(format::STEPS)
}

/// Resource of the namespaces, which guard what is created in them.
pub const NAMESPACES: &str = "/namespaces";

/// Which resources are treated specially on disk, as `group/plural`.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Rows that are encrypted whole.
    pub sealed: HashSet<String>,
    /// Rows that a power cut may lose.
    pub volatile: HashSet<String>,
}

/// What the names of resources begin with that only code of this process
/// reaches. No API group can have such a name.
pub const PRIVATE: &str = "-private/";

impl Policy {
    fn seals(&self, resource: &str) -> bool {
        self.sealed.contains(resource) || resource.starts_with(PRIVATE)
    }
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

/// What a store is opened with.
struct Config {
    policy: Policy,
    keyring: Arc<Keyring>,
    ring_capacity: usize,
    metrics: Metrics,
}

/// A handle on the store; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

pub(crate) struct Shared {
    handle: Handle,
    /// Where the store stood at its start, which need not be in the file yet.
    first_version: u64,
    policy: Policy,
    keyring: Arc<Keyring>,
    ring: Ring,
    owners: Mutex<Owners>,
    observers: Observers,
    /// Bytes of all rows.
    content: AtomicI64,
    metrics: Metrics,
    /// To tell the writer that the file can't be read. It ends with the last
    /// handle on the store, not with this.
    jobs: mpsc::WeakSender<Job>,
    /// Cancelled when the writer panicked.
    broken: CancellationToken,
    /// Cancelled when the store is to be closed: what takes long is given up.
    closing: CancellationToken,
}

impl Shared {
    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a row that lies in the clear where none does: whoever can write the file,
    /// but not seal, put it there.
    fn judge(&self, key: &[u8], header: Header) -> Result<(), StoreError> {
        if header.is_sealed() {
            return Ok(());
        }
        let resource = Parts::of(key).ok_or(StoreError::CorruptRow)?.resource;
        if self.policy.seals(resource) { Err(SealError::Damaged.into()) } else { Ok(()) }
    }

    fn open_payload(
        &self,
        key: &[u8],
        header: Header,
        payload: &[u8],
    ) -> Result<Bytes, StoreError> {
        self.judge(key, header)?;
        Ok(match sealed::open(&self.keyring, key, header, payload)? {
            Cow::Borrowed(payload) => Bytes::copy_from_slice(payload),
            Cow::Owned(payload) => Bytes::from(payload),
        })
    }

    /// Reads from a snapshot, and again from a later one when the file failed and
    /// was opened anew meanwhile.
    fn reading<T>(
        &self,
        mut read: impl FnMut(Reading) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 1..READ_ATTEMPTS {
            match self.handle.begin_read().and_then(&mut read) {
                Err(error) if error.needs_reopening() => {
                    // A full queue has a writer that will see for itself.
                    if let Some(jobs) = self.jobs.upgrade() {
                        let _ = jobs.try_send(Job::Check);
                    }
                    if matches!(error, StoreError::Broken(_)) {
                        return Err(error);
                    }
                    std::thread::sleep(READ_PAUSE);
                }
                result => return result,
            }
        }
        self.handle.begin_read().and_then(&mut read)
    }
}

impl Store {
    /// Opens or creates the store in `directory`, upgrades it where it has an
    /// older format, and starts its writer.
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
        let disk = Disk::default();
        let config = Config { policy, keyring, ring_capacity, metrics };
        Self::open_on(directory, config, disk, format::STEPS)
    }

    fn open_on(
        directory: &Path,
        config: Config,
        disk: Disk,
        steps: &[Step],
    ) -> Result<Self, StoreError> {
        let (store, writer) = Self::assemble(directory, config, disk, steps)?;
        store.index()?;
        // Only now is it certain that the identity is the one of this store.
        keys::ensure(&store.shared.handle, &store.shared.keyring)?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn({
                let vital = Vital::new("store writer", store.shared.broken.clone());
                move || {
                    let _vital = vital;
                    writer.run();
                }
            })
            .map_err(StoreError::Thread)?;
        Ok(store)
    }

    /// The parts of a store that nobody looked into yet.
    fn assemble(
        directory: &Path,
        config: Config,
        disk: Disk,
        steps: &[Step],
    ) -> Result<(Self, Writer), StoreError> {
        let Config { policy, keyring, ring_capacity, metrics } = config;
        let path = directory.join(FILE);
        let (opened, version) = format::open(&disk, &path, steps)?;
        restrict(&path);
        keys::load(&Reading::of(&opened)?.transaction, &keyring)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            handle: Handle::new(path, disk, opened),
            first_version: version,
            policy,
            keyring,
            ring: Ring::new(ring_capacity, version),
            owners: Mutex::default(),
            observers: Observers::default(),
            content: AtomicI64::default(),
            metrics,
            jobs: jobs.downgrade(),
            broken: CancellationToken::new(),
            closing: CancellationToken::new(),
        });
        let writer = Writer::new(Arc::clone(&shared), version, queue);
        Ok((Self { shared, jobs }, writer))
    }

    /// Cancelled when a part that the server can't do without panicked.
    pub fn broken(&self) -> &CancellationToken {
        &self.shared.broken
    }

    /// Fills the index of owners and the counts from what is on disk.
    fn index(&self) -> Result<(), StoreError> {
        let mut scan = self.scan_range(Bound::Unbounded, Bound::Unbounded)?;
        let mut content = 0;
        scan.visit(usize::MAX, |row| {
            content += i64::try_from(row::HEADER + row.object.len()).unwrap_or(i64::MAX);
            self.shared.metrics.object_added(row.resource);
            let meta = Meta::read(&row.object).map_err(|_| StoreError::CorruptRow)?;
            let uids: Vec<_> = meta.owner_references.into_iter().map(|owner| owner.uid).collect();
            if !uids.is_empty() {
                let key = Key::new(&row.resource.into(), row.namespace, row.name);
                self.shared.owners().set(&key, uids);
            }
            Ok::<_, StoreError>(())
        })?;
        self.shared.content.store(content, Ordering::Relaxed);
        Ok(())
    }

    /// Reads one object. Short enough to call from async code.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn get(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let encoded = key.encode();
        self.shared.reading(|snapshot| {
            let table = snapshot.transaction.open_table(OBJECTS).map_err(StoreError::database)?;
            let Some(value) = table.get(encoded.as_slice()).map_err(StoreError::database)? else {
                return Ok(None);
            };
            let (header, payload) = row::decode(value.value())?;
            Ok(Some(Row {
                key: key.clone(),
                version: header.version,
                terminating: header.terminating,
                object: self.shared.open_payload(&encoded, header, payload)?,
            }))
        })
    }

    /// The resourceVersion of the last committed change.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn version(&self) -> Result<u64, StoreError> {
        let version = self.shared.reading(|reading| reading.version())?;
        Ok(version.max(self.shared.first_version))
    }

    /// Starts to read the objects of a resource (`group/plural`), of one
    /// namespace or of all.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn scan(&self, resource: &str, namespace: Option<&str>) -> Result<Scan, StoreError> {
        let (start, end) = key::range_of(resource, namespace);
        self.scan_range(Bound::Included(start), Bound::Excluded(end))
    }

    /// Everything as of now, to be read later or several times. Drop it when done:
    /// the file grows for as long as it lives.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&self.shared)
    }

    fn scan_range(&self, start: Bound<Vec<u8>>, end: Bound<Vec<u8>>) -> Result<Scan, StoreError> {
        Scan::new(Arc::clone(&self.shared), start, end)
    }

    /// Queues a write and waits until it is committed.
    ///
    /// # Errors
    /// When the write does not meet what it expects, or the store failed. In
    /// both cases nothing was written.
    pub async fn write(&self, write: Write) -> Result<Written, WriteError> {
        let (reply, answer) = oneshot::channel();
        let closed = || WriteError::Store(StoreError::Closed.to_string());
        let order = Order::new(write, &self.shared.policy)?;
        self.jobs.send(Job::Write(order, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Gives back the room that deleted objects left in the file, if that is
    /// worth it and nothing was written for `quiet`. Whether it was done.
    pub async fn tidy(&self, quiet: Duration) -> bool {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Tidy { quiet, reply }).await.is_ok() && answer.await.unwrap_or(false)
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
        self.shared.closing.cancel();
        let (reply, answer) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            // An error only says that the writer ended before it could answer.
            let _ = answer.await;
        }
        self.shared.handle.close();
        // The file is locked as long as a list or a watch reads it.
        let deadline = Instant::now() + CLOSING;
        while self.shared.handle.is_read() {
            if Instant::now() >= deadline {
                tracing::warn!("the store was closed while somebody still reads a list of it");
                self.shared.handle.cut_off();
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Object metadata is nobody else's business, sealed rows or not.
fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "could not restrict the store to its owner");
    }
}
