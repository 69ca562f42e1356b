//! API tokens.

use serde_json::{Value, json};

use crate::bed::{Bed, By};

fn new(name: &str, spec: Value) -> Value {
    json!({"kind": "Token", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_at_once() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let by = By::Token(&session);
    let spec = json!({"projects": ["shop"], "verbs": ["read"]});
    let made = bed.ask(by, "POST", "/ops/selftokens", new("ci", spec)).await;
    assert!(!made.kept);
    let made = made.expect(201);
    let token = made["status"]["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("hdt_"));
    assert_eq!(made["spec"]["verbs"], json!(["get", "list", "watch"]));
    bed.ask(by, "POST", "/ops/selftokens", new("ci", json!({}))).await.expect(409);
    assert_eq!(bed.who(&token).await.unwrap()["username"], "jane");
    let list = bed.ask(by, "GET", "/ops/selftokens", Value::Null).await.expect(200);
    assert_eq!(list["items"][0]["metadata"]["name"], "ci");
    assert_eq!(list["items"][0]["status"]["expired"], false);
    assert!(list["items"][0]["status"]["lastUsedTime"].is_string(), "{list}");
    assert!(!list.to_string().contains("hdt_"), "{list}");
    let bed = bed.restart().await;
    assert!(bed.is_known(&token).await);
    let by = By::Token(&session);
    let one = bed.ask(by, "GET", "/ops/selftokens/ci", Value::Null).await.expect(200);
    assert!(one["status"]["lastUsedTime"].is_string(), "it outlives a restart: {one}");
    bed.ask(by, "DELETE", "/ops/selftokens/ci", Value::Null).await.expect(200);
    assert!(!bed.is_known(&token).await);
    bed.ask(by, "DELETE", "/ops/selftokens/ci", Value::Null).await.expect(404);
    bed.ask(by, "GET", "/ops/selftokens/ci", Value::Null).await.expect(404);
    let bed = bed.restart().await;
    assert!(!bed.is_known(&token).await);
}

#[tokio::test]
async fn a_token_is_good_for_its_projects_and_verbs() {
    let bed = Bed::new().await;
    bed.user("ci", json!({"robot": true})).await;
    let limited = json!({"projects": ["shop"], "verbs": ["read"]});
    let token = bed.token("ci", "limited", limited).await;
    let identity = bed.accounts.authenticator().identify(&token).unwrap();
    let scope = identity.scope.clone().unwrap();
    assert!(scope.leaves("get", "shop") && !scope.leaves("get", "farm"));
    assert!(!scope.leaves("create", "shop") && !scope.leaves("get", ""));
    // The gate holds to it, whatever its owner may do.
    bed.grant("ci", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])).await;
    let (limited, whole) = (token, bed.token("ci", "whole", json!({})).await);
    let default = bed.token("ci", "default", json!({"projects": ["default"]})).await;
    let one = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let form = [("content-type", "application/json")];
    let code = async |token: &str, method: &str, path: &str| {
        let path = format!("/api/v1/{path}");
        let body = if method == "POST" { one.to_string() } else { String::new() };
        bed.ask_with(By::Token(token), method, &path, &form, body.into_bytes()).await.code
    };
    let maps = "namespaces/default/configmaps";
    assert_eq!(code(&whole, "GET", "configmaps").await, 200);
    assert_eq!(code(&default, "POST", maps).await, 201);
    assert_eq!(code(&default, "GET", maps).await, 200);
    for (token, method, path) in [
        (&default, "GET", "configmaps"),
        (&default, "GET", "namespaces"),
        (&default, "GET", "namespaces/shop/configmaps"),
        (&default, "POST", "namespaces/shop/configmaps"),
        (&default, "GET", "namespaces/default/../shop/configmaps"),
        (&limited, "GET", maps),
        (&limited, "POST", "namespaces/shop/configmaps"),
    ] {
        let code = code(token, method, path).await;
        assert!(code == 403 || code == 404, "{method} {path} {code}");
    }
    assert_eq!(code(&limited, "GET", "namespaces/shop/configmaps").await, 200);
}

#[tokio::test]
async fn tokens_expire() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.user("ci", json!({"robot": true})).await;
    let token = bed.token("jane", "short", json!({"expirationSeconds": 60})).await;
    let usual = bed.token("jane", "usual", json!({})).await;
    let for_ever = bed.token("ci", "ever", json!({"expirationSeconds": 0})).await;
    let error = bed.ask(
        By::Admin,
        "POST",
        "/ops/users/jane/tokens",
        new("ever", json!({"expirationSeconds": 0})),
    );
    let error = error.await.expect(422);
    assert_eq!(error["details"]["causes"][0]["field"], "spec.expirationSeconds");
    bed.pass(59);
    assert!(bed.is_known(&token).await);
    bed.pass(1);
    assert!(!bed.is_known(&token).await);
    let list = bed.ask(By::Admin, "GET", "/ops/users/jane/tokens", Value::Null).await.expect(200);
    assert_eq!(list["items"][0]["status"]["expired"], true, "its owner sees why: {list}");
    bed.token("jane", "short", json!({})).await;
    bed.pass(90 * 24 * 3600 - 61);
    assert!(bed.is_known(&usual).await);
    bed.pass(1);
    assert!(!bed.is_known(&usual).await);
    bed.pass(100 * 365 * 24 * 3600);
    assert!(bed.is_known(&for_ever).await);
}

#[tokio::test]
async fn what_only_looks_like_a_token_is_none() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let token = bed.token("jane", "ci", json!({})).await;
    let other = bed.session("jane").await;
    let changed = |index: usize| {
        let mut text = token.clone().into_bytes();
        text[index] = if text[index] == b'a' { b'b' } else { b'a' };
        String::from_utf8(text).unwrap()
    };
    let huge = format!("hdt_{}", "a".repeat(60_000));
    let swapped = format!("hds_{}", &token[4..]);
    let mixed = format!("{}{}", &token[..40], &other[40..]);
    let shapes =
        ["", "hdt_", "hdt", "Bearer", "null", "{}", "eyJhbGciOiJub25lIn0.e30.", "../..", "'--"];
    for bad in shapes.iter().map(|shape| (*shape).to_owned()).chain([
        changed(4),
        changed(30),
        changed(52),
        huge,
        swapped,
        mixed,
        token.to_uppercase(),
        format!("{token}a"),
        token[..52].to_owned(),
    ]) {
        assert!(!bed.is_known(&bad).await, "{bad:.60}");
    }
    let header = format!("Bearer {token}");
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let code = async |headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        bed.ask_with(By::Nobody, "POST", path, &all, b"{}".to_vec()).await.code
    };
    assert_eq!(code(&[("authorization", &header)]).await, 201);
    assert_eq!(code(&[("authorization", &header), ("authorization", "Bearer x")]).await, 401);
    assert_eq!(code(&[("authorization", "Bearer x"), ("authorization", &header)]).await, 401);
    assert_eq!(code(&[("authorization", &header.replace("Bearer", "Basic"))]).await, 401);
    assert_eq!(code(&[("x-remote-user", "jane"), ("x-remote-group", "system:masters")]).await, 401);
}

#[tokio::test]
async fn a_token_gives_no_more_access() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let token = bed.token("jane", "ci", json!({})).await;
    bed.token("jane", "other", json!({})).await;
    let by = By::Token(&token);
    let password = json!({"spec": {"currentPassword": crate::bed::PASSWORD,
        "newPassword": "quite another one"}});
    let factor = json!({"spec": {"currentPassword": crate::bed::PASSWORD}});
    for (method, path, body) in [
        ("POST", "/ops/selftokens", new("more", json!({}))),
        ("POST", "/ops/selfpassword", password),
        ("POST", "/ops/selftotp", factor.clone()),
        ("DELETE", "/ops/selftotp", factor),
        ("DELETE", "/ops/selftokens/other", Value::Null),
        ("DELETE", "/ops/selfsessions", Value::Null),
    ] {
        let answer = bed.ask(by, method, path, body).await;
        assert_eq!(answer.code, 403, "{method} {path} {}", answer.text);
        assert!(answer.message().contains("log in"), "{}", answer.text);
    }
    bed.ask(by, "GET", "/ops/selftokens", Value::Null).await.expect(200);
    bed.ask(by, "DELETE", "/ops/selftokens/ci", Value::Null).await.expect(200);
    assert!(!bed.is_known(&token).await, "a token may end itself");
}

#[tokio::test]
async fn nobody_makes_tokens_in_the_name_of_somebody_else() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let body = new("ci", json!({})).to_string().into_bytes();
    let headers = [("impersonate-user", "jane"), ("impersonate-uid", "x")];
    for by in [By::Token(&session), By::Admin] {
        let answer = bed.ask_with(by, "POST", "/ops/selftokens", &headers, body.clone()).await;
        assert_eq!(answer.code, 403, "{}", answer.text);
    }
    // The token of admin.kubeconfig is no User's, whatever it is called.
    let answer = bed.ask(By::Admin, "POST", "/ops/selftokens", new("ci", json!({}))).await;
    assert_eq!(answer.code, 403, "{}", answer.text);
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_tokens() {
    let bed = Bed::new().await;
    bed.user("ci", json!({"robot": true})).await;
    for number in 0..100 {
        let spec = json!({"expirationSeconds": if number == 0 { 60 } else { 3600 }});
        bed.token("ci", &format!("t{number}"), spec).await;
    }
    let path = "/ops/users/ci/tokens";
    let answer = bed.ask(By::Admin, "POST", path, new("more", json!({}))).await;
    assert_eq!(answer.code, 403, "{}", answer.text);
    bed.pass(60);
    bed.token("ci", "more", json!({})).await;
    let gone = format!("{path}?token=t5");
    bed.ask(By::Admin, "DELETE", &gone, Value::Null).await.expect(200);
    bed.ask(By::Admin, "DELETE", &gone, Value::Null).await.expect(404);
    bed.ask(By::Admin, "DELETE", path, Value::Null).await.expect(400);
    bed.ask(By::Admin, "DELETE", &format!("{path}?all=true"), Value::Null).await.expect(200);
    let list = bed.ask(By::Admin, "GET", path, Value::Null).await.expect(200);
    assert_eq!(list["items"], json!([]));
}
