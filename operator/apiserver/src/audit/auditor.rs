//! The audit log of a server, for whoever has something to record.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::chain::ChainKey;
use super::event::{AuditEvent, Stage};
use super::queue::Queue;
use super::read::{self, Query};
use super::secret_use::SecretUses;
use super::verify::{self, Report};
use super::writer::{self, Log};
use crate::private_file;
use crate::random;
use crate::rates::Rates;
use crate::state::Clock;
use crate::wire::status::StatusError;

/// Folder of the log in the data directory.
const FOLDER: &str = "audit";

/// Logs that are read at once. Each reads the disk as fast as it can.
const READERS: usize = 2;

/// How long a reader waits for records that are not written yet.
const SETTLE: Duration = Duration::from_secs(2);

/// Refusals of one address, or one user, that are recorded one by one: ten a minute
/// for long, and some more at once.
const REFUSALS_PER_SECOND: f64 = 1.0 / 6.0;
const REFUSALS_AT_ONCE: f64 = 30.0;

/// How much is kept, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditOptions {
    /// Where the files are; `None` for `audit` in the data directory.
    pub directory: Option<PathBuf>,
    /// Bytes of all files together; the oldest are removed.
    pub max_size: u64,
    /// Days for which files are kept.
    pub max_age_days: u32,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { directory: None, max_size: 1 << 30, max_age_days: 365 }
    }
}

impl AuditOptions {
    /// Where the files are.
    #[must_use]
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| data_dir.join(FOLDER))
    }
}

/// Why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Another process writes there.
    #[error("the audit log {0} is written by another hades; give each a folder of its own")]
    InUse(PathBuf),
    /// A file can't be read or written.
    #[error("the audit log {path} can't be read or written")]
    File {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The keys of the installation can't be read.
    #[error(transparent)]
    Key(#[from] crate::seal::SealError),
}

/// What is counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub written: Counter,
    pub lost: Counter,
    pub failing: Gauge,
}

/// The audit log of a server; clones share it.
#[derive(Clone)]
pub struct Auditor(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    key: ChainKey,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    clock: Clock,
    counters: Counters,
    readers: Arc<Semaphore>,
    uses: SecretUses,
    refusals: Rates,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Auditor").field(&self.0.directory).finish()
    }
}

impl Auditor {
    /// Opens the log of a folder, which is made where it is absent.
    ///
    /// # Errors
    /// When it can't be read or written, or somebody else writes there.
    pub(crate) fn open(
        directory: &Path,
        key: ChainKey,
        options: AuditOptions,
        clock: Clock,
    ) -> Result<Self, AuditError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock => AuditError::InUse(directory.to_owned()),
            _ => AuditError::File { path: directory.to_owned(), source },
        };
        private_file::make_directory(directory).map_err(failed)?;
        let log = Log::open(directory, key.clone(), Arc::clone(&clock), options).map_err(failed)?;
        let (queue, counters) = (Arc::new(Queue::default()), Counters::default());
        let (of_thread, counts) = (Arc::clone(&queue), counters.clone());
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(log, &of_thread, &counts))
            .map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            directory: directory.to_owned(),
            key,
            queue,
            thread: Mutex::new(Some(thread)),
            clock,
            counters,
            readers: Arc::new(Semaphore::new(READERS)),
            uses: SecretUses::default(),
            refusals: Rates::new(REFUSALS_PER_SECOND, REFUSALS_AT_ONCE),
        })))
    }

    /// Records that something has begun which may take long or be cut off. When it ends,
    /// give what this answers to [`Auditor::record`], with how it ended.
    #[must_use]
    pub fn begin(&self, mut event: AuditEvent) -> AuditEvent {
        event.audit_id = random::uuid().unwrap_or_default();
        event.received = (self.0.clock)();
        self.record(event.clone().at(Stage::ResponseStarted));
        event
    }

    /// Records something. Never waits; it is on the disk a second later.
    pub fn record(&self, mut event: AuditEvent) {
        let now = (self.0.clock)();
        if event.audit_id.is_empty() {
            event.audit_id = random::uuid().unwrap_or_default();
        }
        if event.received == jiff::Timestamp::UNIX_EPOCH {
            event.received = now;
        }
        if event.staged == jiff::Timestamp::UNIX_EPOCH {
            event.staged = now;
        }
        self.0.queue.push(event.to_json());
    }

    /// Whether a change of somebody can be recorded.
    ///
    /// # Errors
    /// 503 while the disk takes no records and the queue is full.
    pub fn ready(&self) -> Result<(), StatusError> {
        if !self.0.queue.is_crowded() {
            return Ok(());
        }
        let message = "the audit log can't be written, and what isn't recorded isn't done; see \
                       the server's log, and make room on its disk";
        Err(StatusError::unavailable(message))
    }

    fn seat(&self) -> Result<OwnedSemaphorePermit, StatusError> {
        Arc::clone(&self.0.readers).try_acquire_owned().map_err(|_| {
            let message = "the audit log is being read by others; try again soon";
            StatusError::too_many_requests(message, 2)
        })
    }

    /// Records that match, the newest first, as lines of JSON.
    ///
    /// # Errors
    /// 429 when too many read already; 500 when the files can't be read.
    pub async fn read(&self, query: Query) -> Result<read::Lines, StatusError> {
        let seat = self.seat()?;
        self.0.queue.settled(SETTLE).await;
        read::start(&self.0.directory, query, seat)
    }

    /// Looks through the whole log for anything that was changed, put in or taken
    /// out.
    ///
    /// # Errors
    /// As [`Auditor::read`].
    pub async fn verify(&self) -> Result<Report, StatusError> {
        let seat = self.seat()?;
        self.0.queue.settled(SETTLE).await;
        let (directory, key) = (self.0.directory.clone(), self.0.key.clone());
        let look = move || {
            // As long as the disk is read, also for somebody who has hung up.
            let _seat = seat;
            verify::look(&directory, &key)
        };
        let report = tokio::task::spawn_blocking(look).await;
        report.map_err(StatusError::internal)?.map_err(StatusError::internal)
    }

    /// Writes what is queued and lets the files go. What comes later is dropped.
    pub(crate) async fn close(&self) {
        self.0.queue.close();
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Registers what is counted, below the prefix of the server.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("hades_apiserver");
        let Counters { written, lost, failing } = &self.0.counters;
        registry.register("audit_records", "Records written to the audit log", written.clone());
        registry.register("audit_lost", "Records that the audit log had no room for", lost.clone());
        let help = "Whether the audit log can't be written now";
        registry.register("audit_failing", help, failing.clone());
    }

    pub(super) fn now(&self) -> jiff::Timestamp {
        (self.0.clock)()
    }

    pub(super) fn uses(&self) -> &SecretUses {
        &self.0.uses
    }

    pub(super) fn refusals(&self) -> &Rates {
        &self.0.refusals
    }
}
