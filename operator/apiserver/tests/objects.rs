//! Objects through kube-rs, in-process: create, read, change, delete.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use serde_json::{Value, json};
use support::{Barn, BarnStatus, Server, barn, eventually};

fn api_error(error: kube::Error) -> Box<Status> {
    match error {
        kube::Error::Api(status) => status,
        other => panic!("not an answer of the API: {other}"),
    }
}

fn barns(server: &Server) -> Api<Barn> {
    Api::namespaced(server.admin(), "default")
}

#[tokio::test]
async fn an_object_is_created_with_defaults_and_read_back() {
    let server = Server::start().await;
    let api = barns(&server);
    let created = api.create(&PostParams::default(), &barn("red", 3)).await.unwrap();
    assert_eq!(created.spec.color.as_deref(), Some("red"), "the default");
    assert_eq!(created.metadata.generation, Some(1));
    assert!(created.metadata.uid.is_some() && created.metadata.creation_timestamp.is_some());
    let read = api.get("red").await.unwrap();
    assert_eq!(read.metadata.resource_version, created.metadata.resource_version);
    let error = api_error(api.create(&PostParams::default(), &barn("red", 3)).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (409, "AlreadyExists"));
    assert!(api.get_opt("blue").await.unwrap().is_none());
}

#[tokio::test]
async fn a_generated_name_is_unique_and_wrong_names_are_refused() {
    let server = Server::start().await;
    let api = barns(&server);
    let mut object = barn("x", 1);
    object.metadata.name = None;
    object.metadata.generate_name = Some("barn-".to_owned());
    let one = api.create(&PostParams::default(), &object).await.unwrap();
    let two = api.create(&PostParams::default(), &object).await.unwrap();
    assert_ne!(one.metadata.name, two.metadata.name);
    assert!(one.metadata.name.unwrap().starts_with("barn-"));
    let error = api.create(&PostParams::default(), &barn("Bad_Name", 1)).await.unwrap_err();
    let error = api_error(error);
    assert_eq!((error.code, error.reason.as_str()), (422, "Invalid"));
    assert!(error.message.contains("metadata.name"), "{}", error.message);
}

#[tokio::test]
async fn the_schema_and_its_rules_are_enforced_with_field_paths() {
    let server = Server::start().await;
    let path = "/apis/farm.example/v1/namespaces/default/barns";
    let object = |spec: Value| json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": "b"}, "spec": spec});
    let (code, status) =
        server.raw("POST", path, object(json!({"cows": -1, "color": "green"}))).await;
    assert_eq!(code, 422, "{status}");
    let fields: Vec<&str> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| cause["field"].as_str().unwrap_or_default())
        .collect();
    assert!(fields.contains(&"spec.cows") && fields.contains(&"spec.color"), "{status}");
    let (code, status) = server.raw("POST", path, object(json!({"cows": 13}))).await;
    assert_eq!(code, 422);
    assert!(status["message"].as_str().unwrap().contains("bad luck"), "{status}");
    let strict = format!("{path}?fieldValidation=Strict");
    let (code, status) =
        server.raw("POST", &strict, object(json!({"cows": 1, "colour": "red"}))).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("spec.colour") && message.contains("\"color\""), "{message}");
    let (code, created) =
        server.raw("POST", path, object(json!({"cows": 1, "colour": "red"}))).await;
    assert_eq!(code, 201);
    assert!(created["spec"].get("colour").is_none(), "unknown fields are pruned");
}

#[tokio::test]
async fn a_stale_replace_is_refused_and_a_repeated_one_changes_nothing() {
    let server = Server::start().await;
    let api = barns(&server);
    let first = api.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    let mut change = first.clone();
    change.spec.cows = 2;
    let second = api.replace("b", &PostParams::default(), &change).await.unwrap();
    assert_eq!(second.metadata.generation, Some(2));
    let error = api_error(api.replace("b", &PostParams::default(), &change).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (409, "Conflict"));
    let third = api.replace("b", &PostParams::default(), &second).await.unwrap();
    assert_eq!(third.metadata.resource_version, second.metadata.resource_version);
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    let server = Server::start().await;
    let api = barns(&server);
    let mut object = barn("b", 1);
    object.status = Some(BarnStatus { milk: 99 });
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(created.status, None, "a creation sets no status");
    let patch = json!({"status": {"milk": 7}, "spec": {"cows": 5}});
    let params = PatchParams::default();
    let patched = api.patch_status("b", &params, &Patch::Merge(&patch)).await.unwrap();
    assert_eq!((patched.spec.cows, patched.status.unwrap().milk), (1, 7));
    assert_eq!(patched.metadata.generation, Some(1), "status is no generation");
    let patched = api.patch("b", &params, &Patch::Merge(&patch)).await.unwrap();
    assert_eq!((patched.spec.cows, patched.status.unwrap().milk), (5, 7));
    assert_eq!(patched.metadata.generation, Some(2));
    let again = api.patch("b", &params, &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(again.metadata.resource_version, patched.metadata.resource_version, "no-op");
}

#[tokio::test]
async fn apply_creates_owns_and_conflicts() {
    let server = Server::start().await;
    let api = barns(&server);
    let apply = |cows: i64| {
        json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": "b"},
               "spec": {"cows": cows}})
    };
    let git = PatchParams::apply("git");
    let first = api.patch("b", &git, &Patch::Apply(apply(1))).await.unwrap();
    let again = api.patch("b", &git, &Patch::Apply(apply(1))).await.unwrap();
    assert_eq!(first.metadata.resource_version, again.metadata.resource_version, "no-op");
    let hand = PatchParams::apply("hand");
    let error = api_error(api.patch("b", &hand, &Patch::Apply(apply(2))).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (409, "Conflict"));
    let forced = api.patch("b", &hand.force(), &Patch::Apply(apply(2))).await.unwrap();
    assert_eq!(forced.spec.cows, 2);
    let managers: Vec<String> = forced
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .filter_map(|entry| entry.manager)
        .collect();
    assert!(managers.contains(&"hand".to_owned()), "{managers:?}");
    let status = json!({"apiVersion": "farm.example/v1", "kind": "Barn", "status": {"milk": 3}});
    let first = api.patch_status("b", &git, &Patch::Apply(&status)).await.unwrap();
    let again = api.patch_status("b", &git, &Patch::Apply(&status)).await.unwrap();
    assert_eq!(first.status.unwrap().milk, 3);
    assert_eq!(first.metadata.resource_version, again.metadata.resource_version);
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_writes_nothing() {
    let server = Server::start().await;
    let api = barns(&server);
    let dry = PostParams { dry_run: true, field_manager: None };
    let shown = api.create(&dry, &barn("b", 1)).await.unwrap();
    assert_eq!(shown.spec.color.as_deref(), Some("red"));
    assert!(api.get_opt("b").await.unwrap().is_none());
    let created = api.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    let mut params = PatchParams::apply("x");
    params.dry_run = true;
    params.force = true;
    let body = json!({"apiVersion": "farm.example/v1", "kind": "Barn", "spec": {"cows": 4}});
    let shown = api.patch("b", &params, &Patch::Apply(&body)).await.unwrap();
    assert_eq!((shown.spec.cows, shown.metadata.generation), (4, Some(2)));
    assert_eq!(
        api.get("b").await.unwrap().metadata.resource_version,
        created.metadata.resource_version
    );
    api.delete("b", &DeleteParams::default().dry_run()).await.unwrap();
    assert!(api.get_opt("b").await.unwrap().is_some());
}

#[tokio::test]
async fn finalizers_hold_an_object_and_preconditions_protect_it() {
    let server = Server::start().await;
    let api = barns(&server);
    let mut object = barn("b", 1);
    object.metadata.finalizers = Some(vec!["farm.example/cows".to_owned()]);
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    let wrong = Preconditions { uid: Some("other".to_owned()), resource_version: None };
    let error = api.delete("b", &DeleteParams::default().preconditions(wrong)).await.unwrap_err();
    assert_eq!(api_error(error).code, 409);
    let waiting = api.delete("b", &DeleteParams::default()).await.unwrap();
    let waiting = waiting.left().expect("the object, for it still exists");
    assert!(waiting.metadata.deletion_timestamp.is_some());
    assert_eq!(waiting.metadata.uid, created.metadata.uid);
    let more =
        json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "farm.example/more"}]);
    let more: json_patch::Patch = serde_json::from_value(more).unwrap();
    let error =
        api.patch("b", &PatchParams::default(), &Patch::<Barn>::Json(more)).await.unwrap_err();
    assert_eq!(api_error(error).code, 422);
    let release = json!({"metadata": {"finalizers": null}});
    api.patch("b", &PatchParams::default(), &Patch::Merge(&release)).await.unwrap();
    assert!(api.get_opt("b").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_know_selectors_and_partial_objects() {
    let server = Server::start().await;
    let api = barns(&server);
    for (name, tier) in [("a", "front"), ("b", "back"), ("c", "front")] {
        let mut object = barn(name, 1);
        object.metadata.labels = Some([("tier".to_owned(), tier.to_owned())].into());
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let names = |list: kube::core::ObjectList<Barn>| -> Vec<String> {
        list.items.into_iter().filter_map(|barn| barn.metadata.name).collect()
    };
    let front = api.list(&ListParams::default().labels("tier=front")).await.unwrap();
    assert!(front.metadata.resource_version.is_some());
    assert_eq!(names(front), ["a", "c"]);
    assert_eq!(
        names(api.list(&ListParams::default().labels("tier notin (front)")).await.unwrap()),
        ["b"]
    );
    assert_eq!(
        names(api.list(&ListParams::default().fields("metadata.name=b")).await.unwrap()),
        ["b"]
    );
    let all: Api<Barn> = Api::all(server.admin());
    assert_eq!(names(all.list(&ListParams::default()).await.unwrap()).len(), 3);
    let partial = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(partial.items.len(), 3);
    let front = ListParams::default().labels("tier=front");
    api.delete_collection(&DeleteParams::default(), &front).await.unwrap();
    assert_eq!(names(api.list(&ListParams::default()).await.unwrap()), ["b"]);
}

#[tokio::test]
async fn a_table_has_the_columns_of_the_definition() {
    let server = Server::start().await;
    barns(&server).create(&PostParams::default(), &barn("b", 4)).await.unwrap();
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let path = "/apis/farm.example/v1/namespaces/default/barns";
    for path in [path.to_owned(), format!("{path}/b")] {
        let (code, table) = server.raw_with("GET", &path, &headers, Vec::new()).await;
        assert_eq!((code, table["kind"].as_str()), (200, Some("Table")), "{table}");
        let names: Vec<&str> = table["columnDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["Name", "Cows", "Milk", "Age"]);
        assert_eq!(table["rows"][0]["cells"][1], json!(4));
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        assert!(table["metadata"]["resourceVersion"].as_str().is_some_and(|v| !v.is_empty()));
    }
}

#[tokio::test]
async fn a_long_list_is_streamed_whole() {
    let server = Server::start().await;
    let api: Api<ConfigMap> = Api::namespaced(server.admin(), "default");
    let filler = "x".repeat(100_000);
    for index in 0..12 {
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": format!("m{index:02}")}, "data": {"filler": filler}}))
        .unwrap();
        api.create(&PostParams::default(), &map).await.unwrap();
    }
    let list = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 12);
}

#[tokio::test]
async fn a_namespace_must_exist_and_takes_its_objects_along() {
    let server = Server::start().await;
    let lost: Api<Barn> = Api::namespaced(server.admin(), "shop");
    let error = api_error(lost.create(&PostParams::default(), &barn("b", 1)).await.unwrap_err());
    assert_eq!(error.code, 404);
    assert!(error.message.contains("namespaces \"shop\" not found"), "{}", error.message);
    let namespaces: Api<Namespace> = Api::all(server.admin());
    let shop: Namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    namespaces.create(&PostParams::default(), &shop).await.unwrap();
    let mut held = barn("held", 1);
    held.metadata.finalizers = Some(vec!["farm.example/cows".to_owned()]);
    lost.create(&PostParams::default(), &held).await.unwrap();
    lost.create(&PostParams::default(), &barn("free", 1)).await.unwrap();
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    let error = api_error(lost.create(&PostParams::default(), &barn("late", 1)).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (403, "Forbidden"));
    eventually("the free barn goes", || async { lost.get_opt("free").await.unwrap().is_none() })
        .await;
    eventually("the held barn is marked", || async {
        lost.get("held").await.unwrap().metadata.deletion_timestamp.is_some()
    })
    .await;
    // The rest is finished by a later server.
    let server = server.restart().await;
    let namespaces: Api<Namespace> = Api::all(server.admin());
    let shop = namespaces.get("shop").await.unwrap();
    assert_eq!(shop.status.unwrap().phase.as_deref(), Some("Terminating"));
    let lost: Api<Barn> = Api::namespaced(server.admin(), "shop");
    let release = json!({"metadata": {"finalizers": []}});
    lost.patch("held", &PatchParams::default(), &Patch::Merge(&release)).await.unwrap();
    eventually("the namespace goes", || async {
        namespaces.get_opt("shop").await.unwrap().is_none()
    })
    .await;
    let error = namespaces.delete("default", &DeleteParams::default()).await.unwrap_err();
    assert_eq!(api_error(error).code, 403);
}

#[tokio::test]
async fn what_lost_its_owner_is_deleted_and_what_is_orphaned_stays() {
    let server = Server::start().await;
    let api = barns(&server);
    let maps: Api<ConfigMap> = Api::namespaced(server.admin(), "default");
    for (owner, child, params, stays) in [
        ("a", "child-a", DeleteParams::default(), false),
        ("b", "child-b", DeleteParams::orphan(), true),
    ] {
        let owner = api.create(&PostParams::default(), &barn(owner, 1)).await.unwrap();
        let reference = kube::Resource::owner_ref(&owner, &()).unwrap();
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {
            "name": child, "ownerReferences": [reference]}}))
        .unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
        api.delete(owner.metadata.name.as_deref().unwrap(), &params).await.unwrap();
        if stays {
            let name = owner.metadata.name.as_deref().unwrap();
            eventually("the owner goes", || async { api.get_opt(name).await.unwrap().is_none() })
                .await;
            let child = maps.get(child).await.unwrap();
            assert!(child.metadata.owner_references.unwrap_or_default().is_empty());
        } else {
            eventually("the child goes", || async { maps.get_opt(child).await.unwrap().is_none() })
                .await;
        }
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_versions_only_grow() {
    let server = Server::start().await;
    let before = barns(&server).create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    let server = server.restart().await;
    let api = barns(&server);
    assert_eq!(api.get("b").await.unwrap(), before);
    let after = api.create(&PostParams::default(), &barn("c", 1)).await.unwrap();
    let number = |barn: &Barn| -> u64 {
        barn.metadata.resource_version.as_deref().unwrap().parse().unwrap()
    };
    assert!(number(&after) > number(&before));
}

#[tokio::test]
async fn concurrent_writers_lose_no_update() {
    let server = Server::start().await;
    barns(&server).create(&PostParams::default(), &barn("b", 0)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let api = barns(&server);
        writers.spawn(async move {
            for _ in 0..10 {
                loop {
                    let mut object = api.get("b").await.unwrap();
                    object.spec.cows += 2;
                    match api.replace("b", &PostParams::default(), &object).await {
                        Ok(_) => break,
                        Err(error) => assert_eq!(api_error(error).code, 409),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    let barn = barns(&server).get("b").await.unwrap();
    assert_eq!(barn.spec.cows, 160);
    assert_eq!(barn.metadata.generation, Some(81));
    // Patches without a version never conflict.
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let api = barns(&server);
        writers.spawn(async move {
            for round in 0..5 {
                let patch =
                    json!({"metadata": {"annotations": {format!("w{writer}-{round}"): "x"}}});
                api.patch("b", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let annotations = barns(&server).get("b").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations.len(), 40);
}

#[tokio::test]
async fn broken_requests_are_answered_with_a_status() {
    let server = Server::start().await;
    let path = "/apis/farm.example/v1/namespaces/default/barns";
    let json = [("content-type", "application/json")];
    let (code, status) = server.raw_with("POST", path, &json, b"{".to_vec()).await;
    assert_eq!((code, status["kind"].as_str()), (400, Some("Status")));
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000)).into_bytes();
    assert_eq!(server.raw_with("POST", path, &json, deep).await.0, 400);
    let (code, status) = server.raw_with("POST", path, &json, vec![b' '; 4 << 20]).await;
    assert_eq!((code, status["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    let (code, _) =
        server.raw_with("POST", path, &[("content-type", "text/html")], b"x".to_vec()).await;
    assert_eq!(code, 415);
    assert_eq!(server.raw("PATCH", path, json!({})).await.0, 405);
    assert_eq!(server.raw("GET", "/apis/farm.example/v1/tractors", Value::Null).await.0, 404);
    assert_eq!(server.raw("GET", "/nothing", Value::Null).await.0, 404);
    for body in [
        json!([]),
        json!("x"),
        json!({"kind": "Barn"}),
        json!({"metadata": 1}),
        json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": "x"}),
        json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": "b", "labels": {"a": 1}}, "spec": {"cows": 1}}),
        json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": "b", "annotations": []}, "spec": {"cows": 1}}),
    ] {
        let (code, status) = server.raw("POST", path, body.clone()).await;
        assert!(code == 400 || code == 422, "{body}: {code} {status}");
    }
}

#[tokio::test]
async fn built_in_kinds_have_schemas_too() {
    let server = Server::start().await;
    let path = "/api/v1/namespaces/default/configmaps?fieldValidation=Strict";
    let map = |fields: Value| {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
        for (field, value) in fields.as_object().unwrap() {
            map[field] = value.clone();
        }
        map
    };
    let (code, status) = server.raw("POST", path, map(json!({"data": {"a": 1}}))).await;
    assert_eq!(code, 422, "one wrong object must not break every list: {status}");
    let (code, status) = server.raw("POST", path, map(json!({"dta": {"a": "1"}}))).await;
    assert_eq!(code, 400, "{status}");
    assert!(status["message"].as_str().unwrap().contains("\"data\""), "{status}");
    let (code, status) =
        server.raw("POST", path, map(json!({"data": {"a": "1"}, "binaryData": null}))).await;
    assert_eq!(code, 201, "{status}");
}
