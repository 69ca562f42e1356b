//! A list of rows as of one resourceVersion, read in pages.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use redb::Range;

use super::handle::Snapshot;
use super::key::Parts;
use super::{Key, OBJECTS, Shared, StoreError, row};

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

type Rows = Range<'static, &'static [u8], &'static [u8]>;

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
        let (rows, reader, version) = shared.reading(|snapshot| begin(snapshot, &start, &end))?;
        let version = version.max(shared.first_version);
        let names = Names::default();
        Ok(Self { rows, _reader: reader, shared, version, start, end, names })
    }

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
            let (key, value) = match self.rows.next() {
                None => break,
                Some(Ok(entry)) => entry,
                Some(Err(error)) => {
                    self.resume(StoreError::database(error))?;
                    continue;
                }
            };
            let parts = Parts::of(key.value()).ok_or(StoreError::CorruptRow)?;
            let (header, payload) = row::decode(value.value())?;
            let object = self.shared.view_payload(header, payload)?;
            size += object.len();
            count += 1;
            look(RowView {
                namespace: parts.namespace,
                name: parts.name,
                resource: parts.resource,
                version: header.version,
                terminating: header.terminating,
                object,
            })?;
            keep(&mut self.start, key.value());
        }
        Ok(count)
    }

    /// Goes on in a file that was opened anew, where it still shows the same.
    fn resume(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.needs_reopening() {
            return Err(error);
        }
        let (start, end) = (&self.start, &self.end);
        let (rows, reader, version) =
            self.shared.reading(|snapshot| begin(snapshot, start, end))?;
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
    snapshot: &Snapshot,
    start: &Bound<Vec<u8>>,
    end: &Bound<Vec<u8>>,
) -> Result<(Rows, Arc<()>, u64), StoreError> {
    let version = snapshot.version()?;
    let table = snapshot.transaction.open_table(OBJECTS).map_err(StoreError::database)?;
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let rows = table.range::<&[u8]>(bounds).map_err(StoreError::database)?;
    Ok((rows, Arc::clone(&snapshot.reader), version))
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
