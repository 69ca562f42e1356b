//! What didn't change is neither read nor written again.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "support/git_server.rs"]
mod git_server;
mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use hades_api::{ConfigRepository, ConfigRepositoryStatus, EnvironmentTemplate, condition};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use git_server::GitServer;
use support::{Hades, Repository, eventually, is_true};

/// A template: no controller works on it, so that only syncs write.
fn template(name: &str, text: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: EnvironmentTemplate\n\
         metadata: {{name: {name}, namespace: shop}}\nspec: {{env: {{TEXT: {text}}}}}\n"
    )
}

fn templates(hades: &Hades) -> Api<EnvironmentTemplate> {
    Api::namespaced(hades.client.clone(), "shop")
}

/// Follows a repository that is looked at when `wake` is called, and else hardly ever.
async fn follow(hades: &Hades, url: &str, interval: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "git", "namespace": "hades-system"},
        "stringData": {"username": "me", "password": "secret"},
    });
    hades.apply(secret).await;
    let repository = json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
        "metadata": {"name": "config", "namespace": "hades-system"},
        "spec": {"url": url, "interval": interval, "secretRef": {"name": "git"}},
    });
    hades.apply(repository).await;
}

/// Touches the Secret, which asks for a look and not for a full pass.
async fn wake(hades: &Hades, what: &str) {
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(hades.client.clone(), "hades-system");
    let touch = json!({"metadata": {"annotations": {"example.com/touched": what}}});
    secrets.patch("git", &PatchParams::default(), &Patch::Merge(touch)).await.unwrap();
}

async fn until(
    hades: &Hades,
    what: &str,
    fits: impl Fn(&ConfigRepositoryStatus) -> bool,
) -> ConfigRepositoryStatus {
    let repositories = hades.repositories("hades-system");
    eventually(what, || async {
        let found: ConfigRepository = repositories.get("config").await.unwrap();
        let mut status = found.status.unwrap_or_default();
        if fits(&status) {
            return Ok(status);
        }
        status.inventory.clear();
        Err(status)
    })
    .await
}

async fn synced(hades: &Hades, commit: &str) -> ConfigRepositoryStatus {
    until(hades, "the commit to be synced", |status| {
        status.synced_commit.as_deref() == Some(commit)
            && is_true(&status.conditions, condition::READY)
    })
    .await
}

/// Versions of everything that a sync could write.
async fn versions(hades: &Hades) -> BTreeMap<String, String> {
    let everything = ListParams::default();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for template in templates(hades).list(&everything).await.unwrap() {
        found.insert(template.name_any(), template.resource_version().unwrap());
    }
    for repository in hades.repositories("hades-system").list(&everything).await.unwrap() {
        found.insert("repository".to_owned(), repository.resource_version().unwrap());
    }
    found
}

fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let mut differing: Vec<String> =
        names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
    differing.sort();
    differing.dedup();
    differing
}

fn head(repository: &Repository) -> String {
    repository.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_commit_costs_no_write() {
    let hades = Hades::start().await;
    let repository =
        Repository::new(&[("a.yaml", &template("a", "x")), ("b.yaml", &template("b", "x"))]);
    let server = GitServer::start(repository.dir.path());
    follow(&hades, &server.url("private", ".git"), "50ms").await;
    synced(&hades, &head(&repository)).await;
    let before = versions(&hades).await;
    let asked = server.requests();
    // Full passes are among them: one in ten.
    eventually("more fetches", || async {
        let more = server.requests() - asked;
        if more > 30 { Ok(()) } else { Err(more) }
    })
    .await;
    assert_eq!(differing(&before, &versions(&hades).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_commit_writes_only_what_its_changed_files_say() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[
        ("a.yaml", &template("a", "x")),
        ("b.yaml", &template("b", "x")),
        ("c.yaml", &template("c", "x")),
        ("moved.yaml", &template("d", "x")),
    ]);
    follow(&hades, &repository.url(), "1h").await;
    synced(&hades, &head(&repository)).await;
    // Git wins at the next full pass; what is read of the next commit says nothing
    // of this one.
    let edit = json!({"spec": {"env": {"TEXT": "by hand"}}});
    templates(&hades).patch("b", &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
    let before = versions(&hades).await;
    let commit = repository.commit(&[
        ("a.yaml", &template("a", "changed")),
        ("c.yaml", ""),
        ("moved.yaml", ""),
        ("deep/moved.yaml", &template("d", "x")),
        ("new.yaml", &template("e", "x")),
    ]);
    wake(&hades, "one").await;
    let status = synced(&hades, &commit).await;
    assert_eq!(status.follows.as_deref(), Some("branch main"));
    until(&hades, "the inventory without c", |status| {
        let names: Vec<&str> = status.inventory.iter().map(|entry| entry.name.as_str()).collect();
        names == ["a", "b", "d", "e"]
    })
    .await;
    let after = versions(&hades).await;
    // What moved names its file.
    assert_eq!(differing(&before, &after), ["a", "c", "d", "e", "repository"]);
    // A person who asks gets everything looked at.
    let ask = json!({"metadata": {"annotations": {"hades.dev/reconcile-requested-at": "now"}}});
    hades
        .repositories("hades-system")
        .patch("config", &PatchParams::default(), &Patch::Merge(ask))
        .await
        .unwrap();
    eventually("git to win", || async {
        let found = serde_json::to_value(templates(&hades).get("b").await.unwrap().spec).unwrap();
        if found["env"]["TEXT"] == "x" { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_stay_while_their_file_does_and_nothing_is_applied_beside_them() {
    let hades = Hades::start().await;
    let repository =
        Repository::new(&[("a.yaml", &template("a", "x")), ("b.yaml", &template("b", "x"))]);
    follow(&hades, &repository.url(), "1h").await;
    let first = head(&repository);
    synced(&hades, &first).await;
    let before = versions(&hades).await;
    let stalled = |commit: String, file: &'static str| {
        let hades = &hades;
        async move {
            until(hades, "the errors", |status| {
                status.observed_commit.as_deref() == Some(commit.as_str())
                    && is_true(&status.conditions, condition::STALLED)
                    && status.errors.iter().any(|error| error.file.as_deref() == Some(file))
            })
            .await
        }
    };
    let broken = repository.commit(&[("b.yaml", "a: [1\n")]);
    wake(&hades, "one").await;
    stalled(broken, "b.yaml").await;
    // Another file: the error is still there, and still all that is wrong.
    let other = repository.commit(&[("a.yaml", &template("a", "changed"))]);
    wake(&hades, "two").await;
    let status = stalled(other, "b.yaml").await;
    assert_eq!(status.errors.len(), 1);
    assert_eq!(status.synced_commit.as_deref(), Some(first.as_str()));
    // One object in a file that changed and in one that didn't.
    let twice = repository.commit(&[("b.yaml", ""), ("again.yaml", &template("a", "y"))]);
    repository.commit(&[("b.yaml", &template("b", "x"))]);
    wake(&hades, "three").await;
    let twice_again = head(&repository);
    assert_ne!(twice, twice_again);
    stalled(twice_again, "again.yaml").await;
    let after = versions(&hades).await;
    assert_eq!(differing(&before, &after), ["repository"]);
    let mended = repository.commit(&[("again.yaml", "")]);
    wake(&hades, "four").await;
    synced(&hades, &mended).await;
    assert_eq!(differing(&before, &versions(&hades).await), ["a", "repository"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_an_unchanged_file_can_not_be_defined_again() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("a.yaml", &template("a", "x"))]);
    follow(&hades, &repository.url(), "1h").await;
    synced(&hades, &head(&repository)).await;
    let twice = repository.commit(&[("b.yaml", &template("a", "y"))]);
    wake(&hades, "one").await;
    let status = until(&hades, "the refusal", |status| {
        status.observed_commit.as_deref() == Some(twice.as_str()) && !status.errors.is_empty()
    })
    .await;
    let message = &status.errors[0].message;
    assert!(message.contains("already in a.yaml"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_manifests() {
    const FILES: usize = 1000;
    let hades = Hades::start().await;
    let name = |index: usize| format!("apps/{}/t{index}.yaml", index % 100);
    let all: Vec<(String, String)> =
        (0..FILES).map(|index| (name(index), template(&format!("t{index}"), "x"))).collect();
    let files: Vec<(&str, &str)> =
        all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let repository = Repository::new(&files);
    let started = Instant::now();
    follow(&hades, &repository.url(), "1h").await;
    let status = synced(&hades, &head(&repository)).await;
    eprintln!("first pass over {FILES} manifests: {:?}", started.elapsed());
    assert_eq!(status.inventory.len(), FILES);
    let before = versions(&hades).await;
    let commit = repository.commit(&[(&name(500), &template("t500", "changed"))]);
    let started = Instant::now();
    wake(&hades, "one").await;
    synced(&hades, &commit).await;
    eprintln!("a change of one line: {:?}", started.elapsed());
    assert_eq!(differing(&before, &versions(&hades).await), ["repository", "t500"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_repositories_beside_seventy_whose_server_hangs() {
    const REPOSITORIES: usize = 100;
    let hades = Hades::start().await;
    let all: Vec<(String, String)> = (0..REPOSITORIES)
        .map(|index| (format!("{index}/a.yaml"), template(&format!("t{index}"), "x")))
        .collect();
    let files: Vec<(&str, &str)> =
        all.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let repository = Repository::new(&files);
    // More than there are places for passes, and none of them gets an answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = format!("http://{}/shop", silent.local_addr().unwrap());
    let made = |name: String, spec: serde_json::Value| {
        json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": name, "namespace": "hades-system"}, "spec": spec,
        })
    };
    for index in 0..70 {
        hades.apply(made(format!("hanging-{index}"), json!({"url": hanging}))).await;
    }
    let started = Instant::now();
    for index in 0..REPOSITORIES {
        let spec = json!({"url": repository.url(), "path": index.to_string()});
        hades.apply(made(format!("good-{index}"), spec)).await;
    }
    eventually("all that can be reached", || async {
        let found = templates(&hades).list(&ListParams::default()).await.unwrap().items.len();
        if found == REPOSITORIES { Ok(()) } else { Err(found) }
    })
    .await;
    eprintln!("{REPOSITORIES} repositories: {:?}", started.elapsed());
    // Ends the fetches that wait.
    drop(silent);
}
