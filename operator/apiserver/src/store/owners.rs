//! Which objects name which owner, so that a deletion finds its dependents
//! without reading the store.

use std::collections::{BTreeSet, HashMap};

use super::Key;

/// Dependents by the uid of an owner. Only objects with owner references take
/// memory here.
#[derive(Debug, Default)]
pub(super) struct Owners {
    dependents: HashMap<String, BTreeSet<Key>>,
    owners: HashMap<Key, Vec<String>>,
}

impl Owners {
    /// Replaces what is known of `key`; no uids forgets it.
    pub(super) fn set(&mut self, key: &Key, uids: Vec<String>) {
        if let Some(before) = self.owners.remove(key) {
            for uid in before {
                if let Some(keys) = self.dependents.get_mut(&uid) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.dependents.remove(&uid);
                    }
                }
            }
        }
        if uids.is_empty() {
            return;
        }
        for uid in &uids {
            self.dependents.entry(uid.clone()).or_default().insert(key.clone());
        }
        self.owners.insert(key.clone(), uids);
    }

    /// The objects that name the owner with this uid.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Every object that names an owner.
    pub(super) fn owned(&self) -> Vec<Key> {
        self.owners.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependents_follow_changes_of_the_references() {
        let resource = "/configmaps".into();
        let key = Key::new(&resource, "shop", "a");
        let mut owners = Owners::default();
        owners.set(&key, vec!["u1".into(), "u2".into()]);
        owners.set(&key, vec!["u2".into()]);
        assert!(owners.dependents("u1").is_empty());
        assert_eq!(owners.dependents("u2"), vec![key.clone()]);
        owners.set(&key, Vec::new());
        assert!(owners.owned().is_empty() && owners.dependents("u2").is_empty());
    }
}
