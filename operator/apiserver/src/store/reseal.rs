//! Sealing everything anew, while others read and write.
//!
//! ```text
//! new data key ─▶ page of rows: open, seal ─▶ writer: put those that are still the same
//!                        ▲                            │
//!                        └──────────── next ──────────┘
//!              ─▶ no row is left ─▶ remove the other keys ─▶ rewrite the file
//! ```
//! Each step is one transaction, and looks at the file for what is left to do: a crash
//! between any two of them costs nothing but the time.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{ReadableTable, WriteTransaction};
use tokio::sync::oneshot;

use super::row::{self, Header, Seal};
use super::writer::Job;
use super::{COUNTERS, OBJECTS, Shared, Store, StoreError, UNCLEAN, keys, sealed, vacuum};

/// How many rows the writer gets at once, and how many bytes of them: others wait for
/// so long.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// What the writer is asked to do.
pub(super) enum Task {
    /// Make a data key, and seal with it from now on.
    AddKey,
    /// Put rows in the place of those that they were made of.
    Put(Vec<Resealed>),
    /// Remove the data keys that don't seal.
    RemoveKeys,
    /// Rewrite the file without what was replaced in it.
    Rewrite,
}

/// Answers how many keys or rows it was about.
pub(super) type Answer = oneshot::Sender<Result<u64, StoreError>>;

/// A row that was sealed anew.
pub(super) struct Resealed {
    key: Vec<u8>,
    /// Of the row that it was made of.
    before: Header,
    row: Vec<u8>,
}

impl Task {
    /// How many bytes it may add to the file.
    pub fn size(&self) -> u64 {
        match self {
            Self::Put(rows) => rows.iter().map(|row| row.row.len() as u64).sum(),
            _ => 0,
        }
    }

    /// How many rows it may change.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Put(rows) => rows.len() as u64,
            _ => 0,
        }
    }

    /// Does it. On the writer's thread.
    pub fn run(self, shared: &Shared) -> Result<u64, StoreError> {
        match self {
            Self::AddKey => {
                let txn = shared.handle.begin_write()?;
                let key = keys::add(&txn, &shared.keyring)?;
                txn.commit().map_err(StoreError::database)?;
                shared.keyring.install(key);
                Ok(1)
            }
            Self::Put(rows) => put(shared, &rows),
            Self::RemoveKeys => {
                let txn = shared.handle.begin_write()?;
                let removed = keys::remove_others(&txn, shared.keyring.key()?.id())?;
                if removed > 0 {
                    mark_unclean(&txn)?;
                }
                txn.commit().map_err(StoreError::database)?;
                Ok(removed)
            }
            Self::Rewrite => {
                match vacuum::rewrite(&shared.handle, || shared.closing.is_cancelled()) {
                    Ok(false) => Err(StoreError::Closed),
                    done => done.map(u64::from),
                }
            }
        }
    }
}

/// Notes, with what makes it so, that the file has to be rewritten: whoever is killed
/// before that is done would not know.
fn mark_unclean(txn: &WriteTransaction) -> Result<(), StoreError> {
    let mut counters = txn.open_table(COUNTERS).map_err(StoreError::database)?;
    counters.insert(UNCLEAN, 1).map_err(StoreError::database)?;
    Ok(())
}

fn put(shared: &Shared, rows: &[Resealed]) -> Result<u64, StoreError> {
    let txn = shared.handle.begin_write()?;
    let (mut count, mut growth) = (0, 0);
    {
        let mut objects = txn.open_table(OBJECTS).map_err(StoreError::database)?;
        for Resealed { key, before, row } in rows {
            let found = objects.get(key.as_slice()).map_err(StoreError::database)?;
            let found = found.map(|value| row::decode(value.value()).map(|(header, _)| header));
            // Whoever wrote it meanwhile has sealed it with the present key.
            if found.transpose()? != Some(*before) {
                continue;
            }
            let old = objects.insert(key.as_slice(), row.as_slice());
            let old = old.map_err(StoreError::database)?;
            let length = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
            growth += length(row.len()) - old.map_or(0, |old| length(old.value().len()));
            count += 1;
        }
    }
    if count > 0 {
        mark_unclean(&txn)?;
    }
    txn.commit().map_err(StoreError::database)?;
    shared.content.fetch_add(growth, Ordering::Relaxed);
    Ok(count)
}

/// Some rows that were sealed anew, and where to go on; `None` at the end.
type Page = (Vec<Resealed>, Option<Vec<u8>>);

/// Seals the next rows behind `start` with the present key that aren't yet.
fn page(shared: &Shared, start: &Bound<Vec<u8>>) -> Result<Page, StoreError> {
    let current = Seal::Key(shared.keyring.key()?.id());
    shared.reading(|reading| {
        let table = reading.transaction.open_table(OBJECTS).map_err(StoreError::database)?;
        let bounds = (start.as_ref().map(Vec::as_slice), Bound::Unbounded);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for entry in table.range::<&[u8]>(bounds).map_err(StoreError::database)? {
            let (key, value) = entry.map_err(StoreError::database)?;
            let (key, (before, payload)) = (key.value(), row::decode(value.value())?);
            if !before.is_sealed() || before.seal == current {
                continue;
            }
            let object = sealed::open(&shared.keyring, key, before, payload)?;
            let (_, row) = sealed::seal(&shared.keyring, key, before, &object)?;
            bytes += row.len();
            rows.push(Resealed { key: key.to_vec(), before, row });
            if rows.len() >= BATCH || bytes >= BATCH_BYTES {
                return Ok((rows, Some(key.to_vec())));
            }
        }
        Ok((rows, None))
    })
}

impl Store {
    async fn ask(&self, task: Task) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Seal(task, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Makes a data key for the identity that the keyring seals for, and seals with it
    /// from now on.
    ///
    /// # Errors
    /// When it can't be stored.
    pub async fn add_key(&self) -> Result<(), StoreError> {
        self.ask(Task::AddKey).await.map(|_| ())
    }

    /// Seals every row anew that the present data key doesn't open. Others read and
    /// write meanwhile. How many rows there were.
    ///
    /// # Errors
    /// When a row can't be opened, or the disk is full or fails.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let found = self.reseal_once().await?;
            total += found;
            // A row that was written in between had the present key then, so that the
            // second round finds none.
            if found == 0 {
                return Ok(total);
            }
        }
    }

    async fn reseal_once(&self) -> Result<u64, StoreError> {
        let (mut start, mut found) = (Bound::Unbounded, 0);
        loop {
            let shared = Arc::clone(&self.shared);
            let read = tokio::task::spawn_blocking(move || page(&shared, &start));
            // It ends early only with the process.
            let (rows, next) = read.await.map_err(|_| StoreError::Closed)??;
            if !rows.is_empty() {
                found += rows.len() as u64;
                self.ask(Task::Put(rows)).await?;
            }
            match next {
                Some(next) => start = Bound::Excluded(next),
                None => return Ok(found),
            }
        }
    }

    /// Removes the data keys that don't seal any more. No row may be left that one of
    /// them opens. How many there were.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn remove_keys(&self) -> Result<u64, StoreError> {
        self.ask(Task::RemoveKeys).await
    }

    /// Whether the file may hold what was sealed for a key that is gone, until it is
    /// rewritten.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn is_unclean(&self) -> Result<bool, StoreError> {
        self.shared.reading(|reading| {
            let table = reading.transaction.open_table(COUNTERS).map_err(StoreError::database)?;
            let mark = table.get(UNCLEAN).map_err(StoreError::database)?;
            Ok(mark.is_some_and(|mark| mark.value() > 0))
        })
    }

    /// Rewrites the file, so that nothing is left in it of what was replaced or
    /// deleted. Writers wait; readers don't. Whoever closes the store doesn't, either:
    /// then it is given up, and the file stays as it is.
    ///
    /// # Errors
    /// When there is no room for a second file, when the disk fails, or
    /// [`StoreError::Closed`] when it was given up.
    pub async fn rewrite(&self) -> Result<(), StoreError> {
        self.ask(Task::Rewrite).await.map(|_| ())
    }
}
