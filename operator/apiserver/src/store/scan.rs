//! A list of rows as of one resourceVersion, read in pages.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::{AccessGuard, Range};

use super::handle::Reading;
use super::key::Parts;
use super::row::{self, Header};
use super::snapshot::Snapshot;
use super::{Key, OBJECTS, Shared, StoreError};

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

/// A row that is looked at where it lies, without a copy.
#[derive(Debug)]
pub struct RowView<'a> {
    /// Its namespace, empty for a cluster-scoped object.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// `group/plural`.
    pub resource: &'a str,
    /// Its resourceVersion.
    pub version: u64,
    /// Whether it has a deletionTimestamp.
    pub terminating: bool,
    /// The object as JSON.
    pub object: Cow<'a, [u8]>,
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

    fn parts(&self) -> Result<Parts<'_>, StoreError> {
        Parts::of(self.key.value()).ok_or(StoreError::CorruptRow)
    }

    /// Namespace and name; the namespace is empty for a cluster-scoped object.
    ///
    /// # Errors
    /// When the key was not written by this program.
    pub fn address(&self) -> Result<(&str, &str), StoreError> {
        let parts = self.parts()?;
        Ok((parts.namespace, parts.name))
    }

    /// The whole key, copied.
    ///
    /// # Errors
    /// When the key was not written by this program.
    pub fn key(&self) -> Result<Key, StoreError> {
        let parts = self.parts()?;
        Ok(Key::new(&parts.resource.into(), parts.namespace, parts.name))
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

type Rows = Range<'static, &'static [u8], &'static [u8]>;
type Guard = AccessGuard<'static, &'static [u8]>;

/// A cursor over a consistent snapshot. It holds a read transaction, so that
/// later writes do not show; drop it when done.
pub struct Scan {
    rows: Rows,
    /// Keeps the file of `rows` open.
    _reader: Arc<()>,
    shared: Arc<Shared>,
    version: u64,
    /// The end of the last row that was read, or where to begin.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    /// Shared by the keys of a page.
    names: Names,
}

/// The resource and the namespace of the last key: mostly those of the next one.
#[derive(Default)]
struct Names {
    resource: Arc<str>,
    namespace: Arc<str>,
}

impl Scan {
    pub(super) fn new(
        shared: Arc<Shared>,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let (rows, reader, version) = shared.reading(|reading| begin(&reading, &start, &end))?;
        let version = version.max(shared.first_version);
        let names = Names::default();
        Ok(Self { rows, _reader: reader, shared, version, start, end, names })
    }

    /// A range of what a snapshot shows.
    pub(super) fn of(
        snapshot: &Snapshot,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
    ) -> Result<Self, StoreError> {
        let shared = Arc::clone(&snapshot.shared);
        match begin(&snapshot.reading, &start, &end) {
            Ok((rows, reader, _)) => {
                let (version, names) = (snapshot.version, Names::default());
                Ok(Self { rows, _reader: reader, shared, version, start, end, names })
            }
            // The file was opened anew meanwhile; it may still show the same.
            Err(error) if error.needs_reopening() => {
                let scan = Self::new(shared, start, end)?;
                if scan.version == snapshot.version {
                    Ok(scan)
                } else {
                    Err(StoreError::SnapshotGone)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The next rows, until about `budget` bytes of objects are collected. An
    /// empty page is the end. Blocks on the disk.
    ///
    /// # Errors
    /// When the store can't be read or a sealed row can't be opened.
    pub fn next_page(&mut self, budget: usize) -> Result<Vec<Row>, StoreError> {
        let mut page = Vec::new();
        let mut names = std::mem::take(&mut self.names);
        let visited = self.visit(budget, |row| {
            page.push(Row {
                key: names.key(&row),
                version: row.version,
                terminating: row.terminating,
                object: match row.object {
                    Cow::Borrowed(object) => Bytes::copy_from_slice(object),
                    Cow::Owned(object) => Bytes::from(object),
                },
            });
            Ok::<_, StoreError>(())
        });
        self.names = names;
        visited.map(|_| page)
    }

    /// Shows the next rows to `look` where they lie, until about `budget` bytes
    /// of objects were shown. How many there were; none is the end. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// Those of `look`, and when the store can't be read or a sealed row can't be
    /// opened.
    pub fn visit<E: From<StoreError>>(
        &mut self,
        budget: usize,
        mut look: impl FnMut(RowView<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let (mut count, mut size) = (0, 0);
        while size < budget {
            let Some(entry) = self.next_entry()? else {
                break;
            };
            let parts = entry.parts()?;
            let object = match &entry.opened {
                Some(opened) => Cow::Borrowed(&**opened),
                None => Cow::Borrowed(entry.object()?),
            };
            size += object.len();
            count += 1;
            look(RowView {
                namespace: parts.namespace,
                name: parts.name,
                resource: parts.resource,
                version: entry.header.version,
                terminating: entry.header.terminating,
                object,
            })?;
        }
        Ok(count)
    }

    /// The next row, or `None` at the end. Blocks on the disk.
    ///
    /// # Errors
    /// When the store can't be read or a sealed row can't be opened.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, StoreError> {
        let Some((key, value)) = self.next_row()? else {
            return Ok(None);
        };
        let (header, payload) = row::decode(value.value())?;
        let opened = match header.is_sealed() {
            true => Some(self.shared.open_payload(key.value(), header, payload)?),
            false => {
                self.shared.judge(key.value(), header)?;
                None
            }
        };
        Ok(Some(Entry { key, value, header, opened }))
    }

    /// How many rows are left, none of which is opened. Blocks on the disk.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn count_rest(&mut self) -> Result<u64, StoreError> {
        let mut count = 0;
        while self.next_row()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn next_row(&mut self) -> Result<Option<(Guard, Guard)>, StoreError> {
        loop {
            match self.rows.next() {
                None => return Ok(None),
                Some(Ok((key, value))) => {
                    keep(&mut self.start, key.value());
                    return Ok(Some((key, value)));
                }
                Some(Err(error)) => self.resume(StoreError::database(error))?,
            }
        }
    }

    /// Goes on in a file that was opened anew, where it still shows the same.
    fn resume(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.needs_reopening() {
            return Err(error);
        }
        let (start, end) = (&self.start, &self.end);
        let (rows, reader, version) = self.shared.reading(|reading| begin(&reading, start, end))?;
        if version.max(self.shared.first_version) != self.version {
            return Err(StoreError::SnapshotGone);
        }
        (self.rows, self._reader) = (rows, reader);
        Ok(())
    }
}

/// Notes how far a scan came, in the buffer that is there.
fn keep(start: &mut Bound<Vec<u8>>, key: &[u8]) {
    match start {
        Bound::Excluded(last) => {
            last.clear();
            last.extend_from_slice(key);
        }
        other => *other = Bound::Excluded(key.to_vec()),
    }
}

fn begin(
    reading: &Reading,
    start: &Bound<Vec<u8>>,
    end: &Bound<Vec<u8>>,
) -> Result<(Rows, Arc<()>, u64), StoreError> {
    let version = reading.version()?;
    let table = reading.transaction.open_table(OBJECTS).map_err(StoreError::database)?;
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let rows = table.range::<&[u8]>(bounds).map_err(StoreError::database)?;
    Ok((rows, Arc::clone(&reading.reader), version))
}

impl Names {
    fn key(&mut self, row: &RowView<'_>) -> Key {
        if *self.resource != *row.resource {
            self.resource = row.resource.into();
        }
        if *self.namespace != *row.namespace {
            self.namespace = row.namespace.into();
        }
        Key::from_parts(&self.resource, &self.namespace, row.name)
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("version", &self.version).finish_non_exhaustive()
    }
}
