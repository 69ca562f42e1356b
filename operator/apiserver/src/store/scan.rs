//! A list of rows as of one resourceVersion, read in pages.

use bytes::Bytes;
use redb::{Database, Range};

use super::{Key, Shared, StoreError, row};

use std::sync::Arc;

/// One object as it is stored, opened where it was sealed.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it lives.
    pub key: Key,
    /// Its resourceVersion.
    pub version: u64,
    /// Whether it has a deletionTimestamp.
    pub terminating: bool,
    /// The object as JSON.
    pub object: Bytes,
}

/// A cursor over a consistent snapshot. It holds a read transaction, so that
/// later writes do not show; drop it when done.
pub struct Scan {
    pub(super) range: Range<'static, &'static [u8], &'static [u8]>,
    pub(super) shared: Arc<Shared>,
    pub(super) version: u64,
    /// Tells a store that is being closed that the file is still read.
    pub(super) _database: Arc<Database>,
}

impl Scan {
    /// The resourceVersion that the snapshot shows.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The next rows, until about `budget` bytes of objects are collected. An
    /// empty page is the end. Blocks on the disk.
    ///
    /// # Errors
    /// When the store can't be read or a sealed row can't be opened.
    pub fn next_page(&mut self, budget: usize) -> Result<Vec<Row>, StoreError> {
        let mut page = Vec::new();
        let mut size = 0;
        while size < budget {
            let Some(entry) = self.range.next() else {
                break;
            };
            let (key, value) = entry.map_err(StoreError::database)?;
            let key = Key::decode(key.value()).ok_or(StoreError::CorruptRow)?;
            let (header, payload) = row::decode(value.value())?;
            let object = self.shared.open_payload(header, payload)?;
            size += object.len();
            page.push(Row {
                key,
                version: header.version,
                terminating: header.terminating,
                object,
            });
        }
        Ok(page)
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("version", &self.version).finish_non_exhaustive()
    }
}
