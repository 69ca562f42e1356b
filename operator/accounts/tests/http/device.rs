//! Device logins: the command line asks, somebody confirms in a browser.

use serde_json::json;

use crate::web::{Browser, FORM, Shown, Web};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

struct Asked {
    device_code: String,
    user_code: String,
}

async fn ask(web: &Web, host: &str) -> Asked {
    let fields = [("client_id", "hadesctl"), ("host_name", host)];
    let shown = web.program("/auth/device", &fields).await.expect(200, "");
    assert_eq!(shown.header("cache-control"), "no-store");
    let codes = shown.json();
    let text = |field: &str| codes[field].as_str().unwrap().to_owned();
    assert_eq!((&codes["interval"], &codes["expires_in"]), (&json!(5), &json!(600)));
    assert_eq!(text("verification_uri"), "https://hades.example:7443/login/device");
    let complete = format!("{}?user_code={}", text("verification_uri"), text("user_code"));
    assert_eq!(text("verification_uri_complete"), complete);
    Asked { device_code: text("device_code"), user_code: text("user_code") }
}

async fn poll(web: &Web, device_code: &str) -> Shown {
    let fields = [("client_id", "hadesctl"), ("grant_type", GRANT), ("device_code", device_code)];
    web.program("/auth/device/token", &fields).await
}

async fn error(web: &Web, asked: &Asked) -> String {
    web.bed.pass(5);
    let shown = poll(web, &asked.device_code).await.expect(400, "");
    shown.json()["error"].as_str().unwrap().to_owned()
}

async fn decide(browser: &mut Browser<'_>, asked: &Asked, decision: &str) -> Shown {
    let page = browser.open(&format!("/login/device?user_code={}", asked.user_code)).await;
    let (stamp, code) = (page.field("stamp"), page.field("user_code"));
    let fields = [("stamp", &*stamp), ("user_code", &*code), ("decision", decision)];
    browser.post("/login/device", &fields).await
}

#[tokio::test]
async fn somebody_confirms_and_the_client_is_let_in() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let asked = ask(&web, "build-1").await;
    assert_eq!(error(&web, &asked).await, "authorization_pending");
    assert_eq!(poll(&web, &asked.device_code).await.json()["error"], "slow_down");
    web.bed.pass(10);
    // The link leads to the login, and from there back.
    let mut browser = web.browser();
    let link = format!("/login/device?user_code={}", asked.user_code);
    let to = browser.follow(&link).await.location().to_owned();
    assert_eq!(to, format!("/login?next=%2Flogin%2Fdevice%3Fuser_code%3D{}", asked.user_code));
    assert_eq!(browser.log_in_with("jane", crate::bed::PASSWORD, "", &link).await.location(), link);
    let page = browser.open(&link).await.expect(200, "Log in as jane");
    for shown in ["198.51.100.7", "build-1", &*asked.user_code, "another network"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert_eq!(error(&web, &asked).await, "authorization_pending", "looking confirms nothing");
    let done = decide(&mut browser, &asked, "approve").await.expect(200, "<h1>Done</h1>");
    assert!(done.text.contains("hadesctl session end"), "{}", done.text);
    web.bed.pass(10);
    let answer = poll(&web, &asked.device_code).await.expect(200, "").json();
    assert_eq!((&answer["token_type"], &answer["user"]), (&json!("Bearer"), &json!("jane")));
    assert_eq!(answer["expires_in"], 12 * 3600 - 15, "no later than the one that confirmed it");
    let token = answer["access_token"].as_str().unwrap();
    assert!(token.starts_with("hds_") && web.bed.is_known(token).await);
    assert_ne!(Some(token), browser.session(), "it is a session of its own");
    web.bed.pass(10);
    assert_eq!(poll(&web, &asked.device_code).await.json()["error"], "invalid_grant", "once");
    browser.open(&link).await.expect(404, "No login waits under this code");
    // It can't let in another: a session that leaked would go on for ever.
    let asked = ask(&web, "").await;
    let mut stolen = web.browser();
    stolen.cookies.insert("__Host-hades".to_owned(), token.to_owned());
    let link = format!("/login/device?user_code={}", asked.user_code);
    stolen.open(&link).await.expect(403, "Log in yourself first");
}

#[tokio::test]
async fn somebody_refuses() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let asked = ask(&web, "<b>x</b>").await;
    let mut browser = web.logged_in("jane").await;
    let link = format!("/login/device?user_code={}", asked.user_code.to_lowercase());
    let page = browser.open(&link).await.expect(200, "Is this you?");
    assert!(!page.text.contains("Calls itself"), "that is no name of a machine");
    decide(&mut browser, &asked, "refuse").await.expect(200, "Nobody was logged in");
    assert_eq!(error(&web, &asked).await, "access_denied");
    decide(&mut browser, &asked, "approve").await.expect(403, "too old");
}

#[tokio::test]
async fn codes_expire() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let asked = ask(&web, "").await;
    let mut browser = web.logged_in("jane").await;
    decide(&mut browser, &asked, "approve").await.expect(200, "Done");
    web.bed.pass(600);
    assert_eq!(error(&web, &asked).await, "expired_token");
}

#[tokio::test]
async fn whoever_confirmed_must_be_logged_in_still() {
    let web = Web::new().await;
    for user in ["out", "changed", "disabled", "deleted"] {
        web.bed.person(user).await;
        let asked = ask(&web, "").await;
        let mut browser = web.logged_in(user).await;
        decide(&mut browser, &asked, "approve").await.expect(200, "Done");
        match user {
            "out" => {
                let stamp = browser.open("/logout").await.field("stamp");
                browser.post("/logout", &[("stamp", &stamp)]).await.expect(200, "");
            }
            "changed" => web.bed.set_password(user, "quite another one").await,
            "disabled" => web.bed.patch(user, json!({"disabled": true})).await,
            _ => {
                web.bed.delete(user).await;
                web.bed.user(user, json!({})).await;
            }
        }
        assert_eq!(error(&web, &asked).await, "access_denied", "{user}");
    }
}

#[tokio::test]
async fn confirming_takes_a_form_of_the_page() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    web.bed.person("mallory").await;
    let asked = ask(&web, "").await;
    let mut browser = web.logged_in("jane").await;
    let code = [("user_code", &*asked.user_code), ("decision", "approve")];
    browser.post("/login/device", &code).await.expect(403, "too old");
    // A stamp of somebody else's page, as another site would send it.
    let mut mallory = web.logged_in("mallory").await;
    let page = mallory.open(&format!("/login/device?user_code={}", asked.user_code)).await;
    let stamp = page.field("stamp");
    let fields = [code[0], code[1], ("stamp", &*stamp)];
    browser.post("/login/device", &fields).await.expect(403, "too old");
    let page = browser.open(&format!("/login/device?user_code={}", asked.user_code)).await;
    let stamp = page.field("stamp");
    let fields = crate::web::form(&[code[0], code[1], ("stamp", &*stamp)]);
    let headers = [("sec-fetch-site", "cross-site"), ("content-type", FORM)];
    browser.send("POST", "/login/device", &headers, fields).await.expect(403, "another site");
    assert_eq!(error(&web, &asked).await, "authorization_pending");
}

#[tokio::test]
async fn guessing_codes_is_slowed_down() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.logged_in("jane").await;
    for _ in 0..5 {
        let shown = browser.open("/login/device?user_code=BCDF-GHJK").await;
        shown.expect(404, "No login waits under this code");
    }
    let shown = browser.open("/login/device?user_code=BCDF-GHJK").await;
    assert_eq!(shown.expect(429, "Wait a moment").header("retry-after"), "1");
    // Other things of the same person go on.
    web.logged_in("jane").await;
}

#[tokio::test]
async fn clients_are_answered_as_the_rfcs_say() {
    let web = Web::new().await;
    let device = [("client_id", "hadesctl"), ("grant_type", GRANT)];
    for (path, fields, code, error) in [
        ("/auth/device", &[][..], 400, "invalid_client"),
        ("/auth/device", &[("client_id", "other")], 400, "invalid_client"),
        ("/auth/device/token", &device, 400, "invalid_grant"),
        ("/auth/device/token", &device[..1], 400, "unsupported_grant_type"),
        ("/auth/device/token", &[device[0], device[1], device[0]], 400, "invalid_request"),
    ] {
        let shown = web.program(path, fields).await.expect(code, "");
        assert_eq!(shown.json()["error"], error, "{path} {fields:?}");
        assert_eq!(shown.header("content-type"), "application/json");
    }
    let asked = axum::http::Request::builder().method("POST").uri("/auth/device");
    let shown = web.send("192.0.2.1", asked.header("content-type", "text/plain"), String::new());
    assert_eq!(shown.await.expect(415, "").json()["error"], "invalid_request");
    let asked = axum::http::Request::builder().method("POST").uri("/auth/device");
    let asked = asked.header("content-type", FORM).header("origin", "https://evil.example");
    let shown = web.send("192.0.2.1", asked, crate::web::form(&device)).await;
    shown.expect(400, "not for pages");
    // Nobody fills the memory.
    let mut codes = std::collections::BTreeSet::new();
    let shown = loop {
        let shown = web.program("/auth/device", &device[..1]).await;
        if shown.code != 200 {
            break shown;
        }
        codes.insert(shown.json()["user_code"].as_str().unwrap().to_owned());
    };
    assert_eq!(codes.len(), 20);
    assert_eq!(shown.expect(429, "temporarily_unavailable").header("retry-after"), "60");
}

#[tokio::test]
async fn a_session_lasts_no_longer_than_the_one_that_confirmed_it() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.logged_in("jane").await;
    for _ in 0..11 {
        web.bed.pass(3600);
        browser.open("/login").await.expect(200, "You are logged in");
    }
    let asked = ask(&web, "").await;
    decide(&mut browser, &asked, "approve").await.expect(200, "Done");
    web.bed.pass(5);
    let answer = poll(&web, &asked.device_code).await.expect(200, "").json();
    assert_eq!(answer["expires_in"], 3595);
    let token = answer["access_token"].as_str().unwrap().to_owned();
    web.bed.pass(3594);
    assert!(web.bed.is_known(&token).await);
    let bed = web.bed.restart().await;
    assert!(bed.is_known(&token).await);
    bed.pass(1);
    assert!(!bed.is_known(&token).await);
}

#[tokio::test]
async fn another_site_uses_up_nobodys_tries() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let asked = ask(&web, "").await;
    let mut browser = web.logged_in("jane").await;
    for _ in 0..10 {
        let shown = browser.follow("/login/device?user_code=BCDF-GHJK").await;
        shown.expect(200, "value=\"BCDF-GHJK\"");
    }
    // Who was led here by a message, or by a provider, goes on by the page.
    let link = format!("/login/device?user_code={}", asked.user_code);
    let shown = browser.follow(&link).await.expect(200, "Type the code");
    assert!(shown.text.contains(&format!("value=\"{}\"", asked.user_code)), "{}", shown.text);
    let own = [("sec-fetch-site", "same-origin")];
    browser.send("GET", &link, &own, String::new()).await.expect(200, "Is this you?");
}
