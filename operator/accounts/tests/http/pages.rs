//! The pages: logging in and out by a browser.

use hades_accounts::SignInSettings;

use crate::bed::{Bed, PASSWORD};
use crate::second_factor::code;
use crate::web::{FORM, ORIGIN, OWN, Web, form};

#[tokio::test]
async fn somebody_logs_in_and_out() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.browser();
    let page = browser.open("/login").await.expect(200, "<h1>Log in</h1>");
    assert!(!page.text.contains("single sign-on"), "there is none");
    let wrong = browser.log_in_with("jane", "wrong wrong wrong", "", "").await;
    wrong.expect(401, "role=\"alert\">The name, the password or the code is wrong.");
    assert_eq!(browser.session(), None);
    assert_eq!(browser.log_in("jane").await.location(), "/login");
    assert_eq!(browser.who(&OWN).await, (201, "jane".to_owned()));
    browser.open("/login").await.expect(200, "You are logged in");
    let page = browser.open("/logout").await.expect(200, "logged in as <strong>jane</strong>");
    assert!(browser.session().is_some(), "a link doesn't log out");
    let token = browser.session().unwrap().to_owned();
    let stamp = page.field("stamp");
    browser.post("/logout", &[("stamp", &stamp)]).await.expect(200, "You are logged out");
    assert_eq!(browser.session(), None);
    assert!(!web.bed.is_known(&token).await, "the session ended, not only the cookie");
    browser.open("/logout").await.expect(200, "You are logged out");
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_look_the_same() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut pages = Vec::new();
    for user in ["jane", "nobody"] {
        let mut browser = web.browser();
        let shown = browser.log_in_with(user, "wrong wrong wrong", "", "").await;
        let stamp = shown.field("stamp");
        pages.push((shown.code, shown.text.replace(&stamp, "STAMP").replace(user, "USER")));
    }
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn a_second_factor_is_asked_for() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let session = web.bed.session("jane").await;
    let (secret, _) = web.bed.enrol(&session).await;
    let mut browser = web.browser();
    let shown = browser.log_in("jane").await.expect(401, "You have a second factor");
    assert!(shown.text.contains("value=\"jane\"") && !shown.text.contains(PASSWORD));
    browser.log_in_with("jane", PASSWORD, "000000", "").await.expect(401, "is wrong");
    web.bed.pass(60);
    let code = code(&secret, web.bed.accounts.now().as_second());
    browser.log_in_with("jane", PASSWORD, &code, "").await.location();
    assert_eq!(browser.who(&OWN).await.1, "jane");
}

#[tokio::test]
async fn failures_are_slowed_down() {
    let web = Web::new().await;
    let mut browser = web.browser();
    for _ in 0..5 {
        browser.log_in_with("jane", "wrong", "", "").await.expect(401, "wrong");
    }
    let shown = browser.log_in_with("jane", "wrong", "", "").await.expect(429, "Try again in 1 s");
    assert_eq!(shown.header("retry-after"), "1");
}

#[tokio::test]
async fn a_session_is_made_by_the_server_and_by_each_login_anew() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.browser();
    browser.cookies.insert("__Host-hades".to_owned(), "hds_planted".to_owned());
    let page = browser.open("/login").await;
    browser.log_in("jane").await.location();
    let first = browser.session().unwrap().to_owned();
    assert_ne!(first, "hds_planted");
    // A login page from before, in another tab.
    let stamp = page.field("stamp");
    let fields = [("user", "jane"), ("password", PASSWORD), ("stamp", &*stamp)];
    browser.post("/login", &fields).await.expect(403, "too old");
    assert_eq!(browser.session(), Some(&*first));
    let mut again = browser.clone();
    again.cookies.remove("__Host-hades");
    again.log_in("jane").await.location();
    assert_ne!(again.session(), Some(&*first));
}

#[tokio::test]
async fn forms_of_other_sites_and_browsers_do_nothing() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.browser();
    let page = browser.open("/login").await;
    let stamp = page.field("stamp");
    let fields = [("user", "jane"), ("password", PASSWORD), ("stamp", &*stamp)];
    let (sent, bare) = (form(&fields), form(&fields[..2]));
    let evil = "https://evil.example";
    for headers in [
        &[("sec-fetch-site", "cross-site"), ("origin", evil)][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", evil)],
        &[("origin", "null")],
        &[],
    ] {
        let headers = [headers, &[("content-type", FORM)]].concat();
        let shown = browser.send("POST", "/login", &headers, sent.clone()).await;
        shown.expect(403, "sent from another site");
    }
    let own = [("origin", ORIGIN), ("content-type", FORM)];
    browser.send("POST", "/login", &own, bare).await.expect(403, "too old");
    // A stamp of another browser, or for another form.
    let mut other = web.browser();
    other.open("/login").await;
    other.post("/login", &fields).await.expect(403, "too old");
    let json = [("origin", ORIGIN), ("content-type", "application/json")];
    browser.send("POST", "/login", &json, "{}".to_owned()).await.expect(415, "no form");
    let twice = format!("{sent}&user=admin");
    browser.send("POST", "/login", &own, twice).await.expect(400, "no form");
    let long = format!("{sent}&x={}", "a".repeat(20_000));
    browser.send("POST", "/login", &own, long).await.expect(413, "no form");
    assert_eq!((browser.session(), other.session()), (None, None));
    browser.send("POST", "/login", &own, sent).await.location();
    assert!(browser.session().is_some(), "the form itself was good");
    // Nobody logs somebody else out.
    let page = browser.open("/logout").await;
    let stamp = form(&[("stamp", &page.field("stamp"))]);
    let headers = [("sec-fetch-site", "cross-site"), ("content-type", FORM)];
    browser.send("POST", "/logout", &headers, stamp).await.expect(403, "another site");
    assert_eq!(browser.who(&OWN).await.1, "jane");
}

#[tokio::test]
async fn next_leads_nowhere_else() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    for (next, expected) in [
        ("/login/device?user_code=BCDF-GHJK", "/login/device?user_code=BCDF-GHJK"),
        ("/", "/"),
        ("https://evil.example/", "/login"),
        ("//evil.example/", "/login"),
        ("/\\evil.example", "/login"),
        ("/\t/evil.example", "/login"),
        ("/x\r\nset-cookie: a=b", "/login"),
        ("javascript:alert(1)", "/login"),
    ] {
        let mut browser = web.browser();
        let page = browser.open(&format!("/login?{}", form(&[("next", next)]))).await;
        let stamp = page.field("stamp");
        // Even where the field was changed in the page.
        let fields = [("user", "jane"), ("password", PASSWORD), ("stamp", &*stamp), ("next", next)];
        assert_eq!(browser.post("/login", &fields).await.location(), expected, "{next}");
        let again = browser.open(&format!("/login?{}", form(&[("next", next)]))).await;
        let is_login = expected == "/login";
        assert_eq!(again.code, if is_login { 200 } else { 303 }, "{next}");
    }
}

#[tokio::test]
async fn pages_run_no_scripts_and_are_kept_by_nobody() {
    let web = Web::new().await;
    let mut browser = web.browser();
    let mut shown = vec![browser.open("/login").await, browser.open("/login/device").await];
    shown.push(browser.open("/logout").await);
    shown.push(browser.open("/login/oidc/sso").await);
    shown.push(browser.post("/login", &[]).await);
    shown.push(browser.log_in_with("<script>\"'&", "x", "", "/a\"><b>").await);
    for page in &shown {
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("form-action 'self'; frame-ancestors 'none'; base-uri 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "same-origin");
        assert!(page.header("strict-transport-security").starts_with("max-age="));
        for forbidden in ["<script", "javascript:", "style=\"", "onclick", "<b>"] {
            assert!(!page.text.contains(forbidden), "{forbidden}: {}", page.text);
        }
    }
    let last = shown.pop().unwrap();
    assert!(last.text.contains("value=\"&lt;script&gt;&quot;&#39;&amp;\""), "{}", last.text);
}

#[tokio::test]
async fn behind_a_proxy_the_address_that_was_told_is_own_too() {
    let settings =
        SignInSettings { external_url: Some("https://people.example".to_owned()), provider: None };
    for (settings, code) in [(SignInSettings::default(), 403), (settings, 303)] {
        let web = Web::with(Bed::new().await, settings);
        web.bed.person("jane").await;
        let mut browser = web.browser();
        let stamp = browser.open("/login").await.field("stamp");
        let fields = form(&[("user", "jane"), ("password", PASSWORD), ("stamp", &*stamp)]);
        let own = [
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://people.example"),
            ("content-type", FORM),
        ];
        let shown = browser.send("POST", "/login", &own, fields).await;
        assert_eq!(shown.code, code, "{}", shown.text);
        if code == 403 {
            for words in ["pass the header Host on", "--external-url"] {
                assert!(shown.text.contains(words), "{}", shown.text);
            }
            continue;
        }
        assert_eq!(browser.who(&own[..2]).await, (201, "jane".to_owned()));
        let evil = [own[0], ("origin", "https://evil.example")];
        assert_eq!(browser.who(&evil).await.0, 403);
    }
}
