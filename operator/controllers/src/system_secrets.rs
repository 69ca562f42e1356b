//! Secrets of `hades-system`, out of which hosts and accounts are reached.

use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use hades_api::SYSTEM_NAMESPACE;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};

use crate::driver::{Meta, references};

/// All objects of a kind, each time that one of these Secrets changes: which of them
/// uses which isn't kept, and a look more costs little.
pub(crate) fn wakes<K>(
    client: &Client,
    store: Store<Meta<K>>,
) -> BoxStream<'static, ObjectRef<Meta<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    Meta<K>: Resource<DynamicType = ()> + Clone + Send + Sync,
{
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    watcher(secrets, watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .filter_map(|secret| future::ready(secret.ok()))
        .flat_map(move |_| stream::iter(references(&store, None)))
        .boxed()
}
