//! Everything as it was at one version, to be read later or several times.

use std::ops::Bound;
use std::sync::Arc;

use super::handle::Reading;
use super::{Key, Scan, Shared, StoreError, key};

/// It holds a read transaction: later writes do not show, and the space of what
/// they replace is not used again, so that the file grows for as long as the
/// snapshot lives.
pub struct Snapshot {
    pub(super) reading: Reading,
    pub(super) shared: Arc<Shared>,
    pub(super) version: u64,
}

impl Snapshot {
    /// As of now.
    pub(super) fn new(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let (reading, version) =
            shared.reading(|reading| reading.version().map(|version| (reading, version)))?;
        let version = version.max(shared.first_version);
        Ok(Self { reading, shared: Arc::clone(shared), version })
    }

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
        let start = match after.map(Key::encode) {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        // A range must not end before it starts: behind its end there is nothing.
        let end = match &start {
            Bound::Excluded(after) if *after >= end => Bound::Included(after.clone()),
            _ => Bound::Excluded(end),
        };
        Scan::of(self, start, end)
    }

    /// Like [`Snapshot::scan`], for one object.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn scan_one(&self, key: &Key) -> Result<Scan, StoreError> {
        let key = key.encode();
        Scan::of(self, Bound::Included(key.clone()), Bound::Included(key))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("version", &self.version).finish_non_exhaustive()
    }
}
