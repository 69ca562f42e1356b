//! Making the file as small as it can be, while no server runs.

use std::path::Path;

use super::disk::{Cached, Disk};
use super::handle::{Handle, Opened};
use super::{FILE, StoreError, format, vacuum};

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Length of the file before, in bytes.
    pub before: u64,
    /// Length of the file after, in bytes.
    pub after: u64,
    /// Whether nothing is left in the file of what was replaced or deleted. It may be
    /// where there was no room for a second file.
    pub clean: bool,
}

/// Compacts the store of a data directory: into a new file that takes the place of the
/// old one, or in place where there is no room for both. The store is whole at every
/// moment of it.
///
/// # Errors
/// When there is no store, when a server has it open, when it has another format
/// than this program writes, or when the disk fails.
pub fn compact(directory: &Path) -> Result<Compacted, StoreError> {
    let path = directory.join(FILE);
    let length = || {
        let length = std::fs::metadata(&path).map(|metadata| metadata.len());
        length.map_err(|source| StoreError::File { path: path.clone(), source })
    };
    let before = length()?;
    let disk = Disk::default();
    let opened = Opened::new(&disk, &path, Cached::Trusted)?;
    if let Some(counters) = format::counters(&opened.database)?
        && counters.format > format::latest(format::STEPS)
    {
        return Err(StoreError::Format(counters.format));
    }
    let handle = Handle::new(path.clone(), disk.clone(), opened);
    let clean = match vacuum::rewrite(&handle, || false) {
        Err(error) if error.is_full() => false,
        rewritten => rewritten?,
    };
    handle.close();
    handle.cut_off();
    let (mut database, _) = disk.database(&path, Cached::Trusted)?;
    // Each pass may free what the next one can use.
    while database.compact().map_err(StoreError::database)? {}
    database.close().map_err(StoreError::database)?;
    Ok(Compacted { before, after: length()?, clean })
}
