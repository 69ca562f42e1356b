//! Rows that the file does not hold yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{Durability, WriteTransaction};

use super::batch::{Applied, set_counters};
use super::handle::Opened;
use super::{OBJECTS, StoreError};

/// What was committed in memory since the last durable commit. redb forgets it
/// when the file fails; people who saw it must not.
#[derive(Debug, Default)]
pub(super) struct Unsaved(BTreeMap<Vec<u8>, Option<Bytes>>);

impl Unsaved {
    /// Keeps a volatile change.
    pub fn keep(&mut self, applied: &Applied) {
        self.0.insert(applied.encoded.clone(), applied.row.clone());
    }

    /// The file has everything now.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Makes the same changes again in a file that was opened anew.
    pub fn restore(&self, opened: &Opened, version: u64) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut txn = opened.database.begin_write().map_err(StoreError::database)?;
        volatile(&mut txn)?;
        {
            let mut objects = txn.open_table(OBJECTS).map_err(StoreError::database)?;
            for (key, row) in &self.0 {
                match row {
                    Some(row) => {
                        objects.insert(key.as_slice(), &**row).map_err(StoreError::database)?;
                    }
                    None => {
                        objects.remove(key.as_slice()).map_err(StoreError::database)?;
                    }
                }
            }
        }
        set_counters(&txn, version, None)?;
        txn.commit().map_err(StoreError::database)
    }
}

/// The transaction reaches the disk with the next durable one.
pub(super) fn volatile(txn: &mut WriteTransaction) -> Result<(), StoreError> {
    txn.set_durability(Durability::None)
        .map_err(|error| StoreError::database(redb::Error::from(error)))
}
