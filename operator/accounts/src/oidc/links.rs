//! Links: which user somebody is whom a provider knows.

use hades_apiserver::{Record, Vault, VaultError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::random;

/// A subject of an issuer, and the user that he is. It outlives the User, so that
/// one who was deleted doesn't come back by himself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub issuer: String,
    pub subject: String,
    pub user: String,
    /// Uid of the User; empty while it is being made.
    pub uid: String,
    pub since: Timestamp,
}

/// All links, in the vault.
#[derive(Debug)]
pub(crate) struct Links(Vault);

/// The name of the record of a subject.
fn record(issuer: &str, subject: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((issuer.len() as u64).to_be_bytes());
    hash.update(issuer.as_bytes());
    hash.update(subject.as_bytes());
    random::hex(&hash.finalize())
}

impl Links {
    pub fn new(vault: Vault) -> Self {
        Self(vault)
    }

    /// The link of a subject.
    ///
    /// # Errors
    /// When the vault can't be read.
    pub fn of(&self, issuer: &str, subject: &str) -> Result<Option<Record<Link>>, VaultError> {
        let found = self.0.get::<Link>(&record(issuer, subject))?;
        Ok(found.filter(|found| found.value.issuer == issuer && found.value.subject == subject))
    }

    /// The links of a user.
    ///
    /// # Errors
    /// When the vault can't be read.
    pub fn of_user(&self, uid: &str) -> Result<Vec<Record<Link>>, VaultError> {
        let mut all = self.0.all::<Link>()?;
        all.retain(|record| record.value.uid == uid);
        all.sort_by_key(|record| record.value.since);
        Ok(all)
    }

    /// Keeps a new link.
    ///
    /// # Errors
    /// [`VaultError::Changed`] where its subject has one.
    pub async fn create(&self, link: &Link) -> Result<(), VaultError> {
        self.0.create(&record(&link.issuer, &link.subject), link).await
    }

    /// Changes a link that was read before.
    ///
    /// # Errors
    /// When it was changed since, or can't be written.
    pub async fn update(&self, record: &Record<Link>) -> Result<(), VaultError> {
        self.0.update(record).await
    }

    /// Removes a link that was read before.
    ///
    /// # Errors
    /// As [`Links::update`].
    pub async fn remove(&self, record: &Record<Link>) -> Result<(), VaultError> {
        self.0.delete(record).await
    }
}
