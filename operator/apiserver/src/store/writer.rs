//! The one thread that writes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{
    CEILING, COUNTERS, Change, Expect, FORMAT, FORMAT_1, Key, Meta, NAMESPACES, OBJECTS, Shared,
    StoreError, VERSION, Write, WriteError, Written, row,
};
use crate::watch::{Event, EventKind};
use row::Header;

/// How many writes share one transaction at most: bounds the time that the
/// first of them waits.
const BATCH: usize = 256;

/// How far ahead of use versions are reserved on disk. A start skips what a
/// crash left unused, so that lost volatile writes never give a version twice.
const RESERVE: u64 = 4096;

pub(super) enum Job {
    Write(Write, oneshot::Sender<Result<Written, WriteError>>),
    Close(oneshot::Sender<()>),
}

type Objects<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    database: Arc<Database>,
    version: u64,
    ceiling: u64,
    queue: mpsc::Receiver<Job>,
}

/// What a write did, told to the rest of the server after the commit.
struct Applied {
    event: Event,
    owners: Vec<String>,
}

/// Creates the tables, checks the format and moves the version past everything
/// that an earlier run may have handed out.
pub(super) fn start_version(database: &Database) -> Result<u64, StoreError> {
    let txn = database.begin_write().map_err(StoreError::database)?;
    let version = {
        txn.open_table(OBJECTS).map_err(StoreError::database)?;
        let mut counters = txn.open_table(COUNTERS).map_err(StoreError::database)?;
        let read = |name: &str| -> Result<Option<u64>, StoreError> {
            Ok(counters.get(name).map_err(StoreError::database)?.map(|value| value.value()))
        };
        match read(FORMAT)? {
            None | Some(FORMAT_1) => {}
            Some(other) => return Err(StoreError::Format(other)),
        }
        let version = read(VERSION)?.unwrap_or(0).max(read(CEILING)?.unwrap_or(1));
        for (name, value) in [(FORMAT, FORMAT_1), (VERSION, version), (CEILING, version + RESERVE)]
        {
            counters.insert(name, value).map_err(StoreError::database)?;
        }
        version
    };
    txn.commit().map_err(StoreError::database)?;
    Ok(version)
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        database: Arc<Database>,
        version: u64,
        queue: mpsc::Receiver<Job>,
    ) -> Self {
        Self { shared, database, version, ceiling: version + RESERVE, queue }
    }

    /// Runs until the store is closed or every handle on it is dropped.
    pub(super) fn run(mut self) {
        let mut closers = Vec::new();
        while closers.is_empty() {
            let Some(first) = self.queue.blocking_recv() else {
                break;
            };
            let mut jobs = vec![first];
            while jobs.len() < BATCH
                && let Ok(job) = self.queue.try_recv()
            {
                jobs.push(job);
            }
            let mut batch = Vec::with_capacity(jobs.len());
            for job in jobs {
                match job {
                    Job::Write(write, reply) => batch.push((write, reply)),
                    Job::Close(reply) => closers.push(reply),
                }
            }
            if !batch.is_empty() {
                self.commit(batch);
            }
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

    /// A last durable commit, which carries the volatile ones along. The
    /// ceiling comes down to the version: nothing above it was handed out.
    fn finish(&self) -> Result<(), StoreError> {
        let txn = self.database.begin_write().map_err(StoreError::database)?;
        set_counters(&txn, self.version, Some(self.version))?;
        txn.commit().map_err(StoreError::database)
    }

    fn commit(&mut self, batch: Vec<(Write, oneshot::Sender<Result<Written, WriteError>>)>) {
        let started = Instant::now();
        let (writes, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match self.apply(writes) {
            Ok(outcomes) => {
                let answers = self.publish(outcomes);
                self.shared.metrics.committed(started.elapsed(), answers.len());
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // A client that hung up does not undo its write.
                    let _ = reply.send(answer);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a commit of the store failed");
                for reply in replies {
                    let _ = reply.send(Err(WriteError::Store(error.to_string())));
                }
            }
        }
    }

    /// Puts all writes into one transaction. The outer error fails all of them.
    fn apply(
        &mut self,
        writes: Vec<Write>,
    ) -> Result<Vec<Result<Applied, WriteError>>, StoreError> {
        let mut txn = self.database.begin_write().map_err(StoreError::database)?;
        let all_volatile =
            writes.iter().all(|write| self.shared.policy.volatile.contains(write.key.resource()));
        let durable = !all_volatile || self.version + writes.len() as u64 > self.ceiling;
        if !durable {
            txn.set_durability(Durability::None)
                .map_err(|error| StoreError::database(redb::Error::from(error)))?;
        }
        let mut version = self.version;
        let mut outcomes = Vec::with_capacity(writes.len());
        {
            let mut objects = txn.open_table(OBJECTS).map_err(StoreError::database)?;
            for write in writes {
                let outcome = self.step(&mut objects, write, version + 1)?;
                if outcome.is_ok() {
                    version += 1;
                }
                outcomes.push(outcome);
            }
        }
        if version == self.version {
            txn.abort().map_err(StoreError::database)?;
            return Ok(outcomes);
        }
        let ceiling = durable.then_some(version + RESERVE);
        set_counters(&txn, version, ceiling)?;
        txn.commit().map_err(StoreError::database)?;
        self.version = version;
        self.ceiling = ceiling.unwrap_or(self.ceiling);
        Ok(outcomes)
    }

    fn step(
        &self,
        objects: &mut Objects<'_>,
        write: Write,
        version: u64,
    ) -> Result<Result<Applied, WriteError>, StoreError> {
        let Write { key, expect, needs_namespace, change } = write;
        let encoded = key.encode();
        let current = match objects.get(encoded.as_slice()).map_err(StoreError::database)? {
            None => None,
            Some(value) => {
                let (header, payload) = row::decode(value.value())?;
                Some((header.version, self.shared.open_payload(header, payload)?))
            }
        };
        if let Err(refusal) = check_expected(expect, current.as_ref().map(|row| row.0)) {
            return Ok(Err(refusal));
        }
        if needs_namespace && let Err(refusal) = check_namespace(objects, key.namespace())? {
            return Ok(Err(refusal));
        }
        let before = current.map(|row| row.1);
        let applied = match change {
            Change::Put(object) => {
                let prepared = match self.prepare(&key, *object, version) {
                    Ok(prepared) => prepared,
                    Err(error) => return Ok(Err(error)),
                };
                objects
                    .insert(encoded.as_slice(), prepared.row.as_slice())
                    .map_err(StoreError::database)?;
                prepared.applied(key, before, version)
            }
            Change::Delete { last } => {
                let removed = match removed(key, last, before, version) {
                    Ok(removed) => removed,
                    Err(error) => return Ok(Err(error)),
                };
                objects.remove(encoded.as_slice()).map_err(StoreError::database)?;
                removed
            }
        };
        Ok(Ok(applied))
    }

    /// Serialises an object and seals its row where the policy says so.
    fn prepare(&self, key: &Key, mut object: Value, version: u64) -> Result<Prepared, WriteError> {
        let bytes = serialise(&mut object, version)?;
        let meta = Meta::read(&bytes).map_err(|error| WriteError::Store(error.to_string()))?;
        let sealed = self.shared.policy.sealed.contains(key.resource());
        let header = Header { sealed, terminating: meta.deletion_timestamp.is_some(), version };
        let row = if sealed {
            let ciphertext = self.shared.keyring.seal(&bytes);
            let ciphertext = ciphertext.map_err(|error| WriteError::Store(error.to_string()))?;
            row::encode(header, &ciphertext)
        } else {
            row::encode(header, &bytes)
        };
        Ok(Prepared { bytes, meta, row })
    }

    /// Tells the index, the metrics and the watchers about a commit.
    fn publish(
        &self,
        outcomes: Vec<Result<Applied, WriteError>>,
    ) -> Vec<Result<Written, WriteError>> {
        let mut events = Vec::new();
        let mut answers = Vec::with_capacity(outcomes.len());
        let mut owners = self.shared.owners();
        for outcome in outcomes {
            answers.push(outcome.map(|Applied { event, owners: uids }| {
                owners.set(&event.key, uids);
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
}

struct Prepared {
    bytes: Bytes,
    meta: Meta,
    row: Vec<u8>,
}

impl Prepared {
    fn applied(self, key: Key, before: Option<Bytes>, version: u64) -> Applied {
        let kind = if before.is_some() { EventKind::Modified } else { EventKind::Added };
        Applied {
            owners: self.meta.owner_references.into_iter().map(|owner| owner.uid).collect(),
            event: Event::new(version, kind, key, self.bytes, before),
        }
    }
}

fn removed(
    key: Key,
    last: Option<Box<Value>>,
    before: Option<Bytes>,
    version: u64,
) -> Result<Applied, WriteError> {
    let before = before.ok_or(WriteError::Missing)?;
    let corrupt = |error: serde_json::Error| WriteError::Store(error.to_string());
    // A watcher that saw the object must see it go, whatever its last state says.
    let (mut last, before) = match last {
        Some(last) => (*last, Some(before)),
        None => (serde_json::from_slice(&before).map_err(corrupt)?, None),
    };
    let object = serialise(&mut last, version)?;
    let event = Event::new(version, EventKind::Deleted, key, object, before);
    Ok(Applied { owners: Vec::new(), event })
}

fn serialise(object: &mut Value, version: u64) -> Result<Bytes, WriteError> {
    object["metadata"]["resourceVersion"] = Value::from(version.to_string());
    serde_json::to_vec(object)
        .map(Bytes::from)
        .map_err(|error| WriteError::Store(error.to_string()))
}

fn check_expected(expect: Expect, current: Option<u64>) -> Result<(), WriteError> {
    match (expect, current) {
        (Expect::Absent, None) => Ok(()),
        (Expect::Absent, Some(_)) => Err(WriteError::Exists),
        (Expect::Version(_), None) => Err(WriteError::Missing),
        (Expect::Version(expected), Some(version)) if expected == version => Ok(()),
        (Expect::Version(_), Some(_)) => Err(WriteError::Changed),
    }
}

fn check_namespace(
    objects: &Objects<'_>,
    namespace: &str,
) -> Result<Result<(), WriteError>, StoreError> {
    let key = Key::new(&NAMESPACES.into(), "", namespace).encode();
    let row = objects.get(key.as_slice()).map_err(StoreError::database)?;
    Ok(match row {
        None => Err(WriteError::NamespaceMissing),
        Some(value) if row::decode(value.value())?.0.terminating => {
            Err(WriteError::NamespaceTerminating)
        }
        Some(_) => Ok(()),
    })
}

fn set_counters(
    txn: &WriteTransaction,
    version: u64,
    ceiling: Option<u64>,
) -> Result<(), StoreError> {
    let mut counters = txn.open_table(COUNTERS).map_err(StoreError::database)?;
    counters.insert(VERSION, version).map_err(StoreError::database)?;
    if let Some(ceiling) = ceiling {
        counters.insert(CEILING, ceiling).map_err(StoreError::database)?;
    }
    Ok(())
}
