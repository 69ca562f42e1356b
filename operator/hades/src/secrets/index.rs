//! The values of all Secrets by namespace, in step with the store.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hades_apiserver::{Key, Observer};
use hades_controllers::SecretValues;
use hades_redact::{Redactor, WeakRedactor};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;

use super::{SECRETS, registry_login};

const NAMESPACES: &str = "/namespaces";

/// Values of a namespace that are no longer in any Secret and are hidden all the
/// same: containers have them until they are replaced, and logs for longer.
const FORMER_VALUES: usize = 256;

/// As many bytes of redactors are kept while nobody uses them. One of 100 values takes
/// some 400 kB, and a millisecond to be made anew.
const KEPT_BYTES: usize = 4 << 20;

type Value = Arc<SecretSlice<u8>>;

/// Knows the values of all Secrets, those of each namespace apart.
#[derive(Default)]
pub(crate) struct SecretIndex {
    namespaces: RwLock<HashMap<String, Arc<Namespace>>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Namespace {
    values: Mutex<Values>,
    /// Held by whoever makes its redactor, so that of many who need it only one does.
    making: Mutex<()>,
}

impl Namespace {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Option<Redactor> {
        self.values().redactor.as_ref()?.upgrade()
    }
}

/// The redactors that were made last, by namespace.
#[derive(Default)]
struct Kept(VecDeque<(String, Redactor)>);

impl Kept {
    fn forget(&mut self, namespace: &str) {
        self.0.retain(|(known, _)| known != namespace);
    }

    /// Keeps one in place of that which the namespace had. The newest stays whatever
    /// it takes.
    fn keep(&mut self, namespace: &str, redactor: Redactor) {
        self.forget(namespace);
        self.0.push_back((namespace.to_owned(), redactor));
        let mut size: usize = self.0.iter().map(|(_, redactor)| redactor.memory()).sum();
        while size > KEPT_BYTES && self.0.len() > 1 {
            let oldest = self.0.pop_front();
            size -= oldest.map_or(0, |(_, redactor)| redactor.memory());
        }
    }
}

/// The values of a namespace.
#[derive(Default)]
struct Values {
    by_secret: HashMap<String, Vec<Value>>,
    former: VecDeque<Value>,
    /// How often the values changed.
    changes: u64,
    /// What hides them, once that was needed and as long as it is in use or kept.
    redactor: Option<WeakRedactor>,
}

impl Values {
    /// A Secret holds these values from now on, or none as it is gone.
    fn set(&mut self, secret: &str, values: Option<Vec<Value>>) {
        let gone = values.is_none();
        let new = values.unwrap_or_default();
        let old = match gone {
            true => self.by_secret.remove(secret),
            false => self.by_secret.insert(secret.to_owned(), new.clone()),
        };
        let old = old.unwrap_or_default();
        let same = |one: &Value, other: &Value| one.expose_secret() == other.expose_secret();
        if old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| same(old, new)) {
            return;
        }
        for value in old.into_iter().filter(|old| !new.iter().any(|new| same(old, new))) {
            self.former.retain(|known| !same(known, &value));
            self.former.push_back(value);
        }
        let surplus = self.former.len().saturating_sub(FORMER_VALUES);
        self.former.drain(..surplus);
        self.changes += 1;
        self.redactor = None;
    }

    fn all(&self) -> Vec<Value> {
        self.by_secret.values().flatten().chain(&self.former).cloned().collect()
    }
}

impl SecretIndex {
    fn of(&self, namespace: &str) -> Option<Arc<Namespace>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).get(namespace).cloned()
    }

    fn of_or_new(&self, namespace: &str) -> Arc<Namespace> {
        self.of(namespace).unwrap_or_else(|| {
            let mut all = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(namespace.to_owned()).or_default())
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, namespace: &str) {
        self.namespaces.write().unwrap_or_else(PoisonError::into_inner).remove(namespace);
        self.kept().forget(namespace);
    }
}

impl Observer for SecretIndex {
    fn follows(&self) -> &[&str] {
        &[SECRETS, NAMESPACES]
    }

    fn changed(&self, key: &Key, object: Option<&[u8]>) {
        if key.resource() == NAMESPACES {
            if object.is_none() {
                self.forget(key.name());
            }
            return;
        }
        let values = object.map(read);
        let place = match &values {
            Some(_) => self.of_or_new(key.namespace()),
            None => match self.of(key.namespace()) {
                Some(place) => place,
                None => return,
            },
        };
        place.values().set(key.name(), values);
    }
}

impl SecretValues for SecretIndex {
    fn redactor(&self, namespace: &str) -> Redactor {
        let Some(place) = self.of(namespace) else { return Redactor::default() };
        if let Some(known) = place.known() {
            return known;
        }
        let _alone = place.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = place.known() {
            return known;
        }
        let (all, changes) = {
            let values = place.values();
            (values.all(), values.changes)
        };
        // Made while the values are free for the writer of the store.
        let redactor = Redactor::new(all.iter().map(|value| value.expose_secret()));
        let mut values = place.values();
        if values.changes == changes {
            values.redactor = Some(redactor.downgrade());
        }
        drop(values);
        self.kept().keep(namespace, redactor.clone());
        redactor
    }
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

/// The values of a stored Secret, in an order that is always the same.
fn read(object: &[u8]) -> Vec<Value> {
    // What serde says may repeat a value, so it is said nowhere.
    let Ok(Stored { data }) = serde_json::from_slice(object) else { return Vec::new() };
    let mut values = Vec::new();
    for (key, text) in data.unwrap_or_default() {
        let value = STANDARD.decode(&text).unwrap_or_else(|_| text.into_bytes());
        if key == ".dockerconfigjson" {
            values.extend(registry_login::secrets(&value));
        }
        values.push(value);
    }
    values.into_iter().map(|value| Arc::new(SecretSlice::from(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(index: &SecretIndex, namespace: &str, name: &str, values: Option<&[&str]>) {
        let object = values.map(|values| {
            let data: BTreeMap<String, String> = values
                .iter()
                .enumerate()
                .map(|(at, value)| (format!("key{at}"), STANDARD.encode(value)))
                .collect();
            json!({"data": data}).to_string()
        });
        let key = Key::new(&SECRETS.into(), namespace, name);
        index.changed(&key, object.as_deref().map(str::as_bytes));
    }

    fn shown(index: &SecretIndex, namespace: &str, text: &str) -> String {
        index.redactor(namespace).text(text).into_owned()
    }

    #[test]
    fn values_are_hidden_in_their_own_namespace_alone() {
        let index = SecretIndex::default();
        set(&index, "shop", "db", Some(&["hunter22", "short"]));
        set(&index, "blog", "db", Some(&["password"]));
        let text = "hunter22 password short";
        assert_eq!(shown(&index, "shop", text), "*** password short");
        assert_eq!(shown(&index, "blog", text), "hunter22 *** short");
        assert_eq!(shown(&index, "nowhere", text), text);
    }

    #[test]
    fn former_values_stay_hidden_until_the_namespace_goes() {
        let index = SecretIndex::default();
        set(&index, "shop", "db", Some(&["first-value"]));
        let first = index.redactor("shop");
        set(&index, "shop", "db", Some(&["first-value"]));
        assert!(index.redactor("shop").is(&first), "nothing has changed");
        set(&index, "shop", "db", Some(&["second-value"]));
        assert_eq!(shown(&index, "shop", "first-value second-value"), "*** ***");
        set(&index, "shop", "db", None);
        assert_eq!(shown(&index, "shop", "first-value second-value"), "*** ***");
        for number in 0..FORMER_VALUES {
            let value = format!("value-{number:04}");
            set(&index, "shop", "db", Some(&[&value]));
        }
        assert_eq!(shown(&index, "shop", "first-value value-0000"), "first-value ***");
        index.changed(&Key::new(&NAMESPACES.into(), "", "shop"), None);
        assert!(index.redactor("shop").is_empty());
    }

    #[test]
    fn redactors_that_nobody_uses_take_little_memory() {
        let index = SecretIndex::default();
        for number in 0..40 {
            let values: Vec<String> =
                (0..200).map(|value| format!("{value:03}-of-project-{number:03}")).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            set(&index, &format!("p{number}"), "all", Some(&values));
        }
        let used = index.redactor("p0");
        for number in 0..40 {
            let text = format!("150-of-project-{number:03}");
            assert_eq!(shown(&index, &format!("p{number}"), &text), "***");
        }
        let size: usize = index.kept().0.iter().map(|(_, redactor)| redactor.memory()).sum();
        assert!(size <= KEPT_BYTES && index.kept().0.len() < 40, "{size}");
        assert!(index.redactor("p0").is(&used), "one that a stream has is never made twice");
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_none() {
        assert!(read(b"no JSON").is_empty());
        assert!(read(br#"{"metadata": {}}"#).is_empty());
    }
}
