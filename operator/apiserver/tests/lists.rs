//! Lists: pages, versions, selectors and the deletion of many.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use hades_apiserver::{ApiServer, ServerConfig};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::{Barn, Server, barn, definitions};

const BARNS: &str = "/apis/farm.example/v1/namespaces/default/barns";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

fn barns(server: &Server) -> Api<Barn> {
    Api::namespaced(server.admin(), "default")
}

async fn fill(server: &Server, count: usize) {
    for index in 0..count {
        barns(server)
            .create(&PostParams::default(), &barn(&format!("b{index:03}"), 1))
            .await
            .unwrap();
    }
}

async fn get_as(server: &Server, path: &str, accept: &str) -> (u16, Value) {
    server.raw_with("GET", path, &[("accept", accept)], Vec::new()).await
}

async fn get(server: &Server, path: &str) -> (u16, Value) {
    get_as(server, path, "application/json").await
}

/// The items of a list, the rows of a table.
fn items(list: &Value) -> Vec<Value> {
    list.get("items").or_else(|| list.get("rows")).unwrap().as_array().unwrap().clone()
}

fn names(list: &Value) -> Vec<String> {
    let name = |item: &Value| {
        let object = item.get("object").unwrap_or(item);
        object["metadata"]["name"].as_str().unwrap().to_owned()
    };
    items(list).iter().map(name).collect()
}

fn token(list: &Value) -> Option<&str> {
    list["metadata"]["continue"].as_str().filter(|token| !token.is_empty())
}

/// What happens between two pages.
#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Delete(usize),
    Change(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..40_usize).prop_map(Step::Create),
        (0..40_usize).prop_map(Step::Delete),
        (0..40_usize, any::<bool>()).prop_map(|(index, front)| Step::Change(index, front)),
    ];
    prop::collection::vec(step, 0..6)
}

fn labelled(index: usize) -> Barn {
    let mut object = barn(&format!("b{index:03}"), 1);
    let tier = if index.is_multiple_of(3) { "front" } else { "back" };
    object.metadata.labels = Some([("tier".to_owned(), tier.to_owned())].into());
    object
}

async fn run(api: &Api<Barn>, step: &Step) {
    // What exists already, or no longer, is left.
    match step {
        Step::Create(index) => {
            let _ = api.create(&PostParams::default(), &labelled(*index)).await;
        }
        Step::Delete(index) => {
            let _ = api.delete(&format!("b{index:03}"), &DeleteParams::default()).await;
        }
        Step::Change(index, front) => {
            let tier = if *front { "front" } else { "back" };
            let patch = json!({"metadata": {"labels": {"tier": tier}}, "spec": {"cows": index}});
            let name = format!("b{index:03}");
            let _ = api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        }
    }
}

/// Cells of a table tell ages, which may differ between two requests.
fn comparable(list: &Value) -> Vec<Value> {
    items(list).iter().map(|item| item.get("object").unwrap_or(item).clone()).collect()
}

#[test]
fn pages_are_the_list_as_it_was_whatever_is_written_meanwhile() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let strategy = (
        prop::collection::btree_set(0..40_usize, 0..25),
        prop::collection::vec((1..9_usize, steps()), 1..12),
        prop::sample::select(vec![
            "",
            "&labelSelector=tier%3Dfront",
            "&fieldSelector=metadata.name!%3Db003",
        ]),
        prop::sample::select(vec!["application/json", TABLE, PARTIAL]),
    );
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&strategy, |(existing, pages, selector, accept)| {
            runtime.block_on(async {
                let api = barns(&server);
                for index in &existing {
                    api.create(&PostParams::default(), &labelled(*index)).await.unwrap();
                }
                check_pages(&server, &pages, selector, accept).await;
                api.delete_collection(&DeleteParams::default(), &ListParams::default())
                    .await
                    .unwrap();
            });
            Ok(())
        })
        .unwrap();
}

async fn check_pages(server: &Server, pages: &[(usize, Vec<Step>)], selector: &str, accept: &str) {
    let (_, whole) = get_as(server, &format!("{BARNS}?x=y{selector}"), accept).await;
    let mut expected = comparable(&whole);
    let mut next: Option<String> = None;
    let mut pages = pages.iter().cycle();
    loop {
        let (limit, steps) = pages.next().unwrap();
        let after = next.map(|next| format!("&continue={next}")).unwrap_or_default();
        let path = format!("{BARNS}?limit={limit}{selector}{after}");
        let (code, page) = get_as(server, &path, accept).await;
        assert_eq!(code, 200, "{page}");
        let meta = &page["metadata"];
        assert_eq!(meta["resourceVersion"], whole["metadata"]["resourceVersion"]);
        let found = comparable(&page);
        assert!(found.len() <= *limit && found.len() <= expected.len());
        let rest = expected.split_off(found.len());
        assert_eq!(found, expected);
        expected = rest;
        next = token(&page).map(str::to_owned);
        let remaining = (selector.is_empty() && next.is_some()).then_some(expected.len() as u64);
        assert_eq!(meta["remainingItemCount"].as_u64(), remaining);
        if next.is_none() {
            assert_eq!(expected, Vec::<Value>::new());
            return;
        }
        for step in steps {
            run(&barns(server), step).await;
        }
    }
}

#[tokio::test]
async fn a_list_that_ends_in_its_first_page_is_plain() {
    let server = Server::start().await;
    fill(&server, 3).await;
    for accept in ["application/json", TABLE, PARTIAL] {
        for limit in [3, 500] {
            let (_, list) = get_as(&server, &format!("{BARNS}?limit={limit}"), accept).await;
            assert_eq!(items(&list).len(), 3);
            assert!(list["metadata"]["resourceVersion"].is_string());
            assert_eq!((token(&list), list["metadata"].get("remainingItemCount")), (None, None));
        }
    }
}

#[tokio::test]
async fn a_token_of_another_list_is_refused() {
    let server = Server::start().await;
    fill(&server, 4).await;
    let (_, page) = get(&server, &format!("{BARNS}?limit=2&labelSelector=!x")).await;
    let token = token(&page).unwrap();
    for path in [
        format!("{BARNS}?limit=2&continue={token}"),
        format!("{BARNS}?limit=2&labelSelector=!y&continue={token}"),
        format!("/apis/farm.example/v1/barns?limit=2&labelSelector=!x&continue={token}"),
        format!("/api/v1/namespaces/default/configmaps?limit=2&labelSelector=!x&continue={token}"),
        format!("{BARNS}?limit=2&labelSelector=!x&continue={token}x"),
        format!("{BARNS}?limit=2&labelSelector=!x&continue=bm90aGluZw"),
    ] {
        let (code, status) = get(&server, &path).await;
        assert_eq!((code, status["reason"].as_str()), (400, Some("BadRequest")), "{path}");
        assert!(status["message"].as_str().unwrap().starts_with("invalid continue token: "));
    }
    let path = format!("{BARNS}?limit=1&labelSelector=!x&continue={token}");
    let (code, page) = get(&server, &path).await;
    assert_eq!((code, names(&page)), (200, vec!["b002".to_owned()]), "another limit is fine");
}

#[tokio::test]
async fn a_token_survives_a_restart_unless_something_changed_and_then_says_how_to_go_on() {
    let server = Server::start().await;
    fill(&server, 5).await;
    let (_, page) = get(&server, &format!("{BARNS}?limit=2")).await;
    let path = format!("{BARNS}?limit=2&continue={}", token(&page).unwrap());
    let server = server.restart().await;
    let (code, second) = get(&server, &path).await;
    assert_eq!((code, names(&second)), (200, vec!["b002".to_owned(), "b003".to_owned()]));
    assert_eq!(second["metadata"]["resourceVersion"], page["metadata"]["resourceVersion"]);
    barns(&server).delete("b003", &DeleteParams::default()).await.unwrap();
    // The snapshot of the page before shows what was there.
    let (code, _) = get(&server, &path).await;
    assert_eq!(code, 200);
    let server = server.restart().await;
    let (code, status) = get(&server, &path).await;
    assert_eq!((code, status["reason"].as_str()), (410, Some("Expired")), "{status}");
    let fresh = token(&status).expect("a token to go on with");
    let (code, rest) = get(&server, &format!("{BARNS}?limit=5&continue={fresh}")).await;
    assert_eq!((code, names(&rest)), (200, vec!["b002".to_owned(), "b004".to_owned()]));
    assert_ne!(rest["metadata"]["resourceVersion"], page["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_list_can_be_asked_for_as_of_a_version() {
    let server = Server::start().await;
    fill(&server, 2).await;
    let (_, list) = get(&server, BARNS).await;
    let version: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let other: Api<k8s_openapi::api::core::v1::ConfigMap> =
        Api::namespaced(server.admin(), "default");
    let map = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    other.create(&PostParams::default(), &map).await.unwrap();
    // Nothing happened to barns, so that this is still how they are.
    let exact = format!("{BARNS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let (code, again) = get(&server, &exact).await;
    assert_eq!((code, names(&again).len()), (200, 2));
    assert_eq!(again["metadata"]["resourceVersion"], version.to_string());
    barns(&server).delete("b000", &DeleteParams::default()).await.unwrap();
    let (code, status) = get(&server, &exact).await;
    assert_eq!((code, status["reason"].as_str()), (410, Some("Expired")));
    let older = format!("{BARNS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan");
    for path in
        [older, format!("{BARNS}?resourceVersion={version}"), format!("{BARNS}?resourceVersion=0")]
    {
        let (code, list) = get(&server, &path).await;
        assert_eq!((code, names(&list)), (200, vec!["b001".to_owned()]), "{path}");
    }
    let future = version + 1000;
    for path in [
        format!("{BARNS}?resourceVersion={future}&resourceVersionMatch=NotOlderThan"),
        format!("{BARNS}?resourceVersion={future}&resourceVersionMatch=Exact"),
        format!("{BARNS}/b001?resourceVersion={future}"),
        format!(
            "{BARNS}?watch=true&resourceVersion={future}&sendInitialEvents=true\
             &resourceVersionMatch=NotOlderThan"
        ),
    ] {
        let (code, status) = get(&server, &path).await;
        assert_eq!((code, status["reason"].as_str()), (504, Some("Timeout")), "{path}");
        let details = &status["details"];
        assert_eq!(details["retryAfterSeconds"], 1);
        assert_eq!(details["causes"][0]["reason"], "ResourceVersionTooLarge");
        assert!(status["message"].as_str().unwrap().contains("Too large resource version: "));
    }
    let (code, status) = get(&server, &format!("{BARNS}?resourceVersionMatch=Exact")).await;
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
    let (code, _) = get(&server, &format!("{BARNS}/b001?resourceVersion=x")).await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn a_held_snapshot_does_not_keep_a_closed_store_open() {
    let server = Server::start().await;
    fill(&server, 3).await;
    let (_, page) = get(&server, &format!("{BARNS}?limit=1")).await;
    assert!(token(&page).is_some());
    // Opening the file again fails while anything of the first server has it open.
    let server = server.restart().await;
    assert_eq!(barns(&server).list(&ListParams::default()).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn fields_of_custom_resources_can_be_selected_by_where_they_are_declared() {
    let directory = tempfile::tempdir().unwrap();
    let mut definitions = definitions();
    let version = &mut definitions[0].spec.versions[0];
    version.selectable_fields =
        Some(serde_json::from_value(json!([{"jsonPath": ".spec.color"}])).unwrap());
    let config = ServerConfig::new(directory.path(), definitions);
    let server = Server { server: ApiServer::open(config).await.unwrap(), directory };
    for (name, color) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut object = barn(name, 1);
        object.spec.color = Some(color.to_owned());
        barns(&server).create(&PostParams::default(), &object).await.unwrap();
    }
    for (selector, expected) in [
        ("spec.color%3Dred", vec!["a", "c"]),
        ("spec.color!%3Dred", vec!["b"]),
        ("spec.color%3Dred,metadata.name!%3Da", vec!["c"]),
        ("spec.color%3Dgreen", vec![]),
    ] {
        let (_, list) = get(&server, &format!("{BARNS}?fieldSelector={selector}")).await;
        assert_eq!(names(&list), expected, "{selector}");
    }
    let (code, status) = get(&server, &format!("{BARNS}?fieldSelector=spec.cows%3D1")).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("field label not supported: spec.cows"), "{message}");
    let (code, status) = get(&server, &format!("{BARNS}?labelSelector=a%3D%3D%3Db")).await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().unwrap().contains("unable to parse"), "{status}");
}

#[tokio::test]
async fn many_are_deleted_at_once_or_as_many_as_the_limit_says() {
    let server = Server::start().await;
    fill(&server, 7).await;
    let (code, deleted) = server.raw("DELETE", &format!("{BARNS}?limit=3"), Value::Null).await;
    assert_eq!((code, deleted["kind"].as_str()), (200, Some("BarnList")));
    assert_eq!(names(&deleted), ["b000", "b001", "b002"]);
    let path = format!("{BARNS}?fieldSelector=metadata.name!%3Db005");
    let (_, deleted) = server.raw("DELETE", &path, Value::Null).await;
    assert_eq!(names(&deleted), ["b003", "b004", "b006"]);
    let (_, left) = get(&server, BARNS).await;
    assert_eq!(names(&left), ["b005"]);
    let (_, nothing) = server.raw("DELETE", &format!("{BARNS}?labelSelector=x"), Value::Null).await;
    assert_eq!(items(&nothing), Vec::<Value>::new());
}

#[tokio::test]
async fn a_deletion_of_very_much_answers_how_many_there_were() {
    let server = Server::start().await;
    let filler = "x".repeat(1 << 20);
    for index in 0..6 {
        let map = json!({"metadata": {"name": format!("m{index}")}, "data": {"filler": filler}});
        let (code, _) = server.raw("POST", "/api/v1/namespaces/default/configmaps", map).await;
        assert_eq!(code, 201);
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let (code, status) = server.raw("DELETE", path, Value::Null).await;
    assert_eq!((code, status["status"].as_str()), (200, Some("Success")), "{status}");
    assert_eq!(status["message"], "6 objects were deleted");
    let (_, left) = get(&server, path).await;
    assert_eq!(items(&left).len(), 0);
}

#[tokio::test]
async fn old_forms_are_offered_and_unknown_ones_refused() {
    let server = Server::start().await;
    fill(&server, 1).await;
    let table = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
    let (_, list) = get_as(&server, BARNS, table).await;
    assert_eq!(list["apiVersion"], "meta.k8s.io/v1beta1");
    assert_eq!(list["rows"][0]["object"]["apiVersion"], "meta.k8s.io/v1beta1");
    let (code, _) = get_as(&server, BARNS, "application/json;as=Table;v=v7;g=meta.k8s.io").await;
    assert_eq!(code, 406);
    let (_, list) = get_as(&server, &format!("{BARNS}?includeObject=Object"), TABLE).await;
    assert_eq!(list["rows"][0]["object"]["spec"]["cows"], 1);
    let (_, list) = get_as(&server, &format!("{BARNS}?includeObject=None"), TABLE).await;
    assert_eq!(list["rows"][0].get("object"), None);
    let (code, status) = get_as(&server, &format!("{BARNS}?includeObject=All"), TABLE).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("must be 'Metadata', 'Object', 'None', or empty"), "{message}");
}

#[tokio::test]
async fn a_list_as_yaml_is_the_same_list() {
    let server = Server::start().await;
    fill(&server, 3).await;
    for query in ["", "?limit=2", "?labelSelector=none"] {
        let path = format!("{BARNS}{query}");
        let request = http::Request::builder().uri(&path).header("accept", "application/yaml");
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(hades_apiserver::Identity::administrator("tester"));
        let router = server.server.router();
        let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/yaml");
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let yaml: Value = serde_saphyr::from_str(std::str::from_utf8(&bytes).unwrap()).unwrap();
        let (_, json) = get(&server, &path).await;
        assert_eq!(yaml, json, "{query}");
    }
}
