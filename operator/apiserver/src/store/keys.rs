//! The table of data keys, each sealed for an identity. Mostly there is one; while
//! rows are sealed anew there are two.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::StoreError;
use super::handle::Handle;
use crate::seal::{DataKey, Keyring};

/// By id, what [`DataKey::make`] says is stored.
pub(super) const KEYS: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("keys");

/// Opens every key and gives it to the keyring. A store of the first format has none.
pub(super) fn load(read: &ReadTransaction, keyring: &Keyring) -> Result<(), StoreError> {
    let table = match read.open_table(KEYS) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table.map_err(StoreError::database)?,
    };
    for entry in table.range::<u32>(..).map_err(StoreError::database)? {
        let (id, stored) = entry.map_err(StoreError::database)?;
        keyring.install(keyring.open_key(id.value(), stored.value())?);
    }
    Ok(())
}

/// Makes the first key of a store that has none.
pub(super) fn ensure(handle: &Handle, keyring: &Keyring) -> Result<(), StoreError> {
    if keyring.key().is_ok() {
        return Ok(());
    }
    let txn = handle.begin_write()?;
    let key = add(&txn, keyring)?;
    txn.commit().map_err(StoreError::database)?;
    keyring.install(key);
    Ok(())
}

/// Makes a key that comes after all others. It may be used when the transaction is
/// committed.
pub(super) fn add(txn: &WriteTransaction, keyring: &Keyring) -> Result<DataKey, StoreError> {
    let mut table = txn.open_table(KEYS).map_err(StoreError::database)?;
    let last = table.last().map_err(StoreError::database)?.map_or(0, |(id, _)| id.value());
    let (key, stored) = keyring.make_key(last.saturating_add(1))?;
    table.insert(key.id(), stored.as_slice()).map_err(StoreError::database)?;
    Ok(key)
}

/// Removes all keys but this one. How many there were.
pub(super) fn remove_others(txn: &WriteTransaction, kept: u32) -> Result<u64, StoreError> {
    let mut table = txn.open_table(KEYS).map_err(StoreError::database)?;
    let mut removed = 0;
    table
        .retain(|id, _| {
            removed += u64::from(id != kept);
            id == kept
        })
        .map_err(StoreError::database)?;
    Ok(removed)
}
