//! The one loop that runs every controller: a metadata watch feeds a queue, the
//! queue runs a pass at a time per object, the outcome becomes a requeue.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, stream};
use kube::api::{ObjectMeta, PartialObjectMeta};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::{Context, error_chain};

/// Metadata of an object: all that a controller keeps in memory of it.
pub(crate) type Meta<K> = PartialObjectMeta<K>;

/// How many objects of a kind are worked on at the same time. Each may wait half
/// a minute for a host that doesn't answer, and all that are on it do: they must
/// not take the turns of those on other hosts.
const CONCURRENCY: u16 = 4096;

/// A pass without any wake comes at least this often: events can be lost.
pub(crate) const FULL_PASS: Duration = Duration::from_secs(300);

/// When the next pass comes, if nothing wakes it earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is left to do: at the next full pass.
    Settled,
    /// At once: something was changed and is to be looked at again.
    Again,
    /// After that time.
    After(Duration),
    /// The object is gone.
    Gone,
}

/// Why a pass came to no end. What is wrong with an object itself is not an
/// error but goes into its status.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server refused or didn't answer.
    #[error("{action}")]
    Api {
        /// What was tried.
        action: String,
        /// The answer.
        source: kube::Error,
    },
    /// A bug, or a task that was cut off.
    #[error("{0}")]
    Internal(String),
}

impl ReconcileError {
    /// For `map_err`: says what was tried.
    pub(crate) fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Api { action, source }
    }

    /// A stable word for metric labels.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } if status.code == 409 => "conflict",
            Self::Api { .. } => "api",
            Self::Internal(_) => "internal",
        }
    }
}

/// What a controller is made of.
#[async_trait]
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// Kind that it works on.
    type Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static;

    /// Access to one namespace's objects, or to all.
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self::Kind>;

    /// Access to their metadata, everywhere.
    fn metadata(client: &Client) -> Api<Meta<Self::Kind>> {
        Api::all(client.clone())
    }

    /// What wakes objects besides a change of themselves.
    fn wakes(
        &self,
        _context: &Arc<Context>,
        _store: Store<Meta<Self::Kind>>,
    ) -> BoxStream<'static, ObjectRef<Meta<Self::Kind>>> {
        stream::pending().boxed()
    }

    /// One pass over a freshly read object.
    async fn reconcile(
        &self,
        context: &Arc<Context>,
        object: Self::Kind,
    ) -> Result<Progress, ReconcileError>;

    /// The object is gone: forget what was kept of it.
    async fn forget(&self, _context: &Arc<Context>, _namespace: Option<&str>, _name: &str) {}
}

struct Shared<R> {
    context: Arc<Context>,
    reconciler: R,
    failures: Backoff<String>,
}

/// Runs a controller until `shutdown`, then lets passes under way end.
pub(crate) async fn run<R: Reconciler>(
    context: Arc<Context>,
    reconciler: R,
    shutdown: CancellationToken,
) where
    Meta<R::Kind>: Resource<DynamicType = ()>,
{
    let (store, writer) = reflector::store::<Meta<R::Kind>>();
    let changes = reflector::reflector(
        writer,
        watcher(R::metadata(&context.client), watcher::Config::default()).default_backoff(),
    );
    let changes = relevant(changes);
    let wakes = reconciler.wakes(&context, store.clone());
    let shared = Arc::new(Shared { context, reconciler, failures: Backoff::default() });
    Controller::for_stream(changes, store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(wakes)
        .graceful_shutdown_on(async move { shutdown.cancelled().await })
        .run(pass::<R>, on_error::<R>, shared.clone())
        .for_each(|result| async {
            use kube::runtime::controller::Error;
            match result {
                // `on_error` has said it already.
                Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
                Err(Error::ObjectNotFound(gone)) => {
                    let namespace = gone.namespace.as_deref();
                    shared.reconciler.forget(&shared.context, namespace, &gone.name).await;
                }
                Err(error) => {
                    tracing::warn!(kind = %R::Kind::kind(&()), %error, "watch failed, going on");
                }
            }
        })
        .await;
}

/// Changes that a pass depends on: a status that a pass wrote must not wake the
/// next one.
///
/// What a list brings comes when the list is whole: only then does the store
/// have it, and a pass for an object that the store lacks would be taken for the
/// pass of one that is gone. What a list no longer brings is gone indeed.
fn relevant<K>(
    changes: impl Stream<Item = Result<watcher::Event<Meta<K>>, watcher::Error>> + Send,
) -> impl Stream<Item = Result<Meta<K>, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Send + 'static,
    Meta<K>: Resource<DynamicType = ()> + Send,
{
    let mut seen: HashMap<Place, u64> = HashMap::new();
    let mut listed = Vec::new();
    changes.flat_map(move |event| {
        let mut is_news = |object: &Meta<K>| {
            let hash = relevance(object.meta());
            seen.insert(place(object), hash) != Some(hash)
        };
        let kept: Vec<_> = match event {
            Err(error) => vec![Err(error)],
            Ok(watcher::Event::Delete(object)) => {
                seen.remove(&place(&object));
                vec![Ok(object)]
            }
            Ok(watcher::Event::Apply(object)) => {
                if is_news(&object) {
                    vec![Ok(object)]
                } else {
                    Vec::new()
                }
            }
            Ok(watcher::Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.push(object);
                Vec::new()
            }
            Ok(watcher::Event::InitDone) => {
                let listed = std::mem::take(&mut listed);
                let here: HashSet<Place> = listed.iter().map(place).collect();
                let mut changed: Vec<_> = listed.into_iter().filter(is_news).collect();
                changed.extend(
                    seen.extract_if(|place, _| !here.contains(place)).map(|(place, _)| bare(place)),
                );
                changed.into_iter().map(Ok).collect()
            }
        };
        stream::iter(kept)
    })
}

/// Namespace and name.
type Place = (Option<String>, String);

fn place<K: Resource<DynamicType = ()>>(object: &K) -> Place {
    (object.namespace(), object.name_any())
}

/// All that is left to say of an object that is gone.
fn bare<K>((namespace, name): Place) -> Meta<K> {
    let metadata = ObjectMeta { namespace, name: Some(name), ..ObjectMeta::default() };
    PartialObjectMeta { types: None, metadata, _phantom: PhantomData }
}

fn relevance(meta: &ObjectMeta) -> u64 {
    let mut hasher = DefaultHasher::new();
    meta.uid.hash(&mut hasher);
    meta.generation.hash(&mut hasher);
    meta.annotations.hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    hasher.finish()
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}

async fn pass<R: Reconciler>(
    meta: Arc<Meta<R::Kind>>,
    shared: Arc<Shared<R>>,
) -> Result<Action, ReconcileError>
where
    Meta<R::Kind>: Resource<DynamicType = ()>,
{
    let kind = R::Kind::kind(&());
    let (namespace, name) = (meta.namespace(), meta.name_any());
    let context = &shared.context;
    let fresh = R::api(&context.client, namespace.as_deref())
        .get_opt(&name)
        .await
        .map_err(ReconcileError::api(format!("read {kind} {}", key(&*meta))))?;
    let Some(object) = fresh else {
        shared.reconciler.forget(context, namespace.as_deref(), &name).await;
        return Ok(Action::await_change());
    };
    let started = Instant::now();
    let result = contained(shared.reconciler.reconcile(context, object)).await;
    let outcome = result.as_ref().map_or_else(ReconcileError::category, |_| "ok");
    context.metrics.pass(&kind, outcome, started.elapsed());
    let progress = result?;
    shared.failures.succeeded(&key(&*meta));
    Ok(match progress {
        Progress::Settled => Action::requeue(FULL_PASS),
        Progress::Again => Action::requeue(Duration::ZERO),
        Progress::After(delay) => Action::requeue(delay),
        Progress::Gone => Action::await_change(),
    })
}

/// A pass that panics is a bug that one object meets; the passes of all others
/// run in the same task and go on.
async fn contained(
    pass: impl Future<Output = Result<Progress, ReconcileError>>,
) -> Result<Progress, ReconcileError> {
    AssertUnwindSafe(pass).catch_unwind().await.unwrap_or_else(|_| {
        let message = "the pass panicked, which is a bug in Hades; its log says where";
        Err(ReconcileError::Internal(message.to_owned()))
    })
}

fn on_error<R: Reconciler>(
    meta: Arc<Meta<R::Kind>>,
    error: &ReconcileError,
    shared: Arc<Shared<R>>,
) -> Action
where
    Meta<R::Kind>: Resource<DynamicType = ()>,
{
    let delay = shared.failures.failed(&key(&*meta), Instant::now(), false, ());
    let kind = R::Kind::kind(&());
    if error.category() == "conflict" {
        tracing::debug!(%kind, object = key(&*meta), "changed meanwhile, going again");
    } else {
        tracing::warn!(%kind, object = key(&*meta), error = error_chain(error), ?delay, "pass failed");
    }
    Action::requeue(delay)
}

/// References to every object that a store holds, or to those of one namespace.
pub(crate) fn references<K>(
    store: &Store<Meta<K>>,
    namespace: Option<&str>,
) -> Vec<ObjectRef<Meta<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    Meta<K>: Resource<DynamicType = ()> + Clone,
{
    store
        .state()
        .iter()
        .filter(|object| namespace.is_none() || object.namespace().as_deref() == namespace)
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use hades_api::HadesProject;

    use super::*;

    fn project(name: &str, generation: i64) -> Meta<HadesProject> {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        };
        PartialObjectMeta { types: None, metadata, _phantom: PhantomData }
    }

    #[tokio::test]
    async fn a_pass_that_panics_is_an_error_of_its_own() {
        let broken = contained(async { panic!("a bug") }).await;
        assert_eq!(broken.unwrap_err().category(), "internal");
        assert_eq!(contained(async { Ok(Progress::Settled) }).await.unwrap(), Progress::Settled);
    }

    #[tokio::test]
    async fn what_a_list_brings_comes_when_the_store_has_it() {
        let (events, queue) = futures::channel::mpsc::unbounded();
        let mut changes = std::pin::pin!(relevant::<HadesProject>(queue));
        let send = |event| events.unbounded_send(Ok(event)).unwrap();
        // A list that broke off and was begun anew.
        send(watcher::Event::Init);
        send(watcher::Event::InitApply(project("gone", 1)));
        send(watcher::Event::Init);
        send(watcher::Event::InitApply(project("a", 1)));
        assert!(poll!(changes.next()).is_pending());
        send(watcher::Event::InitDone);
        assert_eq!(changes.next().await.unwrap().unwrap().name_any(), "a");
        // Again the same, and one that is new.
        send(watcher::Event::Init);
        send(watcher::Event::InitApply(project("a", 1)));
        send(watcher::Event::InitApply(project("b", 1)));
        send(watcher::Event::InitDone);
        assert_eq!(changes.next().await.unwrap().unwrap().name_any(), "b");
        send(watcher::Event::Apply(project("a", 1)));
        send(watcher::Event::Apply(project("a", 2)));
        assert_eq!(changes.next().await.unwrap().unwrap().metadata.generation, Some(2));
        assert!(poll!(changes.next()).is_pending());
    }

    #[tokio::test]
    async fn what_went_while_nobody_watched_is_missed_in_the_next_list() {
        let (events, queue) = futures::channel::mpsc::unbounded();
        let mut changes = std::pin::pin!(relevant::<HadesProject>(queue));
        let send = |event| events.unbounded_send(Ok(event)).unwrap();
        send(watcher::Event::Init);
        send(watcher::Event::InitApply(project("a", 1)));
        send(watcher::Event::InitDone);
        assert_eq!(changes.next().await.unwrap().unwrap().name_any(), "a");
        send(watcher::Event::Init);
        send(watcher::Event::InitDone);
        assert_eq!(changes.next().await.unwrap().unwrap().name_any(), "a");
        // Made again just as it was, it is news.
        send(watcher::Event::Apply(project("a", 1)));
        assert_eq!(changes.next().await.unwrap().unwrap().name_any(), "a");
        assert!(poll!(changes.next()).is_pending());
    }
}
