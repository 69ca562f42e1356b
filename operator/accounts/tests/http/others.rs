//! What administrators decide about others, and who may.

use hades_apiserver::Identity;
use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};

#[tokio::test]
async fn who_may_not_be_somebody_does_not_decide_how_he_logs_in() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.person("joe").await;
    let joe = bed.session("joe").await;
    let jane = bed.session("jane").await;
    let password = json!({"spec": {"newPassword": "quite another one"}});
    let token = json!({"metadata": {"name": "ci"}, "spec": {}});
    for (method, path, body) in [
        ("POST", "/ops/users/jane/password", password),
        ("POST", "/ops/users/jane/tokens", token),
        ("DELETE", "/ops/users/jane/totp", Value::Null),
    ] {
        // Behind the gate: as if joe had been given the subresource alone.
        let answer = bed.ask(By::Token(&joe), method, path, body).await;
        assert_eq!(answer.code, 403, "{method} {path} {}", answer.text);
        let words =
            "users \"jane\" is forbidden: User \"joe\" cannot impersonate resource \"users\"";
        assert!(answer.message().starts_with(words), "{}", answer.text);
    }
    assert!(bed.is_known(&jane).await);
    bed.log_in("jane", PASSWORD, None).await.expect(201);
}

#[tokio::test]
async fn the_gate_asks_for_the_right_to_the_subresource() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let server = bed.server.clone();
    let server = server.with_routes("/apis/operations.hades.dev/v1alpha1", bed.accounts.router());
    let router = server.router();
    let code = async |identity: Option<Identity>, path: &str| {
        let path = format!("/apis/operations.hades.dev/v1alpha1/{path}");
        let mut request = axum::extract::Request::builder().uri(path);
        if identity.is_none() {
            request = request.header("authorization", format!("Bearer {session}"));
        }
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().extend(
            identity
                .map(|identity| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(identity);
                    extensions
                })
                .unwrap_or_default(),
        );
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap().status().as_u16()
    };
    assert_eq!(code(None, "users/jane/tokens").await, 403);
    assert_eq!(code(None, "users/jane/sessions").await, 403);
    let admin = || Some(Identity::administrator("tester"));
    assert_eq!(code(admin(), "users/jane/tokens").await, 200);
    assert_eq!(code(admin(), "users/nobody/tokens").await, 404);
    assert_eq!(code(Some(Identity::of_user("x", Vec::new())), "selftokens").await, 403);
}

#[tokio::test]
async fn what_is_served_is_announced() {
    let bed = Bed::new().await;
    let path = "/apis/operations.hades.dev/v1alpha1";
    let list = bed.ask(By::Admin, "GET", path, Value::Null).await.expect(200);
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "selfpassword",
            "selftokens",
            "selftotp",
            "selfsessions",
            "users/password",
            "users/tokens",
            "users/totp",
            "users/sessions"
        ]
    );
}
