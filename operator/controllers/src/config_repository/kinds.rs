//! Which kinds the API server serves, and where they live.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope};
use kube::{Api, Client};

use crate::driver::ReconcileError;

/// A kind that is served.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
}

impl Kind {
    /// Access to the objects of a namespace, or to cluster-scoped ones.
    pub(super) fn api(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) if self.namespaced => {
                Api::namespaced_with(client.clone(), namespace, &self.resource)
            }
            _ => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// Remembers what discovery said of kinds that are served.
#[derive(Default)]
pub(super) struct Kinds {
    known: Mutex<HashMap<(String, String), Kind>>,
}

impl Kinds {
    /// The kind, or None when the server has none of that name.
    pub(super) async fn get(
        &self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Kind>, ReconcileError> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(known.clone()));
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let (resource, capabilities) = match kube::discovery::pinned_kind(client, &gvk).await {
            Ok(found) => found,
            Err(kube::Error::Discovery(_)) => return Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => {
                return Err(ReconcileError::api(format!("look up kind {kind} of {api_version}"))(
                    error,
                ));
            }
        };
        let found = Kind { resource, namespaced: capabilities.scope == Scope::Namespaced };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
        Ok(Some(found))
    }
}
