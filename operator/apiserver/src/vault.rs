//! Records of this process that no request reaches: hashes of passwords, tokens.
//!
//! They lie in the store beside the objects, encrypted, so that one backup holds
//! both and a crash loses neither. No resource is served for them.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::random;
use crate::store::{Change, Expect, Key, PRIVATE, Store, StoreError, Write, WriteError};

/// Why a record can't be read or written. Never tells what is in it.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The store refuses.
    #[error("a record could not be written: {0}")]
    Write(String),
    /// Somebody else wrote it at the same time.
    #[error("the record was changed by somebody else meanwhile")]
    Changed,
    /// A record has not the form that is expected.
    #[error("the record {0} is not of the form that this version writes")]
    Form(String),
}

/// The records of one kind, by name.
#[derive(Clone)]
pub struct Vault {
    store: Store,
    resource: Arc<str>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Vault").field(&self.resource).finish()
    }
}

/// A record, and which state of it this is.
#[derive(Clone, Debug)]
pub struct Record<T> {
    /// Name of the record.
    pub name: String,
    /// What it holds.
    pub value: T,
    version: u64,
    uid: String,
}

const DATA: &str = "data";

impl Vault {
    pub(crate) fn new(store: Store, kind: &str) -> Self {
        Self { store, resource: format!("{PRIVATE}{kind}").into() }
    }

    fn key(&self, name: &str) -> Key {
        Key::new(&self.resource, "", name)
    }

    /// One record.
    ///
    /// # Errors
    /// When the store can't be read, or the record is of another form.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<Record<T>>, VaultError> {
        let row = self.store.get(&self.key(name))?;
        row.map(|row| record(name, row.version, &row.object)).transpose()
    }

    /// All records.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub fn all<T: DeserializeOwned>(&self) -> Result<Vec<Record<T>>, VaultError> {
        let mut scan = self.store.scan(&self.resource, None)?;
        let mut records = Vec::new();
        loop {
            let page = scan.next_page(1 << 20)?;
            if page.is_empty() {
                return Ok(records);
            }
            for row in page {
                records.push(record(row.key.name(), row.version, &row.object)?);
            }
        }
    }

    /// Makes a record.
    ///
    /// # Errors
    /// [`VaultError::Changed`] where there is one of that name.
    pub async fn create<T: Serialize>(&self, name: &str, value: &T) -> Result<(), VaultError> {
        let uid = random::uuid().map_err(|error| VaultError::Write(error.to_string()))?;
        self.put(name, &uid, Expect::Absent, value).await
    }

    /// Puts another value into a record that was read before.
    ///
    /// # Errors
    /// [`VaultError::Changed`] where it was written or deleted since.
    pub async fn update<T: Serialize>(&self, record: &Record<T>) -> Result<(), VaultError> {
        self.put(&record.name, &record.uid, Expect::Version(record.version), &record.value).await
    }

    async fn put<T: Serialize>(
        &self,
        name: &str,
        uid: &str,
        expect: Expect,
        value: &T,
    ) -> Result<(), VaultError> {
        let form = |_| VaultError::Form(name.to_owned());
        let data = serde_json::to_value(value).map_err(form)?;
        let object = json!({"metadata": {"name": name, "uid": uid}, DATA: data});
        self.write(name, expect, Change::Put(Box::new(object))).await
    }

    /// Removes a record that was read before.
    ///
    /// # Errors
    /// [`VaultError::Changed`] where it was written or deleted since.
    pub async fn delete<T>(&self, record: &Record<T>) -> Result<(), VaultError> {
        let change = Change::Delete { last: None };
        self.write(&record.name, Expect::Version(record.version), change).await
    }

    async fn write(&self, name: &str, expect: Expect, change: Change) -> Result<(), VaultError> {
        let write = Write { key: self.key(name), expect, needs_namespace: false, change };
        match self.store.write(write).await {
            Ok(_) => Ok(()),
            Err(WriteError::Exists | WriteError::Missing | WriteError::Changed) => {
                Err(VaultError::Changed)
            }
            Err(error) => Err(VaultError::Write(error.to_string())),
        }
    }
}

fn record<T: DeserializeOwned>(
    name: &str,
    version: u64,
    object: &[u8],
) -> Result<Record<T>, VaultError> {
    // What serde says may repeat what the record holds.
    let form = || VaultError::Form(name.to_owned());
    let mut object: Value = serde_json::from_slice(object).map_err(|_| form())?;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let value = serde_json::from_value(object[DATA].take()).map_err(|_| form())?;
    Ok(Record { name: name.to_owned(), value, version, uid })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiServer, ServerConfig};

    #[tokio::test]
    async fn records_outlive_the_server_and_are_nowhere_in_the_clear() {
        let directory = tempfile::tempdir().unwrap();
        let server =
            ApiServer::open(ServerConfig::new(directory.path(), Vec::new())).await.unwrap();
        let vault = server.vault("passwords");
        vault.create("alice", &"planted-value").await.unwrap();
        assert!(matches!(vault.create("alice", &"x").await, Err(VaultError::Changed)));
        let mut record: Record<String> = vault.get("alice").unwrap().unwrap();
        let stale = record.clone();
        record.value.push('!');
        vault.update(&record).await.unwrap();
        assert!(matches!(vault.update(&stale).await, Err(VaultError::Changed)));
        assert!(matches!(vault.delete(&stale).await, Err(VaultError::Changed)));
        server.shutdown().await;
        drop((server, vault));
        let file = std::fs::read(directory.path().join("store.redb")).unwrap();
        assert!(!file.windows(13).any(|bytes| bytes == b"planted-value"));
        let server =
            ApiServer::open(ServerConfig::new(directory.path(), Vec::new())).await.unwrap();
        let vault = server.vault("passwords");
        let all: Vec<Record<String>> = vault.all().unwrap();
        assert_eq!(all[0].value, "planted-value!");
        vault.delete(&all[0]).await.unwrap();
        assert!(vault.get::<String>("alice").unwrap().is_none());
    }
}
