//! Tokens of service accounts, and what others may do with tokens.

use hades_apiserver::Scope;
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn service_accounts_get_tokens_that_end_with_them() {
    let server = Server::with_namespace().await;
    let accounts = "/api/v1/namespaces/shop/serviceaccounts";
    server.made(accounts, json!({"metadata": {"name": "robot"}})).await;
    let tokens = format!("{accounts}/robot/token");
    let alice = person("alice");
    server.grant("alice", "shop", "almost", json!([rule(&["*"], "", &["serviceaccounts"])])).await;
    assert_eq!(server.code(&alice, "POST", &tokens, json!({})).await, 403);
    server
        .grant(
            "alice",
            "shop",
            "tokens",
            json!([rule(&["create"], "", &["serviceaccounts/token"])]),
        )
        .await;
    let (_, list) = ask(&server.server, &alice, "GET", "/api/v1", &Value::Null).await;
    let is_token = |one: &Value| one["name"] == "serviceaccounts/token";
    assert!(list["resources"].as_array().unwrap().iter().any(is_token), "{list}");
    let (_, document) =
        ask(&server.server, &alice, "GET", "/openapi/v3/api/v1", &Value::Null).await;
    let path = "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token";
    assert!(document["paths"][path]["post"].is_object(), "{:?}", document["paths"][path]);
    let (code, made) = ask(&server.server, &alice, "POST", &tokens, &json!({})).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["expirationSeconds"], 3600);
    let token = made["status"]["token"].as_str().unwrap().to_owned();
    let bearer = async |server: &ApiServer, token: &str, path: &str| {
        let request = http::Request::builder()
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(axum::body::Body::empty())
            .unwrap();
        tower::ServiceExt::oneshot(server.router(), request).await.unwrap().status().as_u16()
    };
    assert_eq!(bearer(&server.server, &token, "/apis").await, 200);
    assert_eq!(bearer(&server.server, &token, SHOP).await, 403);
    let subject = json!([{"kind": "ServiceAccount", "name": "robot"}]);
    let role = json!({"metadata": {"name": "robot"}, "rules": [rule(&["list"], "farm.example", &["barns"])]});
    server.made(&format!("{RBAC}/namespaces/shop/roles"), role).await;
    let mut bound = binding("robot", "Role", "robot", &[]);
    bound["subjects"] = subject;
    server.made(&format!("{RBAC}/namespaces/shop/rolebindings"), bound).await;
    assert_eq!(bearer(&server.server, &token, SHOP).await, 200);
    assert_eq!(bearer(&server.server, &token, BARNS).await, 403);
    let review = "/apis/authentication.k8s.io/v1/tokenreviews";
    let body = json!({"spec": {"token": token}});
    let answer = server.made(review, body).await;
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:shop:robot");
    // For so many that it would not be accepted.
    let many: Vec<String> =
        (0..400).map(|index| format!("audience-{index}-{}", "x".repeat(10))).collect();
    for query in ["", "?dryRun=All"] {
        let body = json!({"spec": {"audiences": many}});
        let path = format!("{tokens}{query}");
        let (code, refused) = ask(&server.server, &alice, "POST", &path, &body).await;
        assert_eq!(code, 400, "{refused}");
        assert!(message(&refused).starts_with("spec.audiences: "), "{refused}");
    }
    // For somebody else, who asks with his name.
    let vault = server.made(&tokens, json!({"spec": {"audiences": ["vault"]}})).await;
    let vault = vault["status"]["token"].as_str().unwrap();
    assert_eq!(bearer(&server.server, vault, "/apis").await, 401);
    let body = json!({"spec": {"token": vault, "audiences": ["vault", "x"]}});
    let answer = server.made(review, body).await;
    assert_eq!(answer["status"]["audiences"], json!(["vault"]), "{answer}");
    let answer = server.made(review, json!({"spec": {"token": vault}})).await;
    assert!(answer["status"].get("authenticated").is_none(), "{answer}");
    // Bound to a secret.
    let secrets = "/api/v1/namespaces/shop/secrets";
    server.made(secrets, json!({"metadata": {"name": "s"}})).await;
    let reference = json!({"kind": "Secret", "apiVersion": "v1", "name": "s"});
    let bound = server.made(&tokens, json!({"spec": {"boundObjectRef": reference}})).await;
    let bound = bound["status"]["token"].as_str().unwrap();
    assert_eq!(bearer(&server.server, bound, "/apis").await, 200);
    assert_eq!(server.code(&admin(), "DELETE", &format!("{secrets}/s"), Value::Null).await, 200);
    assert_eq!(bearer(&server.server, bound, "/apis").await, 401);
    // The key outlives the process; the account's name doesn't make it the same one.
    let server = server.restart().await;
    assert_eq!(bearer(&server.server, &token, SHOP).await, 200);
    let robot = format!("{accounts}/robot");
    assert_eq!(server.code(&admin(), "DELETE", &robot, Value::Null).await, 200);
    assert_eq!(bearer(&server.server, &token, SHOP).await, 401);
    server.made(accounts, json!({"metadata": {"name": "robot"}})).await;
    assert_eq!(bearer(&server.server, &token, SHOP).await, 401);
}

#[tokio::test]
async fn a_token_of_limited_rights_is_nobody_s_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory);
    let scope = Scope { namespaces: vec!["shop".to_owned()], verbs: Vec::new() };
    config.credentials = vec![
        Credential::of_token("whole", person("jane")),
        Credential::of_token("part", person("jane").within(scope)),
    ];
    let server = ApiServer::open(config).await.unwrap();
    let review = "/apis/authentication.k8s.io/v1/tokenreviews";
    for (token, known) in [("whole", true), ("part", false), ("none", false)] {
        let body = json!({"spec": {"token": token}});
        let (_, answer) = ask(&server, &admin(), "POST", review, &body).await;
        assert_eq!(answer["status"]["authenticated"] == true, known, "{answer}");
        assert_eq!(answer["status"]["user"]["username"] == "jane", known, "{answer}");
    }
}

#[tokio::test]
async fn bad_requests_for_tokens_are_refused() {
    let server = Server::with_namespace().await;
    let accounts = "/api/v1/namespaces/shop/serviceaccounts";
    server.made(accounts, json!({"metadata": {"name": "robot"}})).await;
    let tokens = format!("{accounts}/robot/token");
    let bound = |kind: &str, name: &str| json!({"spec": {"boundObjectRef": {"kind": kind, "apiVersion": "v1", "name": name}}});
    let cases = [
        ("POST", &tokens, json!({"spec": {"expirationSeconds": 599}}), 422),
        ("POST", &tokens, json!({"spec": {"expirationSeconds": -1}}), 422),
        ("POST", &tokens, json!({"spec": {"expirationSeconds": 4_294_967_297_i64}}), 422),
        ("POST", &tokens, json!({"spec": {"expirationSeconds": i64::MAX}}), 422),
        ("POST", &tokens, json!({"spec": {"expirationSeconds": "x"}}), 400),
        ("POST", &tokens, json!({"spec": {"audiences": "x"}}), 400),
        ("POST", &tokens, json!({"spec": []}), 400),
        ("POST", &tokens, json!([]), 400),
        ("POST", &tokens, json!({"kind": "Secret"}), 400),
        ("POST", &tokens, bound("Pod", "p"), 400),
        ("POST", &tokens, bound("Secret", "none"), 404),
        ("POST", &format!("{accounts}/nobody/token"), json!({}), 404),
        ("POST", &"/api/v1/namespaces/shop/configmaps/c/token".to_owned(), json!({}), 404),
        ("GET", &tokens, Value::Null, 404),
        ("POST", &format!("{accounts}/robot"), json!({}), 405),
    ];
    for (method, path, body, expected) in cases {
        let (code, answer) = ask(&server.server, &admin(), method, path, &body).await;
        assert_eq!(code, expected, "{method} {path} {body} {answer}");
    }
    let (_, answer) = ask(
        &server.server,
        &admin(),
        "POST",
        &tokens,
        &json!({"spec": {"expirationSeconds": 40_000_000}}),
    )
    .await;
    assert_eq!(answer["spec"]["expirationSeconds"], 31_536_000, "a year at most");
}
