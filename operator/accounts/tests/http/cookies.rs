//! Requests to the API that a browser proves by its cookie.

use crate::bed::By;
use crate::web::{ORIGIN, OWN, Web};

const READ: &str = "/apis/operations.hades.dev/v1alpha1/selfsessions";

#[tokio::test]
async fn only_requests_of_own_pages_count() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.logged_in("jane").await;
    let evil = "https://evil.example";
    let get = [
        (&[("sec-fetch-site", "same-origin")][..], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("origin", ORIGIN)], 200),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "same-origin"), ("origin", evil)], 403),
        (&[("origin", evil)], 403),
        (&[], 403),
        // Web sockets: browsers let pages of all sites open them.
        (&[("upgrade", "websocket"), ("origin", ORIGIN)], 200),
        (&[("upgrade", "websocket"), ("origin", evil)], 403),
        (&[("upgrade", "websocket"), ("sec-fetch-site", "cross-site"), ("origin", evil)], 403),
        (&[("upgrade", "websocket"), ("sec-fetch-site", "none")], 403),
        (&[("upgrade", "websocket")], 403),
    ];
    for (headers, expected) in get {
        let shown = browser.send("GET", READ, headers, String::new()).await;
        // An upgrade counts as a `create`: whatever that answers, it isn't for the site.
        let is_upgrade = headers[..].iter().any(|(name, _)| *name == "upgrade");
        let refused_for_site = shown.text.contains("another site");
        assert_eq!(refused_for_site, expected == 403, "{headers:?}: {}", shown.text);
        if !is_upgrade {
            assert_eq!(shown.code, expected, "{headers:?}: {}", shown.text);
        }
    }
    for (headers, expected) in [
        (&[("sec-fetch-site", "same-origin"), ("origin", ORIGIN)][..], 201),
        (&[("origin", ORIGIN)], 201),
        (&[("sec-fetch-site", "none")], 403),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://x.hades.example")], 403),
        (&[("sec-fetch-site", "cross-site"), ("origin", evil)], 403),
        (&[("origin", "null")], 403),
        (&[], 403),
    ] {
        assert_eq!(browser.who(headers).await.0, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_cookie_is_a_session_and_nothing_else() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let token = web.bed.token("jane", "ci", serde_json::json!({})).await;
    assert!(web.bed.is_known(&token).await);
    let mut browser = web.browser();
    for bad in [&*token, "hds_x", "x", &"a".repeat(5_000)] {
        browser.cookies.insert("__Host-hades".to_owned(), bad.to_owned());
        assert_eq!(browser.who(&OWN).await.0, 401, "{bad:.60}");
    }
    let mut browser = web.logged_in("jane").await;
    assert_eq!(browser.who(&OWN).await.0, 201);
    // A bad token isn't made good by a cookie beside it.
    let both = [OWN[0], ("authorization", "Bearer hds_x")];
    assert_eq!(browser.who(&both).await.0, 401);
    // Two of the name: neither counts.
    let two = [OWN[0], ("cookie", "__Host-hades=x")];
    assert_eq!(browser.who(&two).await.0, 401);
    let without_prefix = browser.session().unwrap().to_owned();
    let mut other = web.browser();
    other.cookies.insert("hades".to_owned(), without_prefix);
    assert_eq!(other.who(&OWN).await.0, 401);
}

#[tokio::test]
async fn a_cookie_ends_with_its_session() {
    let web = Web::new().await;
    web.bed.person("jane").await;
    let mut browser = web.logged_in("jane").await;
    web.bed.pass(2 * 3600);
    assert_eq!(browser.who(&OWN).await.0, 401);
    browser.open("/login").await.expect(200, "<h1>Log in</h1>");
    let mut browser = web.logged_in("jane").await;
    assert_eq!(browser.who(&OWN).await.0, 201);
    let path = "/ops/users/jane/sessions?all=true";
    web.bed.ask(By::Admin, "DELETE", path, serde_json::Value::Null).await.expect(200);
    assert_eq!(browser.who(&OWN).await.0, 401);
    let mut browser = web.logged_in("jane").await;
    web.bed.patch("jane", serde_json::json!({"disabled": true})).await;
    assert_eq!(browser.who(&OWN).await.0, 401);
}
