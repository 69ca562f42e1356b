//! Sessions against a real API server over HTTPS.

mod support;

use serde_json::json;
use support::Shell;
use support::server::Server;

const SHOP: &str = "\
apiVersion: hades.dev/v1alpha1
kind: HadesProject
metadata: {name: shop}
spec: {displayName: The shop}
";

const BASE: &str = "\
apiVersion: hades.dev/v1alpha1
kind: EnvironmentTemplate
metadata: {name: base, namespace: shop}
spec:
  services:
    api: {image: 'api:1'}
";

const PRODUCTION: &str = "\
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  templateRef: {name: base}
  defaults: {host: local}
";

const REPOSITORY: &str = "\
apiVersion: hades.dev/v1alpha1
kind: ConfigRepository
metadata: {name: fleet, namespace: hades-system}
spec: {url: 'file:///srv/fleet'}
";

/// A project with an environment, as they look once controllers have been at work.
fn shop() -> (Server, Shell) {
    let server = Server::start();
    let shell = Shell::with_kubeconfig(&server.kubeconfig);
    server.namespace("shop");
    shell.write("shop/project.yaml", SHOP);
    shell.write("shop/base.yaml", BASE);
    shell.write("shop/production.yaml", PRODUCTION);
    shell.write("fleet.yaml", REPOSITORY);
    let applied = shell.run("apply -f shop -f fleet.yaml");
    assert_eq!(applied.status, 0, "{applied:?}");
    server.status("Environment", Some("shop"), "production", &environment_status());
    (server, shell)
}

fn environment_status() -> serde_json::Value {
    let container = |replica: u32, state: &str, health: &str, message: Option<&str>| {
        json!({
            "kind": "Container", "name": format!("shop_production_api-{replica}-3f2a9c1d"),
            "host": "local", "service": "api", "state": state, "health": health,
            "drift": "InSync", "message": message, "image": "api:1", "ports": [],
        })
    };
    json!({
        "observedGeneration": 1, "ready": "1/2",
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "ContainerFailed",
            "message": "api-2 ended with status 1", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "lastPlan": {"digest": "0123456789abcdef", "time": "2026-01-01T00:00:00Z",
                     "actions": ["create container shop_production_api-1-3f2a9c1d on local"]},
        "resources": [
            container(1, "running", "Healthy", None),
            container(2, "exited", "Degraded", Some("exit status 1")),
        ],
    })
}

#[test]
fn apply() {
    let server = Server::start();
    let shell = Shell::with_kubeconfig(&server.kubeconfig);
    shell.write("shop/production.yaml", PRODUCTION);
    shell.write(
        "bad.yaml",
        &PRODUCTION
            .replace("production", "staging")
            .replace("spec:", "spec:\n  services: {web: {replicas: 500}, Web: {}}"),
    );
    let before = shell.session(&["apply -f shop", "apply -f shop --dry-run"]);
    server.namespace("shop");
    shell.write("shop/base.yaml", BASE);
    let after = shell.session(&[
        "apply -f shop --dry-run=server",
        "get env -A",
        "apply -f shop",
        "apply -f shop",
        "apply -f shop -f bad.yaml",
    ]);
    shell.write("shop/production.yaml", &PRODUCTION.replace("host: local", "host: web-1"));
    let changed = shell.session(&["apply -f shop"]);
    assert_golden!("apply", format!("{before}{after}{changed}"));
}

#[test]
fn apply_waits_for_the_namespace_of_a_new_project() {
    let server = Server::start();
    let shell = Shell::with_kubeconfig(&server.kubeconfig);
    shell.write("all.yaml", &format!("{PRODUCTION}---\n{BASE}---\n{SHOP}"));
    // What the controller of projects does.
    let projects = server.api(hades_api::API_VERSION, "HadesProject", None);
    let namespaces = server.api("v1", "Namespace", None);
    server.later(async move {
        let made = kube::runtime::wait::await_condition(
            projects,
            "shop",
            |found: Option<&kube::api::DynamicObject>| found.is_some(),
        );
        made.await.unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        let object = serde_json::from_value(object).unwrap();
        namespaces.create(&Default::default(), &object).await.unwrap();
    });
    let outcome = shell.run("apply -f all.yaml");
    assert_eq!(
        outcome.stdout,
        "hadesproject.hades.dev/shop created\nenvironmenttemplate.hades.dev/base created\n\
         environment.hades.dev/production created\n",
        "{outcome:?}"
    );
}

#[test]
fn objects_of_a_repository_are_refused() {
    let (server, shell) = shop();
    server.apply(
        hades_api::API_VERSION,
        "Environment",
        Some("shop"),
        json!({"metadata": {"name": "production", "labels": {"hades.dev/config-repository": "hades-system.fleet"}}}),
    );
    let same = shell.session(&["apply -f shop"]);
    shell.write("shop/production.yaml", &PRODUCTION.replace("host: local", "host: web-1"));
    let changed = shell.session(&[
        "apply -f shop",
        "apply -f shop --override",
        "delete shop/production --wait=false",
        "suspend hp/shop",
    ]);
    assert_golden!("objects_of_a_repository", format!("{same}{changed}"));
}

#[test]
fn get() {
    let (_server, shell) = shop();
    assert_golden!(
        "get",
        shell.session(&[
            "get env -A",
            "get env -p shop",
            "get env shop/production -o wide",
            "get env production",
            "get shop/production",
            "get env/production cr/fleet",
            "get hades",
            "get hades -o name",
            "get envt,env -p shop",
            "get env shop/production -o yaml",
            "get env -p shop -o json",
            "get env -l tier=web",
            "get ns",
        ])
    );
    let managed = shell.run("get env shop/production -o yaml --show-managed-fields");
    assert!(managed.stdout.contains("managedFields"));
}

#[test]
fn names_that_are_not_there() {
    let (_server, shell) = shop();
    assert_golden!(
        "names_that_are_not_there",
        shell.session(&[
            "get enviroment",
            "get pods",
            "get env shop/prod",
            "get env prod",
            "get env -p shp",
            "describe shp/production",
            "describe env",
            "logs shop/production/apo",
            "logs shop/prod",
            "restart shop/production/worker",
            "diff shop/prod",
            "sync flet",
            "sync shop/prod",
            "suspend dh/local",
            "suspend shop/prod",
            "delete env production",
            "delete dh lokal",
            "wait shop/prod --timeout 0s",
            "events shop/prod",
            "render shop/prod",
        ])
    );
}

#[test]
fn render_with_the_variables_of_the_project() {
    let (_server, shell) = shop();
    let project = SHOP.replace("spec: {", "spec: {env: {REGION: eu, LEVEL: info}, ");
    shell.write("project.yaml", &project);
    shell.write("base.yaml", &BASE.replace("spec:", "spec:\n  env: {LEVEL: warn}"));
    assert_golden!(
        "render_of_server",
        shell.session(&["apply -f project.yaml -f base.yaml", "render shop/production"])
    );
}

#[test]
fn describe_and_events() {
    let (server, shell) = shop();
    let none = shell.session(&["events -p shop", "events shop/production"]);
    server.apply(
        "v1",
        "Event",
        Some("shop"),
        json!({
            "metadata": {"name": "production.1", "namespace": "shop"},
            "involvedObject": {"apiVersion": "hades.dev/v1alpha1", "kind": "Environment",
                               "name": "production", "namespace": "shop"},
            "reason": "PlanApplied", "message": "1 created", "type": "Normal",
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1,
            "source": {"component": "hades"},
        }),
    );
    let session = shell.session(&[
        "describe shop/production",
        "describe cr fleet",
        "describe hp/shop",
        "events shop/production",
        "events -A",
    ]);
    assert_golden!("describe_and_events", format!("{none}{session}"));
}

#[test]
fn diff() {
    let (_server, shell) = shop();
    shell.write("broken.yaml", &PRODUCTION.replace("production", "broken"));
    shell.write("new.yaml", &PRODUCTION.replace("production", "preview"));
    shell.write("project.yaml", &SHOP.replace("spec: {", "spec: {env: {REGION: eu}, "));
    assert_golden!(
        "diff",
        shell.session(&[
            "diff shop/production",
            "diff production -p shop",
            "diff",
            "diff -f shop",
            "diff -f shop/base.yaml",
            "diff -f shop/project.yaml",
            "diff -f project.yaml",
            "diff -f new.yaml -o json",
            "diff -f broken.yaml",
            "diff -f fleet.yaml",
            "diff cr/fleet",
        ])
    );
}

#[test]
fn logs() {
    let (_server, shell) = shop();
    assert_golden!(
        "logs",
        shell.session(&[
            "logs shop/production",
            "logs shop/production/api --replica 2 --tail 1 --since 10m"
        ])
    );
}

#[test]
fn waiting_says_what_for() {
    let (server, shell) = shop();
    let late = shell.session(&[
        "wait shop/production --timeout 0s",
        "wait shop/production --for condition=Ready=False",
        "wait shop/production --for condition=Stalled --timeout 0s",
        "wait shop/production --for delete --timeout 0s",
        "wait cr/fleet --timeout 0s",
        "wait envt/base",
    ]);
    let mut ready = environment_status();
    ready["ready"] = json!("2/2");
    ready["conditions"][0]["status"] = json!("True");
    ready["conditions"][0]["reason"] = json!("Reconciled");
    server.status("Environment", Some("shop"), "production", &ready);
    let soon = shell.session(&["wait shop/production"]);
    assert_golden!("waiting", format!("{late}{soon}"));
}

#[test]
fn wait_sees_the_change_come() {
    let (server, shell) = shop();
    let mut child = shell
        .command("wait shop/production --timeout 30s")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has told how things stand, it is watching.
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert!(line.contains("api-2 ended with status 1"), "{line}");
    let mut ready = environment_status();
    ready["conditions"][0]["status"] = json!("True");
    server.status("Environment", Some("shop"), "production", &ready);
    assert!(child.wait().unwrap().success());
}

#[test]
fn requests() {
    let (server, shell) = shop();
    let session = shell.session(&[
        "suspend shop/production",
        "suspend shop/production",
        "get env shop/production -o wide",
        "resume shop/production",
        "resume env/production",
        "suspend cr/fleet hp/shop",
        "restart shop/production",
        "restart shop/production/api",
        "sync",
        "sync fleet",
        "sync hades-system/fleet",
        "sync shop/production",
        "sync fleet --confirm-prune",
        "sync shop/production --confirm-prune",
    ]);
    server.status(
        "ConfigRepository",
        Some("hades-system"),
        "fleet",
        &json!({"observedCommit": "4f2a9c1d4f2a9c1d"}),
    );
    let confirmed = shell.session(&["sync fleet --confirm-prune"]);
    assert_golden!("requests", format!("{session}{confirmed}"));
    let environment = shell.run("get env shop/production -o json").stdout;
    for annotation in
        ["hades.dev/restarted-at", "restarted-at.hades.dev/api", "hades.dev/reconcile-requested-at"]
    {
        assert!(environment.contains(annotation), "{annotation}");
    }
    let repository = shell.run("get cr fleet -o json").stdout;
    assert!(
        repository.contains(r#""hades.dev/confirm-prune": "4f2a9c1d4f2a9c1d""#),
        "{repository}"
    );
    assert!(repository.contains(r#""suspend": true"#), "{repository}");
}

#[test]
fn a_sync_follows_the_other_environments_when_one_stalls() {
    let (server, shell) = shop();
    shell.write("more.yaml", &PRODUCTION.replace("production", "bad"));
    shell.write("worse.yaml", &PRODUCTION.replace("production", "worse"));
    let applied = shell.run("apply -f more.yaml -f worse.yaml");
    assert_eq!(applied.status, 0, "{applied:?}");
    // What controllers do: they handle every request, two of them in vain.
    let environments = server.api(hades_api::API_VERSION, "Environment", Some("shop"));
    let repositories = server.api(hades_api::API_VERSION, "ConfigRepository", Some("hades-system"));
    server.later(async move {
        let condition = |type_: &str, status: &str, reason: &str, message: &str| {
            json!({"type": type_, "status": status, "reason": reason, "message": message,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let entry = |name: &str| {
            json!({"apiVersion": hades_api::API_VERSION, "kind": "Environment", "namespace": "shop",
                   "name": name})
        };
        loop {
            for (api, name) in [
                (&repositories, "fleet"),
                (&environments, "bad"),
                (&environments, "production"),
                (&environments, "worse"),
            ] {
                let Ok(found) = api.get(name).await else { return };
                let asked = found.metadata.annotations.unwrap_or_default();
                let Some(asked) = asked.get("hades.dev/reconcile-requested-at") else { continue };
                if found.data["status"]["lastHandledReconcileAt"] == *asked {
                    continue;
                }
                let conditions = match name {
                    "bad" | "worse" => json!([
                        condition("Ready", "False", "HostNotFound", "no host for it"),
                        condition("Stalled", "True", "HostNotFound", "no host for it"),
                    ]),
                    _ => json!([condition("Ready", "True", "Reconciled", "as described")]),
                };
                let mut status = json!({"conditions": conditions, "lastHandledReconcileAt": asked,
                                        "observedGeneration": found.metadata.generation});
                if name == "fleet" {
                    status["inventory"] =
                        json!([entry("bad"), entry("production"), entry("worse")]);
                }
                let patch = kube::api::Patch::Merge(json!({"status": status}));
                let _ = api.patch_status(name, &Default::default(), &patch).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let outcome = shell.run("sync fleet --wait --timeout 60s");
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stdout.contains("environment shop/production is ready"), "{outcome:?}");
    assert!(outcome.stderr.contains("shop/worse failed: "), "{outcome:?}");
    let last = outcome.stderr.rsplit("error: ").next().unwrap();
    assert!(last.starts_with("environment shop/bad failed: HostNotFound"), "{outcome:?}");
    assert!(!outcome.stderr.contains("not ready after"), "{outcome:?}");
}

#[test]
fn delete() {
    let (_server, shell) = shop();
    assert_golden!(
        "delete",
        shell.session(&[
            "delete shop/production",
            "delete shop/production",
            "delete shop/production --ignore-not-found",
            "delete -f shop",
            "get hades",
        ])
    );
}

#[test]
fn watch_shows_changes() {
    let (server, shell) = shop();
    let mut child =
        shell.command("get env -A -w").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        line.trim_end().to_owned()
    };
    assert_eq!(next(), "PROJECT   NAME         READY   STATUS            AGE");
    assert_eq!(next(), "shop      production   1/2     ContainerFailed   0s");
    server.status("Environment", Some("shop"), "production", &json!({"ready": "2/2"}));
    assert_eq!(next(), "shop      production   2/2     ContainerFailed   0s");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn versions() {
    let (_server, shell) = shop();
    let outcome = shell.run("version");
    assert_eq!(outcome.status, 0);
    let server = outcome.stdout.lines().nth(1).unwrap();
    assert!(
        server.starts_with("Server: v") && server.contains(" at https://127.0.0.1:"),
        "{server}"
    );
}

#[test]
fn a_wrong_ca_and_a_wrong_token_are_told_apart() {
    let server = Server::start();
    let other = Server::start();
    let text = std::fs::read_to_string(&server.kubeconfig).unwrap();
    let shell = Shell::offline();
    shell.write("other-ca", &text.replace(&server.address.to_string(), &other.address.to_string()));
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let token = config["users"][0]["user"]["token"].as_str().unwrap();
    shell.write("other-token", &text.replace(token, "not-the-token"));
    assert_golden!(
        "credentials",
        shell.session(&["get env --kubeconfig other-ca", "get env --kubeconfig other-token",])
    );
}
