//! The one thread that writes.
//!
//! ```text
//! queue ─▶ batch ─▶ room? ─▶ transaction ─▶ fsync ─▶ publish, reply
//!                                │
//!                                └ failed ─▶ open the file anew ─▶ what the file
//!                                            forgot is put back ─▶ go on
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::batch::{Applied, Outcome, Room, apply, set_counters};
use super::handle::Reading;
use super::order::Order;
use super::reseal::{Answer, Task};
use super::unsaved::{Unsaved, volatile};
use super::{Shared, StoreError, WriteError, Written, error, vacuum};
use crate::watch::EventKind;

/// How many writes share one transaction at most: bounds the time that the
/// first of them waits.
const BATCH: usize = 256;

/// How many bytes of objects share one transaction, but for a last one that is
/// larger: bounds the room that a commit may need.
const BATCH_BYTES: usize = 2 << 20;

/// How far ahead of use versions are reserved on disk. A start skips what a
/// crash left unused, so that lost volatile writes never give a version twice.
const RESERVE: u64 = 4096;

/// Room that is set aside for a commit besides the objects in it: the pages of
/// the trees that it changes, which redb writes to new places.
const ROOM: u64 = 2 << 20;

/// Pages of the trees that one write may touch, in bytes.
const ROOM_PER_WRITE: u64 = 16 << 10;

/// How long the file is left alone after it could not be opened anew.
const REOPEN: Duration = Duration::from_secs(1);

type Reply = oneshot::Sender<Result<Written, WriteError>>;

pub(super) enum Job {
    Write(Order, Reply),
    /// Somebody could not read: is the file still good?
    Check,
    /// Give back room that deleted objects left behind, if it is quiet. Answers
    /// whether it was done.
    Tidy {
        quiet: Duration,
        reply: oneshot::Sender<bool>,
    },
    /// Something about how rows are sealed.
    Seal(Task, Answer),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    version: u64,
    ceiling: u64,
    queue: mpsc::Receiver<Job>,
    unsaved: Unsaved,
    /// Changes whose commit failed, so that only the file knows what became of
    /// them.
    staged: Option<Staged>,
    /// The file has to be opened anew before anything else.
    broken: bool,
    reopened: Option<Instant>,
    /// The disk had no room when last asked.
    full: bool,
    last_write: Instant,
    /// Something was committed since the start.
    changed: bool,
}

/// Changes on their way through a commit.
struct Staged {
    outcomes: Vec<Outcome>,
    version: u64,
    /// The ceiling that a durable commit writes; `None` for a volatile one.
    ceiling: Option<u64>,
}

/// The jobs that were waiting together.
#[derive(Default)]
struct Jobs {
    orders: Vec<Order>,
    replies: Vec<Reply>,
    check: bool,
    tidy: Vec<(Duration, oneshot::Sender<bool>)>,
    seal: Vec<(Task, Answer)>,
    close: Vec<oneshot::Sender<()>>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, version: u64, queue: mpsc::Receiver<Job>) -> Self {
        Self {
            shared,
            version,
            // Nothing is reserved yet: the first write does that.
            ceiling: version,
            queue,
            unsaved: Unsaved::default(),
            staged: None,
            broken: false,
            reopened: None,
            full: false,
            last_write: Instant::now(),
            changed: false,
        }
    }

    /// Runs until the store is closed or every handle on it is dropped.
    pub(super) fn run(mut self) {
        let mut closers = Vec::new();
        while closers.is_empty() {
            let Some(first) = self.queue.blocking_recv() else {
                break;
            };
            let jobs = self.gather(first);
            if jobs.check {
                self.check();
            }
            if !jobs.orders.is_empty() {
                self.commit(jobs.orders, jobs.replies);
            }
            for (task, reply) in jobs.seal {
                let _ = reply.send(self.seal(task));
            }
            for (quiet, reply) in jobs.tidy {
                // Whoever asked may have gone.
                let _ = reply.send(self.tidy(quiet));
            }
            self.shared.handle.drop_unused();
            closers = jobs.close;
        }
        self.queue.close();
        if let Err(error) = self.finish() {
            tracing::error!(%error, "the last commit of the store failed");
        }
        drop(self);
        for closer in closers {
            // Whoever asked may have gone; the store is closed all the same.
            let _ = closer.send(());
        }
    }

    fn gather(&mut self, first: Job) -> Jobs {
        let mut jobs = Jobs::default();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Write(order, reply) => {
                    bytes += order.size();
                    jobs.orders.push(order);
                    jobs.replies.push(reply);
                }
                Job::Check => jobs.check = true,
                Job::Tidy { quiet, reply } => jobs.tidy.push((quiet, reply)),
                Job::Seal(task, reply) => jobs.seal.push((task, reply)),
                Job::Close(reply) => jobs.close.push(reply),
            }
            let more = jobs.orders.len() < BATCH && bytes < BATCH_BYTES;
            next = if more { self.queue.try_recv().ok() } else { None };
        }
        jobs
    }

    /// A last durable commit, which carries the volatile ones along. The
    /// ceiling comes down to the version: nothing above it was handed out.
    fn finish(&mut self) -> Result<(), StoreError> {
        if self.broken {
            self.mend()?;
        }
        if !self.changed {
            return Ok(());
        }
        let txn = self.shared.handle.begin_write()?;
        set_counters(&txn, self.version, Some(self.version))?;
        txn.commit().map_err(StoreError::database)
    }

    fn commit(&mut self, orders: Vec<Order>, replies: Vec<Reply>) {
        let started = Instant::now();
        self.last_write = started;
        if self.broken
            && let Err(error) = self.mend()
        {
            return refuse(replies, &error, Fate::NotWritten);
        }
        match self.transact(orders) {
            Ok(staged) => {
                let answers = self.publish(staged);
                self.shared.metrics.committed(started.elapsed(), answers.len());
                answer(replies, answers);
            }
            Err(error) => self.failed(&error, replies),
        }
    }

    /// Puts all writes into one transaction. The error fails all of them.
    fn transact(&mut self, orders: Vec<Order>) -> Result<Staged, StoreError> {
        let objects: usize = orders.iter().map(Order::size).sum();
        let room = self.room(objects as u64, orders.len() as u64);
        let mut txn = self.shared.handle.begin_write()?;
        let durable = orders.iter().any(|order| !order.volatile)
            || self.version + orders.len() as u64 > self.ceiling;
        if !durable {
            volatile(&mut txn)?;
        }
        let (outcomes, version) = apply(&txn, &self.shared, orders, self.version, room)?;
        let ceiling = durable.then_some(version + RESERVE);
        if version == self.version {
            txn.abort().map_err(StoreError::database)?;
            return Ok(Staged { outcomes, version, ceiling: None });
        }
        set_counters(&txn, version, ceiling)?;
        // Until the commit says that it is done, only the file knows.
        self.staged = Some(Staged { outcomes, version, ceiling });
        txn.commit().map_err(StoreError::database)?;
        self.staged.take().ok_or(StoreError::CorruptRow)
    }

    /// Sets room aside for writes of so many bytes.
    fn room(&mut self, size: u64, writes: u64) -> Room {
        let bytes = 2 * size + ROOM_PER_WRITE * writes + ROOM;
        let asked = self.shared.handle.file().map(|file| file.make_room(bytes));
        match asked {
            Ok(Err(error)) if error::is_full(&error) => {
                if !self.full {
                    tracing::error!(
                        "the disk of the store is full: nothing that would grow is written until \
                         there is room"
                    );
                }
                self.full = true;
                Room::None
            }
            Ok(Err(error)) => {
                // The commit itself will say what is wrong, if anything is.
                tracing::debug!(%error, "no room could be set aside");
                Room::Enough
            }
            Ok(Ok(())) => {
                if self.full {
                    tracing::info!("there is room on the disk of the store again");
                }
                self.full = false;
                Room::Enough
            }
            Err(_) => Room::Enough,
        }
    }

    /// A commit failed: opens the file anew, and sees what it holds.
    fn failed(&mut self, error: &StoreError, replies: Vec<Reply>) {
        tracing::error!(%error, "a commit of the store failed; its file is opened anew");
        match self.recover() {
            Ok(Some(staged)) => {
                let answers = self.publish(staged);
                answer(replies, answers);
            }
            Ok(None) => refuse(replies, error, Fate::NotWritten),
            Err(again) => {
                tracing::error!(error = %again, "the store's file could not be opened anew");
                let fate = if self.staged.is_some() { Fate::Unknown } else { Fate::NotWritten };
                refuse(replies, error, fate);
            }
        }
    }

    /// Opens the file anew and puts back what it does not hold. The changes that
    /// were under way are answered where the file kept them.
    fn recover(&mut self) -> Result<Option<Staged>, StoreError> {
        self.broken = true;
        if self.reopened.is_some_and(|tried| tried.elapsed() < REOPEN) {
            return Err(StoreError::Broken("it is tried again every second".to_owned()));
        }
        let (version, unsaved) = (self.version, &self.unsaved);
        let reopened = self.shared.handle.reopen(|opened| {
            let held = Reading::of(opened)?.version()?;
            if held <= version {
                unsaved.restore(opened, version)?;
            }
            Ok(held)
        });
        let held = match reopened {
            Ok(held) => held,
            Err(error) => {
                self.reopened = Some(Instant::now());
                return Err(error);
            }
        };
        self.broken = false;
        self.reopened = None;
        let staged = self.staged.take().filter(|staged| held >= staged.version);
        self.version = self.version.max(if staged.is_none() { held } else { 0 });
        tracing::info!(kept = staged.is_some(), "the store's file was opened anew");
        Ok(staged)
    }

    /// Looks whether the file is still good, and opens it anew when it is not.
    fn check(&mut self) {
        if !self.broken {
            let usable = self
                .shared
                .handle
                .begin_write()
                .and_then(|txn| txn.abort().map_err(StoreError::database));
            let Err(error) = usable else {
                return;
            };
            tracing::error!(%error, "the store can't be read; its file is opened anew");
        }
        if let Err(error) = self.mend() {
            tracing::debug!(%error, "the store's file could not be opened anew");
        }
    }

    /// Opens the file anew. Who asked for the changes that turn out to be kept
    /// was told that nobody knew.
    fn mend(&mut self) -> Result<(), StoreError> {
        if let Some(staged) = self.recover()? {
            self.publish(staged);
        }
        Ok(())
    }

    /// Takes note of a commit and tells the index, the metrics and the watchers.
    fn publish(&mut self, staged: Staged) -> Vec<Result<Written, WriteError>> {
        let Staged { outcomes, version, ceiling } = staged;
        self.changed |= version > self.version;
        self.version = version;
        if let Some(ceiling) = ceiling {
            self.ceiling = ceiling;
            self.unsaved.clear();
        } else {
            outcomes.iter().flatten().for_each(|applied| self.unsaved.keep(applied));
        }
        let growth: i64 = outcomes.iter().flatten().map(|applied| applied.growth).sum();
        self.shared.content.fetch_add(growth, Ordering::Relaxed);
        let mut events = Vec::new();
        let mut answers = Vec::with_capacity(outcomes.len());
        let mut owners = self.shared.owners();
        for outcome in outcomes {
            answers.push(outcome.map(|Applied { event, owners: uids, .. }| {
                owners.set(&event.key, uids);
                let object = (event.kind != EventKind::Deleted).then_some(&*event.object);
                self.shared.observers.tell(&event.key, object);
                match event.kind {
                    EventKind::Added => self.shared.metrics.object_added(event.key.resource()),
                    EventKind::Deleted => self.shared.metrics.object_removed(event.key.resource()),
                    EventKind::Modified => {}
                }
                let written = Written { object: event.object.clone() };
                events.push(event);
                written
            }));
        }
        drop(owners);
        if !events.is_empty() {
            self.shared.ring.publish(events);
        }
        answers
    }

    /// Does what has to do with how rows are sealed.
    fn seal(&mut self, task: Task) -> Result<u64, StoreError> {
        if self.broken {
            self.mend()?;
        }
        if self.room(task.size(), task.rows()) == Room::None {
            return Err(StoreError::Full);
        }
        let is_rewrite = matches!(task, Task::Rewrite);
        let done = task.run(&self.shared);
        match &done {
            // The new file has everything.
            Ok(_) if is_rewrite => self.unsaved.clear(),
            Err(error) if error.needs_reopening() && !is_rewrite => {
                self.failed(error, Vec::new());
            }
            _ => {}
        }
        done
    }

    /// Rewrites the file where that is worth it and nobody waits.
    fn tidy(&mut self, quiet: Duration) -> bool {
        if self.broken || self.last_write.elapsed() < quiet {
            return false;
        }
        let content = u64::try_from(self.shared.content.load(Ordering::Relaxed)).unwrap_or(0);
        match vacuum::run(&self.shared.handle, content, || !self.queue.is_empty()) {
            Ok(done) => {
                if done {
                    self.unsaved.clear();
                }
                done
            }
            Err(error) => {
                tracing::warn!(%error, "the store could not be made smaller");
                false
            }
        }
    }
}

/// What is known of writes whose commit failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    NotWritten,
    Unknown,
}

fn answer(replies: Vec<Reply>, answers: Vec<Result<Written, WriteError>>) {
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A client that hung up does not undo its write.
        let _ = reply.send(answer);
    }
}

fn refuse(replies: Vec<Reply>, error: &StoreError, fate: Fate) {
    for reply in replies {
        let refusal = match fate {
            Fate::NotWritten if error.is_full() => WriteError::Full,
            Fate::NotWritten => WriteError::Store(error.to_string()),
            Fate::Unknown => WriteError::Store(format!(
                "{error}; whether the change was kept is not known: look before you try again"
            )),
        };
        // Whoever asked may have gone.
        let _ = reply.send(Err(refusal));
    }
}
