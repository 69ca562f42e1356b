//! Webhooks: a delivery wakes a fetch, and nobody else can.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_controllers::hook::{Answer, Delivery};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use sha2::Sha256;

use support::{Hades, Repository, eventually};

const TOKEN: &str = "a token that nobody knows";
const MAIN: &str = r#"{"ref": "refs/heads/main", "after": "whatever it is, nobody looks"}"#;

fn project(display_name: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {{name: blog}}\n\
         spec: {{displayName: {display_name}}}\n"
    )
}

/// A repository that is fetched by itself once an hour only.
async fn follow(hades: &Hades, name: &str, repository: &Repository, secret: Option<&str>) {
    let webhook = secret.map(|secret| json!({"secretRef": {"name": secret}}));
    let mut spec = json!({"url": repository.url(), "interval": "1h"});
    if let Some(webhook) = webhook {
        spec["webhook"] = webhook;
    }
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": name, "namespace": "hades-system"}, "spec": spec,
        }))
        .await;
}

async fn add_secret(hades: &Hades, name: &str) {
    hades
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "hades-system"},
            "stringData": {"token": format!("{TOKEN}\n")},
        }))
        .await;
}

fn push(token: &str, event: &str, body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let pair = |name: &str, value: &str| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    [pair("x-github-event", event), pair("x-hub-signature-256", &format!("sha256={hex}"))]
        .into_iter()
        .collect()
}

async fn deliver(hades: &Hades, name: &str, headers: HeaderMap, body: &[u8]) -> Answer {
    let begun = Delivery::begin(&hades.context, "hades-system", name, headers).await;
    let mut delivery = match begun {
        Ok(delivery) => delivery,
        Err(answer) => return answer,
    };
    match delivery.update(body) {
        Ok(()) => delivery.end(),
        Err(answer) => answer,
    }
}

async fn synced(hades: &Hades, name: &str, commit: &str) {
    eventually(&format!("{name} at {commit}"), || async {
        let found = hades.repositories("hades-system").get(name).await.unwrap();
        let status = found.status.unwrap_or_default();
        if status.synced_commit.as_deref() == Some(commit) { Ok(()) } else { Err(status) }
    })
    .await;
}

fn head(repository: &Repository) -> String {
    repository.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

async fn refusals(hades: &Hades) -> Vec<String> {
    let events = hades.events("hades-system", "config").await;
    events.into_iter().filter(|event| event.starts_with("WebhookRefused")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_fetched_at_once_and_one_elsewhere_is_not() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", &project("one"))]);
    add_secret(&hades, "hook").await;
    follow(&hades, "config", &repository, Some("hook")).await;
    synced(&hades, "config", &head(&repository)).await;
    let second = repository.commit(&[("project.yaml", &project("two"))]);
    let told = async |event: &str, body: &str| {
        let body = body.as_bytes();
        deliver(&hades, "config", push(TOKEN, event, body), body).await.code
    };
    assert_eq!(told("ping", "{}").await, 200);
    assert_eq!(told("push", r#"{"ref": "refs/heads/other"}"#).await, 200);
    assert_eq!(told("push", r#"{"ref": "refs/tags/main"}"#).await, 200);
    assert_eq!(told("issues", MAIN).await, 200);
    assert_eq!(told("push", "{").await, 400);
    assert_eq!(told("push", MAIN).await, 202);
    synced(&hades, "config", &second).await;
    // Again, word for word: a fetch that finds nothing.
    assert_eq!(told("push", MAIN).await, 202);
    let third = repository.commit(&[("project.yaml", &project("three"))]);
    assert_eq!(told("push", MAIN).await, 202);
    synced(&hades, "config", &third).await;
    let series = "hades_webhook_deliveries_total{forge=\"github\",outcome=\"ignored\"}";
    assert_eq!(hades.counted(series), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_unknown_and_without_a_secret_are_answered_alike() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", &project("one"))]);
    add_secret(&hades, "hook").await;
    follow(&hades, "config", &repository, Some("hook")).await;
    follow(&hades, "bare", &repository, None).await;
    follow(&hades, "missing", &repository, Some("nowhere")).await;
    synced(&hades, "config", &head(&repository)).await;
    let good = push(TOKEN, "push", MAIN.as_bytes());
    let wrong = push("guessed", "push", MAIN.as_bytes());
    let answer = deliver(&hades, "config", wrong.clone(), MAIN.as_bytes()).await;
    assert_eq!(answer.code, 401);
    assert_eq!(deliver(&hades, "config", HeaderMap::new(), b"").await, answer);
    for name in ["unknown", "bare", "missing"] {
        for headers in [&good, &wrong, &push("", "push", MAIN.as_bytes())] {
            assert_eq!(deliver(&hades, name, headers.clone(), MAIN.as_bytes()).await, answer);
        }
    }
    // A secret of another name or project opens nothing either.
    let begun = Delivery::begin(&hades.context, "shop", "config", good).await;
    assert_eq!(begun.unwrap().end(), answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_once_a_while_and_only_of_what_is_there() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", &project("one"))]);
    add_secret(&hades, "hook").await;
    follow(&hades, "config", &repository, Some("hook")).await;
    synced(&hades, "config", &head(&repository)).await;
    let wrong = push("guessed", "push", MAIN.as_bytes());
    for _ in 0..50 {
        deliver(&hades, "config", wrong.clone(), MAIN.as_bytes()).await;
        deliver(&hades, "unknown", wrong.clone(), MAIN.as_bytes()).await;
    }
    let told = eventually("the event", || async {
        let told = refusals(&hades).await;
        if told.is_empty() { Err(told) } else { Ok(told) }
    })
    .await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Secret hook") && !told[0].contains(TOKEN), "{told:?}");
    assert!(hades.events("hades-system", "unknown").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_body_is_signed_whole_and_needs_no_room() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", &project("one"))]);
    add_secret(&hades, "hook").await;
    follow(&hades, "config", &repository, Some("hook")).await;
    synced(&hades, "config", &head(&repository)).await;
    let long = format!("{{\"x\": \"{}\", \"ref\": \"refs/heads/main\"}}", "x".repeat(2 << 20));
    let headers = push(TOKEN, "push", long.as_bytes());
    assert_eq!(deliver(&hades, "config", headers.clone(), long.as_bytes()).await.code, 202);
    let changed = long.replace("main", "mine");
    assert_eq!(deliver(&hades, "config", headers, changed.as_bytes()).await.code, 401);
    let mut declared = push(TOKEN, "push", b"{}");
    declared.insert("content-length", HeaderValue::from_static("26214401"));
    assert_eq!(deliver(&hades, "config", declared, b"{}").await.code, 413);
    let begun = Delivery::begin(&hades.context, "hades-system", "config", HeaderMap::new()).await;
    let mut endless = begun.unwrap();
    let part = vec![b' '; 1 << 20];
    let answer = (0..100).find_map(|_| endless.update(&part).err()).unwrap();
    assert_eq!(answer.code, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_few_fetches_and_loses_nothing() {
    /// As many as an installation might see in a bad minute.
    const DELIVERIES: usize = 10_000;
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", &project("one"))]);
    add_secret(&hades, "hook").await;
    follow(&hades, "config", &repository, Some("hook")).await;
    synced(&hades, "config", &head(&repository)).await;
    let headers = push(TOKEN, "push", MAIN.as_bytes());
    let mut last = String::new();
    let series = "hades_reconcile_passes_total{kind=\"ConfigRepository\",outcome=\"ok\"}";
    let before = hades.counted(series);
    for index in 0..DELIVERIES {
        if index % (DELIVERIES / 4) == DELIVERIES / 8 {
            last = repository.commit(&[("project.yaml", &project(&format!("n{index}")))]);
        }
        let answer = deliver(&hades, "config", headers.clone(), MAIN.as_bytes()).await;
        assert_eq!(answer.code, 202);
    }
    synced(&hades, "config", &last).await;
    // How long the flood takes differs from machine to machine; that there are far
    // fewer passes than deliveries doesn't.
    let passes = usize::try_from(hades.counted(series) - before).unwrap();
    assert!(passes < DELIVERIES / 20, "{passes} passes");
}
