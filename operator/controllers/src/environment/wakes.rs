//! What wakes environments besides a change of themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, future, stream};
use hades_api::{
    DockerHost, Environment, EnvironmentTemplate, HadesProject, RegistryAccount, SYSTEM_NAMESPACE,
};
use hades_provider::Wake;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::broadcast::error::RecvError;

use crate::Context;
use crate::driver::{Meta, references};
use crate::hosts::HostWake;

type References = BoxStream<'static, ObjectRef<Meta<Environment>>>;

/// All of them in one stream.
pub(super) fn all(context: &Arc<Context>, store: Store<Meta<Environment>>) -> References {
    let by_namespace = |store: Store<Meta<Environment>>| {
        move |namespace: Option<String>| references(&store, namespace.as_deref())
    };
    let templates =
        touched(Api::<PartialObjectMeta<EnvironmentTemplate>>::all(context.client.clone()))
            .map(|template| template.namespace());
    let secrets = touched(Api::<PartialObjectMeta<Secret>>::all(context.client.clone()))
        .map(|secret| secret.namespace().filter(|namespace| namespace != SYSTEM_NAMESPACE));
    // Those of accounts may be what any project waits for.
    let accounts = touched(Api::<PartialObjectMeta<RegistryAccount>>::all(context.client.clone()))
        .map(|_| None);
    let projects = touched(Api::<PartialObjectMeta<HadesProject>>::all(context.client.clone()))
        .map(|project| Some(project.name_any()));
    let in_project = stream::select_all([
        templates.boxed(),
        secrets.boxed(),
        projects.boxed(),
        accounts.boxed(),
    ])
    .map(by_namespace(store.clone()))
    .flat_map(stream::iter);
    let answers = of_answers(context, store.clone());
    let hosts = stream::select(of_hosts(context, store.clone()), placed(context, store));
    stream::select_all([in_project.boxed(), hosts.boxed(), answers.boxed()]).boxed()
}

/// Where things may run is up to the specs and labels of hosts; their status,
/// which changes all the time, says nothing of it.
fn placed(
    context: &Arc<Context>,
    store: Store<Meta<Environment>>,
) -> impl Stream<Item = ObjectRef<Meta<Environment>>> + Send + use<> {
    let mut known: HashMap<String, (Option<i64>, BTreeMap<String, String>)> = HashMap::new();
    let hosts = touched(Api::<PartialObjectMeta<DockerHost>>::all(context.client.clone()));
    hosts.flat_map(move |host| {
        let facts = (host.metadata.generation, host.labels().clone());
        let before = known.insert(host.name_any(), facts.clone());
        let news = before.as_ref() != Some(&facts) || host.meta().deletion_timestamp.is_some();
        stream::iter(if news { references(&store, None) } else { Vec::new() })
    })
}

/// Metadata of objects that were made, changed or deleted.
fn touched<K>(api: Api<PartialObjectMeta<K>>) -> impl Stream<Item = PartialObjectMeta<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
    K: serde::de::DeserializeOwned,
{
    watcher(api, watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .filter_map(|object| future::ready(object.ok()))
}

/// Answers of registries name an environment.
fn of_answers(
    context: &Arc<Context>,
    store: Store<Meta<Environment>>,
) -> impl Stream<Item = ObjectRef<Meta<Environment>>> + Send + use<> {
    stream::unfold(context.images.poller.wakes(), |mut wakes| async move {
        match wakes.recv().await {
            Ok(name) => Some((Some(name), wakes)),
            Err(RecvError::Lagged(_)) => Some((None, wakes)),
            Err(RecvError::Closed) => None,
        }
    })
    .flat_map(move |name| {
        stream::iter(match name {
            Some(name) => vec![ObjectRef::new(&name.environment).within(&name.project)],
            None => references(&store, None),
        })
    })
}

/// Host events name an environment, or concern all that might wait for a name,
/// a port or the host itself.
fn of_hosts(
    context: &Arc<Context>,
    store: Store<Meta<Environment>>,
) -> impl Stream<Item = ObjectRef<Meta<Environment>>> + Send + use<> {
    let context = context.clone();
    stream::unfold(context.hosts.wakes(), |mut wakes| async move {
        match wakes.recv().await {
            Ok(wake) => Some((Some(wake), wakes)),
            // Some were lost, so anything may have changed.
            Err(RecvError::Lagged(_)) => Some((None, wakes)),
            Err(RecvError::Closed) => None,
        }
    })
    .flat_map(move |wake| {
        if let Some(wake) = &wake {
            tracing::trace!(host = wake.host, wake = ?wake.wake, "wake");
        }
        let woken = match wake {
            Some(HostWake { wake: Wake::Environment(name), .. }) => {
                vec![ObjectRef::new(&name.environment).within(&name.project)]
            }
            Some(HostWake { host, wake: Wake::Foreign | Wake::Everything }) => {
                let concerned = context.hosts.users.concerned(&host);
                let mut woken = references(&store, None);
                woken.retain(|found| {
                    concerned(found.namespace.as_deref().unwrap_or_default(), &found.name)
                });
                woken
            }
            None => references(&store, None),
        };
        stream::iter(woken)
    })
}
