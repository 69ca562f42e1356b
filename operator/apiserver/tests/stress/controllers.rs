//! Controllers that own and watch, finalizers, and reflectors that must end up
//! with what the store holds.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::run::{Run, Steady, Tasks, repeat};
use crate::support::{Barn, BarnStatus, barn};

const BARNS: u64 = 5;
const FINALIZER: &str = "farm.example/cleanup";
/// What the watched map says is multiplied into every status.
const PRICES: &str = "prices";

pub struct Context {
    pub run: Arc<Run>,
    pub barns: Api<Barn>,
    pub maps: Api<ConfigMap>,
}

impl Context {
    pub fn new(run: &Arc<Run>, client: Client) -> Arc<Self> {
        Arc::new(Self {
            run: Arc::clone(run),
            barns: Api::namespaced(client.clone(), "default"),
            maps: Api::namespaced(client, "default"),
        })
    }

    async fn price(&self) -> kube::Result<i64> {
        let map = self.maps.get_opt(PRICES).await?;
        let price = map.and_then(|map| map.data?.get("milk")?.parse().ok());
        Ok(price.unwrap_or(1))
    }
}

type Failure = kube::runtime::finalizer::Error<kube::Error>;

async fn reconcile(barn: Arc<Barn>, context: Arc<Context>) -> Result<Action, Failure> {
    let name = barn.name_any();
    context.run.note(&format!("reconcile of {name}"), "the finalizer");
    let outcome = finalizer(&context.barns, FINALIZER, barn, |event| async {
        match event {
            Event::Apply(barn) => apply(&context, &barn).await?,
            Event::Cleanup(barn) => {
                context.run.dawdle(2).await;
                let name = barn.name_any();
                match context.maps.delete(&name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    other => drop(other?),
                }
            }
        }
        Ok(Action::await_change())
    });
    let outcome = outcome.await;
    context.run.note(&format!("reconcile of {name}"), "done");
    outcome
}

async fn apply(context: &Context, barn: &Barn) -> kube::Result<()> {
    let name = barn.name_any();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [barn.owner_ref(&()).unwrap()]},
        "data": {"cows": barn.spec.cows.to_string()},
    });
    let manager = PatchParams::apply("farmer").force();
    context.maps.patch(&name, &manager, &Patch::Apply(&map)).await?;
    // Long enough for the barn to be deleted meanwhile.
    context.run.dawdle(2).await;
    let status = json!({
        "apiVersion": "farm.example/v1", "kind": "Barn",
        "status": BarnStatus { milk: barn.spec.cows * context.price().await? },
    });
    match context.barns.patch_status(&name, &manager, &Patch::Apply(&status)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// The objects of a reflected watch, those of a list only when the store has the
/// whole list. kube's own controllers are woken by the first object of a list,
/// look for it in a store that has the last list still, and forget it.
fn settled_objects(
    events: impl Stream<Item = watcher::Result<watcher::Event<Barn>>>,
) -> impl Stream<Item = watcher::Result<Barn>> {
    let mut listed = Vec::new();
    events.flat_map(move |event| {
        let objects = match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(barn)) => {
                listed.push(Ok(barn));
                Vec::new()
            }
            Ok(watcher::Event::InitDone) => std::mem::take(&mut listed),
            Ok(watcher::Event::Apply(barn) | watcher::Event::Delete(barn)) => vec![Ok(barn)],
            Err(error) => vec![Err(error)],
        };
        stream::iter(objects)
    })
}

/// A controller of barns that owns config maps and watches the prices.
pub fn controller(context: &Arc<Context>, tasks: &mut Tasks) {
    let (barns, writer) = reflector::store();
    let changes = watcher(context.barns.clone(), watcher::Config::default()).backoff(Steady);
    let changes = settled_objects(reflector::reflector(writer, changes));
    let controller = Controller::for_stream(changes, barns.clone())
        .trigger_backoff(Steady)
        .owns(context.maps.clone(), watcher::Config::default())
        .watches(context.maps.clone(), watcher::Config::default(), move |map| {
            let all = if map.name_any() == PRICES { barns.state() } else { Vec::new() };
            all.into_iter().map(|barn| ObjectRef::from_obj(&*barn)).collect::<Vec<_>>()
        })
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(3)), Arc::clone(context));
    let run = Arc::clone(&context.run);
    tasks.spawn(controller.for_each(move |outcome| {
        if let Err(error) = outcome {
            run.note(&format!("controller, {error}"), format!("{error:?}"));
        }
        std::future::ready(())
    }));
}

/// A copy of a resource that a watcher keeps.
pub fn reflect<K>(api: &Api<K>, streaming: bool, tasks: &mut Tasks) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    let config = watcher::Config::default();
    let config = if streaming { config.streaming_lists() } else { config };
    let (reader, writer) = reflector::store();
    let stream = watcher(api.clone(), config).backoff(Steady).reflect(writer);
    tasks.spawn(stream.for_each(|_| async {}));
    reader
}

type Versions = BTreeMap<String, String>;

fn versions<'a, K: Resource + 'a>(objects: impl IntoIterator<Item = &'a K>) -> Versions {
    let version = |object: &K| object.resource_version().unwrap_or_default();
    objects.into_iter().map(|object| (object.name_any(), version(object))).collect()
}

pub fn of_store<K>(store: &Store<K>) -> Versions
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    store.state().iter().map(|object| versions([&**object])).fold(
        Versions::new(),
        |mut all, one| {
            all.extend(one);
            all
        },
    )
}

pub async fn of_server<K>(api: &Api<K>) -> Versions
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    versions(&api.list(&ListParams::default()).await.unwrap().items)
}

/// What a reflector has otherwise than the server.
pub async fn difference<K, S>(api: &Api<K>, copies: &[(&str, &Store<S>)]) -> Option<String>
where
    K: Resource + Clone + Debug + DeserializeOwned,
    S: Resource + Clone + 'static,
    S::DynamicType: Eq + Hash + Clone,
{
    let truth = of_server(api).await;
    copies.iter().find_map(|(name, copy)| {
        let has = of_store(copy);
        (has != truth).then(|| format!("the {name} has {has:?}, the server {truth:?}"))
    })
}

async fn tolerant(context: &Context, name: &str, patch: &serde_json::Value) {
    let params = PatchParams::default();
    match context.barns.patch(name, &params, &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        other => drop(other.unwrap()),
    }
}

/// One random change by a user.
async fn disturb(context: &Context, step: u64) {
    let run = &context.run;
    let name = format!("b{}", run.below(BARNS));
    run.note("main", format!("change {step} of {name}"));
    match run.below(6) {
        0 | 1 => {
            let created = context.barns.create(&PostParams::default(), &barn(&name, 14)).await;
            if let Err(error) = created {
                assert!(
                    matches!(&error, kube::Error::Api(status) if status.code == 409),
                    "{error}"
                );
            }
        }
        2 => tolerant(context, &name, &json!({"spec": {"cows": 20 + run.below(9)}})).await,
        3 => {
            let gone = context.barns.delete(&name, &DeleteParams::default()).await;
            if let Err(error) = gone {
                assert!(
                    matches!(&error, kube::Error::Api(status) if status.code == 404),
                    "{error}"
                );
            }
        }
        4 => drop(context.maps.delete(&name, &DeleteParams::default()).await),
        _ => set_price(context, 1 + run.below(5)).await,
    }
    run.dawdle(2).await;
}

async fn set_price(context: &Context, price: u64) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PRICES},
        "data": {"milk": price.to_string()}});
    let manager = PatchParams::apply("market");
    context.maps.patch(PRICES, &manager, &Patch::Apply(&map)).await.unwrap();
}

/// What the controller has not brought about yet.
pub async fn unsettled(context: &Context) -> Option<String> {
    let price = context.price().await.unwrap();
    let maps = context.maps.list(&ListParams::default()).await.unwrap().items;
    let maps: BTreeMap<String, ConfigMap> =
        maps.into_iter().map(|map| (map.name_any(), map)).collect();
    let barns = context.barns.list(&ListParams::default()).await.unwrap().items;
    for barn in &barns {
        let name = barn.name_any();
        if barn.meta().deletion_timestamp.is_some() {
            return Some(format!("{name} is still being deleted"));
        }
        let milk = barn.status.as_ref().map(|status| status.milk);
        if milk != Some(barn.spec.cows * price) {
            return Some(format!("{name} with {} cows gives {milk:?} at {price}", barn.spec.cows));
        }
        let data = maps.get(&name).and_then(|map| map.data.as_ref()?.get("cows"));
        if data != Some(&barn.spec.cows.to_string()) {
            return Some(format!("the map of {name} says {data:?}"));
        }
    }
    let known = |name: &String| name == PRICES || barns.iter().any(|barn| barn.name_any() == *name);
    maps.keys().find(|name| !known(name)).map(|name| format!("the map {name} has no barn"))
}

async fn life(run: Arc<Run>) {
    let server = run.server().await;
    let context = Context::new(&run, server.controller());
    let mut tasks = Tasks::default();
    controller(&context, &mut tasks);
    let listed = reflect(&context.barns, false, &mut tasks);
    let streamed = reflect(&context.barns, true, &mut tasks);
    let partial: Api<PartialObjectMeta<ConfigMap>> =
        Api::namespaced(server.controller(), "default");
    let metadata = reflect(&partial, false, &mut tasks);
    for step in 0..25 {
        disturb(&context, step).await;
    }
    let settled = || async {
        if let Some(missing) = unsettled(&context).await {
            return Some(missing);
        }
        let copies = [("listing reflector", &listed), ("streaming reflector", &streamed)];
        match difference(&context.barns, &copies).await {
            None => difference(&context.maps, &[("metadata reflector", &metadata)]).await,
            different => different,
        }
    };
    run.until("everything settles", settled).await;
    for index in 0..BARNS {
        drop(context.barns.delete(&format!("b{index}"), &DeleteParams::default()).await);
    }
    run.until("everything is gone", settled).await;
    assert!(of_server(&context.barns).await.is_empty());
    // An orphan: its owner goes while nobody reconciles it.
    drop(tasks);
    orphan(&context).await;
}

/// The server itself deletes what lost its owner.
async fn orphan(context: &Context) {
    let owner = context.barns.create(&PostParams::default(), &barn("owner", 1)).await.unwrap();
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some("orphan".to_owned()),
            owner_references: Some(vec![owner.owner_ref(&()).unwrap()]),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    context.maps.create(&PostParams::default(), &map).await.unwrap();
    context.barns.delete("owner", &DeleteParams::default()).await.unwrap();
    let left = || async {
        let orphan = context.maps.get_opt("orphan").await.unwrap();
        orphan.map(|_| "the orphan is still there".to_owned())
    };
    context.run.until("the garbage is collected", left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_settle_and_reflectors_agree_with_the_store() {
    repeat("controllers", 80, life).await;
}
