//! Reads of many rows as of one resourceVersion.

use std::sync::Arc;

use bytes::Bytes;
use redb::{AccessGuard, Database, Range, ReadOnlyTable};

use super::row::{self, Header};
use super::{Key, Shared, StoreError, key};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Guard = AccessGuard<'static, &'static [u8]>;

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

/// Everything as it was at one version. It holds a read transaction: later writes
/// do not show, and the space of what they replace is not used again, so that the
/// file grows for as long as the snapshot lives.
pub struct Snapshot {
    pub(super) table: Rows,
    pub(super) shared: Arc<Shared>,
    pub(super) version: u64,
    /// Tells a store that is being closed that the file is still read.
    pub(super) database: Arc<Database>,
}

impl Snapshot {
    /// The resourceVersion that the snapshot shows.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Starts to read the objects of a resource (`group/plural`), of one
    /// namespace or of all, from behind `after` on where it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn scan(
        &self,
        resource: &str,
        namespace: Option<&str>,
        after: Option<&Key>,
    ) -> Result<Scan, StoreError> {
        let (first, end) = key::range_of(resource, namespace);
        let start = match after {
            Some(after) => behind(after).max(first),
            None => first,
        };
        // A key behind the range leaves nothing to read.
        let end = end.max(start.clone());
        self.range(Some((start, end)))
    }

    /// Like [`Snapshot::scan`], for one object.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn scan_one(&self, key: &Key) -> Result<Scan, StoreError> {
        self.range(Some((key.encode(), behind(key))))
    }

    pub(super) fn range(&self, wanted: Option<(Vec<u8>, Vec<u8>)>) -> Result<Scan, StoreError> {
        let range = match wanted {
            Some((start, end)) => self.table.range::<&[u8]>(start.as_slice()..end.as_slice()),
            None => self.table.range::<&[u8]>(..),
        }
        .map_err(StoreError::database)?;
        let (shared, database) = (Arc::clone(&self.shared), Arc::clone(&self.database));
        Ok(Scan { range, shared, version: self.version, _database: database })
    }
}

/// The first encoded key behind this one: no key goes on after a name with NUL, so
/// that nothing else is in between.
fn behind(key: &Key) -> Vec<u8> {
    let mut encoded = key.encode();
    encoded.push(0);
    encoded
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("version", &self.version).finish_non_exhaustive()
    }
}

/// One row where the store has it: nothing is copied unless it was sealed.
pub struct Entry {
    key: Guard,
    value: Guard,
    header: Header,
    opened: Option<Bytes>,
}

impl Entry {
    /// Its resourceVersion.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.header.version
    }

    /// Namespace and name; the namespace is empty for a cluster-scoped object.
    ///
    /// # Errors
    /// When the key was not written by this program.
    pub fn address(&self) -> Result<(&str, &str), StoreError> {
        let (_, namespace, name) = key::parts(self.key.value()).ok_or(StoreError::CorruptRow)?;
        Ok((namespace, name))
    }

    /// The whole key, copied.
    ///
    /// # Errors
    /// When the key was not written by this program.
    pub fn key(&self) -> Result<Key, StoreError> {
        Key::decode(self.key.value()).ok_or(StoreError::CorruptRow)
    }

    /// The object as JSON.
    ///
    /// # Errors
    /// When the row was not written by this program.
    pub fn object(&self) -> Result<&[u8], StoreError> {
        match &self.opened {
            Some(opened) => Ok(opened),
            None => Ok(row::decode(self.value.value())?.1),
        }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("version", &self.header.version).finish_non_exhaustive()
    }
}

/// A cursor over a consistent snapshot. It holds a read transaction as the
/// [`Snapshot`] does; drop it when done.
pub struct Scan {
    range: Range<'static, &'static [u8], &'static [u8]>,
    shared: Arc<Shared>,
    version: u64,
    _database: Arc<Database>,
}

impl Scan {
    /// The next row, or `None` at the end. Blocks on the disk.
    ///
    /// # Errors
    /// When the store can't be read or a sealed row can't be opened.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, StoreError> {
        let Some(entry) = self.range.next() else {
            return Ok(None);
        };
        let (key, value) = entry.map_err(StoreError::database)?;
        let (header, payload) = row::decode(value.value())?;
        let opened =
            if header.sealed { Some(self.shared.open_payload(header, payload)?) } else { None };
        Ok(Some(Entry { key, value, header, opened }))
    }

    /// How many rows are left, none of which is opened. Blocks on the disk.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn count_rest(&mut self) -> Result<u64, StoreError> {
        let mut count = 0;
        for entry in self.range.by_ref() {
            entry.map_err(StoreError::database)?;
            count += 1;
        }
        Ok(count)
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
            let Some(entry) = self.next_entry()? else {
                break;
            };
            let object = match &entry.opened {
                Some(opened) => opened.clone(),
                None => Bytes::copy_from_slice(entry.object()?),
            };
            size += object.len();
            page.push(Row {
                key: entry.key()?,
                version: entry.header.version,
                terminating: entry.header.terminating,
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
