//! Repositories: a real git, applied whole or not at all.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_api::{ConfigRepository, ConfigRepositoryStatus, annotation, condition};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use support::{Hades, Repository, eventually, is_true};

const PROJECT: &str = "
apiVersion: hades.dev/v1alpha1
kind: HadesProject
metadata: {name: blog}
spec: {}
";

fn environment(name: &str, message: &str) -> String {
    format!(
        "
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: {name}, namespace: blog}}
spec:
  defaults: {{host: local}}
  services:
    web: {{image: \"app:1\", env: {{MESSAGE: {message}}}}}
"
    )
}

async fn follow(hades: &Hades, namespace: &str, repository: &Repository) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": "config", "namespace": namespace},
            "spec": {"url": repository.url(), "interval": "100ms"},
        }))
        .await;
}

async fn until(
    hades: &Hades,
    what: &str,
    fits: impl Fn(&ConfigRepositoryStatus) -> bool,
) -> ConfigRepositoryStatus {
    let repositories = hades.repositories("hades-system");
    eventually(what, || async {
        let found: ConfigRepository = repositories.get("config").await.unwrap();
        let status = found.status.unwrap_or_default();
        if fits(&status) { Ok(status) } else { Err(status) }
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

/// A repository of these files whose first commit, the last value, is applied.
async fn applied(files: &[(&str, &str)]) -> (Hades, Repository, String) {
    let hades = Hades::start().await;
    let repository = Repository::new(files);
    follow(&hades, "hades-system", &repository).await;
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    synced(&hades, &first).await;
    (hades, repository, first)
}

async fn stalled(hades: &Hades, commit: &str, reason: &str) -> ConfigRepositoryStatus {
    until(hades, reason, |status| {
        let ready = condition::find(&status.conditions, condition::READY);
        status.observed_commit.as_deref() == Some(commit)
            && ready.is_some_and(|ready| ready.status == "False" && ready.reason == reason)
    })
    .await
}

fn blog(hades: &Hades) -> kube::Api<hades_api::Environment> {
    kube::Api::namespaced(hades.client.clone(), "blog")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_becomes_containers_and_a_second_one_changes_them() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[
        ("project.yaml", PROJECT),
        ("deep/er/prod.yaml", &environment("prod", "one")),
        ("README.md", "no manifest"),
    ]);
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    follow(&hades, "hades-system", &repository).await;
    let status = synced(&hades, &first).await;
    assert_eq!(status.inventory.len(), 2);
    eventually("the container", || async {
        let running = hades.running();
        if running == ["blog_prod_web-1"] { Ok(()) } else { Err(running) }
    })
    .await;
    let second = repository.commit(&[("deep/er/prod.yaml", &environment("prod", "two"))]);
    synced(&hades, &second).await;
    eventually("the new container", || async {
        let names = hades.host.running();
        let env = names.first().and_then(|name| hades.host.env_of(name)).unwrap_or_default();
        let new = names.len() == 1 && env.get("MESSAGE").is_some_and(|message| message == "two");
        if new { Ok(()) } else { Err(names) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_git_is_pruned_and_only_that() {
    let (hades, repository, _) = applied(&[
        ("project.yaml", PROJECT),
        ("a.yaml", &environment("a", "x")),
        ("b.yaml", &environment("b", "x")),
    ])
    .await;
    let by_hand = json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
        "metadata": {"name": "mine", "namespace": "blog"}, "spec": {},
    });
    hades.apply(by_hand).await;
    let second = repository.commit(&[("b.yaml", "")]);
    synced(&hades, &second).await;
    eventually("b to be gone, with what it ran", || async {
        let running = hades.running();
        let gone = blog(&hades).get_opt("b").await.unwrap().is_none();
        if gone && running == ["blog_a_web-1"] { Ok(()) } else { Err(running) }
    })
    .await;
    assert!(blog(&hades).get_opt("mine").await.unwrap().is_some());
    until(&hades, "the inventory without b", |status| status.inventory.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_what_is_pruned_has_gone_is_no_question_to_the_forge() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[
        ("project.yaml", PROJECT),
        ("a.yaml", &environment("a", "x")),
        ("b.yaml", &environment("b", "x")),
    ]);
    let repositories = hades.repositories("hades-system");
    follow(&hades, "hades-system", &repository).await;
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    synced(&hades, &first).await;
    eventually("both to run", || async {
        if hades.running().len() == 2 { Ok(()) } else { Err(hades.running()) }
    })
    .await;
    // The next fetch is an hour away, and what leaves can't go.
    hades.host.disconnect();
    let second = repository.commit(&[("b.yaml", "")]);
    let hourly = json!({"spec": {"interval": "1h"}});
    repositories.patch("config", &PatchParams::default(), &Patch::Merge(hourly)).await.unwrap();
    let status = synced(&hades, &second).await;
    assert_eq!(status.inventory.len(), 3, "b is still there");
    let path = repository.dir.path().to_owned();
    std::fs::rename(&path, path.with_extension("hidden")).unwrap();
    hades.host.reconnect();
    let status = until(&hades, "the inventory without b", |s| s.inventory.len() == 2).await;
    std::fs::rename(path.with_extension("hidden"), &path).unwrap();
    assert!(is_true(&status.conditions, condition::READY), "nothing was fetched: {status:?}");
    assert!(blog(&hades).get_opt("b").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_errors_changes_nothing_and_every_error_has_its_place() {
    let (hades, repository, first) =
        applied(&[("project.yaml", PROJECT), ("a.yaml", &environment("a", "x"))]).await;

    let syntax = repository.commit(&[
        ("b.yaml", "a: [1, 2\n"),
        ("c.yaml", "kind: : x\n"),
        ("a.yaml", &environment("a", "changed")),
    ]);
    let status = stalled(&hades, &syntax, "InvalidManifests").await;
    let files: Vec<_> = status.errors.iter().filter_map(|error| error.file.clone()).collect();
    assert_eq!(files, ["b.yaml", "c.yaml"], "{:?}", status.errors);
    assert!(status.errors.iter().all(|error| error.line.is_some() && error.column.is_some()));

    let misspelt = environment("a", "x").replace("image:", "imgae:");
    let fields = repository.commit(&[("b.yaml", ""), ("c.yaml", ""), ("a.yaml", &misspelt)]);
    let status = stalled(&hades, &fields, "InvalidManifests").await;
    let error = &status.errors[0];
    assert_eq!((error.file.as_deref(), error.line), (Some("a.yaml"), Some(8)), "{error:?}");
    assert!(error.message.contains("imgae"), "{error:?}");

    let wrong = environment("a", "x").replace("web:", "web:\n      replicas: many\n    other:");
    let types = repository.commit(&[("a.yaml", &wrong)]);
    let status = stalled(&hades, &types, "InvalidManifests").await;
    assert!(status.errors[0].message.contains("integer"), "{:?}", status.errors);

    let twice = repository
        .commit(&[("a.yaml", &environment("a", "x")), ("again.yaml", &environment("a", "y"))]);
    let status = stalled(&hades, &twice, "InvalidManifests").await;
    assert!(status.errors[0].message.contains("a.yaml"), "{:?}", status.errors);
    assert_eq!(status.synced_commit.as_deref(), Some(first.as_str()));

    let names = hades.host.running();
    assert_eq!(hades.host.env_of(&names[0]).unwrap()["MESSAGE"], "x", "nothing was applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_repository_deletes_nothing() {
    let (hades, repository, first) =
        applied(&[("project.yaml", PROJECT), ("a.yaml", &environment("a", "x"))]).await;
    let emptied = repository.commit(&[("project.yaml", ""), ("a.yaml", "")]);
    stalled(&hades, &emptied, "NoManifests").await;
    assert!(blog(&hades).get_opt("a").await.unwrap().is_some());
    // Force-pushed back to where it was: followed.
    repository.git(&["reset", "--quiet", "--hard", &first]);
    synced(&hades, &first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_a_project_waits_for_a_word() {
    let hades = Hades::start().await;
    let other = PROJECT.replace("blog", "other");
    let repository = Repository::new(&[
        ("project.yaml", PROJECT),
        ("other.yaml", &other),
        ("a.yaml", &environment("a", "x")),
    ]);
    follow(&hades, "hades-system", &repository).await;
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    synced(&hades, &first).await;
    let second = repository.commit(&[("other.yaml", "")]);
    let status = stalled(&hades, &second, "PruneNeedsConfirmation").await;
    let ready = condition::find(&status.conditions, condition::READY).unwrap();
    assert!(ready.message.contains("project other"), "{}", ready.message);
    let confirm = json!({"metadata": {"annotations": {annotation::CONFIRM_PRUNE: second}}});
    hades
        .repositories("hades-system")
        .patch("config", &PatchParams::default(), &Patch::Merge(confirm))
        .await
        .unwrap();
    synced(&hades, &second).await;
    let projects: kube::Api<hades_api::HadesProject> = kube::Api::all(hades.client.clone());
    eventually("the project to be gone", || async {
        match projects.get_opt("other").await.unwrap() {
            None => Ok(()),
            Some(project) => Err(project),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_repositories_do_not_fight_over_an_object() {
    let (hades, _repository, _) =
        applied(&[("project.yaml", PROJECT), ("a.yaml", &environment("a", "x"))]).await;
    let rival = Repository::new(&[("a.yaml", &environment("a", "mine"))]);
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": "rival", "namespace": "hades-system"},
            "spec": {"url": rival.url(), "interval": "100ms"},
        }))
        .await;
    let message = eventually("the rival to stall", || async {
        let found = hades.repositories("hades-system").get("rival").await.unwrap();
        let status = found.status.unwrap_or_default();
        match condition::find(&status.conditions, condition::STALLED) {
            Some(stalled) if stalled.reason == "OwnershipConflict" => Ok(stalled.message.clone()),
            _ => Err(status),
        }
    })
    .await;
    assert!(message.contains("hades-system/config"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_edit_of_what_git_owns_is_undone() {
    let (hades, _repository, _) =
        applied(&[("project.yaml", PROJECT), ("a.yaml", &environment("a", "x"))]).await;
    let edit = json!({"spec": {"services": {"web": {"env": {"MESSAGE": "edited"}}}}});
    let api = blog(&hades);
    api.patch("a", &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
    eventually("git to win", || async {
        let found = serde_json::to_value(api.get("a").await.unwrap().spec).unwrap();
        let message = found["services"]["web"]["env"]["MESSAGE"].clone();
        if message == "x" { Ok(()) } else { Err(message) }
    })
    .await;
}

/// Edits `blog/a` by hand as `hadesctl --override-until` does.
async fn override_by_hand(hades: &Hades, until: &str) {
    let edit = json!({
        "metadata": {"annotations": {annotation::OVERRIDE_UNTIL: until}},
        "spec": {"services": {"web": {"replicas": 2, "env": {"MESSAGE": "edited"}}}},
    });
    let parameters = PatchParams {
        field_manager: Some(hades_api::overriding::MANAGER.to_owned()),
        ..PatchParams::default()
    };
    blog(hades).patch("a", &parameters, &Patch::Merge(edit)).await.unwrap();
}

/// `spec.services.web` of `blog/a`, and whether an override is on it.
async fn web(hades: &Hades) -> (serde_json::Value, bool) {
    let found = serde_json::to_value(blog(hades).get("a").await.unwrap()).unwrap();
    let overridden = found["metadata"]["annotations"].get(annotation::OVERRIDE_UNTIL).is_some();
    (found["spec"]["services"]["web"].clone(), overridden)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_goes_before_git_until_it_ends_and_then_leaves_nothing() {
    let (hades, repository, _) =
        applied(&[("project.yaml", PROJECT), ("envs/a.yaml", &environment("a", "x"))]).await;
    let before = web(&hades).await;
    let file = blog(&hades).get("a").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(file[annotation::CONFIG_FILE], "envs/a.yaml");
    override_by_hand(&hades, "2199-01-01T00:00:00Z").await;
    // A commit that changes the object, too, waits for the end.
    let second = repository.commit(&[("envs/a.yaml", &environment("a", "y"))]);
    let status = until(&hades, "the override on record", |status| {
        status.synced_commit.as_deref() == Some(second.as_str())
            && is_true(&status.conditions, condition::OVERRIDDEN)
    })
    .await;
    assert_eq!(status.overrides[0].object.name, "a");
    assert_eq!(status.overrides[0].until.to_string(), "2199-01-01T00:00:00Z");
    let shown = condition::find(&status.conditions, condition::OVERRIDDEN).unwrap();
    assert!(shown.message.contains("Environment blog/a until 2199"), "{}", shown.message);
    assert_eq!(web(&hades).await.0["env"]["MESSAGE"], "edited");
    override_by_hand(&hades, "2020-01-01T00:00:00Z").await;
    eventually("git to have its say", || async {
        let (now, overridden) = web(&hades).await;
        let git = now["env"]["MESSAGE"] == "y" && now["replicas"] == before.0["replicas"];
        if git && !overridden { Ok(()) } else { Err((now, overridden)) }
    })
    .await;
    until(&hades, "no override on record", |status| {
        status.overrides.is_empty()
            && condition::find(&status.conditions, condition::OVERRIDDEN).is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_an_override_is_not_waited_for_until_the_next_interval() {
    let (hades, _repository, _) =
        applied(&[("project.yaml", PROJECT), ("a.yaml", &environment("a", "x"))]).await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    override_by_hand(&hades, &soon.to_string()).await;
    let hourly = json!({
        "metadata": {"annotations": {annotation::RECONCILE_REQUESTED_AT: "now"}},
        "spec": {"interval": "1h"},
    });
    let repositories = hades.repositories("hades-system");
    repositories.patch("config", &PatchParams::default(), &Patch::Merge(hourly)).await.unwrap();
    eventually("git to have its say", || async {
        let (now, overridden) = web(&hades).await;
        if now["env"]["MESSAGE"] == "x" && !overridden { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_itself_overrides_nothing() {
    let hades = Hades::start().await;
    let frozen = environment("a", "x").replace(
        "namespace: blog}",
        "namespace: blog, annotations: {hades.dev/override-until: '2199-01-01T00:00:00Z'}}",
    );
    let repository = Repository::new(&[("project.yaml", PROJECT), ("a.yaml", &frozen)]);
    follow(&hades, "hades-system", &repository).await;
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let status = stalled(&hades, &first, "InvalidManifests").await;
    assert!(status.errors[0].message.contains("edits by hand"), "{:?}", status.errors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_repository_says_so_and_recovers() {
    let hades = Hades::start().await;
    let repository =
        Repository::new(&[("project.yaml", PROJECT), ("a.yaml", &environment("a", "x"))]);
    let path = repository.dir.path().to_owned();
    let hidden = path.with_extension("hidden");
    std::fs::rename(&path, &hidden).unwrap();
    follow(&hades, "hades-system", &repository).await;
    until(&hades, "the failed fetch", |status| {
        condition::find(&status.conditions, condition::READY)
            .is_some_and(|ready| ready.reason == "FetchFailed")
    })
    .await;
    std::fs::rename(&hidden, &path).unwrap();
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    synced(&hades, &first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projects_repository_may_not_read_the_servers_disk() {
    let hades = Hades::start().await;
    let repository = Repository::new(&[("project.yaml", PROJECT)]);
    follow(&hades, "shop", &repository).await;
    eventually("the refusal", || async {
        let found = hades.repositories("shop").get("config").await.unwrap();
        let status = found.status.unwrap_or_default();
        match condition::find(&status.conditions, condition::STALLED) {
            Some(stalled) if stalled.reason == "OutOfScope" => Ok(()),
            _ => Err(status),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_takes_over_what_was_applied_by_hand() {
    let hades = Hades::start().await;
    let parameters = PatchParams::apply("hadesctl");
    let project = json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
        "metadata": {"name": "blog"}, "spec": {"displayName": "By hand"},
    });
    let projects: kube::Api<hades_api::HadesProject> = kube::Api::all(hades.client.clone());
    projects.patch("blog", &parameters, &Patch::Apply(project)).await.unwrap();
    let repository = Repository::new(&[("project.yaml", PROJECT)]);
    follow(&hades, "hades-system", &repository).await;
    let first = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    synced(&hades, &first).await;
    let found = projects.get("blog").await.unwrap();
    assert_eq!(found.spec.display_name, None, "git doesn't say it, so it goes");
}
