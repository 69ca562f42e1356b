//! What administrators decide about others, and who may.

use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};

const SUBRESOURCES: [&str; 4] = ["users/password", "users/tokens", "users/totp", "users/sessions"];

fn attempts() -> [(&'static str, &'static str, Value); 3] {
    let password = json!({"spec": {"newPassword": "quite another one"}});
    let token = json!({"metadata": {"name": "ci"}, "spec": {}});
    [
        ("POST", "/ops/users/jane/password", password),
        ("POST", "/ops/users/jane/tokens", token),
        ("DELETE", "/ops/users/jane/totp", Value::Null),
    ]
}

impl Bed {
    async fn refused(&self, by: By<'_>, words: &str) {
        for (method, path, body) in attempts() {
            let answer = self.ask(by, method, path, body).await;
            assert_eq!(answer.code, 403, "{method} {path} {}", answer.text);
            assert!(answer.message().contains(words), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn who_may_not_be_somebody_does_not_decide_how_he_logs_in() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.person("joe").await;
    let (joe, jane) = (bed.session("joe").await, bed.session("jane").await);
    let by = By::Token(&joe);
    bed.refused(by, "User \"joe\" cannot ").await;
    let verbs = ["create", "delete", "get"];
    let group = "operations.hades.dev";
    bed.grant("joe", json!([{"apiGroups": [group], "resources": SUBRESOURCES, "verbs": verbs}]))
        .await;
    bed.refused(by, "cannot impersonate resource \"users\"").await;
    let impersonate = |resource: &str, name: &str| {
        json!([{"apiGroups": [""], "resources": [resource], "resourceNames": [name],
            "verbs": ["impersonate"]}])
    };
    bed.grant("joe", impersonate("users", "jane")).await;
    bed.refused(by, "groups \"dev\" is forbidden").await;
    assert!(bed.is_known(&jane).await);
    bed.log_in("jane", PASSWORD, None).await.expect(201);
    bed.grant("joe", impersonate("groups", "dev")).await;
    for (method, path, body) in attempts() {
        let answer = bed.ask(by, method, path, body).await;
        assert!(answer.code < 300, "{method} {path} {}", answer.text);
    }
    bed.log_in("jane", "quite another one", None).await.expect(201);
    bed.ask(by, "GET", "/ops/users/nobody/tokens", Value::Null).await.expect(404);
    // Nobody gets at an administrator that way.
    let body = json!({"spec": {"newPassword": "quite another one"}});
    bed.ask(by, "POST", "/ops/users/admin/password", body).await.expect(403);
}

#[tokio::test]
async fn the_first_user_may_do_everything() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.set_password("admin", PASSWORD).await;
    let admin = bed.session("admin").await;
    let by = By::Token(&admin);
    bed.ask(by, "GET", "/api/v1/namespaces", Value::Null).await.expect(200);
    let body = json!({"spec": {"newPassword": "quite another one"}});
    bed.ask(by, "POST", "/ops/users/jane/password", body).await.expect(200);
    let jane = bed.log_in("jane", "quite another one", None).await.expect(201);
    let jane = By::Token(jane["status"]["token"].as_str().unwrap());
    bed.ask(jane, "GET", "/api/v1/namespaces", Value::Null).await.expect(403);
    bed.ask(jane, "GET", "/ops/users/jane/tokens", Value::Null).await.expect(403);
    bed.ask(jane, "GET", "/ops/selftokens", Value::Null).await.expect(200);
}

#[tokio::test]
async fn what_is_served_is_announced() {
    let bed = Bed::new().await;
    let list = bed.ask(By::Admin, "GET", "/ops", Value::Null).await.expect(200);
    let resources = list["resources"].as_array().unwrap();
    let names: Vec<&str> = resources.iter().map(|one| one["name"].as_str().unwrap()).collect();
    let own = ["selfpassword", "selftokens", "selftotp", "selfsessions"];
    assert_eq!(names, [&own, &SUBRESOURCES, &["users/sso"][..]].concat());
}

#[tokio::test]
async fn a_token_makes_none_that_may_do_more_or_lasts_longer() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let limited = bed.token("admin", "ci", json!({"verbs": ["create", "impersonate"]})).await;
    let unlimited = bed.token("admin", "whole", json!({"expirationSeconds": 3600})).await;
    let token = || json!({"metadata": {"name": "more"}, "spec": {}});
    let password = || json!({"spec": {"newPassword": "quite another one"}});
    for user in ["admin", "jane"] {
        for (what, body) in [("tokens", token()), ("password", password())] {
            let path = format!("/ops/users/{user}/{what}");
            let answer = bed.ask(By::Token(&limited), "POST", &path, body).await;
            assert!(answer.message().contains("a limited token"), "{path} {}", answer.text);
            answer.expect(403);
        }
    }
    let by = By::Token(&unlimited);
    for (method, what, body) in [
        ("POST", "tokens", token()),
        ("POST", "password", password()),
        ("DELETE", "totp", Value::Null),
    ] {
        let path = format!("/ops/users/admin/{what}");
        let answer = bed.ask(by, method, &path, body).await;
        assert!(answer.message().contains("lasts longer: log in"), "{path} {}", answer.text);
        answer.expect(403);
    }
    // Nor under another name.
    let masks = [("impersonate-user", "root"), ("impersonate-group", "system:masters")];
    let body = token().to_string().into_bytes();
    let answer = bed.ask_with(by, "POST", "/ops/users/admin/tokens", &masks, body).await;
    assert!(answer.message().contains("in the name of somebody else"), "{}", answer.text);
    answer.expect(403);
    // For others it may do what its owner may; and an administrator who logged in, all.
    bed.ask(by, "POST", "/ops/users/jane/tokens", token()).await.expect(201);
    bed.set_password("admin", PASSWORD).await;
    let admin = bed.session("admin").await;
    bed.ask(By::Token(&admin), "POST", "/ops/users/admin/tokens", token()).await.expect(201);
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused_as_the_api_refuses() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    for what in ["tokens", "sessions"] {
        for query in ["everything=1", "all=maybe", "all=true&all=true"] {
            let path = format!("/ops/users/jane/{what}?{query}");
            let status = bed.ask(By::Admin, "DELETE", &path, Value::Null).await.expect(400);
            assert_eq!(
                (&status["kind"], &status["reason"]),
                (&json!("Status"), &json!("BadRequest"))
            );
            let message = status["message"].as_str().unwrap();
            assert!(message.ends_with("or ?all=true"), "{message}");
        }
    }
}
