//! Writes into ClusterRoles with an `aggregationRule` which rules they gather.
//!
//! The rights count them at once (`authz`); this is so that people see them too.

use std::sync::Arc;

use serde_json::json;

use super::RETRY;
use crate::authn::Identity;
use crate::authz::{CLUSTER_ROLES, Rule};
use crate::server::MANAGER;
use crate::state::State;
use crate::store::Key;
use crate::wire::status::StatusError;
use crate::write::{self, Call, WriteOptions, from_bytes};

/// Writes until shutdown.
pub(super) async fn run(state: Arc<State>) {
    loop {
        tokio::select! {
            () = state.rights.roles_changed() => {}
            () = state.shutdown.cancelled() => return,
        }
        while let Err(error) = write_all(&state).await {
            tracing::warn!(%error, "the rules of roles could not be gathered; trying again");
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = state.shutdown.cancelled() => return,
            }
        }
    }
}

async fn write_all(state: &State) -> Result<(), StatusError> {
    for (name, rules) in state.rights.gathered() {
        match write_one(state, &name, &rules).await {
            // Somebody else was first; his change wakes the task again.
            Err(error) if matches!(error.code(), 404 | 409) => {}
            result => result?,
        }
    }
    Ok(())
}

async fn write_one(state: &State, name: &str, rules: &[Rule]) -> Result<(), StatusError> {
    let Some(row) = state.store.get(&Key::new(&CLUSTER_ROLES.into(), "", name))? else {
        return Ok(());
    };
    let mut object = from_bytes(&row.object)?;
    let gathered = json!(rules);
    if object["rules"] == gathered || (rules.is_empty() && object["rules"].is_null()) {
        return Ok(());
    }
    object["rules"] = gathered;
    let registry = state.registry();
    let Some(resource) = registry.find_storage(CLUSTER_ROLES) else {
        return Ok(());
    };
    let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
    let caller = &Identity::server();
    let call = Call { state, resource, namespace: None, caller, options: &options };
    write::replace(call, name, None, object, &[]).await.map(|_| ())
}
