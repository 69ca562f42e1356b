//! Single sign-on with a real provider: the npm package oidc-provider.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::Ordering;

use hades_accounts::ProviderSettings;
use jiff::Timestamp;
use openidconnect::url::Url;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::provider::SECRET;
use crate::web::{ORIGIN, OWN, Web, form};

struct Real {
    issuer: String,
    _process: Child,
    /// It warns there of what a test does on purpose, and ends when nobody listens.
    _lines: Lines<BufReader<ChildStdout>>,
}

/// The provider; `None`, with a word about it, where it isn't installed.
async fn start() -> Option<Real> {
    let Some(folder) = std::env::var_os("HADES_OIDC_PROVIDER") else {
        eprintln!("skipped: hack/test.sh installs oidc-provider and sets HADES_OIDC_PROVIDER");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/oidc_provider.mjs");
    let mut process = Command::new("node")
        .arg(script)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("http://127.0.0.1:") {
            return Some(Real { issuer: line, _process: process, _lines: lines });
        }
    }
    panic!("oidc-provider ended");
}

/// A browser at the provider: logs somebody in, lets him consent, and says where he
/// is sent then.
async fn log_in(start: &str, who: &str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let mut cookies: BTreeMap<String, String> = BTreeMap::new();
    let mut url = Url::parse(start).unwrap();
    let mut fields: Option<String> = None;
    for _ in 0..16 {
        let mut request = match fields.take() {
            Some(fields) => client
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(fields),
            None => client.get(url.clone()),
        };
        for (name, value) in &cookies {
            request = request.header("cookie", format!("{name}={value}"));
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let (name, value) = pair.split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        if let Some(to) = answer.headers().get("location") {
            url = url.join(to.to_str().unwrap()).unwrap();
            if url.as_str().starts_with(ORIGIN) {
                return url.as_str()[ORIGIN.len()..].to_owned();
            }
            continue;
        }
        let text = answer.text().await.unwrap();
        let prompt = ["login", "consent"]
            .into_iter()
            .find(|prompt| text.contains(&format!("name=\"prompt\" value=\"{prompt}\"")));
        let prompt = prompt.unwrap_or_else(|| panic!("{text}"));
        fields = Some(form(&[("prompt", prompt), ("login", who), ("password", "x")]));
    }
    panic!("the provider sends around and around");
}

#[tokio::test]
async fn people_log_in_by_a_real_provider() {
    let Some(real) = start().await else { return };
    let mut settings = ProviderSettings::new(&*real.issuer, "hades");
    settings.client_secret = Some(SecretString::from(SECRET));
    settings.group_mapping = [("ops".to_owned(), "operators".to_owned())].into();
    let web = Web::with_provider(settings).await;
    web.bed.now.store(Timestamp::now().as_second(), Ordering::Relaxed);
    for (who, user, groups) in [
        ("jane", "jane", &["oidc:dev", "operators", "system:authenticated"][..]),
        ("joe", "joe.doe", &["system:authenticated"]),
        ("jane", "jane", &["oidc:dev", "operators", "system:authenticated"]),
    ] {
        let mut browser = web.browser();
        let there = browser.open("/login/oidc/sso?next=/x").await.location().to_owned();
        let back = log_in(&there, who).await;
        assert!(back.contains("&iss="), "RFC 9207: {back}");
        assert_eq!(browser.follow(&back).await.location(), "/x");
        assert_eq!(browser.who(&OWN).await.1, user);
        let token = browser.session().unwrap();
        let found = web.bed.who(token).await.unwrap()["groups"].clone();
        assert_eq!(found, serde_json::json!(groups));
        // The code was used.
        browser.follow(&back).await.expect(403, "can&#39;t be trusted");
    }
    let mut browser = web.browser();
    let there = browser.open("/login/oidc/sso").await.location().to_owned();
    let back = log_in(&there, "mallory").await;
    browser.follow(&back).await.expect(403, "nor an email that it has verified");
    assert_eq!(browser.session(), None);
}
