//! Hades's finalizer: an object that carries it is not gone before what it made
//! is.

use std::fmt::Debug;

use hades_api::annotation;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::ReconcileError;

/// Whether an object carries it.
pub(crate) fn is_set<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == annotation::FINALIZER)
}

/// Puts Hades's finalizer on an object, or takes it off.
pub(crate) async fn set<K>(api: &Api<K>, object: &K, wanted: bool) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut finalizers: Vec<String> = object.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != annotation::FINALIZER);
    if wanted {
        finalizers.push(annotation::FINALIZER.to_owned());
    }
    // With the version that was read, so that nobody else's finalizer is lost.
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": object.resource_version(),
    }});
    let name = object.name_any();
    match api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if !wanted && status.code == 404 => Ok(()),
        Err(error) => {
            Err(ReconcileError::api(format!("change finalizers of {} {name}", K::kind(&())))(error))
        }
    }
}
