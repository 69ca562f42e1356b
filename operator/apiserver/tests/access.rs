//! Who may do what: impersonation and the questions about rights.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod support;

use axum::Router;
use hades_apiserver::{Credential, Identity};
use serde_json::{Value, json};
use support::{Server, config};

const BARNS: &str = "/apis/farm.example/v1/namespaces/default/barns";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

fn barn(name: &str) -> Value {
    json!({"apiVersion": "farm.example/v1", "kind": "Barn", "metadata": {"name": name},
        "spec": {"cows": 1}})
}

impl Server {
    async fn as_user(
        &self,
        who: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend_from_slice(who);
        self.raw_with(method, path, &headers, body.to_string().into_bytes()).await
    }
}

const JANE: &[(&str, &str)] = &[("Impersonate-User", "jane"), ("Impersonate-Group", "dev")];

#[tokio::test]
async fn somebody_else_may_look_around_and_nothing_more() {
    let server = Server::start().await;
    let (code, _) = server.raw("POST", BARNS, barn("b")).await;
    assert_eq!(code, 201);
    let one = format!("{BARNS}/b");
    let attempts: &[(&str, &str, &str)] = &[
        (
            "GET",
            BARNS,
            "list resource \"barns\" in API group \"farm.example\" in the namespace \"default\"",
        ),
        ("GET", &one, "get resource \"barns\""),
        (
            "GET",
            "/apis/farm.example/v1/barns?watch=1",
            "watch resource \"barns\" in API group \"farm.example\" at the cluster scope",
        ),
        ("POST", BARNS, "create resource \"barns\""),
        ("DELETE", BARNS, "deletecollection resource \"barns\""),
        ("DELETE", &one, "delete resource \"barns\""),
        (
            "GET",
            "/api/v1/namespaces/default",
            "get resource \"namespaces\" in API group \"\" in the namespace \"default\"",
        ),
        ("GET", "/apis/nothing.example/v1/things", "list resource \"things\""),
        ("GET", "/nowhere", "get path \"/nowhere\""),
    ];
    for (method, path, words) in attempts {
        let (code, status) = server.as_user(JANE, method, path, barn("x")).await;
        assert_eq!((code, status["reason"].as_str()), (403, Some("Forbidden")), "{path} {status}");
        let message = status["message"].as_str().unwrap();
        assert!(message.contains(&format!("User \"jane\" cannot {words}")), "{message}");
    }
    let (_, patched) = server
        .raw_with(
            "PATCH",
            &format!("{one}/status"),
            &[JANE[0], ("content-type", "application/merge-patch+json")],
            b"{}".to_vec(),
        )
        .await;
    assert!(patched["message"].as_str().unwrap().contains("patch resource \"barns/status\""));
    for path in ["/api", "/apis", "/apis/farm.example/v1", "/openapi/v3", "/version"] {
        assert_eq!(server.as_user(JANE, "GET", path, Value::Null).await.0, 200, "{path}");
    }
    assert_eq!(server.raw("GET", &one, Value::Null).await.0, 200, "nothing happened to it");
}

#[tokio::test]
async fn extra_routes_are_behind_the_same_gate() {
    let server = Server::start().await;
    let route = Router::new().route(
        "/plan",
        axum::routing::get(|axum::Extension(who): axum::Extension<Identity>| async { who.name }),
    );
    let directory = server.directory;
    let server =
        Server { server: server.server.with_routes("/apis/extra.example/v1", route), directory };
    let path = "/apis/extra.example/v1/plan";
    assert_eq!(server.raw("GET", path, Value::Null).await.0, 200);
    assert_eq!(server.as_user(JANE, "GET", path, Value::Null).await.0, 403);
}

#[tokio::test]
async fn an_impersonated_administrator_is_one_and_reads_no_secrets() {
    let server = Server::start().await;
    let masters =
        [("Impersonate-User", "system:hades:controllers"), ("Impersonate-Group", "system:masters")];
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"k": "plaintext"}});
    let path = "/api/v1/namespaces/default/secrets";
    let (code, _) = server.as_user(&masters, "POST", path, secret).await;
    assert_eq!(code, 201);
    // Even in the name of a controller, asked for by a controller.
    let request = http::Request::builder().uri(format!("{path}/s"));
    let request =
        masters.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::controller("tester"));
    let response = tower::ServiceExt::oneshot(server.server.router(), request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(!text.contains("cGxhaW50ZXh0"), "{text}");
}

#[tokio::test]
async fn only_administrators_may_impersonate() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    let token = "t0ken";
    config.credentials = vec![Credential::of_token(token, Identity::administrator("admin"))];
    let server = hades_apiserver::ApiServer::open(config).await.unwrap();
    let ask = |headers: Vec<(&'static str, &'static str)>| {
        let router = server.router();
        async move {
            let mut request = http::Request::builder().method("POST").uri(WHO);
            request = request.header("content-type", "application/json");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request.body(axum::body::Body::from("{}")).unwrap();
            let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
            let code = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (code, serde_json::from_slice::<Value>(&body).unwrap())
        }
    };
    let (code, _) = ask(vec![("Impersonate-User", "jane")]).await;
    assert_eq!(code, 401, "without a login there is nobody to impersonate from");
    let bearer = ("authorization", "Bearer t0ken");
    let (code, answer) = ask(vec![
        bearer,
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-Team", "blue"),
    ])
    .await;
    assert_eq!(code, 201, "{answer}");
    assert_eq!(
        answer["status"]["userInfo"],
        json!({"username": "jane", "groups": ["system:authenticated"], "uid": "7",
            "extra": {"team": ["blue"]}})
    );
    let (code, status) = ask(vec![bearer, ("Impersonate-Group", "x")]).await;
    assert_eq!(code, 400, "{status}");
    // Somebody who is no administrator himself.
    let mut request = http::Request::builder().uri("/version");
    request = request.header("Impersonate-User", "root");
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    let mut jane = Identity::administrator("jane");
    jane.groups = vec!["system:authenticated".to_owned()];
    request.extensions_mut().insert(jane);
    let response = tower::ServiceExt::oneshot(server.router(), request).await.unwrap();
    assert_eq!(response.status(), 403);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let status: Value = serde_json::from_slice(&body).unwrap();
    let message = status["message"].as_str().unwrap();
    let words = "users \"root\" is forbidden: User \"jane\" cannot impersonate resource \"users\" \
                 in API group \"\" at the cluster scope";
    assert!(message.starts_with(words), "{message}");
}

#[tokio::test]
async fn what_is_answered_about_rights_is_what_happens() {
    let server = Server::start().await;
    let ask = json!({"spec": {"resourceAttributes": {"verb": "list", "group": "farm.example",
        "resource": "barns", "namespace": "default"}}});
    let (code, answer) = server.raw("POST", ACCESS, ask.clone()).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)), "{answer}");
    assert_eq!(answer["kind"], "SelfSubjectAccessReview", "filled in from the path");
    let (code, answer) = server.as_user(JANE, "POST", ACCESS, ask).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(false)), "{answer}");
    assert!(answer["status"].get("reason").is_none(), "{answer}");
    let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/apis"}}});
    let (_, answer) = server.as_user(JANE, "POST", ACCESS, path).await;
    assert_eq!(answer["status"]["allowed"], true);
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let spec = json!({"spec": {"namespace": "default"}});
    let (_, answer) = server.raw("POST", rules, spec.clone()).await;
    assert_eq!(answer["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    let (_, answer) = server.as_user(JANE, "POST", rules, spec).await;
    assert_eq!(answer["status"]["resourceRules"][0]["verbs"], json!(["create"]), "{answer}");
    let others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let about = |user: &str, groups: Value| {
        json!({"spec": {"user": user, "groups": groups,
            "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "default"}}})
    };
    let (_, answer) = server.raw("POST", others, about("joe", json!(["system:masters"]))).await;
    assert_eq!(answer["status"]["allowed"], true);
    let (_, answer) = server.raw("POST", others, about("joe", json!([]))).await;
    assert_eq!(answer["status"]["allowed"], false);
    let (code, _) = server.as_user(JANE, "POST", others, about("joe", json!([]))).await;
    assert_eq!(code, 403, "not everybody may ask about others");
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    let (code, answer) = server.raw("POST", local, about("joe", json!([]))).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(false)), "{answer}");
}

#[tokio::test]
async fn questions_that_ask_nothing_are_refused() {
    let server = Server::start().await;
    let others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let tokens = "/apis/authentication.k8s.io/v1/tokenreviews";
    let resource = json!({"verb": "get", "resource": "secrets"});
    let path = json!({"verb": "get", "path": "/x"});
    let cases = [
        (ACCESS, json!({}), 422, "exactly one of nonResourceAttributes or resourceAttributes"),
        (
            ACCESS,
            json!({"spec": {"resourceAttributes": resource, "nonResourceAttributes": path}}),
            422,
            "cannot be specified in combination with resourceAttributes",
        ),
        (
            ACCESS,
            json!({"metadata": {"name": "x"}, "spec": {"resourceAttributes": resource}}),
            422,
            "metadata: Invalid value",
        ),
        (ACCESS, json!({"kind": "Secret"}), 400, "cannot be handled as a SelfSubjectAccessReview"),
        (ACCESS, json!({"spec": {"resourceAttributes": "x"}}), 400, "spec"),
        (
            others,
            json!({"spec": {"resourceAttributes": resource}}),
            422,
            "at least one of user or group",
        ),
        (
            local,
            json!({"spec": {"user": "joe", "resourceAttributes": resource}}),
            400,
            "must match namespace: default",
        ),
        (rules, json!({"spec": {}}), 400, "no namespace on request"),
        (tokens, json!({"spec": {}}), 400, "token is required"),
        (tokens, json!([]), 400, "single object"),
    ];
    for (path, body, expected, words) in cases {
        let (code, status) = server.raw("POST", path, body.clone()).await;
        assert_eq!(code, expected, "{body} {status}");
        assert!(status["message"].as_str().unwrap().contains(words), "{status}");
    }
}

#[tokio::test]
async fn a_token_is_reviewed() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    config.credentials = vec![Credential::of_token("good", Identity::administrator("admin"))];
    let server = hades_apiserver::ApiServer::open(config).await.unwrap();
    let server = Server { server, directory };
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (code, answer) = server.raw("POST", path, json!({"spec": {"token": "good"}})).await;
    assert_eq!(code, 201);
    assert_eq!(answer["status"]["authenticated"], true);
    assert_eq!(answer["status"]["user"]["username"], "admin");
    let (_, answer) = server.raw("POST", path, json!({"spec": {"token": "bad"}})).await;
    assert!(answer["status"].get("authenticated").is_none(), "{answer}");
}
