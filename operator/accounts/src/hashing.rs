//! Hashing of passwords: argon2id (RFC 9106), few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::random;

/// How costly a hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// What OWASP's Password Storage Cheat Sheet recommends at least: 19 MiB, two
    /// passes, one lane.
    fn default() -> Self {
        Self { memory: 19 << 10, passes: 2, lanes: 1 }
    }
}

/// As many are computed at once. Each takes the memory of [`Cost`] for some tens
/// of milliseconds, and the server promises to stay small.
const AT_ONCE: usize = 2;

/// As many wait for their turn, which is about a second of work.
const QUEUE: usize = 64;

const LENGTH: usize = 32;

/// A hash as it is kept, with what it takes to compute it again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    cost: Cost,
    salt: String,
    hash: String,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Too many wait already.
    #[error("too many passwords are being checked at this moment")]
    Busy,
    /// The parameters, the memory or the randomness of the system.
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// Computes hashes, a few at a time.
#[derive(Debug)]
pub(crate) struct Hashing {
    cost: Cost,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One of those who wait.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hashing {
    pub fn new(cost: Cost) -> Self {
        Self { cost, turns: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::default() }
    }

    /// Whether a hash is of the cost that new ones have.
    pub fn is_current(&self, hash: &PasswordHash) -> bool {
        hash.cost == self.cost
    }

    /// The hash of a password, with a salt of its own.
    pub async fn hash(&self, password: &SecretString) -> Result<PasswordHash, HashError> {
        let salt = random::bytes::<16>().map_err(|error| HashError::Failed(error.to_string()))?;
        let hash = self.compute(password, salt.to_vec(), self.cost).await?;
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        Ok(PasswordHash { cost: self.cost, salt: encode(&salt), hash: encode(&hash) })
    }

    /// Whether a hash is that of a password.
    pub async fn fits(
        &self,
        hash: &PasswordHash,
        password: &SecretString,
    ) -> Result<bool, HashError> {
        let decode = |text: &str| {
            BASE64.decode(text).map_err(|_| HashError::Failed("a hash is damaged".to_owned()))
        };
        let (salt, expected) = (decode(&hash.salt)?, decode(&hash.hash)?);
        let found = self.compute(password, salt, hash.cost).await?;
        Ok(found.ct_eq(&expected).into())
    }

    async fn compute(
        &self,
        password: &SecretString,
        salt: Vec<u8>,
        cost: Cost,
    ) -> Result<[u8; LENGTH], HashError> {
        let failed = |error: &dyn std::fmt::Display| HashError::Failed(error.to_string());
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.waiting);
        if before >= QUEUE {
            return Err(HashError::Busy);
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| failed(&error))?;
        let password = password.clone();
        let computing = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, though nobody may wait for it any more.
            let _turn = turn;
            let Cost { memory, passes, lanes } = cost;
            let params = Params::new(memory, passes, lanes, Some(LENGTH))?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let mut hash = [0; LENGTH];
            argon2.hash_password_into(password.expose_secret().as_bytes(), &salt, &mut hash)?;
            Ok::<_, argon2::Error>(hash)
        });
        let hash = computing.await.map_err(|error| failed(&error))?;
        drop(place);
        hash.map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 1 };

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone() {
        let hashing = Hashing::new(CHEAP);
        let hash = hashing.hash(&secret("correct horse")).await.unwrap();
        assert!(hashing.fits(&hash, &secret("correct horse")).await.unwrap());
        assert!(!hashing.fits(&hash, &secret("correct horse ")).await.unwrap());
        assert!(!hashing.fits(&hash, &secret("")).await.unwrap());
        assert_ne!(hashing.hash(&secret("correct horse")).await.unwrap(), hash, "it is salted");
        let text = format!("{hash:?}");
        assert!(!text.contains(&hash.salt) && !text.contains(&hash.hash), "{text}");
    }

    #[tokio::test]
    async fn an_older_cost_still_fits_and_is_known_as_such() {
        let old = Hashing::new(CHEAP).hash(&secret("p")).await.unwrap();
        let hashing = Hashing::new(Cost { memory: 128, ..CHEAP });
        assert!(hashing.fits(&old, &secret("p")).await.unwrap());
        assert!(!hashing.is_current(&old));
        assert!(hashing.is_current(&hashing.hash(&secret("p")).await.unwrap()));
    }

    #[tokio::test]
    async fn a_crowd_is_sent_away() {
        let hashing = Arc::new(Hashing::new(CHEAP));
        let turns = hashing.turns.clone().acquire_many_owned(AT_ONCE as u32).await.unwrap();
        let waiting: Vec<_> = (0..QUEUE)
            .map(|_| {
                let hashing = Arc::clone(&hashing);
                tokio::spawn(async move { hashing.hash(&secret("p")).await.is_ok() })
            })
            .collect();
        while hashing.waiting.load(Ordering::Relaxed) < QUEUE {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hashing.hash(&secret("p")).await, Err(HashError::Busy)));
        drop(turns);
        for one in waiting {
            assert!(one.await.unwrap());
        }
        assert!(hashing.hash(&secret("p")).await.is_ok());
    }

    #[test]
    fn the_cost_is_what_is_recommended() {
        assert_eq!(Cost::default(), Cost { memory: 19456, passes: 2, lanes: 1 });
    }
}
