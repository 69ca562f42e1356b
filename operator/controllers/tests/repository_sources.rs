//! Where repositories come from: Secrets, accounts, SSH, tags.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "support/git_server.rs"]
mod git_server;
#[path = "../../ssh/tests/support/mod.rs"]
mod sshd;
mod support;

use hades_api::{ConfigRepositoryStatus, GitAccount, condition};
use kube::Api;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use git_server::GitServer;
use sshd::Sshd;
use support::{Hades, Repository, eventually, is_true};

const TEMPLATE: &str = "apiVersion: hades.dev/v1alpha1\nkind: EnvironmentTemplate\n\
                        metadata: {name: a, namespace: shop}\nspec: {}\n";

async fn secret(hades: &Hades, name: &str, data: Value) {
    hades
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "hades-system"}, "stringData": data,
        }))
        .await;
}

/// Makes the ConfigRepository `config` with that spec, looked at once and then hardly
/// ever.
async fn follow(hades: &Hades, namespace: &str, spec: Value) {
    let mut spec = spec;
    spec["interval"] = json!("1h");
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": "config", "namespace": namespace}, "spec": spec,
        }))
        .await;
}

async fn account(hades: &Hades, spec: Value) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "GitAccount",
            "metadata": {"name": "studio"}, "spec": spec,
        }))
        .await;
}

/// Waits until the repository's Ready condition has a reason.
async fn reason(hades: &Hades, namespace: &str, reason: &str) -> ConfigRepositoryStatus {
    let repositories = hades.repositories(namespace);
    eventually(reason, || async {
        let status = repositories.get("config").await.unwrap().status.unwrap_or_default();
        match condition::find(&status.conditions, condition::READY) {
            Some(ready) if ready.reason == reason => Ok(status),
            _ => Err(status),
        }
    })
    .await
}

fn message(status: &ConfigRepositoryStatus) -> String {
    condition::find(&status.conditions, condition::READY).unwrap().message.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_corrected_is_used_at_once() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    let server = GitServer::start(repository.dir.path());
    let url = server.url("private", ".git");
    follow(&hades, "hades-system", json!({"url": url, "secretRef": {"name": "git"}})).await;
    let status = reason(&hades, "hades-system", "SecretNotFound").await;
    assert!(message(&status).contains("no Secret git in namespace hades-system"));
    secret(&hades, "git", json!({"username": "me"})).await;
    let status = reason(&hades, "hades-system", "InvalidSecret").await;
    assert!(message(&status).contains("neither password nor token"), "{}", message(&status));
    secret(&hades, "git", json!({"username": "me", "password": "hunter2"})).await;
    let status = reason(&hades, "hades-system", "AuthenticationFailed").await;
    assert!(is_true(&status.conditions, condition::STALLED));
    secret(&hades, "git", json!({"username": "me", "password": "secret"})).await;
    let status = reason(&hades, "hades-system", "Synced").await;
    assert_eq!(status.inventory.len(), 1);
    let everything = hades.repositories("hades-system").get("config").await.unwrap();
    let events = hades.events("hades-system", "config").await.join("\n");
    let shown = format!("{}{events}", serde_json::to_string(&everything).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_for_its_projects_and_its_host() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    let server = GitServer::start(repository.dir.path());
    let spec = json!({"url": server.url("private", ".git"), "account": "studio"});
    follow(&hades, "hades-system", spec).await;
    reason(&hades, "hades-system", "AccountNotFound").await;
    let elsewhere = json!({
        "provider": "gitea", "url": "https://git.example.com", "secretRef": {"name": "git"},
    });
    account(&hades, elsewhere.clone()).await;
    let status = reason(&hades, "hades-system", "AccountNotAllowed").await;
    assert!(message(&status).contains("no other host"), "{}", message(&status));
    let other = json!({"url": "https://git.example.com/shop", "account": "studio"});
    follow(&hades, "shop", other).await;
    let status = reason(&hades, "shop", "AccountNotAllowed").await;
    assert!(message(&status).contains("allowedProjects"), "{}", message(&status));
    // Now the account allows the project, and the project's policy not the account.
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "shop"}, "spec": {"policy": {"accounts": {"git": []}}},
        }))
        .await;
    let mut shared = elsewhere.clone();
    shared["allowedProjects"] = json!(["shop"]);
    account(&hades, shared).await;
    eventually("the policy to keep the account from the project", || async {
        let found = hades.repositories("shop").get("config").await.unwrap();
        let said = format!("{:?}", found.status);
        if said.contains("spec.policy.accounts.git") { Ok(()) } else { Err(said) }
    })
    .await;

    let mut here = elsewhere;
    here["url"] = json!("http://127.0.0.1");
    account(&hades, here).await;
    reason(&hades, "hades-system", "SecretNotFound").await;
    secret(&hades, "git", json!({"username": "me", "token": "secret"})).await;
    reason(&hades, "hades-system", "Synced").await;
    let accounts: Api<GitAccount> = Api::all(hades.client.clone());
    let status = eventually("the account to be ready", || async {
        let status = accounts.get("studio").await.unwrap().status.unwrap_or_default();
        if is_true(&status.conditions, condition::READY) { Ok(status) } else { Err(status) }
    })
    .await;
    assert_eq!(status.host.as_deref(), Some("127.0.0.1"));
    assert_eq!(status.credentials, ["token"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_over_ssh_whose_key_is_rotated() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", TEMPLATE)]);
    let mut sshd = Sshd::start();
    let key = |sshd: &Sshd| {
        json!({
            "identity": sshd.login().expose_secret(), "known_hosts": sshd.host_key().to_string(),
        })
    };
    secret(&hades, "git", key(&sshd)).await;
    let path = repository.dir.path().display();
    let url = format!("ssh://{}{path}", sshd.authority());
    let spec = json!({"url": url, "secretRef": {"name": "git"}});
    follow(&hades, "hades-system", spec).await;
    reason(&hades, "hades-system", "Synced").await;
    sshd.change_host_key();
    sshd.rotate_login();
    sshd.restart();
    // Only the new login: the server is another one now.
    let known_hosts = json!({"identity": sshd.login().expose_secret()});
    secret(&hades, "git", known_hosts).await;
    let status = reason(&hades, "hades-system", "HostKeyMismatch").await;
    assert_eq!(status.inventory.len(), 1, "what was applied stays");
    secret(&hades, "git", key(&sshd)).await;
    reason(&hades, "hades-system", "Synced").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_filters_and_what_is_missing() {
    let hades = Hades::start().await;
    let other = TEMPLATE.replace("name: a", "name: b");
    let repository = Repository::new(&[("a.yaml", TEMPLATE), ("other/b.yaml", &other)]);
    repository.git(&["tag", "v1.0.0"]);
    repository.commit(&[("a.yaml", "")]);
    let url = repository.url();
    follow(&hades, "hades-system", json!({"url": url, "tag": "^2"})).await;
    let status = reason(&hades, "hades-system", "RevisionNotFound").await;
    assert!(message(&status).contains("v1.0.0"), "{}", message(&status));
    follow(&hades, "hades-system", json!({"url": url, "tag": "^1", "include": ["a.yaml"]})).await;
    let status = reason(&hades, "hades-system", "Synced").await;
    assert_eq!(status.follows.as_deref(), Some("tag v1.0.0"));
    assert_eq!(status.inventory.len(), 1);
    let refused = |spec: Value| {
        let hades = &hades;
        async move {
            let manifest = json!({
                "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
                "metadata": {"name": "refused", "namespace": "hades-system"}, "spec": spec,
            });
            hades.try_apply(manifest).await.unwrap_err().to_string()
        }
    };
    for (spec, words) in [
        (json!({"url": url, "tag": "v1", "branch": "main"}), "only one of branch, tag and commit"),
        (json!({"url": url, "commit": "abc"}), "whole id"),
        (json!({"url": url, "secretRef": {"name": "a"}, "account": "b"}), "only one of secretRef"),
        (json!({"url": "https://me:x@git.example.com/a"}), "must not hold a user or password"),
        (json!({"url": "ssh://me:x@git.example.com/a"}), "must not hold a user or password"),
        (json!({"url": "ext::sh -c true"}), "write https://host/path"),
        (json!({"url": url, "ignore": ["!a.yaml"]}), "doesn't begin with !"),
    ] {
        let answer = refused(spec).await;
        assert!(answer.contains(words), "{words}: {answer}");
    }
}
