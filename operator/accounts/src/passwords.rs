//! Passwords: kept as hashes in the vault, one a user.

use hades_apiserver::{Record, Vault, VaultError};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::directory::Person;
use crate::hashing::{HashError, Hashing, PasswordHash};
use crate::random;
use crate::strength::{self, LONGEST, Weakness};

/// The record that the passwords of nobody are compared with, so that a name which
/// no user has costs the same work. No User can have this name.
const NOBODY: &str = "-";

/// What is kept of a password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PasswordRecord {
    uid: String,
    hash: PasswordHash,
    changed: Timestamp,
    /// Whether it is the one that the server made at its first start.
    #[serde(default)]
    pub first: bool,
}

/// Why a password can't be checked or changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It is too easy to guess.
    #[error(transparent)]
    Weak(#[from] Weakness),
    /// A robot has none.
    #[error("{0} is a robot: it has tokens and no password")]
    Robot(String),
    /// Too many passwords are checked at this moment.
    #[error("too many passwords are being checked at this moment; try again")]
    Busy,
    /// It could not be hashed.
    #[error("{0}")]
    Hash(String),
    /// The vault can't be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<HashError> for PasswordError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Failed(text) => Self::Hash(text),
        }
    }
}

/// The passwords of all users.
#[derive(Debug)]
pub(crate) struct Passwords {
    vault: Vault,
    hashing: Hashing,
}

impl Passwords {
    pub async fn open(vault: Vault, hashing: Hashing) -> Result<Self, PasswordError> {
        let nobodys = vault.get::<PasswordRecord>(NOBODY)?;
        if !nobodys.as_ref().is_some_and(|record| hashing.is_current(&record.value.hash)) {
            let random = random::text::<43>().map_err(|error| HashError::Failed(error.to_string()));
            let hash = hashing.hash(&SecretString::from(random?)).await?;
            let value =
                PasswordRecord { uid: String::new(), hash, changed: Timestamp::MIN, first: false };
            put(&vault, NOBODY, nobodys, value).await?;
        }
        Ok(Self { vault, hashing })
    }

    /// The password of a user, if there is one.
    pub fn of(&self, person: &Person) -> Result<Option<Record<PasswordRecord>>, VaultError> {
        let record = self.vault.get::<PasswordRecord>(&person.name)?;
        Ok(record.filter(|record| record.value.uid == person.uid))
    }

    /// The user's record, where the password is his. Takes the same time whoever
    /// is asked about.
    pub async fn check(
        &self,
        person: Option<&Person>,
        password: &SecretString,
    ) -> Result<Option<Record<PasswordRecord>>, PasswordError> {
        let own = person.map(|person| self.of(person)).transpose()?.flatten();
        let (record, is_own) = match own {
            Some(record) => (Some(record), true),
            None => (self.vault.get::<PasswordRecord>(NOBODY)?, false),
        };
        let Some(record) = record else {
            return Err(VaultError::Form(NOBODY.to_owned()).into());
        };
        // Hashing a long text takes longer; no password is that long.
        if password.expose_secret().len() > LONGEST {
            return Ok(None);
        }
        let fits = self.hashing.fits(&record.value.hash, password).await?;
        Ok(Some(record).filter(|_| fits && is_own))
    }

    /// Hashes anew what was hashed at another cost.
    pub async fn renew(
        &self,
        mut record: Record<PasswordRecord>,
        password: &SecretString,
    ) -> Result<(), PasswordError> {
        if self.hashing.is_current(&record.value.hash) {
            return Ok(());
        }
        record.value.hash = self.hashing.hash(password).await?;
        match self.vault.update(&record).await {
            Ok(()) | Err(VaultError::Changed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is to be kept of a new password.
    pub async fn prepare(
        &self,
        person: &Person,
        password: &SecretString,
        first: bool,
        now: Timestamp,
    ) -> Result<PasswordRecord, PasswordError> {
        if person.robot {
            return Err(PasswordError::Robot(person.name.clone()));
        }
        strength::check(&person.name, password.expose_secret())?;
        let hash = self.hashing.hash(password).await?;
        Ok(PasswordRecord { uid: person.uid.clone(), hash, changed: now, first })
    }

    /// Puts a new password in the place of the old one.
    pub async fn set(&self, name: &str, value: PasswordRecord) -> Result<(), PasswordError> {
        let old = self.vault.get::<PasswordRecord>(name)?;
        put(&self.vault, name, old, value).await
    }

    /// Removes the password of a user.
    pub async fn remove(&self, name: &str, uid: &str) -> Result<bool, VaultError> {
        match self.vault.get::<PasswordRecord>(name)? {
            Some(record) if record.value.uid == uid => {
                self.vault.delete(&record).await.map(|()| true)
            }
            _ => Ok(false),
        }
    }
}

impl PasswordRecord {
    /// Whether both are the same password of the same user, however it is hashed.
    pub fn is_same(&self, other: &Self) -> bool {
        self.uid == other.uid && self.changed == other.changed
    }
}

async fn put(
    vault: &Vault,
    name: &str,
    old: Option<Record<PasswordRecord>>,
    value: PasswordRecord,
) -> Result<(), PasswordError> {
    match old {
        Some(mut old) => {
            old.value = value;
            vault.update(&old).await?;
        }
        None => vault.create(name, &value).await?,
    }
    Ok(())
}
