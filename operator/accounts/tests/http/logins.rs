//! Logging in with a password, and being slowed down.

use hades_accounts::{Cost, SignInSettings};
use hades_apiserver::audit::AuditEvent;
use serde_json::json;

use crate::bed::{Bed, By, CHEAP, PASSWORD};
use crate::web::Web;

#[tokio::test]
async fn a_password_gives_a_session() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let answer = bed.log_in("jane", PASSWORD, None).await;
    assert!(!answer.kept, "nobody on the way keeps it");
    let session = answer.expect(201);
    assert_eq!(session["kind"], "Session");
    assert_eq!(session["status"]["user"], "jane");
    let token = session["status"]["token"].as_str().unwrap();
    assert!(token.starts_with("hds_"));
    let who = bed.who(token).await.unwrap();
    assert_eq!(who["username"], "jane");
    assert_eq!(who["groups"], json!(["dev", "system:authenticated"]));
    let id = session["metadata"]["name"].as_str().unwrap();
    assert_eq!(
        who["extra"]["authentication.kubernetes.io/credential-id"],
        json!([format!("session/{id}")])
    );
    bed.accounts.flush().await;
    let status = bed.users().get("jane").await.unwrap().status.unwrap();
    assert_eq!(status.last_login_time.unwrap(), bed.accounts.now());
}

#[tokio::test]
async fn nobody_learns_who_is_there() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.user("nopassword", json!({})).await;
    bed.user("robot", json!({"robot": true})).await;
    bed.person("gone").await;
    bed.patch("gone", json!({"disabled": true})).await;
    let wrong = bed.log_in("jane", "wrong wrong wrong", None).await;
    assert_eq!(wrong.code, 401);
    let long = "x".repeat(10_000);
    for (user, password) in [
        ("nobody", PASSWORD),
        ("nopassword", PASSWORD),
        ("robot", PASSWORD),
        ("gone", PASSWORD),
        ("-", PASSWORD),
        ("", ""),
        ("Jane", PASSWORD),
        ("jane\u{0}", PASSWORD),
        ("../jane", PASSWORD),
        (&long, PASSWORD),
        ("jane", &long),
    ] {
        let answer = bed.log_in(user, password, Some("123456")).await;
        assert_eq!((answer.code, answer.text), (401, wrong.text.clone()), "{user:.20}");
        bed.pass(3600);
    }
}

#[tokio::test]
async fn what_is_no_login_is_refused_without_repeating_it() {
    let bed = Bed::new().await;
    let spec = json!({"user": "jane", "password": "planted-secret"});
    let cases = [
        ("application/json", json!({"spec": {"user": "jane", "password": 7}}).to_string(), 400),
        ("application/json", json!({"kind": "Pod", "spec": spec}).to_string(), 400),
        ("application/json", json!({"apiVersion": "v1", "spec": spec}).to_string(), 400),
        ("application/json", json!({"spec": {"planted-secret": "x"}}).to_string(), 400),
        ("application/json", r#"{"spec": {"user": "planted-secret"#.to_owned(), 400),
        ("application/json", format!("[{}", "[".repeat(5_000)), 400),
        ("application/json", "\u{0}".to_owned(), 400),
        ("application/json", String::new(), 400),
        ("text/plain", json!({"spec": spec}).to_string(), 415),
        ("", json!({"spec": spec}).to_string(), 415),
        ("application/x-www-form-urlencoded", "user=jane".to_owned(), 415),
        ("application/json", " ".repeat((16 << 10) + 1), 413),
    ];
    for (form, body, code) in cases {
        let headers = [("content-type", form)];
        let headers = if form.is_empty() { &[][..] } else { &headers };
        let answer =
            bed.ask_with(By::Nobody, "POST", "/auth/login", headers, body.into_bytes()).await;
        assert_eq!(answer.code, code, "{}", answer.text);
        assert!(!answer.text.contains("planted-secret"), "{}", answer.text);
    }
    let answer = bed.ask(By::Nobody, "GET", "/auth/login", json!(null)).await;
    assert_eq!(answer.code, 405);
}

#[tokio::test]
async fn failures_slow_down_and_a_right_password_forgives_them() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    for _ in 0..4 {
        bed.log_in("jane", "wrong wrong wrong", None).await.expect(401);
    }
    bed.session("jane").await;
    for _ in 0..5 {
        bed.log_in("jane", "wrong wrong wrong", None).await.expect(401);
    }
    let answer = bed.log_in("jane", PASSWORD, None).await;
    assert_eq!((answer.code, answer.retry_after), (429, Some(1)), "{}", answer.text);
    let known = answer.message().to_owned();
    for _ in 0..5 {
        bed.log_in("nobody", "wrong wrong wrong", None).await.expect(401);
    }
    let answer = bed.log_in("nobody", PASSWORD, None).await;
    assert_eq!((answer.code, answer.message()), (429, &*known), "the same words for nobody");
    bed.pass(1);
    bed.session("jane").await;
}

#[tokio::test]
async fn ten_thousand_wrong_passwords_lock_nobody_out_of_his_place() {
    let mut bed = Bed::new().await;
    bed.person("jane").await;
    bed.session("jane").await;
    let mut counts = [0, 0];
    for number in 0..10_000 {
        bed.address = format!("10.{}.{}.7", number / 256, number % 256);
        let code = bed.log_in("jane", "wrong wrong wrong", None).await.code;
        counts[usize::from(code == 429)] += 1;
        assert!(code == 401 || code == 429);
    }
    assert_eq!(counts, [20, 9_980]);
    bed.address = "192.0.2.1".to_owned();
    bed.session("jane").await;
    // Where he logged in is known after a restart, too.
    let mut bed = bed.restart().await;
    for number in 0..100 {
        bed.address = format!("10.0.{number}.7");
        bed.log_in("jane", "wrong wrong wrong", None).await;
    }
    bed.log_in("jane", PASSWORD, None).await.expect(429);
    bed.address = "192.0.2.1".to_owned();
    bed.session("jane").await;
}

#[tokio::test]
async fn a_password_is_hashed_anew_when_the_cost_changes() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let bed = bed.restart_with(Cost { memory: 128, ..CHEAP }).await;
    bed.session("jane").await;
    bed.session("jane").await;
    bed.log_in("jane", "wrong wrong wrong", None).await.expect(401);
    let bed = bed.restart().await;
    bed.session("jane").await;
}

#[tokio::test]
async fn no_page_elsewhere_locks_anybody_out() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let body = json!({"spec": {"user": "jane", "password": "wrong wrong wrong"}});
    let json = ("content-type", "application/json");
    let evil = ("origin", "https://evil.example");
    for headers in [
        // What a page may send without asking.
        &[][..],
        &[("content-type", "text/plain")],
        &[json, evil],
        &[json, ("origin", "null")],
        &[json, ("sec-fetch-site", "cross-site")],
        &[json, ("sec-fetch-site", "same-origin"), evil],
    ] {
        for _ in 0..6 {
            let body = body.to_string().into_bytes();
            let answer = bed.ask_with(By::Nobody, "POST", "/auth/login", headers, body).await;
            assert!(matches!(answer.code, 403 | 415), "{headers:?}: {}", answer.text);
        }
    }
    bed.session("jane").await;
}

#[tokio::test]
async fn behind_one_address_nobody_learns_who_is_there() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.session("jane").await;
    for number in 0..60 {
        bed.log_in(&format!("made-up-{number}"), "wrong wrong wrong", None).await;
    }
    let unknown = bed.log_in("nobody", "wrong wrong wrong", None).await;
    let known = bed.log_in("jane", "wrong wrong wrong", None).await;
    assert_eq!((known.code, known.retry_after), (429, unknown.retry_after), "{}", known.text);
    assert_eq!(known.text, unknown.text);
    // The right one is let in all the same.
    bed.session("jane").await;
}

#[tokio::test]
async fn nobody_is_let_in_while_that_cannot_be_recorded() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.session("jane").await;
    // The next day's file can't be made.
    std::fs::rename(bed.path("audit"), bed.path("moved")).unwrap();
    std::fs::write(bed.path("audit"), "").unwrap();
    bed.pass(24 * 3600);
    let audit = bed.server.audit();
    let large = "x".repeat(2_000);
    for _ in 0..10_000 {
        if audit.ready().is_err() {
            break;
        }
        audit.record(AuditEvent::new("test", &large));
    }
    let refused = bed.log_in("jane", PASSWORD, None).await;
    assert!(refused.message().contains("the audit log can't be written"), "{}", refused.text);
    refused.expect(503);
    let web = Web::with(bed, SignInSettings::default());
    let shown = web.browser().log_in("jane").await;
    shown.expect(
        503,
        "The audit log can&#39;t be written, and what isn&#39;t recorded isn&#39;t done",
    );
    std::fs::remove_file(web.bed.path("audit")).unwrap();
    std::fs::rename(web.bed.path("moved"), web.bed.path("audit")).unwrap();
    web.bed.eventually(async || audit.ready().is_ok()).await;
    web.bed.session("jane").await;
}
