//! Templates and projects under environments: what a change of them changes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use hades_api::{EnvValue, HadesProject, HadesProjectSpec};
use hades_controllers::environment::{Instead, preview};
use kube::Api;
use serde_json::{Value, json};

use support::{Hades, eventually};

async fn apply_template(hades: &Hades, spec: Value) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "EnvironmentTemplate",
            "metadata": {"name": "base", "namespace": "shop"}, "spec": spec,
        }))
        .await;
}

async fn apply_project(hades: &Hades, spec: Value) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
            "metadata": {"name": "shop"}, "spec": spec,
        }))
        .await;
}

async fn apply_secret(hades: &Hades, password: &str) {
    hades
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "shared", "namespace": "shop"}, "stringData": {"password": password},
        }))
        .await;
}

fn template(message: &str, config: &str) -> Value {
    json!({"services": {
        "web": {"image": "app:1", "env": {"MESSAGE": message}},
        "worker": {"image": "app:1", "files": {"/etc/worker.conf": {"content": config}}},
    }})
}

/// Name of the one container of a service.
fn container(hades: &Hades, environment: &str, service: &str) -> Option<String> {
    let prefix = format!("shop_{environment}_{service}-");
    hades.host.running().into_iter().find(|name| name.starts_with(&prefix))
}

async fn variable(hades: &Hades, environment: &str, service: &str, name: &str, value: &str) {
    eventually(&format!("{name} of {environment} to be {value}"), || async {
        let env = container(hades, environment, service).and_then(|name| hades.host.env_of(&name));
        let seen = env.as_ref().and_then(|env| env.get(name)).cloned();
        if seen.as_deref() == Some(value) { Ok(()) } else { Err(env) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_changes_one_service_replaces_that_one_everywhere() {
    let hades = Hades::start().await;
    apply_template(&hades, template("one", "a")).await;
    let spec = json!({"templateRef": {"name": "base"}, "defaults": {"host": "local"}});
    hades.apply_environment("prod", spec.clone()).await;
    let mut own = spec;
    own["services"] = json!({"web": {"env": {"MESSAGE": "own"}}});
    hades.apply_environment("staging", own).await;
    hades.ready("prod").await;
    hades.ready("staging").await;
    let names = |service| {
        ["prod", "staging"].map(|environment| container(&hades, environment, service).unwrap())
    };
    let (webs, workers) = (names("web"), names("worker"));

    apply_template(&hades, template("two", "a")).await;
    variable(&hades, "prod", "web", "MESSAGE", "two").await;
    hades.ready("prod").await;
    hades.ready("staging").await;
    assert_eq!(names("worker"), workers, "nothing of it has changed");
    assert_eq!(names("web")[1], webs[1], "the environment says it otherwise");
    let webs = names("web");

    apply_template(&hades, template("two", "b")).await;
    for environment in ["prod", "staging"] {
        eventually("the file to be the new one", || async {
            let name = container(&hades, environment, "worker");
            let files = name.and_then(|name| hades.host.files_of(&name)).unwrap_or_default();
            let file = files.get("/etc/worker.conf");
            let text = file.and_then(|file| file.content.expose()).map(str::to_owned);
            if text.as_deref() == Some("b") { Ok(()) } else { Err(text) }
        })
        .await;
        hades.ready(environment).await;
    }
    assert_eq!(names("web"), webs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_of_a_project_reach_all_its_environments() {
    let hades = Hades::start().await;
    apply_secret(&hades, "first").await;
    let password = json!({"secretKeyRef": {"name": "shared", "key": "password"}});
    let env = |region: &str| json!({"env": {"REGION": region, "LEVEL": "info", "PASS": password}});
    apply_project(&hades, env("eu")).await;
    apply_template(&hades, json!({"env": {"LEVEL": "warn"}})).await;
    let web = json!({"web": {"image": "app:1"}});
    let spec = |env: Value| json!({"defaults": {"host": "local"}, "templateRef": {"name": "base"}, "env": env, "services": web});
    hades.apply_environment("prod", spec(json!({}))).await;
    hades.apply_environment("staging", spec(json!({"REGION": "own"}))).await;
    for (environment, region) in [("prod", "eu"), ("staging", "own")] {
        variable(&hades, environment, "web", "REGION", region).await;
        variable(&hades, environment, "web", "LEVEL", "warn").await;
        variable(&hades, environment, "web", "PASS", "first").await;
        hades.ready(environment).await;
    }
    let staging = container(&hades, "staging", "web");

    let mut project = HadesProject::new("shop", HadesProjectSpec::default());
    project.spec.env = BTreeMap::from([("REGION".to_owned(), EnvValue::text("preview"))]);
    let instead = Instead { project: Some(project), ..Instead::default() };
    let reply = preview(&hades.context, "shop", "prod", instead).await.unwrap().unwrap();
    let page = hades_plan::render::text(&reply.plan.unwrap(), false);
    assert!(page.contains("env.REGION: \"eu\" → \"preview\""), "{page}");

    apply_project(&hades, env("us")).await;
    variable(&hades, "prod", "web", "REGION", "us").await;
    hades.ready("staging").await;
    assert_eq!(container(&hades, "staging", "web"), staging, "it has a region of its own");
    apply_secret(&hades, "second value").await;
    for environment in ["prod", "staging"] {
        variable(&hades, environment, "web", "PASS", "second value").await;
    }
    let projects: Api<HadesProject> = Api::all(hades.client.clone());
    assert!(!format!("{:?}", projects.get("shop").await.unwrap()).contains("second value"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_excludes_one_another_is_refused_where_it_is_written() {
    let hades = Hades::start().await;
    for (field, service) in [
        ("healthCheck", json!({"healthCheck": {"http": {"port": 80}, "tcp": {"port": 80}}})),
        ("healthCheck.none", json!({"healthCheck": {"none": false}})),
        ("placement", json!({"host": "local", "placement": {"hosts": ["local"]}})),
        ("placement", json!({"placement": {"hosts": ["local"], "selector": {}}})),
        ("maxSurge", json!({"strategy": {"type": "Recreate", "maxSurge": 2}})),
        ("files", json!({"files": {"relative": {"content": "x"}}})),
        (
            "files",
            json!({"files": {"/a": {"content": "x", "secretKeyRef": {"name": "a", "key": "b"}}}}),
        ),
        ("tmpfs", json!({"tmpfs": {"relative": {}}})),
        ("mode", json!({"files": {"/a": {"content": "x", "mode": "rw-"}}})),
        ("cpu", json!({"resources": {"limits": {"cpu": "half"}}})),
        ("retries", json!({"healthCheck": {"tcp": {"port": 1}, "retries": 0}})),
    ] {
        let manifest = json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
            "metadata": {"name": "refused", "namespace": "shop"},
            "spec": {"services": {"web": service}},
        });
        let error = hades.try_apply(manifest).await.unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
}
