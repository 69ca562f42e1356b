//! A copy of the store as it is at one moment, for a backup: of one that is open,
//! while writers go on, or of one that no server has open.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase};

use super::disk::{Cached, Disk};
use super::handle::Opened;
use super::overlay::Overlay;
use super::{FILE, Store, StoreError, format, vacuum};

const CACHE_BYTES: usize = 8 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Format of the store.
    pub format: u64,
    /// The resourceVersion of the last change in it.
    pub version: u64,
}

impl Store {
    /// Copies everything as it is now into a new file, without the room that
    /// deleted objects left. Writers go on meanwhile; the file of the store
    /// grows by what they write until it is done.
    ///
    /// # Errors
    /// When the store can't be read, or the file is there already or can't be
    /// written.
    pub fn copy(&self, target: &Path) -> Result<Copied, StoreError> {
        let copied = self.shared.reading(|reading| {
            // A try that broke off left a part.
            remove(target)?;
            copy(&reading.transaction, target)
        });
        if copied.is_err() {
            // The reason is what counts.
            let _ = remove(target);
        }
        copied
    }
}

/// Copies the store of a data directory that no server has open. Nothing there is
/// changed: what redb would repair after a crash is repaired in memory.
///
/// # Errors
/// When there is no store, when a server has it open, when a later version wrote
/// it, or when the copy can't be written.
pub fn copy_closed(directory: &Path, target: &Path) -> Result<Copied, StoreError> {
    let path = directory.join(FILE);
    let failed = |source| StoreError::File { path: path.clone(), source };
    let file = File::open(&path).map_err(failed)?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let overlay = file.try_clone().and_then(Overlay::new).map_err(failed)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let database = builder.create_with_backend(overlay).map_err(StoreError::database)?;
    let reading = database.begin_read().map_err(StoreError::database)?;
    copy(&reading, target)
}

fn copy(from: &ReadTransaction, target: &Path) -> Result<Copied, StoreError> {
    let counters = format::counters_of(from)?.ok_or(StoreError::CorruptRow)?;
    if counters.format > format::latest(format::STEPS) {
        return Err(StoreError::Format(counters.format));
    }
    let mut opened = Opened::new(&Disk::default(), target, Cached::Trusted)?;
    vacuum::copy(from, &opened, || false)?;
    opened.database.compact().map_err(StoreError::database)?;
    opened.database.close().map_err(StoreError::database)?;
    Ok(Copied { format: counters.format, version: counters.version })
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
