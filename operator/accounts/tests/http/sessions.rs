//! How sessions end.

use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};

const IDLE: i64 = 2 * 3600;

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_after_twelve_hours() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let (idle, used) = (bed.session("jane").await, bed.session("jane").await);
    for _ in 0..11 {
        bed.pass(3600);
        assert!(bed.is_known(&used).await);
    }
    assert!(!bed.is_known(&idle).await);
    let bed = bed.restart().await;
    bed.pass(3599);
    assert!(bed.is_known(&used).await, "when it was used outlives a restart");
    bed.pass(1);
    assert!(!bed.is_known(&used).await);
    let token = bed.session("jane").await;
    bed.pass(IDLE);
    let bed = bed.restart().await;
    assert!(!bed.is_known(&token).await);
}

#[tokio::test]
async fn logging_out_ends_one_session() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let (one, other) = (bed.session("jane").await, bed.session("jane").await);
    bed.ask(By::Token(&one), "POST", "/auth/logout", Value::Null).await.expect(200);
    assert!(!bed.is_known(&one).await && bed.is_known(&other).await);
    bed.ask(By::Token(&one), "POST", "/auth/logout", Value::Null).await.expect(401);
    bed.ask(By::Nobody, "POST", "/auth/logout", Value::Null).await.expect(401);
    let bed = bed.restart().await;
    assert!(!bed.is_known(&one).await && bed.is_known(&other).await);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let (one, other) = (bed.session("jane").await, bed.session("jane").await);
    let change = |current: &str, new: &str| json!({"kind": "PasswordChange", "spec": {"currentPassword": current, "newPassword": new}});
    let by = By::Token(&one);
    let path = "/ops/selfpassword";
    let new = "quite another one";
    for (current, new, field) in [
        ("wrong wrong wrong", new, "spec.currentPassword"),
        (PASSWORD, "short", "spec.newPassword"),
        (PASSWORD, "password1234", "spec.newPassword"),
        (PASSWORD, "jane-jane-jane", "spec.newPassword"),
    ] {
        let status = bed.ask(by, "POST", path, change(current, new)).await.expect(422);
        assert_eq!(status["details"]["causes"][0]["field"], field, "{status}");
    }
    bed.ask(by, "POST", path, change(PASSWORD, new)).await.expect(200);
    assert!(bed.is_known(&one).await && !bed.is_known(&other).await);
    bed.log_in("jane", PASSWORD, None).await.expect(401);
    bed.log_in("jane", new, None).await.expect(201);
    // Guessing it from inside is slowed down, too.
    for _ in 0..5 {
        bed.ask(by, "POST", path, change(PASSWORD, new)).await;
    }
    let answer = bed.ask(by, "POST", path, change(new, PASSWORD)).await;
    assert_eq!((answer.code, answer.retry_after), (429, Some(1)), "{}", answer.text);
    bed.pass(1);
    // The administrator's way ends all.
    let path = "/ops/users/jane/password";
    let body = json!({"spec": {"newPassword": PASSWORD}});
    bed.ask(By::Admin, "POST", path, body).await.expect(200);
    assert!(!bed.is_known(&one).await);
    let token = bed.session("jane").await;
    bed.ask(By::Admin, "DELETE", path, Value::Null).await.expect(200);
    assert!(!bed.is_known(&token).await);
    bed.log_in("jane", PASSWORD, None).await.expect(401);
    bed.ask(By::Admin, "DELETE", path, Value::Null).await.expect(404);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.person("joe").await;
    let (one, joes) = (bed.session("jane").await, bed.session("joe").await);
    bed.pass(60);
    let other = bed.session("jane").await;
    let list = bed.ask(By::Token(&one), "GET", "/ops/selfsessions", Value::Null).await.expect(200);
    assert_eq!(list["kind"], "SessionList");
    let items = list["items"].as_array().unwrap();
    let current: Vec<&Value> = items.iter().map(|item| &item["status"]["current"]).collect();
    assert_eq!(current, [false, true], "the newest first: {list}");
    assert_eq!(items[0]["status"]["address"], "192.0.2.1");
    assert!(!list.to_string().contains("hds_"), "{list}");
    let id = items[0]["metadata"]["name"].as_str().unwrap();
    let path = format!("/ops/selfsessions/{id}");
    bed.ask(By::Token(&joes), "DELETE", &path, Value::Null).await.expect(404);
    bed.ask(By::Token(&joes), "GET", &path, Value::Null).await.expect(404);
    assert!(bed.is_known(&other).await);
    bed.ask(By::Token(&one), "GET", &path, Value::Null).await.expect(200);
    bed.ask(By::Token(&one), "DELETE", &path, Value::Null).await.expect(200);
    assert!(bed.is_known(&one).await && !bed.is_known(&other).await);
    let other = bed.session("jane").await;
    bed.ask(By::Token(&one), "DELETE", "/ops/selfsessions", Value::Null).await.expect(200);
    assert!(bed.is_known(&one).await && !bed.is_known(&other).await);
    let path = "/ops/users/jane/sessions";
    let list = bed.ask(By::Admin, "GET", path, Value::Null).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    bed.ask(By::Admin, "DELETE", path, Value::Null).await.expect(400);
    assert!(bed.is_known(&one).await, "not saying which doesn't mean all");
    let path = format!("{path}?all=true");
    bed.ask(By::Admin, "DELETE", &path, Value::Null).await.expect(200);
    assert!(!bed.is_known(&one).await && bed.is_known(&joes).await);
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_sessions() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let first = bed.session("jane").await;
    bed.pass(1);
    let second = bed.session("jane").await;
    bed.pass(1);
    assert!(bed.is_known(&first).await, "used after the second");
    for _ in 0..19 {
        bed.session("jane").await;
    }
    assert!(bed.is_known(&first).await);
    assert!(!bed.is_known(&second).await, "the one that was used least lately ends");
}
