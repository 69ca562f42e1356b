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

/// A value that is told from anything else in every form that it can take.
const AWKWARD: &str = "planted/Value+with ?&=\n\"quotes\" \u{0}and NUL";

/// What a search for a value looks for: as it is, in JSON, in base64 of both alphabets
/// wherever it may begin, and in URLs.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(value).into_owned();
    let mut forms = vec![value.to_vec(), json!(text).to_string().trim_matches('"').into()];
    for skipped in 0..3 {
        let encoded = BASE64.encode([vec![0; skipped], value.to_vec()].concat());
        let start = (skipped * 8).div_ceil(6);
        // What depends on the value alone.
        let whole = &encoded[start..(skipped + value.len()) * 8 / 6];
        forms.push(whole.as_bytes().to_vec());
        forms.push(whole.replace('+', "-").replace('/', "_").into_bytes());
    }
    let percent = |upper: bool| {
        let byte = |byte: &u8| match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) => char::from(*b).to_string(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        };
        value.iter().map(byte).collect::<String>().into_bytes()
    };
    forms.extend([percent(true), percent(false)]);
    forms
}

fn holds(haystack: &[u8], value: &[u8]) -> bool {
    // The search of the standard library is fast in tests, too.
    let haystack = String::from_utf8_lossy(haystack);
    forms(value).iter().any(|form| haystack.contains(&*String::from_utf8_lossy(form)))
}

const ACCEPTS: [&str; 6] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
];

/// A value that is no text, which a program may take for one.
const NUMBER: &str = "471147114711";

/// Bodies that hold values in places that are wrong, and the types they claim to have.
fn broken() -> Vec<(&'static str, String)> {
    let json = |rest: &str| {
        format!(r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"new"}},{rest}"#)
    };
    let jsons = [
        format!(r#""stringData":{{"password":"{PLAINTEXT}""#),
        format!(r#""stringData":{{"password":{PLAINTEXT}}}}}"#),
        format!(r#""stringData":{{"password":"a" "{PLAINTEXT}"}}}}"#),
        format!(r#""stringData":{{"password":"a","password":"{PLAINTEXT}"}}}}"#),
        format!(r#""stringData":["{PLAINTEXT}"]}}"#),
        format!(r#""stringData":{{"password":{NUMBER}}}}}"#),
        format!(r#""data":{{"password":{NUMBER}}}}}"#),
        format!(r#""password":"{PLAINTEXT}"}}"#),
        format!(r#""data":{{"password":"{PLAINTEXT}\ud800"}}}}"#),
        format!(r#""data":{{"password":"{}"}}}}"#, PLAINTEXT.repeat(1 << 17)),
    ];
    let mut bodies: Vec<_> = jsons.iter().map(|rest| ("application/json", json(rest))).collect();
    let yaml = "apiVersion: v1\nkind: Secret\nmetadata: {name: new}\n";
    for rest in [
        format!("stringData: {PLAINTEXT}\n"),
        format!("stringData:\n  password: \"{PLAINTEXT}\n"),
        format!("stringData:\n  password: x: {PLAINTEXT}\n"),
        format!("stringData:\n\tpassword: {PLAINTEXT}\n"),
        format!("stringData: {{password: *{PLAINTEXT}}}\n"),
        format!("stringData: {{password: !{PLAINTEXT} x}}\n"),
        format!("stringData: {{password: {NUMBER}}}\n"),
        format!("stringData: {{password: {NUMBER}e999}}\n"),
        format!("stringData: {{a: &a {PLAINTEXT}, password: [*a]}}\n"),
    ] {
        bodies.push(("application/yaml", format!("{yaml}{rest}")));
    }
    bodies.push(("application/vnd.kubernetes.protobuf", format!("k8s\0\n{PLAINTEXT}")));
    bodies.push(("text/plain", PLAINTEXT.to_owned()));
    bodies
}

/// Patches that are wrong, with a value in them.
fn broken_patches() -> Vec<(&'static str, String)> {
    let mut patches = Vec::new();
    for patch in [
        json!([{"op": "replace", "path": "/data/password", "value": PLAINTEXT}]),
        json!([{"op": "add", "path": "/data", "value": PLAINTEXT}]),
        json!([{"op": "add", "path": "/nowhere/x", "value": PLAINTEXT}]),
        json!([{"op": "test", "path": "/data/password", "value": PLAINTEXT}]),
        json!({"op": "add", "path": "/data/x", "value": PLAINTEXT}),
        json!(PLAINTEXT),
        json!([PLAINTEXT]),
        json!([{"op": PLAINTEXT, "path": "/data/x"}]),
    ] {
        patches.push(("application/json-patch+json", patch.to_string()));
    }
    for patch in [
        json!({"data": {"password": PLAINTEXT}}),
        json!({"stringData": PLAINTEXT}),
        json!({"stringData": {"password": {"x": PLAINTEXT}}}),
        json!({"stringData": {"password": 471_147_114_711_u64}}),
        json!({"data": [PLAINTEXT], "$patch": "replace"}),
    ] {
        for kind in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
            patches.push((kind, patch.to_string()));
        }
        let mut applied = json!({"apiVersion": "v1", "kind": "Secret"});
        applied.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        patches.push(("application/apply-patch+yaml", applied.to_string()));
    }
    let yaml = format!("apiVersion: v1\nkind: Secret\nstringData:\n  password: x: {PLAINTEXT}\n");
    patches.push(("application/apply-patch+yaml", yaml));
    patches
}

/// Answers to writes, good ones, that are late or not wanted, and such as no server
/// understands.
async fn written(server: &Server) -> Vec<(String, Vec<u8>)> {
    let new = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "new-"},
        "stringData": {"password": PLAINTEXT, "other": AWKWARD}});
    let mut there = new.clone();
    there["metadata"] = json!({"name": "db", "labels": {"app": "shop"}});
    let mut late = there.clone();
    late["metadata"]["resourceVersion"] = json!("1");
    let mut requests = Vec::new();
    for accept in ACCEPTS {
        for (method, path, kind, body) in [
            ("POST", "?dryRun=All", "application/json", &new),
            ("POST", "", "application/json", &new),
            ("POST", "", "application/json", &there),
            ("PUT", "/db?dryRun=All", "application/json", &there),
            ("PUT", "/db", "application/json", &late),
            ("PUT", "/another", "application/json", &late),
            ("PATCH", "/db?fieldManager=a&dryRun=All", "application/apply-patch+yaml", &there),
            ("PATCH", "/applied?fieldManager=a", "application/apply-patch+yaml", &there),
            ("PATCH", "/db?dryRun=All", "application/merge-patch+json", &there),
        ] {
            let mut body = body.clone();
            if path.starts_with("/applied") {
                body["metadata"]["name"] = json!("applied");
            }
            requests.push((method, path.to_owned(), kind, accept, body.to_string()));
        }
    }
    for (kind, body) in broken() {
        for validation in ["Strict", "Warn"] {
            let query = format!("fieldValidation={validation}");
            requests.push(("POST", format!("?{query}"), kind, ACCEPTS[0], body.clone()));
            requests.push(("PUT", format!("/db?{query}"), kind, ACCEPTS[0], body.clone()));
        }
        requests.push(("DELETE", "/db?dryRun=All".to_owned(), kind, ACCEPTS[0], body));
    }
    for (kind, body) in broken_patches() {
        let path = "/db?dryRun=All&fieldManager=b&force=true".to_owned();
        requests.push(("PATCH", path, kind, ACCEPTS[0], body));
    }
    let mut answers = Vec::new();
    for (method, path, kind, accept, body) in requests {
        let path = format!("{PATH}{path}");
        let headers = [("content-type", kind), ("accept", accept)];
        let begin: String = body.chars().take(200).collect();
        let answer = server.whole(method, &path, &headers, body.into_bytes()).await;
        answers.push((format!("{method} {path} as {accept}: {begin}"), answer));
    }
    answers
}

/// What watches tell of Secrets that change, leave a selection and are deleted.
async fn watched(server: &Server) -> Vec<(String, Vec<u8>)> {
    let (person, _) = apis(server);
    let before = person.list(&ListParams::default()).await.unwrap().metadata.resource_version;
    let mut secret = object(PLAINTEXT);
    secret.metadata.name = Some("watched".to_owned());
    secret.metadata.finalizers = Some(vec!["farm.example/wait".to_owned()]);
    person.create(&PostParams::default(), &secret).await.unwrap();
    for patch in [
        json!({"stringData": {"password": AWKWARD}}),
        json!({"metadata": {"labels": {"app": "another"}}}),
    ] {
        person.patch("watched", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    let path = format!("{PATH}/watched");
    let deleted = server.whole("DELETE", &path, &[], Vec::new()).await;
    assert!(holds(&deleted, b"deletionTimestamp"));
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    person.patch("watched", &PatchParams::default(), &patch).await.unwrap();
    assert!(person.get_opt("watched").await.unwrap().is_none());
    let watches = ACCEPTS.iter().flat_map(|accept| {
        let before = before.as_deref().unwrap();
        let from = format!("watch=1&timeoutSeconds=1&resourceVersion={before}");
        ["/api/v1/secrets", PATH].into_iter().flat_map(move |path| {
            ["", "&labelSelector=app%3Dshop", "&includeObject=Object", "&allowWatchBookmarks=1"]
                .map(|rest| (format!("{path}?{from}{rest}"), *accept))
        })
    });
    let watching = watches.map(|(path, accept)| async move {
        let answer = server.whole("GET", &path, &[("accept", accept)], Vec::new()).await;
        (format!("{path} as {accept}"), answer)
    });
    let mut answers = futures::future::join_all(watching).await;
    for event in ["ADDED", "MODIFIED", "DELETED"] {
        let told = answers.iter().filter(|(_, told)| holds(told, event.as_bytes())).count();
        assert!(told >= 10, "{event}: {told}");
    }
    answers.push((format!("DELETE {path}"), deleted));
    answers
}

/// Answers to everything that can be asked about Secrets.
async fn asked(server: &Server, print: &str) -> Vec<(String, Vec<u8>)> {
    let collections = ["/api/v1/secrets", PATH];
    let queries = [
        "",
        "?limit=1",
        "?fieldSelector=metadata.name%3Ddb",
        "?fieldSelector=type%3DOpaque",
        "?fieldSelector=data.password%3Dx",
        "?labelSelector=app%3Dshop",
        "?resourceVersion=0&resourceVersionMatch=NotOlderThan",
        "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1\
         &allowWatchBookmarks=true",
        "?watch=1&resourceVersion=0&timeoutSeconds=1",
        "?includeObject=Object",
        "?includeObject=Metadata",
        "?pretty=true",
    ];
    let mut requests = Vec::new();
    for accept in ACCEPTS {
        for query in queries {
            requests.extend(collections.map(|path| ("GET", format!("{path}{query}"), accept)));
            requests.push(("GET", format!("{PATH}/db{query}"), accept));
        }
        for what in ["status", "scale", "reveal", "log", "data"] {
            requests.push(("GET", format!("{PATH}/db/{what}"), accept));
        }
        requests.push(("DELETE", format!("{PATH}/db?dryRun=All"), accept));
        requests.push(("DELETE", format!("{PATH}?dryRun=All"), accept));
    }
    // At once: watches last a second.
    let asking = requests.into_iter().map(|(method, path, accept)| async move {
        let answer = server.whole(method, &path, &[("accept", accept)], Vec::new()).await;
        (format!("{method} {path} as {accept}"), answer)
    });
    let mut answers = futures::future::join_all(asking).await;
    for (kind, body) in prying(print) {
        for subresource in ["", "/status", "/scale"] {
            for query in ["dryRun=All&fieldManager=t&fieldValidation=Strict", "fieldManager=t"] {
                let path = format!("{PATH}/db{subresource}?{query}");
                let headers = [("content-type", kind), ("accept", "application/json")];
                let body = body.to_string().into_bytes();
                let answer = server.whole("PATCH", &path, &headers, body).await;
                answers.push((format!("PATCH {path} {kind}"), answer));
            }
        }
    }
    answers
}

#[tokio::test]
async fn no_answer_holds_a_value_in_any_form() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    let values = [PLAINTEXT, AWKWARD, NUMBER];
    for (name, value) in [("db", PLAINTEXT), ("awkward", AWKWARD)] {
        let mut secret = object(value);
        secret.metadata.name = Some(name.to_owned());
        let copy = json!({"kind": "Secret", "stringData": {"password": value}}).to_string();
        let last_applied = "kubectl.kubernetes.io/last-applied-configuration".to_owned();
        secret.metadata.annotations = Some([(last_applied, copy)].into());
        person.create(&PostParams::default(), &secret).await.unwrap();
    }
    assert!(holds(
        &serde_json::to_vec(&controller.get("db").await.unwrap()).unwrap(),
        PLAINTEXT.as_bytes()
    ));
    let print = BASE64.encode(value(&person.get("db").await.unwrap()));
    let mut answers = watched(&server).await;
    answers.extend(asked(&server, &print).await);
    answers.extend(written(&server).await);
    // What went in comes out for controllers, whatever it is.
    assert_eq!(value(&controller.get("awkward").await.unwrap()), AWKWARD);
    let path = format!("{PATH}?labelSelector=app%3Dshop");
    let deleted = server.whole("DELETE", &path, &[], Vec::new()).await;
    assert!(holds(&deleted, b"awkward"));
    answers.push((format!("DELETE {path}"), deleted));
    assert!(answers.len() > 350, "{}", answers.len());
    assert!(answers.iter().filter(|(_, answer)| holds(answer, b"hades:fp:")).count() > 50);
    let shown = answers
        .iter()
        .filter(|(_, answer)| values.iter().any(|value| holds(answer, value.as_bytes())));
    let shown: Vec<_> =
        shown.map(|(request, answer)| (request, String::from_utf8_lossy(answer))).collect();
    assert!(shown.is_empty(), "{shown:#?}");
    // The metrics count; they know no value.
    let mut registry = prometheus_client::registry::Registry::default();
    server.server.register_metrics(&mut registry);
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains("hades_apiserver_"));
    server.server.shutdown().await;
    let mut files = vec![(String::from("metrics"), metrics.into_bytes())];
    let folders = [server.directory.path().to_owned(), server.directory.path().join("audit")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        files.push((path.display().to_string(), std::fs::read(path).unwrap()));
    }
    assert!(files.len() >= 5, "the store, its keys, the audit log");
    for (file, bytes) in &files {
        for value in values {
            assert!(!holds(bytes, value.as_bytes()), "{value:?} is in {file}");
        }
    }
}

#[tokio::test]
async fn any_bytes_are_kept_and_a_mebibyte_of_them_but_no_more() {
    let server = Server::start().await;
    let (person, controller) = apis(&server);
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
    let with = |name: &str, bytes: &[u8]| -> Secret {
        let data = json!({"password": BASE64.encode(bytes)});
        serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap()
    };
    for (name, bytes) in
        [("large", &all[..]), ("empty", b""), ("nul", b"\0"), ("lines", b"a\r\n\n")]
    {
        let created = person.create(&PostParams::default(), &with(name, bytes)).await.unwrap();
        assert!(value(&created).starts_with("hades:fp:"), "{name}");
        assert_eq!(controller.get(name).await.unwrap().data.unwrap()["password"].0, bytes);
    }
    let more = [&all[..], b"x"].concat();
    let error = person.create(&PostParams::default(), &with("more", &more)).await.unwrap_err();
    match error {
        kube::Error::Api(status) => {
            assert_eq!(status.code, 422);
            assert!(status.message.contains("may not be more than 1048576 bytes"), "{status:?}");
            assert!(status.message.len() < 300);
        }
        other => panic!("{other}"),
    }
    // What is kept counts, too, though it is written as a fingerprint.
    let change = Patch::Merge(json!({"stringData": {"another": "x"}}));
    person.patch("large", &PatchParams::default(), &change).await.unwrap_err();
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
