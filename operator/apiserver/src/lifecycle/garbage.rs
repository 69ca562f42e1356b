//! Deletion of objects whose owners are all gone.

use std::sync::Arc;

use super::{RETRY, delete_key};
use crate::state::State;
use crate::store::{Key, Meta, OwnerReference};
use crate::watch::{Event, EventKind};
use crate::wire::status::StatusError;
use crate::write::strip_owners;

/// Collects garbage until shutdown.
pub(super) async fn run(state: Arc<State>) {
    let mut latest = state.store.ring().subscribe();
    let mut seen = *latest.borrow_and_update();
    let mut candidates = state.store.owned();
    loop {
        for key in std::mem::take(&mut candidates) {
            if let Err(error) = collect(&state, &key).await {
                tracing::warn!(?key, %error, "an orphan could not be deleted; trying again");
                candidates.push(key);
            }
        }
        let retry = !candidates.is_empty();
        tokio::select! {
            changed = latest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if retry => {}
            () = state.shutdown.cancelled() => return,
        }
        match state.store.ring().since(seen, |_| true) {
            Ok((events, version)) => {
                seen = version;
                candidates.extend(events.iter().flat_map(|event| concerned(&state, event)));
            }
            // Too much happened at once to know what: look at everything.
            Err(_) => {
                seen = *latest.borrow_and_update();
                candidates = state.store.owned();
            }
        }
    }
}

/// The objects that may have become garbage by a change.
fn concerned(state: &State, event: &Event) -> Vec<Key> {
    let Ok(meta) = Meta::read(&event.object) else {
        return Vec::new();
    };
    match event.kind {
        EventKind::Deleted => state.store.dependents(&meta.uid),
        // Its owner may have gone before it came.
        EventKind::Added if !meta.owner_references.is_empty() => vec![event.key.clone()],
        _ => Vec::new(),
    }
}

async fn collect(state: &Arc<State>, key: &Key) -> Result<(), StatusError> {
    let Some(row) = state.store.get(key)? else {
        return Ok(());
    };
    let meta = Meta::read(&row.object).map_err(StatusError::internal)?;
    let mut dead = Vec::new();
    let mut alive = false;
    for owner in meta.owner_references {
        if is_alive(state, &owner, key.namespace())? {
            alive = true;
        } else {
            dead.push(owner.uid);
        }
    }
    if dead.is_empty() || row.terminating {
        return Ok(());
    }
    if alive {
        let gone = |owner: &serde_json::Value| {
            owner["uid"].as_str().is_some_and(|uid| dead.iter().any(|dead| dead == uid))
        };
        return strip_owners(state, key, gone).await;
    }
    let registry = state.registry();
    let Some(resource) = registry.find_storage(key.resource()) else {
        return Ok(());
    };
    delete_key(state, resource, key).await.map(|_| ())
}

/// Whether an owner exists. One of a kind that this server doesn't serve is
/// somebody else's to judge.
fn is_alive(state: &State, owner: &OwnerReference, namespace: &str) -> Result<bool, StatusError> {
    let registry = state.registry();
    let Some(resource) = registry.find_kind(&owner.api_version, &owner.kind) else {
        return Ok(true);
    };
    let namespace = if resource.info.namespaced { namespace } else { "" };
    let key = Key::new(&resource.storage, namespace, &owner.name);
    let Some(row) = state.store.get(&key)? else {
        return Ok(false);
    };
    let meta = Meta::read(&row.object).map_err(StatusError::internal)?;
    Ok(meta.uid == owner.uid)
}
