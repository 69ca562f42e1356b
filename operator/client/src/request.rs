//! What people ask of Hades: annotations and switches on objects.

use std::collections::BTreeMap;

use hades_api::annotation;
use http::Request;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Address, Error, Kind, Session, catalog, object};

/// Asks for new containers: of one service, or of all. Returns the value that
/// `status.lastHandledReconcileAt` will have once Hades has seen it.
///
/// # Errors
/// When the environment isn't there, or the server refuses or doesn't answer.
pub async fn restart(
    session: &Session,
    address: &Address,
    now: Timestamp,
) -> Result<String, Error> {
    let kind = catalog::environment();
    let patch = restart_patch(address.service.as_deref(), now);
    let project = Some(address.project.as_str());
    object::merge(session, &kind, project, &address.environment, &patch).await?;
    Ok(now.to_string())
}

fn restart_patch(service: Option<&str>, now: Timestamp) -> Value {
    let time = now.to_string();
    let key = match service {
        Some(service) => format!("{}{service}", annotation::RESTARTED_AT_SERVICE),
        None => annotation::RESTARTED_AT.to_owned(),
    };
    // The second one is what tells that the first one was seen.
    json!({"metadata": {"annotations": {
        key: time, annotation::RECONCILE_REQUESTED_AT: time,
    }}})
}

/// Asks for a pass now, and with `confirm_prune` agrees to the prune of that
/// commit. Returns the value that `status.lastHandledReconcileAt` will have
/// once Hades has seen it.
///
/// # Errors
/// When the object isn't there, or the server refuses or doesn't answer.
pub async fn sync(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    confirm_prune: Option<&str>,
    now: Timestamp,
) -> Result<String, Error> {
    let mut annotations = json!({annotation::RECONCILE_REQUESTED_AT: now.to_string()});
    if let Some(commit) = confirm_prune {
        annotations[annotation::CONFIRM_PRUNE] = json!(commit);
    }
    let patch = json!({"metadata": {"annotations": annotations}});
    match object::merge(session, kind, namespace, name, &patch).await {
        // Who may not edit a repository may have it looked at all the same. To agree to a
        // prune is more than that.
        Err(Error::Api(refusal))
            if refusal.code == 403
                && confirm_prune.is_none()
                && *kind == catalog::config_repository() =>
        {
            let asked = sync_request(session, namespace.unwrap_or_default(), name).await;
            asked.map_err(|_| Error::Api(refusal))
        }
        answer => answer.map(|_| now.to_string()),
    }
}

/// What the server answers to a request for a sync.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyncRequested {
    requested_at: String,
}

/// Asks for a sync with the right to nothing else.
async fn sync_request(session: &Session, namespace: &str, name: &str) -> Result<String, Error> {
    let path = format!(
        "/apis/operations.hades.dev/v1alpha1/namespaces/{namespace}/configrepositories/{name}/sync"
    );
    let request = Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(b"{}".to_vec())
        .map_err(|error| session.protocol(error))?;
    let answer: Result<SyncRequested, _> = session.client().request(request).await;
    answer.map(|requested| requested.requested_at).map_err(|error| session.error(error))
}

/// The merge patch that sets annotations, and removes those with no value.
pub fn annotate(annotations: &BTreeMap<String, Value>) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

/// Holds changes back, or lets them through again.
///
/// # Errors
/// When the object isn't there, or the server refuses or doesn't answer.
pub async fn suspend(
    session: &Session,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    suspend: bool,
) -> Result<(), Error> {
    // Absent rather than false: then nobody owns the field, and a manifest
    // that doesn't name it agrees with the object.
    let value = if suspend { json!(true) } else { Value::Null };
    let patch = json!({"spec": {"suspend": value}});
    object::merge(session, kind, namespace, name, &patch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_names_the_service() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            restart_patch(Some("api"), now),
            json!({"metadata": {"annotations": {
                "restarted-at.hades.dev/api": "2026-01-01T00:00:00Z",
                "hades.dev/reconcile-requested-at": "2026-01-01T00:00:00Z",
            }}})
        );
        let all = restart_patch(None, now);
        assert!(all.pointer("/metadata/annotations/hades.dev~1restarted-at").is_some());
    }
}
