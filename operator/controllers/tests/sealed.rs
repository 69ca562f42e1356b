//! Sealed files of repositories: opened with the right keys only, in memory only, and
//! a tampered one stops the whole commit.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use hades_api::{ConfigRepositoryStatus, HadesProject, condition};
use hades_sops::{Format, Recipient, SealOptions, new_identity, seal};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use support::{Hades, Repository, eventually, is_true};

const SYSTEM: &str = "hades-system";
const PLAIN: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\n\
                     stringData:\n  password: hunter2-planted\n";
const TEMPLATE: &str = "apiVersion: hades.dev/v1alpha1\nkind: EnvironmentTemplate\n\
                        metadata: {name: a, namespace: shop}\nspec: {}\n";

fn sealed(plain: &str, to: &str) -> String {
    let recipient: Recipient = to.parse().unwrap();
    let mut options = SealOptions::to(vec![recipient], Timestamp::now());
    options.rule = Some(("encrypted_regex", "^(data|stringData)$".to_owned()));
    seal(plain.as_bytes(), Format::Yaml, &options).unwrap()
}

async fn follow(hades: &Hades, repository: &Repository, more: Value) {
    let mut spec = json!({"url": repository.url(), "interval": "1h"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let manifest = json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
        "metadata": {"name": "config", "namespace": SYSTEM}, "spec": spec,
    });
    hades.apply(manifest).await;
}

/// Has the repository looked at now, and waits until its Ready condition has a reason
/// for that commit.
async fn reason(hades: &Hades, commit: &str, reason: &str) -> ConfigRepositoryStatus {
    let repositories = hades.repositories(SYSTEM);
    hades_controllers::config_repository::request_sync(&hades.context, SYSTEM, "config")
        .await
        .unwrap();
    eventually(&format!("{commit}: {reason}"), || async {
        let status = repositories.get("config").await.unwrap().status.unwrap_or_default();
        let seen = match reason {
            "Synced" => status.synced_commit.as_deref(),
            _ => status.observed_commit.as_deref(),
        } == Some(commit);
        match condition::find(&status.conditions, condition::READY) {
            Some(ready) if ready.reason == reason && seen => Ok(status),
            _ => Err(status),
        }
    })
    .await
}

async fn recipient(hades: &Hades) -> String {
    let repositories = hades.repositories(SYSTEM);
    eventually("the recipient", || async {
        let status = repositories.get("config").await.unwrap().status.unwrap_or_default();
        status.sops_recipient.clone().ok_or(status)
    })
    .await
}

/// The values of Secret `shop/NAME`, as containers get them.
async fn values(hades: &Hades, name: &str) -> Option<BTreeMap<String, String>> {
    let secrets: Api<Secret> = Api::namespaced(hades.inside.clone(), "shop");
    let found = secrets.get_opt(name).await.unwrap()?;
    let text = |bytes: k8s_openapi::ByteString| String::from_utf8(bytes.0).unwrap();
    Some(
        found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, text(value))).collect(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_secret_is_opened_and_a_tampered_one_stops_the_commit() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    follow(&hades, &repository, json!({})).await;
    let to = recipient(&hades).await;
    let text = sealed(PLAIN, &to);
    let good = repository.commit(&[("db.yaml", &text)]);
    reason(&hades, &good, "Synced").await;
    assert_eq!(values(&hades, "db").await.unwrap()["password"], "hunter2-planted");

    // What is around the values is changed, with something harmless beside it.
    let renamed = text.replace("name: db", "name: dc");
    let other = TEMPLATE.replace("name: a", "name: b");
    let bad = repository.commit(&[("db.yaml", &renamed), ("b.yaml", &other)]);
    let status = reason(&hades, &bad, "SealBroken").await;
    assert!(is_true(&status.conditions, condition::STALLED));
    assert_eq!(status.synced_commit.as_deref(), Some(good.as_str()));
    assert_eq!(status.errors[0].file.as_deref(), Some("db.yaml"));
    assert_eq!(values(&hades, "dc").await, None);
    let templates: Api<hades_api::EnvironmentTemplate> =
        Api::namespaced(hades.client.clone(), "shop");
    assert!(templates.get_opt("b").await.unwrap().is_none(), "nothing of the commit is applied");

    // A value that stood under another key.
    let moved = text.replace("  password: ENC", "  token: ENC");
    let bad = repository.commit(&[("db.yaml", &moved), ("b.yaml", "")]);
    let status = reason(&hades, &bad, "SealBroken").await;
    assert!(status.errors[0].message.contains("stringData.token"), "{:?}", status.errors);

    let mended = repository.commit(&[("db.yaml", &sealed(PLAIN, &to))]);
    reason(&hades, &mended, "Synced").await;
    let everything = hades.repositories(SYSTEM).get("config").await.unwrap();
    let events = hades.events(SYSTEM, "config").await.join("\n");
    let shown = format!("{}{events}", serde_json::to_string(&everything).unwrap());
    assert!(!shown.contains("hunter2-planted") && !shown.contains("AGE-SECRET"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_for_others_opens_once_their_key_is_there() {
    let hades = Hades::start().await;
    let (identity, team) = new_identity();
    let repository = Repository::new(&[("db.yaml", &sealed(PLAIN, team.as_str()))]);
    let commit = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    follow(&hades, &repository, json!({})).await;
    let own = recipient(&hades).await;
    let status = reason(&hades, &commit, "DecryptionFailed").await;
    let message = &status.errors[0].message;
    assert!(message.contains(team.as_str()) && message.contains(&own), "{message}");

    let decryption = json!({"decryption": {"secretRef": {"name": "team"}}});
    follow(&hades, &repository, decryption).await;
    reason(&hades, &commit, "SecretNotFound").await;
    let secret = |data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "team", "namespace": SYSTEM}, "stringData": data})
    };
    hades.apply(secret(json!({"team.agekey": "hunter2"}))).await;
    let status = reason(&hades, &commit, "InvalidSecret").await;
    assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
    hades.apply(secret(json!({"team.agekey": identity.expose_secret()}))).await;
    reason(&hades, &commit, "Synced").await;
    assert_eq!(values(&hades, "db").await.unwrap()["password"], "hunter2-planted");

    // The key of one repository opens nothing for another.
    let other = json!({"decryption": {"secretRef": {"name": "sops-age-config"}}});
    follow(&hades, &repository, other).await;
    let status = reason(&hades, &commit, "InvalidSecret").await;
    let ready = condition::find(&status.conditions, condition::READY).unwrap();
    assert!(ready.message.contains("for that one only"), "{}", ready.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_secrets_are_sealed() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    follow(&hades, &repository, json!({})).await;
    let to = recipient(&hades).await;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db, namespace: shop}\n\
               data: {password: hunter2-planted}\n";
    let bad = repository.commit(&[("db.yaml", &sealed(map, &to))]);
    let status = reason(&hades, &bad, "InvalidManifests").await;
    assert!(status.errors[0].message.contains("only a Secret"), "{:?}", status.errors);
    assert!(!format!("{status:?}").contains("hunter2-planted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_project_has_a_key_of_its_own_that_nobody_reads_or_changes() {
    let hades = Hades::start().await;
    for name in ["blog", "farm"] {
        hades
            .apply(json!({
                "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
                "metadata": {"name": name}, "spec": {},
            }))
            .await;
    }
    let projects: Api<HadesProject> = Api::all(hades.client.clone());
    let recipient = |name: &'static str, but: String| {
        let projects = projects.clone();
        async move {
            eventually("the recipient of a project", || async {
                let status = projects.get(name).await.unwrap().status.unwrap_or_default();
                status.sops_recipient.clone().filter(|found| *found != but).ok_or(status)
            })
            .await
        }
    };
    let (blog, farm) =
        (recipient("blog", String::new()).await, recipient("farm", String::new()).await);
    assert!(blog.starts_with("age1") && blog != farm);
    let secrets: Api<Secret> = Api::namespaced(hades.client.clone(), "blog");
    let shown = serde_json::to_string(&secrets.get("sops-age").await.unwrap()).unwrap();
    assert!(shown.contains("hades.dev/sops-age") && !shown.contains("QUdFLVNFQ1JFVC"), "{shown}");
    let change = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "hades.dev/sops-age",
        "metadata": {"name": "sops-age", "namespace": "blog"},
        "stringData": {"identity": new_identity().0.expose_secret()},
    });
    let refusal = hades.try_apply(change).await.unwrap_err().to_string();
    assert!(refusal.contains("immutable"), "{refusal}");
    // Deleted, it is made anew, and that is told.
    secrets.delete("sops-age", &DeleteParams::default()).await.unwrap();
    let again = recipient("blog", blog.clone()).await;
    assert_ne!(again, blog);
    eventually("the event", || async {
        let events = hades.events("default", "blog").await.join("\n");
        if events.contains(&again) { Ok(()) } else { Err(events) }
    })
    .await;
}

/// A status that the store refuses would leave the one from before: all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_told_however_long_the_names_in_a_file_are() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    follow(&hades, &repository, json!({})).await;
    let to = recipient(&hades).await;
    let good = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    reason(&hades, &good, "Synced").await;
    let long = "a".repeat(400_000);
    let tail = sealed(PLAIN, &to).split_once("\nsops:").unwrap().1.to_owned();
    let json = format!("{{\"{long}\": 1, \"{long}\": 2}}");
    let sops = json!({"mac": "x", "version": "3.11.0"});
    for (name, text, expected) in [
        ("b.json", json, "InvalidManifests"),
        ("b.json", format!("{{\"{long}\": 1, \"sops\": {sops}}}"), "DecryptionFailed"),
        ("b.yaml", format!("a: !{long} 1\nsops:{tail}"), "DecryptionFailed"),
    ] {
        let bad = repository.commit(&[("b.json", "{}"), (name, &text)]);
        let status = reason(&hades, &bad, expected).await;
        assert!(is_true(&status.conditions, condition::STALLED));
        assert!(serde_json::to_string(&status).unwrap().len() < 20_000);
    }
}

/// Neither lists nor the place of a key in its mapping are bound to a value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_wrapped_or_lifted_is_shown_to_nobody() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    follow(&hades, &repository, json!({})).await;
    let to = recipient(&hades).await;
    let text = sealed(PLAIN, &to);
    let line = text.lines().find(|line| line.contains("password: ENC")).unwrap();
    let value = line.trim_start().strip_prefix("password: ").unwrap();
    let lifted =
        text.replace(&format!("stringData:\n{line}"), &format!("\"stringData:password\": {value}"));
    for changed in [
        text.replace(value, &format!("[\"{value}\"]")),
        text.replace(value, &format!("\n  - {value}")),
        lifted.replace("^(data|stringData)$", "^stringData"),
        // Beside the values that belong there.
        lifted
            .replace("^(data|stringData)$", "^stringData")
            .replace("\nsops:", "\nstringData: {}\nsops:"),
    ] {
        assert_ne!(changed, text);
        let bad = repository.commit(&[("db.yaml", &changed)]);
        let status = reason(&hades, &bad, "InvalidManifests").await;
        assert_eq!(status.errors.len(), 1, "{:?}", status.errors);
        let everything = hades.repositories(SYSTEM).get("config").await.unwrap();
        let events = hades.events(SYSTEM, "config").await.join("\n");
        let shown = format!("{}{events}", serde_json::to_string(&everything).unwrap());
        assert!(!shown.contains("hunter2-planted"), "{shown}");
        assert_eq!(values(&hades, "db").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_whose_key_is_gone_gets_another_suspended_or_not() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    follow(&hades, &repository, json!({})).await;
    let commit = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    reason(&hades, &commit, "Synced").await;
    let secrets: Api<Secret> = Api::namespaced(hades.client.clone(), SYSTEM);
    for suspend in [false, true] {
        follow(&hades, &repository, json!({"suspend": suspend})).await;
        let before = recipient(&hades).await;
        if suspend {
            let repositories = hades.repositories(SYSTEM);
            eventually("it is suspended", || async {
                let status = repositories.get("config").await.unwrap().status.unwrap_or_default();
                let suspended = is_true(&status.conditions, condition::SUSPENDED);
                if suspended { Ok(()) } else { Err(status) }
            })
            .await;
        }
        // Nobody asks for a sync, and the interval is long.
        secrets.delete("sops-age-config", &DeleteParams::default()).await.unwrap();
        let repositories = hades.repositories(SYSTEM);
        let after = eventually("another key", || async {
            let status = repositories.get("config").await.unwrap().status.unwrap_or_default();
            status.sops_recipient.clone().filter(|found| *found != before).ok_or(status)
        })
        .await;
        let events = hades.events(SYSTEM, "config").await.join("\n");
        assert!(events.contains(&after), "{events}");
    }
}
