//! Those who must know of a change before whoever made it does.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Key, Store, StoreError};

/// Keeps something in memory in step with the store, such as an index of rights.
///
/// It hears of a change after the commit and before the answer, so that whoever
/// was answered finds the change in force.
pub trait Observer: Send + Sync {
    /// The resources (`group/plural`) whose changes concern it.
    fn follows(&self) -> &[&str];

    /// An object was stored, or is gone (`None`). Called on the writer's thread,
    /// one change at a time, so it must be quick and must not write. May hear of a
    /// change twice.
    fn changed(&self, key: &Key, object: Option<&[u8]>);
}

/// The observers of a store.
#[derive(Default)]
pub(super) struct Observers(RwLock<Vec<Arc<dyn Observer>>>);

impl Observers {
    /// Tells those whom it concerns.
    pub fn tell(&self, key: &Key, object: Option<&[u8]>) {
        for observer in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if observer.follows().contains(&key.resource()) {
                observer.changed(key, object);
            }
        }
    }
}

impl Store {
    /// Shows an observer all there is, and from then on every change.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        // Nothing is published while the lock is held. A commit in between is seen
        // by the scans and told again.
        let mut observers = self.shared.observers.0.write().unwrap_or_else(PoisonError::into_inner);
        for resource in observer.follows() {
            let shared: Arc<str> = (*resource).into();
            self.scan(resource, None)?.visit(usize::MAX, |row| {
                let key = Key::new(&shared, row.namespace, row.name);
                observer.changed(&key, Some(&row.object));
                Ok::<_, StoreError>(())
            })?;
        }
        observers.push(observer);
        Ok(())
    }
}
