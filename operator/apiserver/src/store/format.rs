//! The formats that the file had in the course of time, and the way from each to
//! the next.
//!
//! A start brings an older file up to date in one transaction, so that a crash
//! leaves it as it was, and keeps a copy of the old one beside it. A later format
//! than this program knows is refused.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::disk::{Cached, Disk};
use super::handle::Opened;
use super::vacuum::beside;
use super::{CEILING, COUNTERS, FORMAT, OBJECTS, StoreError, VERSION};
use crate::private_file;

/// The first format: rows of [`super::row`] under keys of [`super::key`], and the
/// counters `format`, `version` and `ceiling`. Sealed rows are sealed for the identity.
/// The second has the table of [`super::keys`], too, and rows that these seal.
pub(super) const FIRST: u64 = 1;

/// What leads from each format to the next, the first one from [`FIRST`]. Add at
/// the end, and never change a step that was released.
pub(super) const STEPS: &[Step] =
    // The rows themselves are sealed anew while the server runs.
    &[Step { what: "rows are sealed with data keys", row: |_, _| Ok(None) }];

/// How many rows are held in memory during a step.
const PAGE: usize = 256;

/// The way from one format to the next: what becomes of each row. Pure, so that
/// it can be tried on any store.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// What changes, for the log.
    pub what: &'static str,
    /// Key and row as they are, and the row as it shall be; `None` leaves it.
    pub row: fn(&[u8], &[u8]) -> Changed,
}

/// What a step makes of a row.
pub(super) type Changed = Result<Option<Vec<u8>>, StoreError>;

/// Where a store stands at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    pub format: u64,
    pub version: u64,
    pub ceiling: u64,
}

/// The format that a program with these steps writes.
pub(super) fn latest(steps: &[Step]) -> u64 {
    FIRST + steps.len() as u64
}

/// Opens or creates the file, brings it to the latest format, and answers the
/// version to go on from: past everything that an earlier run may have handed
/// out.
pub(super) fn open(disk: &Disk, path: &Path, steps: &[Step]) -> Result<(Opened, u64), StoreError> {
    let mut opened = Opened::new(disk, path, Cached::Trusted)?;
    let counters = match counters(&opened.database)? {
        None => create(&opened, latest(steps))?,
        Some(counters) if counters.format > latest(steps) || counters.format < FIRST => {
            return Err(StoreError::Format(counters.format));
        }
        Some(counters) => counters,
    };
    if counters.format < latest(steps) {
        // The copy is made of a file that was closed in good order.
        drop(opened);
        keep_copy(path, counters.format)?;
        opened = Opened::new(disk, path, Cached::Trusted)?;
        upgrade(&opened, counters.format, steps)?;
    }
    Ok((opened, counters.version.max(counters.ceiling)))
}

/// Reads the counters; `None` from a file that has none yet.
pub(super) fn counters(database: &Database) -> Result<Option<Counters>, StoreError> {
    let read = database.begin_read().map_err(StoreError::database)?;
    counters_of(&read)
}

/// Like [`counters`], in a transaction.
pub(super) fn counters_of(read: &ReadTransaction) -> Result<Option<Counters>, StoreError> {
    let table = match read.open_table(COUNTERS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(StoreError::database(error)),
    };
    let value = |name: &str| -> Result<Option<u64>, StoreError> {
        Ok(table.get(name).map_err(StoreError::database)?.map(|value| value.value()))
    };
    Ok(Some(Counters {
        format: value(FORMAT)?.unwrap_or(FIRST),
        version: value(VERSION)?.unwrap_or(0),
        ceiling: value(CEILING)?.unwrap_or(1),
    }))
}

fn create(opened: &Opened, format: u64) -> Result<Counters, StoreError> {
    let counters = Counters { format, version: 1, ceiling: 1 };
    let txn = opened.database.begin_write().map_err(StoreError::database)?;
    txn.open_table(OBJECTS).map_err(StoreError::database)?;
    set(&txn, FORMAT, counters.format)?;
    set(&txn, VERSION, counters.version)?;
    set(&txn, CEILING, counters.ceiling)?;
    txn.commit().map_err(StoreError::database)?;
    Ok(counters)
}

fn set(txn: &WriteTransaction, name: &str, value: u64) -> Result<(), StoreError> {
    let mut counters = txn.open_table(COUNTERS).map_err(StoreError::database)?;
    counters.insert(name, value).map_err(StoreError::database)?;
    Ok(())
}

/// Keeps the file as it is under `store.redb.format-N`, whole or not at all.
fn keep_copy(path: &Path, format: u64) -> Result<(), StoreError> {
    let copy = beside(path, &format!("format-{format}"));
    let made = || -> io::Result<()> {
        let unfinished = beside(&copy, "new");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut target = options.open(&unfinished)?;
        let copied = io::copy(&mut File::open(path)?, &mut target)
            .and_then(|_| target.sync_all())
            .and_then(|()| std::fs::rename(&unfinished, &copy));
        if copied.is_err() {
            std::fs::remove_file(&unfinished)?;
        }
        copied?;
        private_file::sync_folder(&copy)
    };
    made().map_err(|source| StoreError::Copy { format, path: copy.clone(), source })?;
    tracing::info!(format, copy = %copy.display(), "a copy of the store was kept for its upgrade");
    Ok(())
}

/// Takes all steps that are left in one transaction.
fn upgrade(opened: &Opened, from: u64, steps: &[Step]) -> Result<(), StoreError> {
    let txn = opened.database.begin_write().map_err(StoreError::database)?;
    let done = usize::try_from(from - FIRST).map_err(|_| StoreError::Format(from))?;
    for step in steps.iter().skip(done) {
        let changed = take(&txn, *step)?;
        tracing::info!(what = step.what, changed, "upgrading the store");
    }
    set(&txn, FORMAT, latest(steps))?;
    txn.commit().map_err(StoreError::database)?;
    tracing::info!(from, to = latest(steps), "the store was upgraded");
    Ok(())
}

/// Takes one step with every row. How many it changed.
fn take(txn: &WriteTransaction, step: Step) -> Result<usize, StoreError> {
    let mut objects = txn.open_table(OBJECTS).map_err(StoreError::database)?;
    let mut changed = 0;
    let mut last = Bound::Unbounded;
    loop {
        let start = last.as_ref().map(Vec::as_slice);
        let mut page = Vec::new();
        for entry in objects
            .range::<&[u8]>((start, Bound::Unbounded))
            .map_err(StoreError::database)?
            .take(PAGE)
        {
            let (key, row) = entry.map_err(StoreError::database)?;
            page.push((key.value().to_vec(), (step.row)(key.value(), row.value())?));
        }
        let Some((key, _)) = page.last() else {
            return Ok(changed);
        };
        last = Bound::Excluded(key.clone());
        for (key, row) in page {
            if let Some(row) = row {
                objects.insert(key.as_slice(), row.as_slice()).map_err(StoreError::database)?;
                changed += 1;
            }
        }
    }
}
