//! The values of all Secrets by namespace, in step with the store.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hades_apiserver::{Key, Observer};
use hades_controllers::SecretValues;
use hades_redact::{Redactor, WeakRedactor, is_too_short};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::kept::Kept;
use super::{SECRETS, registry_login};

const NAMESPACES: &str = "/namespaces";

/// Values of a namespace that are no longer in any Secret and are hidden all the
/// same: containers have them until they are replaced, and logs for longer.
const FORMER_VALUES: usize = 256;
const FORMER_BYTES: usize = 1 << 20;

/// A redactor that takes this long to be made is made once a second at most, or somebody
/// who changes Secrets all the time would keep a processor busy. Whoever needs it waits.
const SLOW: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(1);

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
    making: Mutex<Option<Made>>,
}

impl Namespace {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Option<Redactor> {
        self.values().redactor.as_ref()?.upgrade()
    }
}

/// When a redactor was made.
#[derive(Clone, Copy)]
struct Made {
    at: Instant,
    took: Duration,
}

impl Made {
    /// How long to wait before the next is made.
    fn pause(self, now: Instant) -> Duration {
        match self.took >= SLOW {
            true => PAUSE.saturating_sub(now.saturating_duration_since(self.at)),
            false => Duration::ZERO,
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
        self.retire(old, &new);
        self.changes += 1;
        self.redactor = None;
    }

    /// Remembers old values that aren't among the new ones, the last of them at least.
    fn retire(&mut self, old: Vec<Value>, new: &[Value]) {
        let mut known: HashSet<&[u8]> = new.iter().map(|value| value.expose_secret()).collect();
        let gone: Vec<&Value> = old
            .iter()
            .rev()
            .filter(|old| !is_too_short(old.expose_secret()) && known.insert(old.expose_secret()))
            .take(FORMER_VALUES)
            .collect();
        let again: HashSet<&[u8]> = gone.iter().map(|value| value.expose_secret()).collect();
        self.former.retain(|value| !again.contains(value.expose_secret()));
        self.former.extend(gone.into_iter().rev().cloned());
        let mut bytes: usize = self.former.iter().map(|value| value.expose_secret().len()).sum();
        while self.former.len() > FORMER_VALUES || bytes > FORMER_BYTES {
            bytes -= self.former.pop_front().map_or(bytes, |value| value.expose_secret().len());
        }
    }

    /// Those in Secrets, and the former ones, the last of them first.
    fn all(&self) -> (Vec<Value>, Vec<Value>) {
        let in_secrets = self.by_secret.values().flatten().cloned().collect();
        (in_secrets, self.former.iter().rev().cloned().collect())
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

    /// Makes the redactor of a namespace, or waits for whoever does.
    fn make(&self, namespace: &str, place: &Namespace) -> Redactor {
        let mut made = place.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = place.known() {
            return known;
        }
        if let Some(made) = *made {
            std::thread::sleep(made.pause(Instant::now()));
        }
        let ((all, former), changes) = {
            let values = place.values();
            (values.all(), values.changes)
        };
        // Made while the values are free for the writer of the store.
        let begin = Instant::now();
        let redactor = Redactor::with_former(
            all.iter().map(|value| value.expose_secret()),
            former.iter().map(|value| value.expose_secret()),
        );
        *made = Some(Made { at: Instant::now(), took: begin.elapsed() });
        let mut values = place.values();
        if values.changes == changes {
            values.redactor = Some(redactor.downgrade());
        }
        drop(values);
        self.kept().keep(namespace, redactor.clone());
        redactor
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
            self.kept().touch(namespace);
            return known;
        }
        aside(|| self.make(namespace, &place))
    }
}

/// Does what takes long without holding up the other tasks of the thread.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
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
        if key == registry_login::KEY {
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
    fn former_values_are_bounded_and_short_ones_left_out() {
        let mut values = Values::default();
        let secret = |text: String| Some(vec![Arc::new(SecretSlice::from(text.into_bytes()))]);
        for number in 0..20 {
            values.set("db", secret(format!("{}{number:02}", "x".repeat(99_998))));
            values.set("pin", secret(format!("{number:05}")));
        }
        let (_, former) = values.all();
        let bytes: usize = former.iter().map(|value| value.expose_secret().len()).sum();
        assert!(bytes <= FORMER_BYTES && former.len() == 10, "{bytes} {}", former.len());
        // The last one first.
        assert!(former[0].expose_secret().ends_with(b"18"));
        let many = |first: usize| {
            let value =
                |number| Arc::new(SecretSlice::from(format!("value-{number}").into_bytes()));
            Some((first..first + 30_000).map(value).collect())
        };
        values.set("many", many(0));
        // Compared one with each other these would take minutes.
        values.set("many", many(15_000));
        assert_eq!(values.all().1.len(), FORMER_VALUES);
        assert_eq!(values.all().1[0].expose_secret(), b"value-14999");
    }

    #[test]
    fn what_takes_long_is_made_once_a_second() {
        let at = Instant::now();
        let (quick, slow) = (Made { at, took: SLOW / 2 }, Made { at, took: SLOW });
        assert_eq!(quick.pause(at), Duration::ZERO);
        assert_eq!(slow.pause(at + PAUSE / 4), PAUSE * 3 / 4);
        assert_eq!(slow.pause(at + PAUSE * 2), Duration::ZERO);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_go_on_while_one_waits_for_a_redactor() {
        let index = Arc::new(SecretIndex::default());
        set(&index, "shop", "db", Some(&["hunter22"]));
        let place = index.of("shop").unwrap();
        let (locked, held) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let maker = std::thread::spawn(move || {
            let _alone = place.making.lock().unwrap();
            locked.send(()).unwrap();
            let _ = released.recv_timeout(Duration::from_secs(60));
        });
        held.recv().unwrap();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let waits = tokio::spawn({
            let index = Arc::clone(&index);
            async move {
                begun.send(()).unwrap();
                shown(&index, "shop", "hunter22")
            }
        });
        begins.await.unwrap();
        let other = tokio::spawn(async { tokio::task::yield_now().await });
        tokio::time::timeout(Duration::from_secs(30), other).await.unwrap().unwrap();
        assert!(!waits.is_finished());
        release.send(()).unwrap();
        assert_eq!(waits.await.unwrap(), "***");
        maker.join().unwrap();
    }

    #[test]
    fn one_that_is_in_use_is_never_made_twice() {
        let index = SecretIndex::default();
        set(&index, "p0", "db", Some(&["hunter22"]));
        let used = index.redactor("p0");
        index.kept().forget("p0");
        assert!(index.redactor("p0").is(&used));
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_none() {
        assert!(read(b"no JSON").is_empty());
        assert!(read(br#"{"metadata": {}}"#).is_empty());
    }
}
