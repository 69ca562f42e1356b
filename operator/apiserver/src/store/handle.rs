//! The open database, which can be replaced under its readers.
//!
//! It is replaced after the file failed, and when it is rewritten to give room
//! back. Readers of a rewritten file go on with the old one; readers of a failed
//! one have to begin again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::disk::{Cached, Disk, DiskFile};
use super::{COUNTERS, StoreError, VERSION};

/// A database, its file, and a count of who reads in it.
#[derive(Debug)]
pub(super) struct Opened {
    pub database: Database,
    pub file: DiskFile,
    readers: Arc<()>,
}

impl Opened {
    /// Opens or creates the database in a file.
    pub fn new(disk: &Disk, path: &Path, cached: Cached) -> Result<Self, StoreError> {
        let (database, file) = disk.database(path, cached)?;
        Ok(Self { database, file, readers: Arc::default() })
    }

    fn in_use(&self) -> bool {
        Arc::strong_count(&self.readers) > 1
    }
}

/// A read transaction. As long as `reader` lives, its file stays open.
pub(super) struct Reading {
    pub transaction: ReadTransaction,
    pub reader: Arc<()>,
}

/// The database of a store.
#[derive(Debug)]
pub(super) struct Handle {
    path: PathBuf,
    disk: Disk,
    current: RwLock<Current>,
    /// Rewritten files that somebody still reads.
    retired: Mutex<Vec<Opened>>,
}

#[derive(Debug)]
enum Current {
    Open(Opened),
    Broken(String),
    Closed,
}

impl Handle {
    pub fn new(path: PathBuf, disk: Disk, opened: Opened) -> Self {
        Self { path, disk, current: RwLock::new(Current::Open(opened)), retired: Mutex::default() }
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Opened) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.current.read().unwrap_or_else(PoisonError::into_inner) {
            Current::Open(opened) => work(opened),
            Current::Broken(why) => Err(StoreError::Broken(why.clone())),
            Current::Closed => Err(StoreError::Closed),
        }
    }

    /// Begins to read.
    pub fn begin_read(&self) -> Result<Reading, StoreError> {
        self.with(Reading::of)
    }

    /// Begins to write. Only the writer does.
    pub fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        self.with(|opened| opened.database.begin_write().map_err(StoreError::database))
    }

    /// The file of the open database.
    pub fn file(&self) -> Result<DiskFile, StoreError> {
        self.with(|opened| Ok(opened.file.clone()))
    }

    /// Closes the database and opens its file again. Readers wait until `mend`
    /// has made the content good.
    pub fn reopen<T>(
        &self,
        mend: impl FnOnce(&Opened) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*current, Current::Closed) {
            return Err(StoreError::Closed);
        }
        // The lock on the file goes with the old database.
        drop(std::mem::replace(&mut *current, Current::Broken(String::new())));
        let result = Opened::new(&self.disk, &self.path, Cached::Dropped)
            .and_then(|opened| mend(&opened).map(|done| (opened, done)));
        match result {
            Ok((opened, done)) => {
                *current = Current::Open(opened);
                Ok(done)
            }
            Err(error) => {
                *current = Current::Broken(error.to_string());
                Err(error)
            }
        }
    }

    /// Puts a rewritten database in the place of the open one.
    pub fn replace(&self, opened: Opened) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Current::Open(opened));
        drop(current);
        if let Current::Open(old) = old {
            self.retired().push(old);
        }
        self.drop_unused();
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Opened>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes rewritten files that nobody reads any more.
    pub fn drop_unused(&self) {
        let unused: Vec<_> = {
            let mut retired = self.retired();
            if retired.is_empty() {
                return;
            }
            retired.extract_if(.., |opened| !opened.in_use()).collect()
        };
        drop(unused);
    }

    /// Nobody can begin to read or to write any more.
    pub fn close(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Current::Closed);
        drop(current);
        if let Current::Open(old) = old {
            self.retired().push(old);
        }
    }

    /// Whether somebody still reads in a file that was closed or rewritten. The
    /// others are given up.
    pub fn is_read(&self) -> bool {
        self.drop_unused();
        !self.retired().is_empty()
    }

    /// Gives all files up, whoever reads them.
    pub fn cut_off(&self) {
        let all = std::mem::take(&mut *self.retired());
        drop(all);
    }
}

impl Reading {
    /// Begins to read a database.
    pub fn of(opened: &Opened) -> Result<Self, StoreError> {
        let transaction = opened.database.begin_read().map_err(StoreError::database)?;
        Ok(Self { transaction, reader: Arc::clone(&opened.readers) })
    }

    /// The version of the last change that the snapshot shows.
    pub fn version(&self) -> Result<u64, StoreError> {
        let counters = self.transaction.open_table(COUNTERS).map_err(StoreError::database)?;
        let version = counters.get(VERSION).map_err(StoreError::database)?;
        Ok(version.map_or(0, |version| version.value()))
    }
}
