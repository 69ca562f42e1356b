//! Events about owner references that can't be right.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::authn::Identity;
use crate::random;
use crate::registry::Nature;
use crate::server::MANAGER;
use crate::state::State;
use crate::store::{Key, OwnerReference};
use crate::wire::status::StatusError;
use crate::write::{self, Call, WriteOptions};

/// Where the events of cluster-scoped objects are.
const NAMESPACE: &str = "default";

/// The same reference yields the same name, so that it is told once. The names of roles
/// and the uids of owners can be what no event may be called.
fn name_of(dependent: &Key, uid: &str, owner: &str) -> String {
    let whole = [dependent.resource(), dependent.name(), uid, owner].join("\0");
    let digest = random::hex(&Sha256::digest(whole));
    format!("owner-reference.{}", digest.get(..32).unwrap_or(&digest))
}

/// Says, once for each reference, that a cluster-scoped object can't have an
/// owner in a namespace: the reference names none.
pub(super) async fn invalid_namespace(
    state: &State,
    key: &Key,
    uid: &str,
    owner: &OwnerReference,
) -> Result<(), StatusError> {
    let registry = state.registry();
    let (Some(resource), Some(dependent)) = (
        registry.stored().find(|resource| resource.nature == Nature::Event),
        registry.find_storage(key.resource()),
    ) else {
        return Ok(());
    };
    let name = name_of(key, uid, &owner.uid);
    let OwnerReference { api_version, kind, name: owner_name, uid: owner_uid, .. } = owner;
    let now = state.now();
    let event = json!({
        "apiVersion": resource.info.api_version(),
        "kind": "Event",
        "metadata": {"name": name},
        "reason": "OwnerRefInvalidNamespace",
        "type": "Warning",
        "action": "GarbageCollection",
        "note": format!(
            "ownerRef [{api_version}/{kind}, name: {owner_name}, uid: {owner_uid}] names an owner \
             that lives in a namespace, which the owner of a cluster-scoped object can't do"
        ),
        "regarding": {
            "apiVersion": dependent.info.api_version(),
            "kind": dependent.info.kind,
            "name": key.name(),
            "uid": uid,
        },
        "eventTime": null,
        "deprecatedFirstTimestamp": now,
        "deprecatedLastTimestamp": now,
        "deprecatedCount": 1,
        "reportingController": MANAGER,
        "reportingInstance": MANAGER,
    });
    let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
    let (namespace, caller) = (Some(NAMESPACE), &Identity::server());
    let call = Call { state, resource, namespace, caller, options: &options };
    match write::create(call, event, &[]).await {
        Err(error) if error.reason() != "AlreadyExists" => Err(error),
        _ => Ok(()),
    }
}
