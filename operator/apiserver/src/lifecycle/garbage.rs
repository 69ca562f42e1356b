//! Deletion of objects whose owners are all gone, and the two finalizers by which
//! an owner waits for its dependents.
//!
//! ```text
//! owner deleted ────────────▶ its dependents: delete those that have no other owner
//! owner marked, `orphan` ───▶ take the reference out of every dependent, then let go
//! owner marked, `foreground-─▶ delete the dependents; let go when none of them blocks
//!                 Deletion`
//! ```

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hasher as _;
use std::sync::Arc;

use serde::Deserialize;

use super::{RETRY, owner_event, rows};
use crate::state::State;
use crate::store::{Key, OwnerReference};
use crate::watch::{Event, EventKind};
use crate::wire::status::StatusError;
use crate::write::{
    DeleteOptions, FOREGROUND, ORPHAN, Propagation, delete_key, remove_finalizer, strip_owners,
    unblock_owners,
};

/// How often a decision is made anew because the object changed meanwhile.
const ATTEMPTS: usize = 16;

/// The metadata that decides over life and death.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ties {
    uid: String,
    resource_version: String,
    deletion_timestamp: Option<String>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl Ties {
    fn read(object: &[u8]) -> Result<Self, StatusError> {
        #[derive(Deserialize)]
        struct Object {
            #[serde(default)]
            metadata: Ties,
        }
        let object: Object = serde_json::from_slice(object).map_err(StatusError::internal)?;
        Ok(object.metadata)
    }

    fn owners(&self) -> &[OwnerReference] {
        self.owner_references.as_deref().unwrap_or_default()
    }

    /// Whether the object is being deleted and waits for what this finalizer
    /// means.
    fn waits(&self, finalizer: &str) -> bool {
        self.deletion_timestamp.is_some()
            && self.finalizers.iter().flatten().any(|one| one == finalizer)
    }

    fn waits_for_dependents(&self) -> bool {
        self.waits(ORPHAN) || self.waits(FOREGROUND)
    }
}

/// What the task remembers between two looks.
#[derive(Default)]
struct Memory {
    /// Objects to look at.
    candidates: BTreeSet<Key>,
    /// Owners that wait for dependents which block them.
    blocked: BTreeSet<Key>,
    /// Digests of objects' owner references, by digests of their keys: most
    /// changes leave the references alone and concern nobody here.
    references: HashMap<u64, u64>,
}

/// Collects garbage until shutdown.
pub(super) async fn run(state: Arc<State>) {
    let mut latest = state.store.ring().subscribe();
    let mut seen = *latest.borrow_and_update();
    let mut memory = Memory::default();
    let mut look_at_everything = true;
    loop {
        if look_at_everything {
            match everything(&state).await {
                Ok(keys) => {
                    memory.candidates.extend(keys);
                    look_at_everything = false;
                }
                Err(error) => tracing::warn!(%error, "garbage could not be looked for"),
            }
        }
        for key in std::mem::take(&mut memory.candidates) {
            match visit(&state, &key).await {
                Ok(Visit::Blocked) => {
                    memory.blocked.insert(key);
                }
                Ok(Visit::Done) => {
                    memory.blocked.remove(&key);
                }
                Err(error) => {
                    tracing::warn!(?key, %error, "garbage could not be collected; trying again");
                    memory.candidates.insert(key);
                }
            }
        }
        let retry = look_at_everything || !memory.candidates.is_empty();
        tokio::select! {
            changed = latest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if retry => {}
            () = state.shutdown.cancelled() => return,
        }
        match state.store.ring().since(seen, |_| true) {
            Ok((events, version)) => {
                seen = version;
                for event in &events {
                    memory.note(&state, event);
                }
            }
            // Too much happened at once to know what.
            Err(_) => {
                seen = *latest.borrow_and_update();
                memory.references.clear();
                look_at_everything = true;
            }
        }
    }
}

/// What may be garbage or wait for it: all that has owners, and all that waits
/// for its dependents.
async fn everything(state: &Arc<State>) -> Result<Vec<Key>, StatusError> {
    let mut keys = state.store.owned();
    let resources: Vec<_> = state.registry().stored().cloned().collect();
    for resource in resources {
        let waiting = |row: crate::store::Row| {
            let waits = row.terminating
                && Ties::read(&row.object).is_ok_and(|ties| ties.waits_for_dependents());
            waits.then_some(row.key)
        };
        keys.extend(rows(state, &resource.storage, None, waiting).await?.into_iter().flatten());
    }
    Ok(keys)
}

impl Memory {
    /// Finds out whom a change concerns.
    fn note(&mut self, state: &State, event: &Event) {
        let Ok(ties) = Ties::read(&event.object) else {
            return;
        };
        let place = digest(&event.key);
        if event.kind == EventKind::Deleted {
            self.references.remove(&place);
            self.blocked.remove(&event.key);
            self.candidates.extend(state.store.dependents(&ties.uid));
            // The last dependent that an owner waited for?
            for owner in ties.owners() {
                self.candidates.extend(owner_key(state, owner, event.key.namespace()));
            }
            return;
        }
        // Whether it is known to be blocked says nothing about its dependents: a
        // look may have found it so before this change was read.
        if ties.waits_for_dependents() {
            self.blocked.insert(event.key.clone());
            self.candidates.insert(event.key.clone());
            self.candidates.extend(state.store.dependents(&ties.uid));
        }
        let before = if ties.owners().is_empty() {
            self.references.remove(&place)
        } else {
            self.references.insert(place, digest(ties.owners()))
        };
        let after = (!ties.owners().is_empty()).then(|| digest(ties.owners()));
        if before != after {
            // Its owner may have gone before it came, and who waited for it may
            // go now.
            self.candidates.insert(event.key.clone());
            self.candidates.extend(self.blocked.iter().cloned());
        }
    }
}

fn digest<T: std::hash::Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Where an object stands after a look.
enum Visit {
    /// Nothing is left to do, or a change will call again.
    Done,
    /// It waits for dependents that block it.
    Blocked,
}

async fn visit(state: &Arc<State>, key: &Key) -> Result<Visit, StatusError> {
    let Some(row) = state.store.get(key)? else {
        return Ok(Visit::Done);
    };
    let ties = Ties::read(&row.object)?;
    if ties.waits(ORPHAN) {
        for dependent in state.store.dependents(&ties.uid) {
            strip_owners(state, &dependent, |owner| owner["uid"] == *ties.uid).await?;
        }
        remove_finalizer(state, key, ORPHAN).await?;
        return Ok(Visit::Done);
    }
    if ties.waits(FOREGROUND) {
        if is_blocked(state, key, &ties.uid)? {
            return Ok(Visit::Blocked);
        }
        remove_finalizer(state, key, FOREGROUND).await?;
        return Ok(Visit::Done);
    }
    if ties.deletion_timestamp.is_none() && !ties.owners().is_empty() {
        collect(state, key).await?;
    }
    Ok(Visit::Done)
}

/// Whether a dependent is left that its owner has to wait for.
fn is_blocked(state: &State, owner: &Key, uid: &str) -> Result<bool, StatusError> {
    for key in state.store.dependents(uid) {
        // Nobody waits for himself.
        let Some(row) = state.store.get(&key)?.filter(|_| key != *owner) else {
            continue;
        };
        let ties = Ties::read(&row.object)?;
        let mut references = ties.owners().iter().filter(|reference| reference.uid == uid);
        if references.any(|reference| reference.block_owner_deletion == Some(true)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes an object that lost every owner, and takes out references to those
/// that are gone where another is left.
async fn collect(state: &Arc<State>, key: &Key) -> Result<(), StatusError> {
    for _ in 0..ATTEMPTS {
        let Some(row) = state.store.get(key)? else {
            return Ok(());
        };
        let ties = Ties::read(&row.object)?;
        if ties.deletion_timestamp.is_some() {
            return Ok(());
        }
        let fates = Fates::of(state, key, &ties).await?;
        let how = match fates {
            Fates { solid: true, gone, .. } if gone.is_empty() => return Ok(()),
            Fates { solid: true, gone, .. } => {
                let is_gone = |owner: &serde_json::Value| {
                    owner["uid"].as_str().is_some_and(|uid| gone.iter().any(|gone| gone == uid))
                };
                return strip_owners(state, key, is_gone).await;
            }
            Fates { gone, .. } if gone.is_empty() => return Ok(()),
            Fates { waited_for: true, .. } if has_dependents(state, key, &ties.uid) => {
                // Owners in a circle would wait for each other for ever.
                if closes_circle(state, &ties.uid)? {
                    unblock_owners(state, key).await?;
                }
                Some(Propagation::Foreground)
            }
            Fates { .. } => None,
        };
        match delete_as_seen(state, key, how).await {
            Err(error) if error.reason() == "Conflict" => {}
            outcome => return outcome,
        }
    }
    Err(StatusError::timeout("the object changes too often"))
}

/// Deletes an object unless its owners changed since they were looked at.
async fn delete_as_seen(
    state: &Arc<State>,
    key: &Key,
    propagation: Option<Propagation>,
) -> Result<(), StatusError> {
    let registry = state.registry();
    let (Some(resource), Some(row)) =
        (registry.find_storage(key.resource()), state.store.get(key)?)
    else {
        return Ok(());
    };
    let ties = Ties::read(&row.object)?;
    // Unblocking its owners changed it; what they are did not.
    let fates = Fates::of(state, key, &ties).await?;
    if fates.solid {
        return Err(StatusError::conflict("", "", key.name(), "it has an owner again"));
    }
    let how = DeleteOptions {
        propagation,
        uid: Some(ties.uid),
        version: Some(ties.resource_version),
        ..DeleteOptions::default()
    };
    delete_key(state, resource, key, &how).await.map(|_| ())
}

fn has_dependents(state: &State, key: &Key, uid: &str) -> bool {
    state.store.dependents(uid).iter().any(|dependent| dependent != key)
}

/// Whether a dependent is itself waiting for its dependents.
fn closes_circle(state: &State, uid: &str) -> Result<bool, StatusError> {
    for key in state.store.dependents(uid) {
        if let Some(row) = state.store.get(&key)?
            && row.terminating
            && Ties::read(&row.object)?.waits(FOREGROUND)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What became of the owners of an object.
#[derive(Default)]
struct Fates {
    /// One is there and stays.
    solid: bool,
    /// One waits for its dependents to go first.
    waited_for: bool,
    /// Uids of those that are gone or wait.
    gone: Vec<String>,
}

impl Fates {
    async fn of(state: &Arc<State>, key: &Key, ties: &Ties) -> Result<Self, StatusError> {
        let mut fates = Self::default();
        for owner in ties.owners() {
            match fate(state, owner, key)? {
                Fate::Solid => fates.solid = true,
                Fate::Waiting => {
                    fates.waited_for = true;
                    fates.gone.push(owner.uid.clone());
                }
                Fate::Gone => fates.gone.push(owner.uid.clone()),
                Fate::Impossible => {
                    fates.solid = true;
                    owner_event::invalid_namespace(state, key, &ties.uid, owner).await?;
                }
            }
        }
        Ok(fates)
    }
}

enum Fate {
    Solid,
    Waiting,
    Gone,
    /// The reference can't name anything; the object is left alone, as
    /// Kubernetes does.
    Impossible,
}

/// What became of an owner. One of a kind that this server doesn't serve is
/// somebody else's to judge. An owner in another namespace than its dependent
/// counts as gone: references carry no namespace.
fn fate(state: &State, owner: &OwnerReference, dependent: &Key) -> Result<Fate, StatusError> {
    let registry = state.registry();
    let Some(resource) = registry.find_kind(&owner.api_version, &owner.kind) else {
        return Ok(Fate::Solid);
    };
    if resource.info.namespaced && dependent.namespace().is_empty() {
        return Ok(Fate::Impossible);
    }
    let Some(key) = owner_key(state, owner, dependent.namespace()) else {
        return Ok(Fate::Solid);
    };
    let Some(row) = state.store.get(&key)? else {
        return Ok(Fate::Gone);
    };
    let ties = Ties::read(&row.object)?;
    Ok(if ties.uid != owner.uid {
        Fate::Gone
    } else if ties.waits(FOREGROUND) {
        Fate::Waiting
    } else {
        Fate::Solid
    })
}

/// Where an owner would be; `None` where its kind isn't served.
fn owner_key(state: &State, owner: &OwnerReference, namespace: &str) -> Option<Key> {
    let registry = state.registry();
    let resource = registry.find_kind(&owner.api_version, &owner.kind)?;
    let namespace = if resource.info.namespaced { namespace } else { "" };
    Some(Key::new(&resource.storage, namespace, &owner.name))
}
