//! Watches, and the parts of kube-rs that stand on them, in-process.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use hades_apiserver::{ApiServer, Identity};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event as CoreEvent};
use k8s_openapi::api::events::v1::Event;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as FinalizerEvent, finalizer};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use support::{Barn, BarnStatus, Server, barn, config, eventually};

fn barns(server: &Server) -> Api<Barn> {
    Api::namespaced(server.controller(), "default")
}

async fn next_kind(
    stream: &mut (impl futures::Stream<Item = kube::Result<WatchEvent<Barn>>> + Unpin),
) -> (String, Barn) {
    let event = tokio::time::timeout(Duration::from_secs(30), stream.try_next());
    match event.await.expect("an event in time").unwrap().expect("an open stream") {
        WatchEvent::Added(barn) => ("ADDED".to_owned(), barn),
        WatchEvent::Modified(barn) => ("MODIFIED".to_owned(), barn),
        WatchEvent::Deleted(barn) => ("DELETED".to_owned(), barn),
        other => panic!("unexpected: {other:?}"),
    }
}

#[tokio::test]
async fn a_watch_shows_changes_in_order_from_its_version_on() {
    let server = Server::start().await;
    let api = barns(&server);
    let old = api.create(&PostParams::default(), &barn("old", 1)).await.unwrap();
    let version = old.resource_version().unwrap();
    let mut stream = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    api.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"cows": 2}}));
    api.patch("b", &PatchParams::default(), &patch).await.unwrap();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    let mut versions = vec![version.parse::<u64>().unwrap()];
    for expected in ["ADDED", "MODIFIED", "DELETED"] {
        let (kind, barn) = next_kind(&mut stream).await;
        assert_eq!((kind.as_str(), barn.name_any().as_str()), (expected, "b"));
        versions.push(barn.resource_version().unwrap().parse().unwrap());
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    // Without a version, what exists comes first.
    let mut stream = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let (kind, barn) = next_kind(&mut stream).await;
    assert_eq!((kind.as_str(), barn.name_any().as_str()), ("ADDED", "old"));
}

#[tokio::test]
async fn an_object_that_leaves_the_selector_is_deleted_for_the_watcher() {
    let server = Server::start().await;
    let api = barns(&server);
    let params = WatchParams::default().labels("tier=front");
    let version =
        api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut stream = api.watch(&params, &version).await.unwrap().boxed();
    api.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    for (tier, expected) in [("front", "ADDED"), ("back", "DELETED"), ("front", "ADDED")] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"tier": tier}}}));
        api.patch("b", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(next_kind(&mut stream).await.0, expected);
    }
    api.delete("b", &DeleteParams::default()).await.unwrap();
    assert_eq!(next_kind(&mut stream).await.0, "DELETED");
}

#[tokio::test]
async fn too_old_a_version_is_expired_in_the_stream_and_watchers_recover() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.watch_ring = 2;
    let server = ApiServer::open(config).await.unwrap();
    let server = Server { server, directory };
    let api = barns(&server);
    let first = api.create(&PostParams::default(), &barn("b0", 1)).await.unwrap();
    for index in 1..6 {
        api.create(&PostParams::default(), &barn(&format!("b{index}"), 1)).await.unwrap();
    }
    let version = first.resource_version().unwrap();
    let mut stream = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    match stream.try_next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"))
        }
        other => panic!("unexpected: {other:?}"),
    }
    let (reader, writer) = reflector::store();
    let stream = watcher(api.clone(), watcher::Config::default()).reflect(writer);
    let task = tokio::spawn(stream.for_each(|_| async {}));
    reader.wait_until_ready().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..40 {
        let api = api.clone();
        tasks.spawn(async move {
            api.create(&PostParams::default(), &barn(&format!("c{index}"), 1)).await.unwrap();
        });
    }
    tasks.join_all().await;
    eventually("the reflector has all", || async { reader.state().len() == 46 }).await;
    task.abort();
}

#[tokio::test]
async fn streaming_lists_end_with_their_bookmark() {
    let server = Server::start().await;
    let api = barns(&server);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &barn(name, 1)).await.unwrap();
    }
    let config = watcher::Config::default().streaming_lists();
    let (reader, writer) = reflector::store();
    let task = tokio::spawn(watcher(api.clone(), config).reflect(writer).for_each(|_| async {}));
    reader.wait_until_ready().await.unwrap();
    assert_eq!(reader.state().len(), 2);
    api.create(&PostParams::default(), &barn("c", 1)).await.unwrap();
    eventually("the third barn", || async { reader.state().len() == 3 }).await;
    task.abort();
}

#[tokio::test]
async fn metadata_watches_and_table_watches() {
    let server = Server::start().await;
    let api = barns(&server);
    api.create(&PostParams::default(), &barn("a", 1)).await.unwrap();
    let partial: Api<PartialObjectMeta<Barn>> = Api::namespaced(server.admin(), "default");
    let mut stream = watcher(partial, watcher::Config::default()).applied_objects().boxed();
    assert_eq!(stream.try_next().await.unwrap().unwrap().name_any(), "a");
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = "/apis/farm.example/v1/barns?watch=true&timeoutSeconds=1";
    let mut request = http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = tower::ServiceExt::oneshot(server.server.router(), request).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let line: Value =
        serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        (line["type"].as_str(), line["object"]["kind"].as_str()),
        (Some("ADDED"), Some("Table"))
    );
    assert_eq!(line["object"]["rows"][0]["cells"][0], "a");
}

/// The lines of a watch, as they come.
async fn lines(
    server: &Server,
    path: &str,
    accept: &str,
) -> impl futures::Stream<Item = Value> + Unpin + use<> {
    let request = http::Request::builder().uri(path).header("accept", accept);
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("tester"));
    let response = tower::ServiceExt::oneshot(server.server.router(), request).await.unwrap();
    assert_eq!(response.status(), 200);
    let chunks = response.into_body().into_data_stream();
    let lines = chunks.flat_map(|chunk| {
        let chunk = chunk.unwrap();
        let lines: Vec<Value> = chunk
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        futures::stream::iter(lines)
    });
    Box::pin(lines)
}

async fn next_line(lines: &mut (impl futures::Stream<Item = Value> + Unpin)) -> Value {
    let line = tokio::time::timeout(Duration::from_secs(30), lines.next());
    line.await.expect("a line in time").expect("an open stream")
}

const ALL_BARNS: &str = "/apis/farm.example/v1/barns";
const BARNS: &str = "/apis/farm.example/v1/namespaces/default/barns";
const JSON: &str = "application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";

#[tokio::test]
async fn a_watch_list_ends_with_its_bookmark_in_every_form() {
    let server = Server::start().await;
    barns(&server).create(&PostParams::default(), &barn("a", 1)).await.unwrap();
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                 &allowWatchBookmarks=true";
    for (accept, kind, object) in [
        (JSON, "Barn", ""),
        (PARTIAL, "PartialObjectMetadata", ""),
        (TABLE, "Table", "/rows/0/object"),
    ] {
        let mut lines = lines(&server, &format!("{ALL_BARNS}?{query}"), accept).await;
        let added = next_line(&mut lines).await;
        assert_eq!((&added["type"], &added["object"]["kind"]), (&json!("ADDED"), &json!(kind)));
        let metadata = |line: &Value| line["object"].pointer(object).unwrap()["metadata"].clone();
        assert_eq!(metadata(&added)["name"], "a");
        let end = next_line(&mut lines).await;
        assert_eq!((&end["type"], &end["object"]["kind"]), (&json!("BOOKMARK"), &json!(kind)));
        let annotations = &metadata(&end)["annotations"];
        assert_eq!(annotations["k8s.io/initial-events-end"], "true", "{end}");
        let version = end["object"]["metadata"]["resourceVersion"].as_str().unwrap();
        assert!(version.parse::<u64>().unwrap() > 0);
        barns(&server).create(&PostParams::default(), &barn("new", 1)).await.unwrap();
        let added = next_line(&mut lines).await;
        assert_eq!((&added["type"], &metadata(&added)["name"]), (&json!("ADDED"), &json!("new")));
        if accept == TABLE {
            assert_eq!(added["object"]["columnDefinitions"], json!([]), "said once");
            let row = &added["object"]["rows"][0]["object"]["metadata"]["resourceVersion"];
            assert_eq!(&added["object"]["metadata"]["resourceVersion"], row);
        }
        barns(&server).delete("new", &DeleteParams::default()).await.unwrap();
        assert_eq!(next_line(&mut lines).await["type"], "DELETED");
    }
}

#[tokio::test]
async fn one_object_is_watched_by_its_path_or_its_name() {
    let server = Server::start().await;
    let api = barns(&server);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &barn(name, 1)).await.unwrap();
    }
    for path in [
        format!("{BARNS}/b?watch=true"),
        format!("{BARNS}?watch=true&fieldSelector=metadata.name%3Db"),
        format!("{ALL_BARNS}?watch=true&fieldSelector=metadata.name%3Db"),
    ] {
        let mut lines = lines(&server, &path, JSON).await;
        assert_eq!(next_line(&mut lines).await["object"]["metadata"]["name"], "b");
        let now = api.get("b").await.unwrap().spec.cows;
        for name in ["a", "b"] {
            let patch = Patch::Merge(json!({"spec": {"cows": now + 1}}));
            api.patch(name, &PatchParams::default(), &patch).await.unwrap();
        }
        let changed = next_line(&mut lines).await;
        assert_eq!(
            (&changed["type"], &changed["object"]["metadata"]["name"]),
            (&json!("MODIFIED"), &json!("b"))
        );
    }
    let (code, _) = server
        .raw("GET", &format!("{BARNS}/b?watch=true&fieldSelector=metadata.name%3Da"), Value::Null)
        .await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn what_leaves_the_selection_is_shown_as_it_was_inside() {
    let server = Server::start().await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(server.admin());
    let shop = json!({"metadata": {"name": "shop"}});
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(shop).unwrap())
        .await
        .unwrap();
    let path =
        "/api/v1/namespaces?watch=true&fieldSelector=status.phase%3DActive,metadata.name%3Dshop";
    let mut lines = lines(&server, path, JSON).await;
    assert_eq!(next_line(&mut lines).await["type"], "ADDED");
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    let left = next_line(&mut lines).await;
    assert_eq!(
        (&left["type"], &left["object"]["status"]["phase"]),
        (&json!("DELETED"), &json!("Active"))
    );
}

async fn small_ring(ring: usize) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.watch_ring = ring;
    let server = ApiServer::open(config).await.unwrap();
    Server { server, directory }
}

async fn burst_of_maps(server: &Server, count: usize) {
    let maps: Api<ConfigMap> = Api::namespaced(server.admin(), "default");
    for index in 0..count {
        let map = json!({"metadata": {"name": format!("m{index}")}});
        let map = serde_json::from_value(map).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
}

#[tokio::test]
async fn a_burst_of_another_kind_expires_no_quiet_watch() {
    let server = small_ring(4).await;
    let api = barns(&server);
    let first = api.create(&PostParams::default(), &barn("first", 1)).await.unwrap();
    let version = first.resource_version().unwrap();
    let mut open = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    burst_of_maps(&server, 20).await;
    // One that was open all the while, and one that comes back.
    let mut again = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    api.create(&PostParams::default(), &barn("second", 1)).await.unwrap();
    for stream in [&mut open, &mut again] {
        let (kind, barn) = next_kind(stream).await;
        assert_eq!((kind.as_str(), barn.name_any().as_str()), ("ADDED", "second"));
    }
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_told_that_it_missed_something() {
    let server = small_ring(4).await;
    let version = barns(&server).create(&PostParams::default(), &barn("a", 1)).await.unwrap();
    let version = version.resource_version().unwrap();
    let path = format!("{BARNS}?watch=true&resourceVersion={version}");
    let mut slow = lines(&server, &path, JSON).await;
    for index in 0..20 {
        let object = barn(&format!("b{index}"), 1);
        barns(&server).create(&PostParams::default(), &object).await.unwrap();
    }
    let error = next_line(&mut slow).await;
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(slow.next().await.is_none(), "and that is its end");
}

#[tokio::test]
async fn a_watch_ends_in_time_with_a_bookmark() {
    let server = Server::start().await;
    let path = format!("{BARNS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true");
    let mut lines = lines(&server, &path, JSON).await;
    burst_of_maps(&server, 1).await;
    let bookmark = next_line(&mut lines).await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    let (_, list) = server.raw("GET", BARNS, Value::Null).await;
    let version = &bookmark["object"]["metadata"]["resourceVersion"];
    assert_eq!(version, &list["metadata"]["resourceVersion"], "how far the store has come");
    assert!(lines.next().await.is_none());
}

/// Applies a line to what a client knows.
fn apply(known: &mut BTreeMap<String, Value>, line: &Value) {
    let object = &line["object"];
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    match line["type"].as_str().unwrap() {
        "ADDED" => {
            assert!(known.insert(name, object.clone()).is_none(), "added twice: {line}");
        }
        "MODIFIED" => {
            assert!(known.insert(name, object.clone()).is_some(), "not known: {line}");
        }
        "DELETED" => assert!(known.remove(&name).is_some(), "not known: {line}"),
        other => panic!("unexpected {other}: {line}"),
    }
}

async fn write_at_random(api: Api<Barn>, seed: u64) {
    let mut state = seed;
    let mut random = move |below: u64| {
        // Any sequence that jumps about will do.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..60 {
        let name = format!("b{}", random(8));
        let tier = ["front", "back"][usize::try_from(random(2)).unwrap()];
        let labels = json!({"metadata": {"labels": {"tier": tier}}, "spec": {"cows": random(5)}});
        // Others write the same names, so that any of these may be refused.
        match random(3) {
            0 => {
                let mut object = barn(&name, 1);
                object.metadata.labels = Some([("tier".to_owned(), tier.to_owned())].into());
                drop(api.create(&PostParams::default(), &object).await);
            }
            1 => drop(api.delete(&name, &DeleteParams::default()).await),
            _ => {
                let patch = Patch::Merge(&labels);
                drop(api.patch(&name, &PatchParams::default(), &patch).await);
            }
        }
    }
}

/// The promise that all clients stand on: a list, and what a watch says after it,
/// is the list of later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_its_watch_make_the_list_of_later() {
    let server = Server::start().await;
    let api = barns(&server);
    let selectors = [
        "",
        "labelSelector=tier%3Dfront",
        "labelSelector=tier!%3Dfront",
        "fieldSelector=metadata.name!%3Db1",
    ];
    for round in 0..6_u64 {
        let writers: Vec<_> = (0..3)
            .map(|writer| tokio::spawn(write_at_random(api.clone(), round * 7 + writer)))
            .collect();
        let mut clients = Vec::new();
        for selector in selectors {
            // A little later each time, in the middle of the writes.
            let (_, list) = server.raw("GET", &format!("{BARNS}?{selector}"), Value::Null).await;
            let version = list["metadata"]["resourceVersion"].as_str().unwrap();
            let known: BTreeMap<String, Value> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), item.clone()))
                .collect();
            let path = format!("{BARNS}?watch=true&resourceVersion={version}&{selector}");
            clients.push((selector, known, lines(&server, &path, JSON).await));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        for tier in ["front", "back"] {
            let mut last = barn(&format!("last-{round}-{tier}"), 1);
            last.metadata.labels = Some([("tier".to_owned(), tier.to_owned())].into());
            api.create(&PostParams::default(), &last).await.unwrap();
        }
        for (selector, mut known, mut lines) in clients {
            let (_, list) = server.raw("GET", &format!("{BARNS}?{selector}"), Value::Null).await;
            let expected = list["items"].as_array().unwrap();
            let last = expected
                .iter()
                .map(|item| item["metadata"]["resourceVersion"].as_str().unwrap())
                .max_by_key(|version| version.parse::<u64>().unwrap())
                .unwrap();
            loop {
                let line = next_line(&mut lines).await;
                apply(&mut known, &line);
                if line["object"]["metadata"]["resourceVersion"] == last {
                    break;
                }
            }
            assert_eq!(&known.into_values().collect::<Vec<_>>(), expected, "{selector}");
        }
    }
}

#[tokio::test]
async fn a_shutdown_ends_watches() {
    let server = Server::start().await;
    let mut stream = barns(&server).watch(&WatchParams::default(), "0").await.unwrap().boxed();
    server.server.shutdown().await;
    let end = tokio::time::timeout(Duration::from_secs(10), stream.try_next()).await;
    assert!(end.expect("the stream ends").unwrap().is_none());
    let error = barns(&server).get("b").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 503));
}

#[tokio::test]
async fn both_views_of_an_event_show_what_a_recorder_wrote() {
    let server = Server::start().await;
    let api = barns(&server);
    let owner = api.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    let reporter = Reporter { controller: "tester".to_owned(), instance: None };
    let recorder = Recorder::new(server.controller(), reporter);
    let note = kube::runtime::events::Event {
        type_: EventType::Normal,
        reason: "Milked".to_owned(),
        note: Some("seven litres".to_owned()),
        action: "Milk".to_owned(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&note, &owner.object_ref(&())).await.unwrap();
    }
    let new: Api<Event> = Api::namespaced(server.admin(), "default");
    let events = new.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(events.len(), 1, "a repeated event is a series");
    assert_eq!(events[0].note.as_deref(), Some("seven litres"));
    let core: Api<CoreEvent> = Api::namespaced(server.admin(), "default");
    let selector = format!(
        "involvedObject.name=b,involvedObject.kind=Barn,involvedObject.uid={}",
        owner.uid().unwrap()
    );
    let events = core.list(&ListParams::default().fields(&selector)).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].message.as_deref(), Some("seven litres"));
    assert_eq!(events[0].involved_object.name.as_deref(), Some("b"));
    let series = events[0].series.as_ref().and_then(|series| series.count);
    assert!(series >= Some(2), "{series:?}");
    let other = core.list(&ListParams::default().fields("involvedObject.name=c")).await.unwrap();
    assert!(other.items.is_empty());
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let server = Server::start().await;
    let api: Api<Lease> = Api::namespaced(server.controller(), "kube-system");
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": "leader"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000001Z"},
    }))
    .unwrap();
    let created = api.create(&PostParams::default(), &lease).await.unwrap();
    let mut mine = created.clone();
    mine.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
    api.replace("leader", &PostParams::default(), &mine).await.unwrap();
    let error = api.replace("leader", &PostParams::default(), &mine).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409));
}

#[derive(Clone)]
struct Context {
    api: Api<Barn>,
    maps: Api<ConfigMap>,
    reconciles: Arc<AtomicUsize>,
}

const FINALIZER: &str = "farm.example/cleanup";

async fn reconcile(
    barn: Arc<Barn>,
    context: Arc<Context>,
) -> Result<Action, kube::runtime::finalizer::Error<kube::Error>> {
    context.reconciles.fetch_add(1, Ordering::SeqCst);
    finalizer(&context.api, FINALIZER, barn, |event| async {
        match event {
            FinalizerEvent::Apply(barn) => {
                let name = barn.name_any();
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": name, "ownerReferences": [barn.owner_ref(&()).unwrap()]},
                    "data": {"cows": barn.spec.cows.to_string()},
                });
                let manager = PatchParams::apply("farmer").force();
                context.maps.patch(&name, &manager, &Patch::Apply(&map)).await?;
                let status = json!({
                    "apiVersion": "farm.example/v1", "kind": "Barn",
                    "status": BarnStatus { milk: barn.spec.cows * 10 },
                });
                context.api.patch_status(&name, &manager, &Patch::Apply(&status)).await?;
            }
            FinalizerEvent::Cleanup(barn) => {
                let gone = context.maps.delete(&barn.name_any(), &DeleteParams::default()).await;
                match gone {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    other => drop(other?),
                }
            }
        }
        Ok(Action::await_change())
    })
    .await
}

/// The whole path of a controller, many times over: creation, finalizer, owned
/// object, status, change, deletion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_with_finalizers_converges_again_and_again() {
    let server = Server::start().await;
    let client = server.controller();
    let context = Arc::new(Context {
        api: Api::namespaced(client.clone(), "default"),
        maps: Api::namespaced(client.clone(), "default"),
        reconciles: Arc::default(),
    });
    let controller = Controller::new(context.api.clone(), watcher::Config::default())
        .owns(context.maps.clone(), watcher::Config::default())
        .run(
            reconcile,
            |_, error, _| {
                tracing::warn!(%error, "a reconcile failed");
                Action::requeue(Duration::from_millis(20))
            },
            Arc::clone(&context),
        )
        .for_each(|_| async {});
    let controller = tokio::spawn(controller);
    const BARNS: usize = 10;
    for round in 0..12_i64 {
        for index in 0..BARNS {
            let object = barn(&format!("b{index}"), round + 20);
            context.api.create(&PostParams::default(), &object).await.unwrap();
        }
        let milked = |expected: i64| {
            let context = Arc::clone(&context);
            move || {
                let context = Arc::clone(&context);
                async move {
                    let list = context.api.list(&ListParams::default()).await.unwrap().items;
                    list.len() == BARNS
                        && list.iter().all(|barn| {
                            barn.status.as_ref().is_some_and(|status| status.milk == expected)
                        })
                }
            }
        };
        eventually("every barn is milked", milked((round + 20) * 10)).await;
        for index in 0..BARNS {
            let patch = Patch::Merge(json!({"spec": {"cows": 100}}));
            context.api.patch(&format!("b{index}"), &PatchParams::default(), &patch).await.unwrap();
        }
        eventually("every barn is milked again", milked(1000)).await;
        for index in 0..BARNS {
            context.api.delete(&format!("b{index}"), &DeleteParams::default()).await.unwrap();
        }
        eventually("nothing is left", || async {
            let barns = context.api.list(&ListParams::default()).await.unwrap().items.len();
            let maps = context.maps.list(&ListParams::default()).await.unwrap().items.len();
            barns + maps == 0
        })
        .await;
    }
    controller.abort();
}

#[tokio::test]
async fn a_controller_that_applies_the_same_again_is_quiet() {
    let server = Server::start().await;
    let client = server.controller();
    let context = Arc::new(Context {
        api: Api::namespaced(client.clone(), "default"),
        maps: Api::namespaced(client, "default"),
        reconciles: Arc::default(),
    });
    context.api.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    for _ in 0..5 {
        let object = Arc::new(context.api.get("b").await.unwrap());
        reconcile(object, Arc::clone(&context)).await.unwrap();
    }
    let before = context.api.get("b").await.unwrap().resource_version();
    let object = Arc::new(context.api.get("b").await.unwrap());
    reconcile(object, Arc::clone(&context)).await.unwrap();
    assert_eq!(context.api.get("b").await.unwrap().resource_version(), before);
}

#[tokio::test]
async fn discovery_by_kube_finds_everything() {
    let server = Server::start().await;
    for aggregated in [false, true] {
        let discovery = kube::Discovery::new(server.admin());
        let discovery = if aggregated {
            discovery.run_aggregated().await.unwrap()
        } else {
            discovery.run().await.unwrap()
        };
        let found: BTreeSet<String> = discovery
            .groups()
            .flat_map(|group| group.recommended_resources())
            .map(|(resource, _)| format!("{}/{}", resource.group, resource.plural))
            .collect();
        for wanted in [
            "/namespaces",
            "/secrets",
            "/configmaps",
            "/events",
            "events.k8s.io/events",
            "coordination.k8s.io/leases",
            "farm.example/barns",
            "farm.example/farms",
            "apiextensions.k8s.io/customresourcedefinitions",
        ] {
            assert!(found.contains(wanted), "{wanted} (aggregated: {aggregated}) in {found:?}");
        }
    }
    let version = server.admin().apiserver_version().await.unwrap();
    assert!(version.git_version.starts_with("v1.") && version.git_version.contains("+hades"));
}
