//! Making the file as small as it can be, while no server runs.

use std::path::Path;

use super::disk::{Cached, Disk};
use super::{FILE, StoreError, format};

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Length of the file before, in bytes.
    pub before: u64,
    /// Length of the file after, in bytes.
    pub after: u64,
}

/// Compacts the store of a data directory in place. The file is whole at every
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
    let (mut database, _) = Disk::default().database(&path, Cached::Trusted)?;
    if let Some(counters) = format::counters(&database)?
        && counters.format > format::latest(format::STEPS)
    {
        return Err(StoreError::Format(counters.format));
    }
    // Each pass may free what the next one can use.
    while database.compact().map_err(StoreError::database)? {}
    database.close().map_err(StoreError::database)?;
    Ok(Compacted { before, after: length()? })
}
