//! Bodies, patches and applies as kubectl and its peers send them.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use hades_apiserver::Identity;
use serde_json::{Value, json};
use support::Server;

const BARNS: &str = "/apis/farm.example/v1/namespaces/default/barns";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

fn barn(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": name},
        "spec": spec})
}

fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap_or_default()
}

impl Server {
    /// Code, JSON and warnings of an answer.
    async fn send(
        &self,
        method: &str,
        path: &str,
        form: &str,
        body: &str,
    ) -> (u16, Value, Vec<String>) {
        let request =
            http::Request::builder().method(method).uri(path).header("content-type", form);
        let mut request = request.body(axum::body::Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Identity::administrator("tester"));
        let response = tower::ServiceExt::oneshot(self.server.router(), request).await.unwrap();
        let code = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.map(|value| value.to_str().unwrap().to_owned()).collect();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null), warnings)
    }

    async fn apply(&self, path: &str, manager: &str, object: Value) -> (u16, Value, Vec<String>) {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}fieldManager={manager}");
        self.send("PATCH", &path, "application/apply-patch+yaml", &object.to_string()).await
    }
}

/// What a manager owns.
fn owned(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["manager"] == manager);
    entry.map(|entry| entry["fieldsV1"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_body_of_a_built_in_kind_need_not_say_what_it_is() {
    let server = Server::start().await;
    let (code, made) = server.raw("POST", MAPS, json!({"metadata": {"name": "m"}})).await;
    assert_eq!(
        (code, &made["kind"], &made["apiVersion"]),
        (201, &json!("ConfigMap"), &json!("v1"))
    );
    let cases = [
        (
            MAPS,
            json!({"kind": "Secret", "metadata": {"name": "s"}}),
            400,
            "Secret in version \"v1\" cannot be handled as a ConfigMap",
        ),
        (
            MAPS,
            json!({"apiVersion": "v2", "metadata": {"name": "s"}}),
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            BARNS,
            json!({"metadata": {"name": "b"}, "spec": {"cows": 1}}),
            400,
            "Object 'Kind' is missing",
        ),
        (
            BARNS,
            json!({"kind": "Barn", "metadata": {"name": "b"}, "spec": {"cows": 1}}),
            400,
            "the API version in the data () does not match the expected API version (farm.example/v1)",
        ),
        (
            BARNS,
            json!({"apiVersion": "farm.example/v1", "kind": "Farm", "metadata": {"name": "b"}}),
            422,
            "Barn.farm.example \"b\" is invalid: kind: Invalid value: \"Farm\": must be Barn",
        ),
        (BARNS, json!({"apiVersion": 1, "kind": "Barn"}), 400, "apiVersion: must be a string"),
    ];
    for (path, body, expected, words) in cases {
        let (code, status) = server.raw("POST", path, body.clone()).await;
        assert_eq!((code, message(&status)), (expected, words), "{body}");
    }
}

#[tokio::test]
async fn put_replaces_what_was_seen_and_creates_only_leases_and_events() {
    let server = Server::start().await;
    let one = format!("{BARNS}/b");
    let (code, status) = server.raw("PUT", &one, barn("b", json!({"cows": 1}))).await;
    assert_eq!((code, message(&status)), (404, "barns.farm.example \"b\" not found"));
    server.raw("POST", BARNS, barn("b", json!({"cows": 1}))).await;
    let (code, status) = server.raw("PUT", &one, barn("b", json!({"cows": 2}))).await;
    assert_eq!(code, 422);
    assert_eq!(
        message(&status),
        "barns.farm.example \"b\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must \
         be specified for an update"
            .replace("barns.farm.example", "Barn.farm.example")
    );
    server.raw("POST", MAPS, json!({"metadata": {"name": "m"}})).await;
    let (code, _) = server.raw("PUT", &format!("{MAPS}/m"), json!({"data": {"a": "1"}})).await;
    assert_eq!(code, 200, "built-in kinds are replaced without a version");
    let lease = |metadata: Value| json!({"metadata": metadata, "spec": {"holderIdentity": "me"}});
    let path = format!("{LEASES}/l");
    let (code, made) = server.raw("PUT", &path, lease(json!({}))).await;
    assert_eq!((code, &made["metadata"]["name"]), (201, &json!("l")), "{made}");
    assert_eq!(server.raw("PUT", &path, lease(json!({}))).await.0, 422);
    let (code, _) = server.raw("PUT", &path, made.clone()).await;
    assert_eq!(code, 200);
    server.raw("DELETE", &path, Value::Null).await;
    let (code, status) = server.raw("PUT", &path, made).await;
    assert_eq!(code, 409, "who names a uid means the lease that was there: {status}");
}

#[tokio::test]
async fn an_apply_owns_neither_status_nor_what_nobody_knows() {
    let server = Server::start().await;
    let one = format!("{BARNS}/b");
    let mut object = barn("b", json!({"cows": 1, "colour": "red"}));
    object["status"] = json!({"milk": 1});
    let (code, made, warnings) = server.apply(&one, "git", object.clone()).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(
        warnings,
        ["299 - \"unknown field \\\"spec.colour\\\" (did you mean \\\"color\\\"?)\""]
    );
    assert_eq!(owned(&made, "git"), json!({"f:spec": {"f:cows": {}}}));
    let status = json!({"apiVersion": "farm.example/v1", "kind": "Barn", "status": {"milk": 7}});
    let (code, _, _) = server.apply(&format!("{one}/status"), "milker", status).await;
    assert_eq!(code, 200);
    let (code, again, _) = server.apply(&one, "git", object.clone()).await;
    assert_eq!((code, &again["status"]["milk"]), (200, &json!(7)), "no conflict: {again}");
    let (code, status, _) =
        server.apply(&format!("{one}?fieldValidation=Strict"), "git", object).await;
    assert_eq!(code, 400);
    assert!(message(&status).starts_with("strict decoding error: unknown field"), "{status}");
}

#[tokio::test]
async fn null_in_an_applied_configuration_gives_a_field_up() {
    let server = Server::start().await;
    let one = format!("{BARNS}/b");
    server.apply(&one, "git", barn("b", json!({"cows": 1, "color": "blue"}))).await;
    let (code, after, _) =
        server.apply(&one, "git", barn("b", json!({"cows": 1, "color": null}))).await;
    assert_eq!((code, &after["spec"]["color"]), (200, &json!("red")), "the default is back");
    assert_eq!(owned(&after, "git"), json!({"f:spec": {"f:cows": {}}}));
    let version = after["metadata"]["resourceVersion"].clone();
    let (_, again, _) =
        server.apply(&one, "git", barn("b", json!({"cows": 1, "color": null}))).await;
    assert_eq!(again["metadata"]["resourceVersion"], version, "no-op");
}

#[tokio::test]
async fn conflicts_are_listed_by_manager() {
    let server = Server::start().await;
    let one = format!("{BARNS}/b");
    server.apply(&one, "git", barn("b", json!({"cows": 1}))).await;
    let patch = json!({"spec": {"color": "blue"}}).to_string();
    let form = "application/merge-patch+json";
    let path = format!("{one}?fieldManager=hand");
    let (_, patched, _) = server.send("PATCH", &path, form, &patch).await;
    let entries = patched["metadata"]["managedFields"].as_array().unwrap();
    let time = entries.iter().find(|entry| entry["manager"] == "hand").unwrap()["time"].clone();
    let (code, status, _) =
        server.apply(&one, "third", barn("b", json!({"cows": 2, "color": "red"}))).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(
        message(&status),
        format!(
            "Apply failed with 2 conflicts: conflicts with \"git\":\n- .spec.cows\nconflicts with \
             \"hand\" using farm.example/v1 at {}:\n- .spec.color",
            time.as_str().unwrap()
        )
    );
    let path = format!("{one}?force=true");
    let (code, taken, _) =
        server.apply(&path, "third", barn("b", json!({"cows": 2, "color": "red"}))).await;
    assert_eq!(code, 200);
    assert_eq!(owned(&taken, "third"), json!({"f:spec": {"f:color": {}, "f:cows": {}}}));
    let mut elsewhere = barn("none", json!({"cows": 1}));
    elsewhere["metadata"]["uid"] = json!("7");
    let (code, status, _) = server.apply(&format!("{BARNS}/none"), "git", elsewhere).await;
    assert!(code == 409 && message(&status).contains("uid mismatch"), "{status}");
}

#[tokio::test]
async fn ownership_is_reset_by_an_empty_entry_and_not_by_an_empty_list() {
    let server = Server::start().await;
    let one = format!("{BARNS}/b");
    let (_, made, _) = server.apply(&one, "git", barn("b", json!({"cows": 1}))).await;
    let form = "application/json-patch+json";
    let reset = |value: Value| {
        json!([{"op": "replace", "path": "/metadata/managedFields", "value": value}]).to_string()
    };
    let (_, kept, _) = server.send("PATCH", &one, form, &reset(json!([]))).await;
    assert_eq!(kept["metadata"]["managedFields"], made["metadata"]["managedFields"]);
    let (_, cleared, _) = server.send("PATCH", &one, form, &reset(json!([{}]))).await;
    assert!(cleared["metadata"].get("managedFields").is_none(), "{cleared}");
    let (code, status, _) = server.apply(&one, "hand", barn("b", json!({"cows": 2}))).await;
    assert_eq!(code, 409);
    assert!(
        message(&status).contains("conflict with \"before-first-apply\" using farm.example/v1")
    );
}

#[tokio::test]
async fn an_applied_list_names_each_item_once() {
    let server = Server::start().await;
    let one = format!("{BARNS}/b");
    server.apply(&one, "git", barn("b", json!({"cows": 1}))).await;
    let condition = json!({"type": "Ready", "status": "True"});
    let status = json!({"apiVersion": "farm.example/v1", "kind": "Barn",
        "status": {"conditions": [condition, condition]}});
    let (code, status, _) = server.apply(&format!("{one}/status"), "git", status).await;
    assert_eq!(code, 422, "{status}");
    assert!(message(&status).contains("status.conditions[1]: Duplicate value"), "{status}");
    let twice = json!({"apiVersion": "farm.example/v1", "kind": "Barn",
        "metadata": {"name": "b", "finalizers": ["a.example/a", "a.example/a"]}, "spec": {"cows": 1}});
    let (code, status, _) = server.apply(&one, "git", twice).await;
    assert_eq!(code, 422, "{status}");
}

#[tokio::test]
async fn strict_bodies_are_refused_in_the_words_of_kubernetes() {
    let server = Server::start().await;
    let body = r#"{"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": "b"},
        "spec": {"cows": 1, "cows": 2, "zebras": 1}}"#;
    let strict = format!("{BARNS}?fieldValidation=Strict");
    let (code, status, _) = server.send("POST", &strict, "application/json", body).await;
    assert_eq!(code, 400);
    assert_eq!(
        message(&status),
        "Barn in version \"v1\" cannot be handled as a Barn: strict decoding error: duplicate \
         field \"spec.cows\", unknown field \"spec.zebras\""
    );
    let ignore = format!("{BARNS}?fieldValidation=Ignore&dryRun=All");
    let (code, _, warnings) = server.send("POST", &ignore, "application/json", body).await;
    assert_eq!((code, warnings.len()), (201, 0));
    let (code, _, warnings) = server.send("POST", BARNS, "application/json", body).await;
    assert_eq!((code, warnings.len()), (201, 2), "{warnings:?}");
    let (code, status, _) = server
        .send("POST", "/api/v1/namespaces/default/configmaps?dryRun=None", "application/json", "{}")
        .await;
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")), "{status}");
}

#[tokio::test]
async fn strategic_patches_merge_lists_of_built_in_kinds_and_warn_of_others() {
    let server = Server::start().await;
    let account = json!({"metadata": {"name": "a"}, "secrets": [{"name": "one"}]});
    server.raw("POST", ACCOUNTS, account).await;
    let form = "application/strategic-merge-patch+json";
    let patch = json!({"secrets": [{"name": "two"}]}).to_string();
    let (code, after, warnings) =
        server.send("PATCH", &format!("{ACCOUNTS}/a"), form, &patch).await;
    assert_eq!(code, 200);
    assert_eq!(after["secrets"], json!([{"name": "one"}, {"name": "two"}]));
    assert!(warnings.is_empty());
    server.raw("POST", BARNS, barn("b", json!({"cows": 1}))).await;
    let one = format!("{BARNS}/b");
    let (_, _, warnings) = server.send("PATCH", &one, form, r#"{"spec": {"cows": 2}}"#).await;
    assert!(warnings.is_empty(), "a merge patch in all but name");
    let patch = json!({"metadata": {"finalizers": ["a.example/a"]}}).to_string();
    let (code, _, warnings) = server.send("PATCH", &one, form, &patch).await;
    assert_eq!((code, warnings.len()), (200, 1));
    assert!(warnings[0].contains("--type=merge"), "{warnings:?}");
}

#[tokio::test]
async fn a_plain_finalizer_is_warned_of() {
    let server = Server::start().await;
    let mut object = barn("b", json!({"cows": 1}));
    object["metadata"]["finalizers"] = json!(["plain"]);
    let body = object.to_string();
    let (code, _, warnings) = server.send("POST", BARNS, "application/json", &body).await;
    assert_eq!((code, warnings.len()), (201, 1));
    assert!(warnings[0].contains("prefer a domain-qualified finalizer name"), "{warnings:?}");
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_refused() {
    let server = Server::start().await;
    let map = |size: usize| json!({"metadata": {"name": "m"}, "data": {"a": "x".repeat(size)}});
    let (code, status) = server.raw("POST", MAPS, map(2 << 20)).await;
    assert_eq!((code, status["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    assert!(message(&status).contains("limit is 1572864"), "{status}");
    assert_eq!(server.raw("POST", MAPS, map(1 << 20)).await.0, 201);
    let more = json!({"data": {"b": "x".repeat(1 << 20)}}).to_string();
    let form = "application/merge-patch+json";
    let (code, _, _) = server.send("PATCH", &format!("{MAPS}/m"), form, &more).await;
    assert_eq!(code, 413, "two halves make a whole");
    let (code, status) = server.raw("POST", MAPS, map(4 << 20)).await;
    assert_eq!((code, message(&status)), (413, "Request entity too large: limit is 3145728"));
    let annotations =
        json!({"metadata": {"name": "a", "annotations": {"a": "x".repeat(300 << 10)}}});
    let (code, status) = server.raw("POST", MAPS, annotations).await;
    assert_eq!(code, 422);
    assert!(
        message(&status).contains("metadata.annotations: Too long: may not be more than 262144")
    );
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let (code, status, _) = server.send("POST", MAPS, "application/json", &deep).await;
    assert!(code == 400 && message(&status).contains("nested deeper than 127 levels"), "{status}");
    let yaml = deep.replace('[', "- ").replace(']', "");
    let (code, _, _) = server.send("POST", MAPS, "application/yaml", &yaml).await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn a_bomb_of_aliases_does_not_go_off() {
    let server = Server::start().await;
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        yaml.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", ")));
    }
    for (method, path, form) in [
        ("POST", MAPS.to_owned(), "application/yaml"),
        ("PATCH", format!("{MAPS}/m?fieldManager=x"), "application/apply-patch+yaml"),
    ] {
        let (code, status, _) = server.send(method, &path, form, &yaml).await;
        assert_eq!(code, 400, "{status}");
        assert!(message(&status).len() < 2000);
    }
}

#[tokio::test]
async fn a_generated_name_starts_as_it_should() {
    let server = Server::start().await;
    let long = "x".repeat(100);
    let (code, made) = server.raw("POST", MAPS, json!({"metadata": {"generateName": long}})).await;
    assert_eq!((code, made["metadata"]["name"].as_str().unwrap().len()), (201, 63));
    let (code, status) =
        server.raw("POST", MAPS, json!({"metadata": {"generateName": "Not_So-"}})).await;
    assert_eq!(code, 422);
    assert!(message(&status).contains("metadata.generateName: Invalid value: \"Not_So-\""));
}
