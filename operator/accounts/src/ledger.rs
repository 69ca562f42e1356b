//! Ledger: the bearer tokens of one form that are good, in the vault and in memory.
//!
//! Requests look into memory only. A token is in the vault before it is given out,
//! and gone from there before its end is acknowledged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::{StreamExt, TryStreamExt};
use hades_apiserver::{Vault, VaultError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bearer::Digest;

/// As many records are written at the same time.
const AT_ONCE: usize = 64;

/// What a ledger keeps of a token. Never the token.
pub(crate) trait Entry:
    Serialize + DeserializeOwned + Clone + Send + Sync + 'static
{
    /// Name of the record in the vault.
    fn record(&self) -> String;
    /// Uid of the user whose it is.
    fn uid(&self) -> &str;
    /// Digest of the token; `None` where the record is damaged.
    fn digest(&self) -> Option<Digest>;
    /// When it was last used, in seconds since 1970.
    fn used(&self) -> i64;
    /// The same, used at another time.
    fn used_at(self, seconds: i64) -> Self;
}

/// A token that is good.
#[derive(Debug)]
pub(crate) struct Held<E> {
    pub entry: E,
    digest: Digest,
    /// When it was last used, and what of that is in the vault.
    used: AtomicI64,
    saved: AtomicI64,
}

impl<E> Held<E> {
    /// When it was last used, in seconds since 1970.
    pub fn used(&self) -> i64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Notes that it is used now. Whether the vault should hear of it.
    pub fn touch(&self, now: i64, at_most_every: i64) -> bool {
        self.used.fetch_max(now, Ordering::Relaxed);
        now - self.saved.load(Ordering::Relaxed) >= at_most_every
    }
}

#[derive(Debug)]
struct Index<E> {
    by_digest: HashMap<Digest, Arc<Held<E>>>,
    by_uid: HashMap<String, Vec<Arc<Held<E>>>>,
}

impl<E: Entry> Index<E> {
    fn insert(&mut self, held: Arc<Held<E>>) {
        self.by_uid.entry(held.entry.uid().to_owned()).or_default().push(Arc::clone(&held));
        self.by_digest.insert(held.digest, held);
    }

    fn remove(&mut self, digest: &Digest) {
        let Some(held) = self.by_digest.remove(digest) else { return };
        if let Some(list) = self.by_uid.get_mut(held.entry.uid()) {
            list.retain(|one| one.digest != *digest);
            if list.is_empty() {
                self.by_uid.remove(held.entry.uid());
            }
        }
    }
}

/// What is in memory of a ledger.
#[derive(Debug)]
pub(crate) struct Table<E>(RwLock<Index<E>>);

impl<E: Entry> Table<E> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(RwLock::new(Index { by_digest: HashMap::new(), by_uid: HashMap::new() })))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Index<E>) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn read<T>(&self, look: impl FnOnce(&Index<E>) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The token of this digest.
    pub fn find(&self, digest: &Digest) -> Option<Arc<Held<E>>> {
        self.read(|index| index.by_digest.get(digest).cloned())
    }

    /// All of one user.
    pub fn of(&self, uid: &str) -> Vec<Arc<Held<E>>> {
        self.read(|index| index.by_uid.get(uid).cloned().unwrap_or_default())
    }

    /// All there are.
    pub fn all(&self) -> Vec<Arc<Held<E>>> {
        self.read(|index| index.by_digest.values().cloned().collect())
    }

    /// Forgets all of one user.
    pub fn forget(&self, uid: &str) {
        self.write(|index| {
            for held in index.by_uid.remove(uid).unwrap_or_default() {
                index.by_digest.remove(&held.digest);
            }
        });
    }

    fn unsaved(&self) -> Vec<Arc<Held<E>>> {
        self.read(|index| {
            let is_unsaved =
                |held: &&Arc<Held<E>>| held.used() > held.saved.load(Ordering::Relaxed);
            index.by_digest.values().filter(is_unsaved).cloned().collect()
        })
    }
}

/// A table and the vault that it is kept in.
#[derive(Debug)]
pub(crate) struct Ledger<E> {
    vault: Vault,
    table: Arc<Table<E>>,
}

impl<E: Entry> Ledger<E> {
    /// Reads what is in the vault. What nobody wants any more is removed from it.
    pub async fn open(
        vault: Vault,
        table: Arc<Table<E>>,
        is_wanted: impl Fn(&E) -> bool,
    ) -> Result<Self, VaultError> {
        for record in vault.all::<E>()? {
            let digest = record.value.digest().filter(|_| is_wanted(&record.value));
            match digest {
                Some(digest) => table.write(|index| {
                    let used = record.value.used();
                    let (used, saved) = (AtomicI64::new(used), AtomicI64::new(used));
                    index.insert(Arc::new(Held { entry: record.value, digest, used, saved }));
                }),
                None => vault.delete(&record).await?,
            }
        }
        Ok(Self { vault, table })
    }

    /// Keeps a new token.
    ///
    /// # Errors
    /// [`VaultError::Changed`] where there is a record of its name.
    pub async fn insert(&self, entry: E) -> Result<(), VaultError> {
        let Some(digest) = entry.digest() else {
            return Err(VaultError::Form(entry.record()));
        };
        self.vault.create(&entry.record(), &entry).await?;
        let used = entry.used();
        let (used, saved) = (AtomicI64::new(used), AtomicI64::new(used));
        self.table.write(|index| index.insert(Arc::new(Held { entry, digest, used, saved })));
        Ok(())
    }

    /// Ends a token.
    ///
    /// # Errors
    /// When the vault can't be written; the token is then good until somebody
    /// ends it again.
    pub async fn remove(&self, held: &Held<E>) -> Result<(), VaultError> {
        self.erase(&held.entry.record()).await?;
        self.table.write(|index| index.remove(&held.digest));
        Ok(())
    }

    /// Ends all of one user but those that are to stay.
    ///
    /// # Errors
    /// As [`Ledger::remove`].
    pub async fn remove_all(
        &self,
        uid: &str,
        stays: impl Fn(&E) -> bool,
    ) -> Result<usize, VaultError> {
        let mut count = 0;
        for held in self.table.of(uid) {
            if !stays(&held.entry) {
                self.remove(&held).await?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Removes the records of a user whose tokens were forgotten.
    ///
    /// # Errors
    /// When the vault can't be read or written.
    pub async fn clear(&self, uid: &str) -> Result<(), VaultError> {
        for record in self.vault.all::<E>()? {
            // One that was made since stays.
            let is_good = |digest: Digest| self.table.find(&digest).is_some();
            if record.value.uid() == uid && !record.value.digest().is_some_and(is_good) {
                self.erase(&record.name).await?;
            }
        }
        Ok(())
    }

    /// Ends those that are past their time.
    ///
    /// # Errors
    /// As [`Ledger::remove`].
    pub async fn sweep(&self, is_over: impl Fn(&Held<E>) -> bool) -> Result<(), VaultError> {
        let over: Vec<_> = self
            .table
            .read(|index| index.by_digest.values().filter(|held| is_over(held)).cloned().collect());
        for held in over {
            self.remove(&held).await?;
        }
        Ok(())
    }

    /// Writes when tokens were last used.
    ///
    /// # Errors
    /// When the vault can't be read or written.
    pub async fn save_uses(&self) -> Result<(), VaultError> {
        // The store commits together what is written at the same time.
        let saving = futures::stream::iter(self.table.unsaved()).map(Ok);
        saving.try_for_each_concurrent(AT_ONCE, async |held| self.save_use(&held).await).await
    }

    async fn save_use(&self, held: &Held<E>) -> Result<(), VaultError> {
        let used = held.used();
        // It may have ended meanwhile.
        if let Some(mut record) = self.vault.get::<E>(&held.entry.record())?
            && record.value.digest() == Some(held.digest)
        {
            record.value = record.value.used_at(used);
            match self.vault.update(&record).await {
                Ok(()) | Err(VaultError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
        held.saved.store(used, Ordering::Relaxed);
        Ok(())
    }

    async fn erase(&self, name: &str) -> Result<(), VaultError> {
        loop {
            let Some(record) = self.vault.get::<E>(name)? else { return Ok(()) };
            match self.vault.delete(&record).await {
                // Its last use was written in between.
                Err(VaultError::Changed) => {}
                result => return result,
            }
        }
    }
}
