//! Directory: the users there are, in step with the User objects.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use hades_apiserver::authn::AUTHENTICATED;
use hades_apiserver::{Identity, Key, Observer};
use serde::Deserialize;
use tokio::sync::mpsc::UnboundedSender;

/// The resource of User objects.
const USERS: &str = "hades.dev/users";

/// Key of [`Identity::extra`] that tells which credential a request showed:
/// `session/ID` or `token/NAME`. The name is Kubernetes's.
pub const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// A user, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Name of the User.
    pub name: String,
    /// Uid of the User. One that was deleted and made again has another.
    pub uid: String,
    /// Groups of `spec.groups`.
    pub groups: Vec<String>,
    /// Kept out: `spec.disabled`, or the User is being deleted.
    pub disabled: bool,
    /// A program, which has tokens alone.
    pub robot: bool,
}

impl Person {
    /// Whether sessions and passwords are for this user.
    #[must_use]
    pub fn may_log_in(&self) -> bool {
        !self.disabled && !self.robot
    }

    /// The caller that the user is, with groups that only this session has.
    #[must_use]
    pub fn identity(&self, more: &[String], credential: String) -> Identity {
        let mut groups = self.groups.clone();
        for group in more {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        // Those of the server can't be had from anywhere else.
        groups.retain(|group| !group.starts_with("system:"));
        groups.push(AUTHENTICATED.to_owned());
        let extra = BTreeMap::from([(CREDENTIAL.to_owned(), vec![credential])]);
        Identity::of_user(&*self.name, groups).known_as(Some(self.uid.clone()), extra)
    }
}

/// Somebody whose credentials have to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// May not log in any more: sessions end.
    KeptOut { uid: String },
    /// The User is gone: nothing of it stays.
    Gone { name: String, uid: String },
}

/// The users there are.
pub(crate) struct Directory {
    people: RwLock<HashMap<String, Arc<Person>>>,
    departures: UnboundedSender<Departure>,
    /// Ends the sessions of a uid in memory, at once.
    end_sessions: Box<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

/// What is read of a User.
#[derive(Deserialize)]
struct Stored {
    metadata: StoredMeta,
    #[serde(default)]
    spec: StoredSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredMeta {
    #[serde(default)]
    uid: String,
    deletion_timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct StoredSpec {
    #[serde(default)]
    groups: Vec<String>,
    disabled: Option<bool>,
    robot: Option<bool>,
}

fn read(name: &str, object: &[u8]) -> Option<Person> {
    let stored: Stored = serde_json::from_slice(object).ok()?;
    let Stored { metadata, spec } = stored;
    let StoredSpec { groups, disabled, robot } = spec;
    Some(Person {
        name: name.to_owned(),
        uid: metadata.uid,
        groups,
        disabled: disabled.unwrap_or_default() || metadata.deletion_timestamp.is_some(),
        robot: robot.unwrap_or_default(),
    })
}

impl Directory {
    /// An empty one that says who left.
    pub fn new(
        departures: UnboundedSender<Departure>,
        end_sessions: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { people: RwLock::default(), departures, end_sessions: Box::new(end_sessions) }
    }

    /// The user of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Person>> {
        self.people.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The user of this name, if it is still the one of this uid.
    pub fn same(&self, name: &str, uid: &str) -> Option<Arc<Person>> {
        self.get(name).filter(|person| person.uid == uid)
    }

    fn put(&self, name: &str, person: Option<Person>) -> Option<Arc<Person>> {
        let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
        match person {
            Some(person) => people.insert(name.to_owned(), Arc::new(person)),
            None => people.remove(name),
        }
    }

    fn depart(&self, departure: Departure) {
        let (Departure::KeptOut { uid } | Departure::Gone { uid, .. }) = &departure;
        (self.end_sessions)(uid);
        // Nobody listens any more while the server stops; the next start clears up.
        let _ = self.departures.send(departure);
    }
}

impl Observer for Directory {
    fn follows(&self) -> &[&str] {
        &[USERS]
    }

    fn changed(&self, key: &Key, object: Option<&[u8]>) {
        let name = key.name();
        let person = object.and_then(|object| {
            let person = read(name, object);
            if person.is_none() {
                // Nobody is let in by an object that can't be understood.
                tracing::error!(user = name, "the User can't be read, so it is kept out");
            }
            person
        });
        let now = person.clone();
        let before = self.put(name, person);
        match (before, now) {
            (Some(before), None) => {
                self.depart(Departure::Gone { name: name.to_owned(), uid: before.uid.clone() });
            }
            (Some(before), Some(now)) if before.uid != now.uid => {
                self.depart(Departure::Gone { name: name.to_owned(), uid: before.uid.clone() });
            }
            (Some(before), Some(now)) if before.may_log_in() && !now.may_log_in() => {
                self.depart(Departure::KeptOut { uid: now.uid });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn it_follows_the_objects_and_says_who_left() {
        let (sender, mut departures) = mpsc::unbounded_channel();
        let ended: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&ended);
        let directory = Directory::new(sender, move |uid| kept.lock().unwrap().push(uid.into()));
        let key = Key::new(&USERS.into(), "", "jane");
        let mut user = json!({"metadata": {"name": "jane", "uid": "1"},
            "spec": {"groups": ["dev", "system:masters"]}});
        let mut tell = |user: &serde_json::Value| {
            directory.changed(&key, Some(user.to_string().as_bytes()));
            departures.try_recv().ok()
        };
        assert_eq!(tell(&user), None);
        let jane = directory.get("jane").unwrap();
        assert!(jane.may_log_in());
        let identity = jane.identity(&["oidc:ops".into(), "dev".into()], "session/x".into());
        assert_eq!(identity.groups, ["dev", "oidc:ops", "system:authenticated"]);
        assert_eq!(identity.uid.as_deref(), Some("1"));
        user["spec"]["disabled"] = json!(true);
        assert_eq!(tell(&user), Some(Departure::KeptOut { uid: "1".into() }));
        assert!(!directory.get("jane").unwrap().may_log_in());
        user["spec"]["disabled"] = json!(false);
        assert_eq!(tell(&user), None);
        user["metadata"]["uid"] = json!("2");
        let gone = Departure::Gone { name: "jane".into(), uid: "1".into() };
        assert_eq!(tell(&user), Some(gone));
        assert!(directory.same("jane", "1").is_none() && directory.same("jane", "2").is_some());
        user["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(tell(&user), Some(Departure::KeptOut { uid: "2".into() }));
        directory.changed(&key, None);
        assert!(directory.get("jane").is_none());
        assert_eq!(*ended.lock().unwrap(), ["1", "1", "2", "2"]);
    }

    #[test]
    fn an_unreadable_user_is_kept_out() {
        let (sender, _departures) = mpsc::unbounded_channel();
        let directory = Directory::new(sender, |_| {});
        let key = Key::new(&USERS.into(), "", "jane");
        directory.changed(&key, Some(br#"{"metadata": {"uid": "1"}}"#));
        assert!(directory.get("jane").is_some());
        directory.changed(&key, Some(b"{"));
        assert!(directory.get("jane").is_none());
    }
}
