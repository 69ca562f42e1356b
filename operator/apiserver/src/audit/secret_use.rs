//! Which values of Secrets the controllers have used. They read the same ones in
//! every pass: one record is enough for each version.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// As many are remembered. Beyond, all is forgotten, and recorded once more.
const MOST: usize = 20_000;

/// What was recorded already.
#[derive(Debug, Default)]
pub struct SecretUses(Mutex<HashMap<(String, String), String>>);

impl SecretUses {
    /// Whether this is the first use of a version of a Secret by somebody.
    pub fn is_first(&self, reader: &str, place: String, version: &str) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (reader.to_owned(), place);
        if seen.get(&key).is_some_and(|known| known == version) {
            return false;
        }
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(key, version.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_once_to_each_reader() {
        let uses = SecretUses::default();
        let first =
            |reader: &str, version: &str| uses.is_first(reader, "shop/db".to_owned(), version);
        assert!(first("a", "1") && !first("a", "1"));
        assert!(first("b", "1"));
        assert!(first("a", "2") && !first("a", "2"));
    }
}
