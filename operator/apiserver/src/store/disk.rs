//! The file under redb, with room set aside before it is needed.
//!
//! redb gives up for good when a write fails, and a file that is longer than the
//! blocks behind it fails at any page. So the writer asks for room ahead of a
//! commit: blocks that no other program can take. It refuses what would grow the
//! store while there are none, and redb never meets a full disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, Database, StorageBackend};
use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;

use super::StoreError;
#[cfg(test)]
use super::faults::{Faults, Verdict};
use crate::private_file;

/// redb caches a gigabyte unless told otherwise.
const CACHE_BYTES: usize = 8 << 20;

/// Room is set aside in steps of this size, so that not every commit asks.
const STEP: u64 = 1 << 20;

/// How files are opened; tests let them fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub faults: Arc<Faults>,
}

/// One open file, shared by redb and the writer.
#[derive(Clone, Debug)]
pub(super) struct DiskFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: FileBackend,
    file: File,
    /// The end of the part that redb uses.
    top: AtomicU64,
    /// Up to here every block exists.
    reserved: AtomicU64,
    #[cfg(test)]
    faults: Arc<Faults>,
}

/// What is in a page cache after a failed access is no witness of what is on the
/// disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cached {
    Trusted,
    Dropped,
}

impl Disk {
    /// Opens or creates the database in a file.
    ///
    /// # Errors
    /// When the file is locked, unreadable or damaged.
    pub fn database(
        &self,
        path: &Path,
        cached: Cached,
    ) -> Result<(Database, DiskFile), StoreError> {
        let failed = |source| StoreError::File { path: path.to_owned(), source };
        let file = self.file(path).map_err(failed)?;
        if cached == Cached::Dropped
            && let Err(error) = rustix::fs::fadvise(&file.0.file, 0, None, Advice::DontNeed)
        {
            tracing::debug!(%error, "the page cache of the store could not be dropped");
        }
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(file.clone())
            .map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
                other => StoreError::database(other),
            })?;
        Ok((database, file))
    }

    /// Makes a rename of the file at `path` last.
    ///
    /// # Errors
    /// When its folder can't be read or written to the disk.
    pub fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        self.faults.sync_folder()?;
        private_file::sync_folder(path)
    }

    fn file(&self, path: &Path) -> io::Result<DiskFile> {
        let mut options = OpenOptions::new();
        // Object metadata is nobody else's business, sealed rows or not.
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let length = file.metadata()?.len();
        let backend = FileBackend::new(file.try_clone()?).map_err(io::Error::other)?;
        Ok(DiskFile(Arc::new(Inner {
            backend,
            file,
            top: AtomicU64::new(length),
            reserved: AtomicU64::new(0),
            #[cfg(test)]
            faults: Arc::clone(&self.faults),
        })))
    }
}

impl DiskFile {
    /// Makes sure that the file can take `bytes` more, whatever other programs
    /// write meanwhile.
    ///
    /// # Errors
    /// `StorageFull` or `QuotaExceeded` when there is no room.
    pub fn make_room(&self, bytes: u64) -> io::Result<()> {
        let Inner { file, top, reserved, .. } = &*self.0;
        let wanted = (top.load(Ordering::Relaxed) + bytes).next_multiple_of(STEP);
        let have = reserved.load(Ordering::Relaxed);
        if wanted <= have {
            return Ok(());
        }
        #[cfg(test)]
        self.0.faults.reserve()?;
        loop {
            match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, have, wanted - have) {
                Ok(()) => {
                    reserved.store(wanted, Ordering::Relaxed);
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                // A file system without the call: at least don't walk into a
                // full disk with open eyes.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.check_free(bytes),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn check_free(&self, bytes: u64) -> io::Result<()> {
        let free = rustix::fs::fstatvfs(&self.0.file)?;
        if free.f_bavail.saturating_mul(free.f_frsize) < bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> io::Result<u64> {
        self.0.backend.len()
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.0.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        #[cfg(test)]
        self.0.faults.read()?;
        self.0.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(test)]
        self.0.faults.set_len(&self.0.file)?;
        let before = self.0.backend.len()?;
        self.0.backend.set_len(len)?;
        self.0.top.fetch_min(len, Ordering::Relaxed);
        if len <= before {
            // Blocks past the end are given back.
            self.0.reserved.fetch_min(len, Ordering::Relaxed);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        self.0.faults.sync(&self.0.file)?;
        self.0.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Verdict::Torn(whole) = self.0.faults.write(&self.0.file, offset, data)? {
            self.0.backend.write(offset, &data[..whole])?;
            return Err(self.0.faults.error());
        }
        self.0.top.fetch_max(offset + data.len() as u64, Ordering::Relaxed);
        self.0.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.query_lock_range(start, end)
    }
}
