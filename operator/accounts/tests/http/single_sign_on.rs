//! Single sign-on with a provider that says what a test wants.

use std::sync::Arc;

use hades_accounts::{ProviderSettings, SettingsError, SignIn, SignInError, SignInSettings};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bed::{Bed, By};
use crate::provider::{Key, Provider, SECRET, unsigned};
use crate::web::{HOST, OWN, Web};

const NOW: i64 = 1_790_000_000;

async fn beds() -> (Provider, Web) {
    let provider = Provider::start(NOW).await;
    let web = Web::with_provider(provider.settings()).await;
    (provider, web)
}

async fn groups(web: &Web, token: &str) -> Vec<String> {
    let who = web.bed.who(token).await.unwrap();
    serde_json::from_value(who["groups"].clone()).unwrap()
}

#[tokio::test]
async fn a_first_login_makes_the_user() {
    let (provider, web) = beds().await;
    let mut browser = web.browser();
    let page = browser.open("/login?next=/x").await.expect(200, "Log in with Example ID");
    assert!(page.text.contains("href=\"/login/oidc/sso?next=%2Fx\""), "{}", page.text);
    let back = provider.go(&mut browser, "/x").await;
    assert_eq!(browser.follow(&back).await.location(), "/x");
    assert_eq!(browser.who(&OWN).await, (201, "jane".to_owned()));
    let token = browser.session().unwrap().to_owned();
    assert_eq!(groups(&web, &token).await, ["oidc:dev", "system:authenticated"]);
    let user = web.bed.users().get("jane").await.unwrap();
    assert_eq!(user.spec.display_name.as_deref(), Some("Jane Doe"));
    assert_eq!(user.spec.email.as_deref(), Some("jane@example.com"));
    assert!(user.spec.groups.is_empty(), "groups of the provider are the session's");
    let annotations = user.metadata.annotations.unwrap();
    assert_eq!(annotations["hades.dev/single-sign-on-issuer"], provider.issuer);
    // The next login is the same user, whatever he is called by then.
    provider.said().claims = json!({"preferred_username": "admin", "groups": ["ops"]});
    let mut other = web.browser();
    assert_eq!(provider.log_in(&mut other).await.location(), "/login");
    assert_eq!(other.who(&OWN).await.1, "jane");
    let second = other.session().unwrap().to_owned();
    assert_eq!(groups(&web, &second).await, ["oidc:ops", "system:authenticated"]);
    assert_eq!(groups(&web, &token).await[0], "oidc:dev");
    assert_eq!(provider.asked("metadata"), 1, "it is remembered");
    let list = web.bed.ask(By::Token(&token), "GET", "/ops/selfsessions", Value::Null).await;
    assert_eq!(list.expect(200)["items"][0]["status"]["method"], "sso");
    // A login over a session ends that one.
    provider.log_in(&mut other).await.location();
    assert!(!web.bed.is_known(&second).await);
    let page = other.open("/logout").await;
    let shown = other.post("/logout", &[("stamp", &page.field("stamp"))]).await;
    shown.expect(200, "At Example ID you are still logged in");
}

#[tokio::test]
async fn a_local_user_is_taken_over_by_nobody_and_linked_by_administrators() {
    let (provider, web) = beds().await;
    web.bed.user("jane", json!({"groups": ["admins"]})).await;
    let mut browser = web.browser();
    let page = provider.log_in(&mut browser).await.expect(403, "There is a user &quot;jane&quot;");
    assert!(page.text.contains("<code>7</code>") && page.text.contains(&provider.issuer));
    assert_eq!(browser.session(), None);
    let path = "/ops/users/jane/sso";
    let link = json!({"kind": "SingleSignOnLink", "spec": {"subject": "7"}});
    // Whoever links can log in as that user: he must be allowed to be him.
    web.bed.person("helper").await;
    let rules = json!([{"apiGroups": ["operations.hades.dev"], "resources": ["users/sso"],
        "verbs": ["*"]}]);
    web.bed.grant("helper", rules).await;
    let helper = web.bed.session("helper").await;
    let refused = web.bed.ask(By::Token(&helper), "POST", path, link.clone()).await;
    assert!(refused.message().contains("cannot impersonate"), "{}", refused.text);
    refused.expect(403);
    let made = web.bed.ask(By::Admin, "POST", path, link.clone()).await.expect(201);
    assert_eq!(made["spec"], json!({"subject": "7", "issuer": provider.issuer}));
    provider.log_in(&mut browser).await.location();
    let token = browser.session().unwrap().to_owned();
    let found = groups(&web, &token).await;
    assert_eq!(found, ["admins", "oidc:dev", "system:authenticated"]);
    web.bed.user("joe", json!({})).await;
    web.bed.ask(By::Admin, "POST", "/ops/users/joe/sso", link.clone()).await.expect(409);
    for (user, spec, code) in [
        ("joe", json!({"subject": ""}), 422),
        ("joe", json!({"subject": "8", "issuer": ""}), 422),
        ("joe", json!({"subject": "8", "groups": []}), 400),
        ("nobody", json!({"subject": "8"}), 404),
    ] {
        let path = format!("/ops/users/{user}/sso");
        web.bed.ask(By::Admin, "POST", &path, json!({"spec": spec})).await.expect(code);
    }
    let list = web.bed.ask(By::Admin, "GET", path, Value::Null).await.expect(200);
    assert_eq!(list["items"][0]["spec"]["subject"], "7");
    web.bed.ask(By::Admin, "DELETE", path, Value::Null).await.expect(400);
    let missing = format!("{path}?subject=8");
    web.bed.ask(By::Admin, "DELETE", &missing, Value::Null).await.expect(404);
    let path = format!("{path}?subject=7");
    web.bed.ask(By::Admin, "DELETE", &path, Value::Null).await.expect(200);
    assert!(!web.bed.is_known(&token).await, "its sessions ended");
    provider.log_in(&mut browser).await.expect(403, "There is a user");
}

#[tokio::test]
async fn a_user_that_was_deleted_or_disabled_stays_out() {
    let (provider, web) = beds().await;
    let mut browser = web.browser();
    provider.log_in(&mut browser).await.location();
    web.bed.patch("jane", json!({"disabled": true})).await;
    provider.log_in(&mut browser).await.expect(403, "may not log in");
    web.bed.delete("jane").await;
    provider.log_in(&mut browser).await.expect(403, "was deleted");
    // Another one of the name isn't the one of before.
    web.bed.user("jane", json!({})).await;
    provider.log_in(&mut browser).await.expect(403, "was deleted");
    let link = json!({"spec": {"subject": "7"}});
    web.bed.ask(By::Admin, "POST", "/ops/users/jane/sso", link.clone()).await.expect(201);
    provider.log_in(&mut browser).await.location();
    web.bed.user("robot", json!({"robot": true})).await;
    web.bed.ask(By::Admin, "POST", "/ops/users/robot/sso", link).await.expect(422);
}

#[tokio::test]
async fn forged_tokens_prove_nothing() {
    let (provider, web) = beds().await;
    let forge = |forge: fn(&Key, &Value) -> String| {
        provider.said().forge = Some(Box::new(forge));
    };
    let with = |claim: &str, value: Value| {
        let claim = claim.to_owned();
        provider.said().forge = Some(Box::new(move |key, claims| {
            let mut claims = claims.clone();
            match value.is_null() {
                true => drop(claims.as_object_mut().unwrap().remove(&claim)),
                false => claims[&claim] = value.clone(),
            }
            key.sign(&claims)
        }));
    };
    let none: fn(&Key, &Value) -> String =
        |_, claims| format!("{}.", unsigned(&json!({"alg": "none"}), claims));
    // The public key, and the client's secret, taken for a shared one.
    let hs256 = |secret: Vec<u8>| {
        provider.said().forge = Some(Box::new(move |_, claims| {
            let message = unsigned(&json!({"alg": "HS256", "kid": "one"}), claims);
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(message.as_bytes());
            let mac = base64(&mac.finalize().into_bytes());
            format!("{message}.{mac}")
        }));
    };
    let public = provider.said().key.public();
    let refused = async |what: &str| {
        let mut browser = web.browser();
        let shown = provider.log_in(&mut browser).await;
        assert_eq!(shown.code, 403, "{what}: {}", shown.text);
        assert!(shown.text.contains("can&#39;t be trusted"), "{what}: {}", shown.text);
        assert_eq!(browser.session(), None, "{what}");
        // So that it isn't the throttle that refuses.
        web.bed.pass(1_000);
        provider.said().now += 1_000;
    };
    forge(none);
    refused("alg none").await;
    forge(|key, claims| key.sign_as(&json!({"alg": "none"}), claims));
    refused("alg none with a signature").await;
    for bytes in [
        public["x"].as_str().unwrap().as_bytes().to_vec(),
        public.to_string().into_bytes(),
        SECRET.as_bytes().to_vec(),
    ] {
        hs256(bytes);
        refused("HS256").await;
    }
    forge(|_, claims| Key::new("one").sign(claims));
    refused("another key of the same name").await;
    forge(|_, claims| Key::new("two").sign(claims));
    refused("an unknown key").await;
    forge(|key, claims| key.sign_as(&json!({"alg": "RS256", "kid": "one"}), claims));
    refused("another algorithm").await;
    forge(|key, claims| {
        let mut token = key.sign(claims);
        let at = token.rfind('.').unwrap();
        token.replace_range(at + 1..at + 2, if &token[at + 1..at + 2] == "A" { "B" } else { "A" });
        token
    });
    refused("a changed signature").await;
    forge(|key, claims| {
        let mut other = claims.clone();
        other["sub"] = json!("8");
        let (token, other) = (key.sign(claims), key.sign(&other));
        let (parts, others): (Vec<_>, Vec<_>) =
            (token.split('.').collect(), other.split('.').collect());
        format!("{}.{}.{}", parts[0], others[1], parts[2])
    });
    refused("changed claims").await;
    forge(|_, _| "no.token".to_owned());
    refused("no token").await;
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("aud", json!("another")),
        ("aud", json!(["hades", "another"])),
        ("aud", Value::Null),
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("exp", json!(NOW - 1)),
        ("exp", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
    ] {
        with(claim, value.clone());
        refused(&format!("{claim}: {value}")).await;
    }
    provider.said().forge = None;
    provider.said().refuses = true;
    refused("a code that is none").await;
    provider.said().refuses = false;
    provider.log_in(&mut web.browser()).await.location();
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn new_keys_are_fetched_and_old_ones_forgotten() {
    let (provider, web) = beds().await;
    provider.log_in(&mut web.browser()).await.location();
    let next = Key::new("two");
    {
        let mut said = provider.said();
        said.published = vec![next.public()];
        said.key = next;
    }
    provider.log_in(&mut web.browser()).await.expect(403, "can&#39;t be trusted");
    assert_eq!(provider.asked("jwks"), 1, "not for each token with an unknown key");
    web.bed.pass(60);
    provider.said().now += 60;
    provider.log_in(&mut web.browser()).await.location();
    assert_eq!(provider.asked("jwks"), 2);
    provider.said().forge = Some(Box::new(|_, claims| Key::new("one").sign(claims)));
    web.bed.pass(60);
    provider.log_in(&mut web.browser()).await.expect(403, "can&#39;t be trusted");
}

#[tokio::test]
async fn an_answer_counts_in_the_browser_that_asked_and_in_time() {
    let (provider, web) = beds().await;
    let (mut victim, mut mallory) = (web.browser(), web.browser());
    let back = provider.go(&mut mallory, "").await;
    // Logs the victim in as mallory, unless it is seen.
    victim.follow(&back).await.expect(403, "begun in another browser");
    victim.open("/login").await;
    victim.follow(&back).await.expect(403, "begun in another browser");
    assert_eq!(victim.session(), None);
    let own = provider.go(&mut victim, "").await;
    let (_, state) = own.split_once("state=").unwrap();
    for query in [
        "code=c0de",
        "code=c0de&state=",
        "code=c0de&state=a.b.c.d",
        &format!("code=c0de&state={state}&state={state}"),
    ] {
        let shown = victim.follow(&format!("/login/oidc/sso/callback?{query}")).await;
        shown.expect(403, "begun in another browser");
    }
    for (query, words) in [
        ("code=c0de&iss=https://evil.example".to_owned(), "This is no answer of Example ID"),
        ("error=access_denied".to_owned(), "Example ID didn&#39;t let you in"),
        ("error=login_required".to_owned(), "Example ID answered: login_required."),
        ("error=%3Cb%3Ecall".to_owned(), "Example ID answered with an error."),
        (String::new(), "Example ID sent no answer"),
        (format!("code={}", "a".repeat(5_000)), "Example ID sent no answer"),
    ] {
        let shown = victim.follow(&format!("/login/oidc/sso/callback?{query}&state={state}")).await;
        assert!(!shown.text.contains("<b>"));
        shown.expect(403, words);
    }
    assert_eq!(provider.asked("token"), 0, "nothing was asked with any of these");
    // Two tabs at once.
    let other = provider.go(&mut victim, "/other").await;
    assert_eq!(victim.follow(&other).await.location(), "/other");
    let late = provider.go(&mut victim, "").await;
    web.bed.pass(600);
    victim.follow(&late).await.expect(403, "too long ago");
}

#[tokio::test]
async fn claims_decide_who_is_let_in() {
    let provider = Provider::start(NOW).await;
    let mut settings = provider.settings();
    settings.required_claims = vec![("hd".to_owned(), "example.com".to_owned())];
    settings.group_mapping = [("ops".to_owned(), "hades:administrators".to_owned())].into();
    let web = Web::with_provider(settings).await;
    let mut browser = web.browser();
    let page = provider.log_in(&mut browser).await;
    page.expect(502, "can&#39;t be reached");
    provider.said().user_info = json!({"sub": "8", "hd": "example.com"});
    provider.log_in(&mut browser).await.expect(403, "can&#39;t be trusted");
    provider.said().user_info = json!({"sub": "7", "hd": "example.org"});
    provider.log_in(&mut browser).await.expect(403, "for people with hd=example.com only");
    // What only the user information tells counts; what the token says, counts more.
    provider.said().claims = json!({"groups": ["ops", "system:masters"]});
    provider.said().user_info =
        json!({"sub": "7", "hd": "example.com", "email": "Jo.Doe@example.com", "groups": ["x"]});
    provider.log_in(&mut browser).await.expect(403, "nor an email that it has verified");
    provider.said().user_info["email_verified"] = json!(true);
    provider.log_in(&mut browser).await.location();
    let token = browser.session().unwrap().to_owned();
    let found = groups(&web, &token).await;
    assert_eq!(found, ["hades:administrators", "oidc:system:masters", "system:authenticated"]);
    assert_eq!(browser.who(&OWN).await.1, "jo.doe");
    provider.said().claims = json!({"sub": "9", "preferred_username": "system:masters",
        "hd": "example.com", "groups": []});
    provider.log_in(&mut web.browser()).await.expect(403, "can&#39;t be the name of a user");
}

#[tokio::test]
async fn a_provider_that_is_down_or_not_itself_lets_nobody_in_and_is_not_flooded() {
    let (provider, web) = beds().await;
    let mut browser = web.browser();
    for metadata in [
        json!({"issuer": "https://evil.example"}),
        json!({"token_endpoint": "http://evil.example/token"}),
        json!({"jwks_uri": "http://192.0.2.1/jwks"}),
        json!({"authorization_endpoint": 7}),
    ] {
        provider.said().metadata = metadata.clone();
        for _ in 0..3 {
            browser.open("/login/oidc/sso").await.expect(502, "can&#39;t be reached");
        }
        web.bed.pass(5);
    }
    assert_eq!(provider.asked("metadata"), 4);
    provider.said().metadata = json!({});
    browser.open("/login/oidc/sso").await.location();
    let mut settings = ProviderSettings::new("http://127.0.0.1:1", "hades");
    settings.name = "Nobody".to_owned();
    let web = Web::with_provider(settings).await;
    web.browser().open("/login/oidc/sso").await.expect(502, "Nobody can&#39;t be reached");
    web.browser().open("/login").await.expect(200, "Password");
}

#[tokio::test]
async fn a_provider_that_takes_its_time_is_not_asked_by_one_after_the_other() {
    let (provider, web) = beds().await;
    provider.said().metadata = json!({"issuer": "https://evil.example"});
    provider.said().slow = Some((Arc::clone(&web.bed.now), 10));
    let waits = (0..4).map(|_| async {
        web.browser().open("/login/oidc/sso").await.expect(502, "can&#39;t be reached");
    });
    futures::future::join_all(waits).await;
    web.browser().open("/login/oidc/sso").await.expect(502, "can&#39;t be reached");
    assert_eq!(provider.asked("metadata"), 1, "all who waited hear of the one answer");
    web.bed.pass(5);
    web.browser().open("/login/oidc/sso").await.expect(502, "can&#39;t be reached");
    assert_eq!(provider.asked("metadata"), 2);
}

#[tokio::test]
async fn wrong_passwords_keep_nobody_from_single_sign_on() {
    let (provider, web) = beds().await;
    for number in 0..60 {
        web.bed.log_in(&format!("made-up-{number}"), "wrong wrong wrong", None).await;
    }
    web.bed.log_in("another", "wrong wrong wrong", None).await.expect(429);
    provider.log_in(&mut web.browser()).await.location();
}

#[tokio::test]
async fn made_up_codes_are_slowed_down_for_their_network_alone() {
    let (provider, web) = beds().await;
    provider.said().refuses = true;
    let mut mallory = web.browser();
    for _ in 0..5 {
        provider.log_in(&mut mallory).await.expect(403, "can&#39;t be trusted");
    }
    provider.log_in(&mut mallory).await.expect(429, "Try again in 1 s");
    assert_eq!(provider.asked("token"), 5);
    provider.said().refuses = false;
    let mut browser = web.browser();
    browser.address = "192.0.2.99".to_owned();
    provider.log_in(&mut browser).await.location();
}

#[tokio::test]
async fn a_browser_at_another_address_goes_to_the_one_that_the_provider_knows() {
    let (_provider, web) = beds().await;
    let ask = |path: &str| {
        let request = axum::http::Request::builder().uri(path).header("host", "10.0.0.1:7443");
        web.send("192.0.2.1", request, String::new())
    };
    let there = ask("/login/oidc/sso?next=/x").await;
    let moved = "/login/oidc/sso?next=%2Fx&moved=1";
    assert_eq!(there.location(), format!("https://{HOST}{moved}"));
    // Behind a proxy that names another host, once is enough.
    assert!(ask(moved).await.location().starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn settings_that_are_unsafe_are_refused() {
    let bed = Bed::new().await;
    let open = |url: Option<&str>, provider| {
        let external_url = url.map(str::to_owned);
        let settings = SignInSettings { external_url, provider: Some(provider) };
        SignIn::new(&bed.accounts, settings).unwrap_err()
    };
    let url = Some("https://hades.example");
    let settings = ProviderSettings::new("https://id.example", "hades");
    assert!(matches!(
        open(None, settings.clone()),
        SignInError::Provider(SettingsError::NoExternalUrl)
    ));
    let plain = ProviderSettings::new("http://id.example", "hades");
    assert!(open(url, plain).to_string().contains("no https:// address"));
    let mut masters = settings.clone();
    masters.group_mapping = [("ops".to_owned(), "system:masters".to_owned())].into();
    assert!(open(url, masters).to_string().contains("system:masters"));
    let mut nonsense = settings;
    nonsense.extra_ca = Some(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----".to_vec());
    assert!(open(url, nonsense).to_string().contains("certificates"));
}

#[tokio::test]
async fn nothing_secret_lies_open() {
    let (provider, web) = beds().await;
    let mut browser = web.browser();
    provider.log_in(&mut browser).await.location();
    let settings = Web::settings(provider.settings());
    assert!(!format!("{settings:?}").contains(SECRET));
    let token = browser.session().unwrap().to_owned();
    web.bed.accounts.flush().await;
    let store = std::fs::read(web.bed.path("store.redb")).unwrap();
    for planted in [SECRET, "acce55", &token, "c0de"] {
        let found = store.windows(planted.len()).any(|bytes| bytes == planted.as_bytes());
        assert!(!found, "{planted}");
    }
    // What was under way survives no restart; who is known does.
    let bed = web.bed.restart().await;
    let web = Web::with(bed, settings);
    assert!(web.bed.is_known(&token).await);
    let mut browser = web.browser();
    provider.log_in(&mut browser).await.location();
    assert_eq!(browser.who(&OWN).await.1, "jane");
}
