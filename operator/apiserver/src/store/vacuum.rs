//! Gives back the room that deleted objects left in the file, while the server
//! runs.
//!
//! redb can make a file smaller only when nobody reads in it. So the rows are
//! copied into a new file, which then takes the place of the old one: readers go
//! on with the old file until they are done, and a crash at any moment leaves a
//! whole store.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::{ReadTransaction, WriteTransaction};

use super::disk::Cached;
use super::handle::{Handle, Opened};
use super::keys::KEYS;
use super::{COUNTERS, OBJECTS, StoreError, UNCLEAN};

/// A smaller file is left as it is.
const WORTH: u64 = 8 << 20;

/// The file is rewritten when it is this many times as large as what is in it.
/// redb itself doubles a file that is full.
const FACTOR: u64 = 4;

/// More than this takes too long while writers wait; `hades store compact` does
/// it while the server is stopped.
const MOST: u64 = 64 << 20;

/// How many bytes are copied before the next look whether somebody waits.
const PAGE: usize = 256 << 10;

/// Rewrites the file where that is worth it. `waiting` says that a writer came;
/// then nothing is done.
pub(super) fn run(
    handle: &Handle,
    content: u64,
    waiting: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    let length = handle
        .file()?
        .length()
        .map_err(|source| StoreError::File { path: handle.path().to_owned(), source })?;
    if length < WORTH || length < FACTOR * content || content > MOST {
        return Ok(false);
    }
    let done = rewrite(handle, waiting)?;
    if done {
        tracing::info!(before = length, content, "the store was made smaller");
    }
    Ok(done)
}

/// Rewrites the file, so that nothing is left in it of what was replaced or deleted.
/// `waiting` says that it is to be given up.
pub(super) fn rewrite(handle: &Handle, waiting: impl Fn() -> bool) -> Result<bool, StoreError> {
    let path = beside(handle.path(), "new");
    let done = rewrite_at(handle, &path, waiting);
    if !matches!(done, Ok(true)) {
        remove(&path);
    }
    done
}

fn rewrite_at(
    handle: &Handle,
    path: &Path,
    waiting: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    let failed = |source| StoreError::File { path: path.to_owned(), source };
    remove(path);
    let mut opened = Opened::new(handle.disk(), path, Cached::Trusted)?;
    if !copy(&handle.begin_read()?.transaction, &opened, &waiting)? {
        return Ok(false);
    }
    if waiting() {
        return Ok(false);
    }
    opened.database.compact().map_err(StoreError::database)?;
    std::fs::rename(path, handle.path()).map_err(failed)?;
    // From here on the name is that of the new file: what went into the old one would
    // be gone with the last who has it open.
    handle.replace(opened);
    handle.disk().sync_folder(handle.path()).map_err(failed)?;
    Ok(true)
}

/// Copies all rows, keys and counters in one transaction, but for the mark that the file
/// isn't clean: a new one is.
pub(super) fn copy(
    from: &ReadTransaction,
    to: &Opened,
    waiting: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    let txn = to.database.begin_write().map_err(StoreError::database)?;
    {
        let source = from.open_table(COUNTERS).map_err(StoreError::database)?;
        let mut target = txn.open_table(COUNTERS).map_err(StoreError::database)?;
        for entry in source.range::<&str>(..).map_err(StoreError::database)? {
            let (name, value) = entry.map_err(StoreError::database)?;
            if name.value() == UNCLEAN {
                continue;
            }
            target.insert(name.value(), value.value()).map_err(StoreError::database)?;
        }
        copy_keys(from, &txn)?;
        let source = from.open_table(OBJECTS).map_err(StoreError::database)?;
        let mut target = txn.open_table(OBJECTS).map_err(StoreError::database)?;
        let all: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);
        let mut size = 0;
        for entry in source.range::<&[u8]>(all).map_err(StoreError::database)? {
            let (key, row) = entry.map_err(StoreError::database)?;
            target.insert(key.value(), row.value()).map_err(StoreError::database)?;
            size += row.value().len();
            if size > PAGE {
                size = 0;
                if waiting() {
                    return Ok(false);
                }
            }
        }
    }
    txn.commit().map_err(StoreError::database)?;
    Ok(true)
}

fn copy_keys(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    let source = match from.open_table(KEYS) {
        // A store of the first format has none.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        source => source.map_err(StoreError::database)?,
    };
    let mut target = to.open_table(KEYS).map_err(StoreError::database)?;
    for entry in source.range::<u32>(..).map_err(StoreError::database)? {
        let (id, key) = entry.map_err(StoreError::database)?;
        target.insert(id.value(), key.value()).map_err(StoreError::database)?;
    }
    Ok(())
}

/// `store.redb` with a further ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Removes what an attempt left behind.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file could not be removed");
    }
}
