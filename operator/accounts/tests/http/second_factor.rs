//! Time-based codes and recovery codes.

use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::bed::{Bed, By, PASSWORD};

const PATH: &str = "/ops/selftotp";

pub fn code(secret: &str, time: i64) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    let totp = Builder::new().with_secret(secret).build().unwrap();
    totp.generate(u64::try_from(time).unwrap()).to_string()
}

impl Bed {
    fn time(&self) -> i64 {
        self.accounts.now().as_second()
    }

    /// Sets up a second factor; its secret and the recovery codes.
    pub async fn enrol(&self, session: &str) -> (String, Vec<String>) {
        let by = By::Token(session);
        let begin = json!({"kind": "SecondFactor", "spec": {"currentPassword": PASSWORD}});
        let begun = self.ask(by, "POST", PATH, begin).await;
        assert!(!begun.kept);
        let begun = begun.expect(201);
        let secret = begun["status"]["secret"].as_str().unwrap().to_owned();
        let end = json!({"spec": {"code": code(&secret, self.time())}});
        let ended = self.ask(by, "POST", PATH, end).await.expect(201);
        let codes: Vec<String> =
            serde_json::from_value(ended["status"]["recoveryCodes"].clone()).unwrap();
        (secret, codes)
    }
}

#[tokio::test]
async fn it_is_set_up_by_a_code_and_then_needed() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let by = By::Token(&session);
    let end = |code: &str| json!({"spec": {"code": code}});
    bed.ask(by, "POST", PATH, end("123456")).await.expect(422);
    let begin = |password: &str| json!({"spec": {"currentPassword": password}});
    bed.ask(by, "POST", PATH, begin("wrong wrong wrong")).await.expect(422);
    bed.ask(by, "POST", PATH, json!({"spec": {}})).await.expect(422);
    let begun = bed.ask(by, "POST", PATH, begin(PASSWORD)).await.expect(201);
    let secret = begun["status"]["secret"].as_str().unwrap();
    let url = begun["status"]["url"].as_str().unwrap();
    assert!(url.starts_with("otpauth://totp/Hades:jane?secret="), "{url}");
    bed.session("jane").await;
    bed.ask(by, "POST", PATH, end("000000")).await.expect(422);
    let good = code(secret, bed.time());
    let ended = bed.ask(by, "POST", PATH, end(&good)).await.expect(201);
    assert_eq!(ended["status"]["recoveryCodes"].as_array().unwrap().len(), 10);
    bed.ask(by, "POST", PATH, begin(PASSWORD)).await.expect(409);
    let needed = bed.log_in("jane", PASSWORD, None).await.expect(401);
    assert_eq!(needed["details"]["causes"][0]["field"], "spec.code", "{needed}");
    let unknown = bed.log_in("jane", "wrong wrong wrong", None).await.expect(401);
    assert!(unknown["details"].is_null(), "only who knows the password hears of it");
    bed.log_in("jane", PASSWORD, Some(&good)).await.expect(401);
    bed.pass(30);
    let next = code(secret, bed.time());
    bed.log_in("jane", PASSWORD, Some(&next)).await.expect(201);
    bed.log_in("jane", PASSWORD, Some(&next)).await.expect(401);
    bed.accounts.flush().await;
    assert_eq!(bed.users().get("jane").await.unwrap().status.unwrap().second_factor, Some(true));
    let state = bed.ask(by, "GET", PATH, Value::Null).await.expect(200);
    assert_eq!(
        (&state["status"]["enabled"], &state["status"]["recoveryCodesLeft"]),
        (&json!(true), &json!(10))
    );
    assert!(!state.to_string().contains(secret), "{state}");
}

#[tokio::test]
async fn clocks_may_differ_by_a_step() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let (secret, _) = bed.enrol(&session).await;
    for (drift, expected) in [(-60, 401), (60, 401), (-30, 201), (0, 201), (30, 201), (0, 401)] {
        if drift != 0 {
            bed.pass(3600);
        }
        let code = code(&secret, bed.time() + drift);
        assert_eq!(bed.log_in("jane", PASSWORD, Some(&code)).await.code, expected, "{drift}");
    }
}

#[tokio::test]
async fn a_recovery_code_is_good_once() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let (_, codes) = bed.enrol(&session).await;
    let typed = codes[3].to_uppercase().replace('-', " ");
    bed.log_in("jane", PASSWORD, Some(&typed)).await.expect(201);
    bed.log_in("jane", PASSWORD, Some(&codes[3])).await.expect(401);
    let bed = bed.restart().await;
    bed.log_in("jane", PASSWORD, Some(&codes[3])).await.expect(401);
    bed.log_in("jane", PASSWORD, Some(&codes[4])).await.expect(201);
    let state = bed.ask(By::Token(&session), "GET", PATH, Value::Null).await.expect(200);
    assert_eq!(state["status"]["recoveryCodesLeft"], 8);
}

#[tokio::test]
async fn codes_are_throttled_as_passwords_are() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let (secret, _) = bed.enrol(&session).await;
    bed.pass(3600);
    for _ in 0..5 {
        bed.log_in("jane", PASSWORD, Some("000000")).await.expect(401);
        // Asking without a code forgives nothing.
        bed.log_in("jane", PASSWORD, None).await;
    }
    let good = code(&secret, bed.time());
    bed.log_in("jane", PASSWORD, Some(&good)).await.expect(429);
    let remove = json!({"spec": {"code": good}});
    bed.ask(By::Token(&session), "DELETE", PATH, remove).await.expect(429);
}

#[tokio::test]
async fn it_is_removed_by_its_owner_and_by_administrators() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    let by = By::Token(&session);
    for field in ["currentPassword", "code"] {
        let (secret, _) = bed.enrol(&session).await;
        bed.pass(30);
        let wrong = json!({"spec": {field: "000000"}});
        bed.ask(by, "DELETE", PATH, wrong).await.expect(422);
        bed.ask(by, "DELETE", PATH, Value::Null).await.expect(400);
        let right = if field == "code" { code(&secret, bed.time()) } else { PASSWORD.to_owned() };
        bed.ask(by, "DELETE", PATH, json!({"spec": {field: right}})).await.expect(200);
        bed.session("jane").await;
    }
    bed.enrol(&session).await;
    bed.ask(By::Admin, "DELETE", "/ops/users/jane/totp", Value::Null).await.expect(200);
    bed.session("jane").await;
    let state = bed.ask(By::Admin, "GET", "/ops/users/jane/totp", Value::Null).await.expect(200);
    assert_eq!(state["status"]["enabled"], false);
    bed.accounts.flush().await;
    assert_eq!(bed.users().get("jane").await.unwrap().status.unwrap().second_factor, Some(false));
}
