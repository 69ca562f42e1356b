//! The redactors that were used last.

use std::collections::HashMap;

use hades_redact::Redactor;

/// As many bytes of redactors are kept while nobody uses them. One of 100 values takes
/// some 400 kB, and a millisecond to be made anew.
const BYTES: usize = 4 << 20;

/// From this size on one is large: it takes long to be made, and must neither push out
/// all others nor be pushed out by them. Few projects have one.
const LARGE: usize = 1 << 20;
const BYTES_OF_LARGE: usize = 64 << 20;

/// The redactors that were used last, by namespace.
#[derive(Default)]
pub(super) struct Kept {
    by_namespace: HashMap<String, Entry>,
    uses: u64,
}

struct Entry {
    /// Only there to be there.
    _redactor: Redactor,
    /// In bytes.
    size: usize,
    last_use: u64,
}

impl Kept {
    pub fn forget(&mut self, namespace: &str) {
        self.by_namespace.remove(namespace);
    }

    /// That of the namespace was used.
    pub fn touch(&mut self, namespace: &str) {
        self.uses += 1;
        if let Some(entry) = self.by_namespace.get_mut(namespace) {
            entry.last_use = self.uses;
        }
    }

    /// Keeps one in place of that which the namespace had. The newest stays whatever
    /// it takes.
    pub fn keep(&mut self, namespace: &str, redactor: Redactor) {
        self.uses += 1;
        let size = redactor.memory();
        let entry = Entry { size, _redactor: redactor, last_use: self.uses };
        self.by_namespace.insert(namespace.to_owned(), entry);
        let (large, most) = if size < LARGE { (false, BYTES) } else { (true, BYTES_OF_LARGE) };
        while self.size(large) > most {
            let alike =
                self.by_namespace.iter().filter(|(_, entry)| (entry.size >= LARGE) == large);
            let oldest = alike.min_by_key(|(_, entry)| entry.last_use);
            let Some(oldest) = oldest.map(|(of, _)| of.clone()).filter(|of| of != namespace) else {
                return;
            };
            self.by_namespace.remove(&oldest);
        }
    }

    fn size(&self, large: bool) -> usize {
        let sizes = self.by_namespace.values().map(|entry| entry.size);
        sizes.filter(|size| (*size >= LARGE) == large).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: usize) -> Redactor {
        let values: Vec<String> =
            (0..values).map(|value| format!("{value:04}-of-a-project")).collect();
        Redactor::new(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn what_is_used_stays_and_one_large_leaves_the_others_alone() {
        let mut kept = Kept::default();
        let has = |kept: &Kept, of: &str| kept.by_namespace.contains_key(of);
        kept.keep("large", redactor(3000));
        assert!(kept.size(true) >= LARGE, "{}", kept.size(true));
        kept.keep("used", redactor(100));
        for number in 0..60 {
            kept.touch("used");
            kept.keep(&format!("p{number}"), redactor(100));
            assert!(kept.size(false) <= BYTES);
        }
        assert!(has(&kept, "used") && has(&kept, "large") && has(&kept, "p59"));
        assert!(!has(&kept, "p0") && kept.by_namespace.len() > 4);
        kept.keep("huge", redactor(3000));
        assert!(has(&kept, "used") && has(&kept, "large") && has(&kept, "huge"));
        kept.forget("used");
        assert!(!has(&kept, "used"));
    }
}
