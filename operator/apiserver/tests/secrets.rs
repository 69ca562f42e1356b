//! Secrets: sealed on disk, masked for people, whole for controllers.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use support::Server;

const PLAINTEXT: &str = "correct-horse-battery-staple";
const PATH: &str = "/api/v1/namespaces/default/secrets";

fn object(value: &str) -> Secret {
    serde_json::from_value(json!({
        "metadata": {"name": "db", "labels": {"app": "shop"}}, "stringData": {"password": value}}))
    .unwrap()
}

fn value(secret: &Secret) -> String {
    let data = secret.data.as_ref().unwrap();
    String::from_utf8(data["password"].0.clone()).unwrap()
}

fn apis(server: &Server) -> (Api<Secret>, Api<Secret>) {
    (Api::namespaced(server.admin(), "default"), Api::namespaced(server.controller(), "default"))
}

#[tokio::test]
async fn no_plaintext_reaches_the_disk() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    person.create(&PostParams::default(), &object(PLAINTEXT)).await.unwrap();
    let patch = json!({"stringData": {"other": format!("{PLAINTEXT}-2")}});
    person.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(value(&controller.get("db").await.unwrap()), PLAINTEXT);
    let server = server.restart().await;
    let (_, controller) = apis(&server);
    assert_eq!(value(&controller.get("db").await.unwrap()), PLAINTEXT);
    server.server.shutdown().await;
    // Base64 of the value, too, at every alignment that could appear.
    let encoded = BASE64.encode(PLAINTEXT);
    let needles = [PLAINTEXT, encoded.trim_end_matches('='), "last-applied", "\"app\":\"shop\""];
    let mut files = 0;
    let folders = [server.directory.path().to_owned(), server.directory.path().join("audit")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(path).unwrap();
        files += 1;
        for needle in needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{needle} is on disk in the clear");
        }
    }
    assert!(files >= 3, "the store and its keys");
}

#[tokio::test]
async fn people_see_fingerprints_everywhere() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    let created = person.create(&PostParams::default(), &object(PLAINTEXT)).await.unwrap();
    let print = value(&created);
    assert!(print.starts_with("hades:fp:"), "{print}");
    assert_eq!(value(&person.get("db").await.unwrap()), print);
    let listed = person.list(&ListParams::default().labels("app=shop")).await.unwrap();
    assert_eq!(value(&listed.items[0]), print);
    let mut stream = person.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    match stream.try_next().await.unwrap().unwrap() {
        WatchEvent::Added(secret) => assert_eq!(value(&secret), print),
        other => panic!("unexpected: {other:?}"),
    }
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    let patched = person.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(value(&patched), print);
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let path = format!("{PATH}?includeObject=Object");
    let (_, table) = server.raw_with("GET", &path, &headers, Vec::new()).await;
    assert!(table.to_string().contains(&BASE64.encode(&print)), "{table}");
    assert!(!table.to_string().contains(&BASE64.encode(PLAINTEXT)));
    let dry = PostParams { dry_run: true, field_manager: None };
    let mut other = object(PLAINTEXT);
    other.metadata.name = Some("dry".to_owned());
    assert!(value(&person.create(&dry, &other).await.unwrap()).starts_with("hades:fp:"));
    assert_eq!(value(&controller.get("db").await.unwrap()), PLAINTEXT);
    // A deletion of many shows what was deleted.
    let (_, deleted) = server.raw("DELETE", PATH, Value::Null).await;
    assert!(!deleted.to_string().contains(&BASE64.encode(PLAINTEXT)), "{deleted}");
}

#[tokio::test]
async fn a_fingerprint_written_back_keeps_the_value_in_every_kind_of_write() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    person.create(&PostParams::default(), &object(PLAINTEXT)).await.unwrap();
    let mut shown = person.get("db").await.unwrap();
    let version = shown.metadata.resource_version.clone();
    let same = person.replace("db", &PostParams::default(), &shown).await.unwrap();
    assert_eq!(same.metadata.resource_version, version, "nothing changed");
    shown.metadata.annotations = Some([("seen".to_owned(), "yes".to_owned())].into());
    person.replace("db", &PostParams::default(), &shown).await.unwrap();
    assert_eq!(value(&controller.get("db").await.unwrap()), PLAINTEXT);
    let print = BASE64.encode(value(&shown));
    let apply = json!({"apiVersion": "v1", "kind": "Secret", "data": {"password": print, "user": "YWRtaW4="}});
    let manager = PatchParams::apply("git").force();
    person.patch("db", &manager, &Patch::Apply(&apply)).await.unwrap();
    let stored = controller.get("db").await.unwrap();
    assert_eq!(value(&stored), PLAINTEXT);
    assert_eq!(stored.data.unwrap()["user"].0, b"admin");
    for (path, body) in [
        (format!("{PATH}/db"), json!({"data": {"elsewhere": print}})),
        (format!("{PATH}/db"), json!({"stringData": {"password": "hades:fp:00"}})),
    ] {
        let headers = [("content-type", "application/merge-patch+json")];
        let (code, status) =
            server.raw_with("PATCH", &path, &headers, body.to_string().into_bytes()).await;
        assert_eq!(code, 422, "{status}");
        assert!(status["message"].as_str().unwrap().contains("fingerprint"), "{status}");
    }
    let mut copy = person.get("db").await.unwrap();
    copy.metadata = kube::api::ObjectMeta { name: Some("copy".to_owned()), ..Default::default() };
    let error = person.create(&PostParams::default(), &copy).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 422));
}

#[tokio::test]
async fn kubectls_copy_of_the_object_holds_no_value() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    let mut secret = object(PLAINTEXT);
    let copy = json!({"kind": "Secret", "stringData": {"password": PLAINTEXT}}).to_string();
    let name = "kubectl.kubernetes.io/last-applied-configuration";
    secret.metadata.annotations = Some([(name.to_owned(), copy)].into());
    person.create(&PostParams::default(), &secret).await.unwrap();
    let stored = controller.get("db").await.unwrap();
    let annotation = &stored.metadata.annotations.as_ref().unwrap()[name];
    assert!(!annotation.contains(PLAINTEXT) && annotation.contains("hades:fp:"), "{annotation}");
    let patch = json!({"metadata": {"annotations": {name: format!("not json {PLAINTEXT}")}}});
    person.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let stored = controller.get("db").await.unwrap();
    assert!(!format!("{:?}", stored.metadata).contains(PLAINTEXT));
}

#[tokio::test]
async fn an_immutable_secret_does_not_change() {
    let server = Server::start().await;
    let (person, _) = apis(&server);
    let mut secret = object(PLAINTEXT);
    secret.immutable = Some(true);
    person.create(&PostParams::default(), &secret).await.unwrap();
    let patch = json!({"stringData": {"password": "other"}});
    let error =
        person.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 422));
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    person.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

#[tokio::test]
async fn a_value_that_is_no_base64_is_refused_without_being_repeated() {
    let server = Server::start().await;
    for wrong in [
        json!({"data": {"password": PLAINTEXT}}),
        json!({"data": PLAINTEXT}),
        json!({"data": {"password": [PLAINTEXT]}}),
        json!({"stringData": PLAINTEXT}),
        json!({"stringData": {"password": {"x": PLAINTEXT}}}),
    ] {
        let mut body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}});
        for (field, value) in wrong.as_object().unwrap() {
            body[field] = value.clone();
        }
        let (code, status) = server.raw("POST", PATH, body).await;
        assert_eq!(code, 422, "{status}");
        assert!(!status.to_string().contains(PLAINTEXT), "{status}");
    }
}

/// The type of every patch, and a body of it that would have a value shown where its
/// author sees it.
fn prying(copied: &str) -> Vec<(&'static str, Value)> {
    vec![
        (
            "application/json-patch+json",
            json!([
                {"op": "add", "path": "/metadata/annotations", "value": {}},
                {"op": "copy", "from": "/data/password", "path": "/metadata/annotations/x"},
            ]),
        ),
        (
            "application/json-patch+json",
            json!([{"op": "copy", "from": "/data", "path": "/metadata/annotations"}]),
        ),
        (
            "application/json-patch+json",
            json!([
                {"op": "add", "path": "/metadata/labels", "value": {}},
                {"op": "move", "from": "/data/password", "path": "/metadata/labels/x"},
            ]),
        ),
        (
            "application/json-patch+json",
            json!([{"op": "copy", "from": "/data/password", "path": "/type"}]),
        ),
        (
            "application/json-patch+json",
            json!([{"op": "copy", "from": "/data/password", "path": "/what"}]),
        ),
        (
            "application/json-patch+json",
            json!([{"op": "test", "path": "/data/password", "value": "x"}]),
        ),
        ("application/merge-patch+json", json!({"metadata": {"labels": {"x": "y"}}})),
        ("application/merge-patch+json", json!({"data": {"other": copied}})),
        (
            "application/strategic-merge-patch+json",
            json!({"data": {"$patch": "merge", "other": copied}}),
        ),
        (
            "application/apply-patch+yaml",
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"other": copied}}),
        ),
        (
            "application/apply-patch+yaml",
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"password": "eA=="}}),
        ),
    ]
}

#[tokio::test]
async fn no_patch_reads_a_value() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    person.create(&PostParams::default(), &object(PLAINTEXT)).await.unwrap();
    let encoded = BASE64.encode(PLAINTEXT);
    let print = BASE64.encode(value(&person.get("db").await.unwrap()));
    for (kind, body) in prying(&print) {
        for query in
            ["dryRun=All&fieldManager=t", "dryRun=All&fieldManager=t&fieldValidation=Strict"]
        {
            let path = format!("{PATH}/db?{query}");
            let headers = [("content-type", kind), ("accept", "application/json")];
            let body = body.to_string().into_bytes();
            let (code, answer) = server.raw_with("PATCH", &path, &headers, body).await;
            let text = answer.to_string();
            assert!(!text.contains(PLAINTEXT) && !text.contains(&encoded), "{kind} {code} {text}");
        }
    }
    // A test is of what its author sees.
    let test = |value: &str| json!([{"op": "test", "path": "/data/password", "value": value}]);
    for (body, good) in [(test(&encoded), false), (test(&print), true)] {
        let headers = [("content-type", "application/json-patch+json")];
        let path = format!("{PATH}/db");
        let (code, answer) =
            server.raw_with("PATCH", &path, &headers, body.to_string().into_bytes()).await;
        assert_eq!(code == 200, good, "{body} {answer}");
    }
    // Patches of other things leave the value, and controllers work with it.
    let label = json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
    let label: Patch<()> = Patch::Json(serde_json::from_value(label).unwrap());
    person.patch("db", &PatchParams::default(), &label).await.unwrap();
    assert_eq!(value(&controller.get("db").await.unwrap()), PLAINTEXT);
    let copy = json!([{"op": "copy", "from": "/data/password", "path": "/data/again"}]);
    let copy: Patch<()> = Patch::Json(serde_json::from_value(copy).unwrap());
    assert!(person.patch("db", &PatchParams::default(), &copy).await.is_err(), "nor by copying it");
    let copied = controller.patch("db", &PatchParams::default(), &copy).await.unwrap();
    assert_eq!(copied.data.unwrap()["again"].0, PLAINTEXT.as_bytes());
}

#[tokio::test]
async fn the_type_of_a_secret_stays() {
    let server = Server::start().await;
    let (person, _) = apis(&server);
    let secret = json!({"metadata": {"name": "key"}, "type": "example.com/key",
        "stringData": {"password": PLAINTEXT}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    person.create(&PostParams::default(), &secret).await.unwrap();
    let patch = json!({"type": "Opaque"});
    let error = person.patch("key", &PatchParams::default(), &Patch::Merge(&patch)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("type: Invalid value: \"Opaque\": field is immutable"), "{error}");
    let patch = json!({"type": "example.com/key", "stringData": {"password": "another"}});
    person.patch("key", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    // None at all is Opaque.
    person.create(&PostParams::default(), &object(PLAINTEXT)).await.unwrap();
    let patch = json!({"type": null});
    let secret = person.patch("db", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
}
