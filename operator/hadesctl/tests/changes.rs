//! Single changes by hand, and what is seen of containers, against a real API
//! server over HTTPS.

// Helpers of tests may panic.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::Shell;
use support::server::Server;

const SHOP: &str = "\
apiVersion: hades.dev/v1alpha1
kind: EnvironmentTemplate
metadata: {name: base, namespace: shop}
spec:
  services:
    api: {image: 'api:1', env: {LOG_LEVEL: info, REGION: eu}}
    worker: {image: 'worker:1'}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: production, namespace: shop}
spec:
  templateRef: {name: base}
  defaults: {host: local}
  services:
    api: {replicas: 2, env: {REGION: us, MODE: fast}}
";

fn shop() -> (Server, Shell) {
    let server = Server::start();
    let shell = Shell::with_kubeconfig(&server.kubeconfig);
    server.namespace("shop");
    shell.write("shop.yaml", SHOP);
    let applied = shell.run("apply -f shop.yaml");
    assert_eq!(applied.status, 0, "{applied:?}");
    let container = |service: &str, replica: u32, state: &str, health: &str| {
        json!({"kind": "Container", "name": format!("shop_production_{service}-{replica}-3f2a9c1d"),
               "host": "local", "service": service, "state": state, "health": health,
               "drift": "InSync", "image": "api:1", "ports": ["8080:80"]})
    };
    let status = json!({
        "observedGeneration": 1, "ready": "1/2", "stopped": ["worker"],
        "resources": [container("api", 1, "running", "Healthy"), container("api", 2, "exited", "Degraded")],
    });
    server.status("Environment", Some("shop"), "production", &status);
    (server, shell)
}

fn spec(shell: &Shell) -> Value {
    let outcome = shell.run("get env shop/production -o json");
    serde_json::from_str::<Value>(&outcome.stdout).unwrap()["spec"].clone()
}

fn owned_by_git(server: &Server) {
    server.apply(
        hades_api::API_VERSION,
        "Environment",
        Some("shop"),
        json!({"metadata": {"name": "production",
            "labels": {"hades.dev/config-repository": "hades-system.fleet"},
            "annotations": {"hades.dev/config-file": "shop/production.yaml"}}}),
    );
}

#[test]
fn containers_and_what_they_use() {
    let (_server, shell) = shop();
    assert_golden!(
        "containers",
        shell.session(&[
            "ps shop/production",
            "ps -o wide",
            "ps shop/production/api -o name",
            "ps shop/production/apo",
            "ps shp",
            "top shop/production",
            "top shp/production",
        ])
    );
}

#[test]
fn scale() {
    let (_server, shell) = shop();
    assert_golden!(
        "scale",
        shell.session(&[
            "scale shop/production/api=3",
            "scale shop/production/api --replicas 3",
            "scale shop/production/worker=2 shop/production/apo=1",
            "scale shop/production=2",
            "scale shop/production/api",
            "scale shop/production/worker=2",
        ])
    );
    assert_eq!(spec(&shell)["services"]["api"]["replicas"], 3);
    assert_eq!(spec(&shell)["services"]["worker"]["replicas"], 2);
}

#[test]
fn stop_and_start() {
    let (server, shell) = shop();
    owned_by_git(&server);
    assert_golden!(
        "stop_and_start",
        shell.session(&[
            "stop shop/production/api",
            "stop shop/production/api",
            "stop shop/production",
            "start shop/production/api",
            "start shop/production",
            "start shop/production",
            "stop shop/production/apo",
        ])
    );
}

#[test]
fn set() {
    let (_server, shell) = shop();
    shell.write(".env", "# of the shop\nexport TOKEN='s3cret'\n");
    shell.write("broken.env", "TOKEN\n");
    assert_golden!(
        "set",
        shell.session(&[
            "set env shop/production/api",
            "set env shop/production/api MODE=slow NEW=1",
            "set env shop/production/api MODE=slow NEW=1",
            "set env shop/production/api MODE- REGION- NOTHING-",
            "set env shop/production/api LOG_LEVEL-",
            "set env shop/production/api --secret --from-file .env",
            "set env shop/production/api --secret=mine OTHER=x",
            "set env shop/production/api",
            "set env shop/production/api --from-file broken.env",
            "set env shop/production/api --from-file /dev/zero",
            "set env shop/production/api LEVEL",
            "set image shop/production/api api:2",
            "set image shop/production/api api:2",
            "set image shop/production api:2",
            "get secret -p shop -o name",
        ])
    );
    let api = &spec(&shell)["services"]["api"];
    assert_eq!(api["image"], "api:2");
    assert_eq!(
        api["env"],
        json!({"NEW": "1", "TOKEN": {"secretKeyRef": {"name": "production-api", "key": "TOKEN"}},
               "OTHER": {"secretKeyRef": {"name": "mine", "key": "OTHER"}}})
    );
}

#[test]
fn what_a_repository_owns() {
    let (server, shell) = shop();
    owned_by_git(&server);
    assert_golden!(
        "what_a_repository_owns",
        shell.session(&[
            "scale shop/production/api=3",
            "set env shop/production/api MODE- NEW=1",
            "set image shop/production/api api:2 --override-until soon",
            "set image shop/production/api api:2 --override-until 2h",
            "scale shop/production/api=3",
            "scale shop/production/api=3",
            "scale shop/production/api=3 --override-until 4h",
            "set env shop/production/api --secret TOKEN=a --override-until 2h",
            "set env shop/production/api --secret TOKEN=b --override-until 2h",
        ])
    );
    assert_eq!(spec(&shell)["services"]["api"]["replicas"], 3);
}

#[test]
fn variables_of_all_layers() {
    let (_server, shell) = shop();
    let project = "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {name: shop}\n\
                   spec: {env: {REGION: asia, LEVEL: project, OWNER: studio}}\n";
    let shop = SHOP
        .replace(
            "name: base, namespace: shop}\nspec:",
            "name: base, namespace: shop}\nspec:\n  \
             env: {LEVEL: template, ZONE: a}",
        )
        .replace("host: local}", "host: local}\n  env: {ZONE: b}");
    shell.write("shop.yaml", &format!("{shop}---\n{project}"));
    assert_golden!(
        "variables_of_all_layers",
        shell.session(&["apply -f shop.yaml", "set env shop/production/api"])
    );
}

#[test]
fn one_environment_that_cannot_be_read_does_not_hide_the_others() {
    let (_server, shell) = shop();
    let environment = |name: &str| {
        format!(
            "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
             metadata: {{name: {name}, namespace: shop}}\nspec: {{}}\n"
        )
    };
    shell.write("more.yaml", &(environment("broken") + "---\n" + &environment("gone")));
    let applied = shell.run("apply -f more.yaml");
    assert_eq!(applied.status, 0, "{applied:?}");
    let top = shell.run("top shop");
    assert!(top.status == 0 && top.stdout.contains("shop/production"), "{top:?}");
    assert_eq!(top.stderr.matches("warning: shop/broken: ").count(), 1, "{top:?}");
    assert!(top.stderr.contains("out of luck") && !top.stderr.contains("gone"), "{top:?}");
    let top = shell.run("top shop/broken");
    assert!(top.status == 1 && top.stderr.contains("out of luck"), "{top:?}");
}

#[test]
fn webhooks() {
    let (server, shell) = shop();
    for name in ["hidden", "alone", "bucket", "down", "gits"] {
        let repository =
            json!({"metadata": {"name": name}, "spec": {"url": "https://git.example.com/a/b"}});
        server.apply(hades_api::API_VERSION, "ConfigRepository", Some("shop"), repository);
    }
    let secret = json!({
        "metadata": {"name": "gits-webhook",
            "labels": {"hades.dev/config-repository": "hades-system.fleet"},
            "annotations": {"hades.dev/config-file": "shop/webhook.yaml"}},
        "stringData": {"token": "of git"}});
    server.apply("v1", "Secret", Some("shop"), secret);
    assert_golden!(
        "webhooks",
        shell.session(&[
            "webhook shop/hidden --rotate --register --yes",
            "webhook shop/alone --rotate --register --yes",
            "webhook shop/bucket --rotate --register --yes",
            "webhook shop/gits --rotate --yes",
            "get secret -p shop -o name",
            "webhook shop/down --rotate --register --yes",
            "webhook shop/down --register",
            "get secret -p shop -o name",
        ])
    );
}

#[test]
fn hosts_of_others() {
    let (server, shell) = shop();
    let secret =
        json!({"metadata": {"name": "host-web-1"}, "stringData": {"ssh-privatekey": "mine"}});
    server.apply("v1", "Secret", Some("hades-system"), secret);
    let host = json!({
    "metadata": {"name": "web-2",
        "labels": {"hades.dev/config-repository": "hades-system.fleet"},
        "annotations": {"hades.dev/config-file": "hosts.yaml"}},
    "spec": {"endpoint": "ssh://root@web-2", "ssh": {
        "secretRef": {"name": "host-web-2"},
        "hostKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJiEyZ0V7IP1TCOpW1ptN8SeQk1XWMzUEMvHpGMbJPvZ"],
    }}});
    server.apply(hades_api::API_VERSION, "DockerHost", None, host);
    let secret = json!({
        "metadata": {"name": "host-web-2", "labels": {"hades.dev/docker-host": "web-2"}},
        "stringData": {"ssh-privatekey": "made"}});
    server.apply("v1", "Secret", Some("hades-system"), secret);
    assert_golden!(
        "hosts_of_others",
        shell.session(&[
            "host add root@web-1.invalid",
            "host add root@web-2",
            "host rm web-2",
            "host rm web-2 --force",
            "host undrain web-2",
            "host drain web-2",
            "host drain web-2 --override-until 2h",
            "host drain web-2",
            "host undrain web-2",
            "get secret -p hades-system -o name",
            "get dh -o name",
        ])
    );
}

#[test]
fn a_default_address() {
    let (_server, shell) = shop();
    assert_golden!(
        "use",
        shell.session(&[
            "ps",
            "stop",
            "use",
            "use shop/prod",
            "use shop/production/api",
            "use shop/production",
            "use",
            "stop /api",
            "render",
            "set image /api api:3",
            "logs /api/2",
            "use -",
            "use",
            "stop /api",
        ])
    );
}

#[test]
fn a_default_address_is_of_one_context() {
    let (server, shell) = shop();
    let text = std::fs::read_to_string(&server.kubeconfig).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let first = config["contexts"][0].clone();
    let name = first["name"].as_str().unwrap().to_owned();
    assert_eq!(config["current-context"], json!(name));
    let mut other = first;
    other["name"] = json!("other");
    config["contexts"].as_array_mut().unwrap().push(other);
    shell.write("kubeconfig", &config.to_string());
    let said = |line: &str| {
        let outcome = shell.run(&format!("--kubeconfig kubeconfig {line}"));
        outcome.stdout + &outcome.stderr
    };
    said("use shop/production");
    assert_eq!(said("use"), "shop/production\n");
    assert_eq!(said(&format!("--context {name} use")), "shop/production\n");
    config["current-context"] = json!("other");
    shell.write("kubeconfig", &config.to_string());
    assert!(said("use").contains("no address is kept"), "{}", said("use"));
    assert!(said("stop").contains("nothing says which environment"), "{}", said("stop"));
    assert_eq!(said(&format!("--context {name} use")), "shop/production\n");
}

/// An editor that runs a script on the file.
fn edit(shell: &Shell, script: &str) -> support::Outcome {
    shell.write("editor", &format!("#!/bin/sh\n{script}\n"));
    let path = shell.folder.path().join("editor");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let output = shell
        .command("edit shop/production")
        .env("VISUAL", &path)
        .env("TMPDIR", shell.folder.path())
        .output()
        .unwrap();
    support::Outcome {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().unwrap(),
    }
}

#[test]
fn edits() {
    let (server, shell) = shop();
    let outcome = edit(&shell, "true");
    assert_eq!(outcome.stdout, "environment shop/production not changed\n", "{outcome:?}");
    let outcome = edit(&shell, ": > $1");
    assert!(outcome.stdout.contains("not changed: the text was emptied"), "{outcome:?}");
    let outcome = edit(&shell, "sed -i 's/replicas: 2/replicas: 3/' $1");
    assert_eq!(outcome.stdout, "environment shop/production edited\n", "{outcome:?}");
    assert_eq!(spec(&shell)["services"]["api"]["replicas"], 3);

    // What is wrong is shown on top, first by us, then by the server; then it is right.
    let outcome = edit(
        &shell,
        "cp $1 seen.$$\n\
         if grep -q 'replicas: 500' $1; then sed -i 's/replicas: 500/replicas: 4/' $1\n\
         elif grep -q 'replica: 3' $1; then sed -i 's/replica: 3/replicas: 500/' $1\n\
         else sed -i 's/replicas: 3/replica: 3/' $1; fi",
    );
    assert_eq!(outcome.stdout, "environment shop/production edited\n", "{outcome:?}");
    assert_eq!(spec(&shell)["services"]["api"]["replicas"], 4);
    let mut seen: Vec<String> = std::fs::read_dir(shell.folder.path())
        .unwrap()
        .filter_map(|file| {
            let path = file.unwrap().path();
            let is_seen = path.file_name().unwrap().to_str().unwrap().starts_with("seen");
            is_seen.then(|| std::fs::read_to_string(path).unwrap())
        })
        .collect();
    seen.sort();
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .any(|text| text.contains("#   edited:") && text.contains("did you mean replicas?")),
        "{seen:?}"
    );
    assert!(
        seen.iter().any(|text| text.contains("spec.services.api.replicas") && text.contains("100")),
        "{seen:?}"
    );

    // Left wrong, it is given up and kept.
    let outcome = edit(&shell, "grep -q imag: $1 || sed -i 's/replicas: 4/imag: 4/' $1");
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("the text is kept in"), "{outcome:?}");

    // Also when the editor fails, or the object goes meanwhile; but not a text in which
    // nothing was written.
    let kept = |outcome: &support::Outcome| {
        let place = outcome.stderr.split_once("the text is kept in ")?.1;
        std::fs::read_to_string(place.lines().next()?).ok()
    };
    let outcome = edit(&shell, "sed -i 's/replicas: 4/replicas: 77/' $1; exit 1");
    assert!(outcome.stderr.contains("ended with exit status: 1"), "{outcome:?}");
    assert!(kept(&outcome).unwrap().contains("replicas: 77"), "{outcome:?}");
    let outcome = edit(&shell, "exit 1");
    assert!(outcome.status == 1 && kept(&outcome).is_none(), "{outcome:?}");

    // Finalizers are offered, so they count.
    let hold = "sed -i 's/^  name: production/  finalizers: [example.com\\/hold]\\n&/' $1";
    let outcome = edit(&shell, hold);
    assert_eq!(outcome.stdout, "environment shop/production edited\n", "{outcome:?}");
    let found = shell.run("get env shop/production -o json").stdout;
    assert!(found.contains("example.com/hold"), "{found}");

    // Somebody else changes it meanwhile: both changes count.
    let hadesctl = shell.command("");
    let other = format!(
        "if [ ! -e once ]; then touch once\n\
         {} scale shop/production/api=9 >/dev/null\n\
         sed -i 's/MODE: fast/MODE: slow/' $1\n\
         fi",
        hadesctl.get_program().to_str().unwrap()
    );
    let outcome = edit(&shell, &other);
    assert_eq!(outcome.stdout, "environment shop/production edited\n", "{outcome:?}");
    let api = &spec(&shell)["services"]["api"];
    assert_eq!((&api["replicas"], &api["env"]["MODE"]), (&json!(9), &json!("slow")));

    // What git owns is shown as a commit.
    owned_by_git(&server);
    let outcome = edit(&shell, "sed -i 's/MODE: slow/MODE: fast/' $1");
    assert_eq!(outcome.status, 1);
    assert!(
        outcome.stderr.contains("spec.services.api.env.MODE: \"slow\" -> \"fast\""),
        "{outcome:?}"
    );
}

#[test]
fn a_roll_out_is_followed_to_its_end() {
    let (server, shell) = shop();
    // What the controller does, two steps of it.
    let api = server.api(hades_api::API_VERSION, "Environment", Some("shop"));
    server.later(async move {
        let requested = |found: Option<&kube::api::DynamicObject>| {
            let annotations = found.and_then(|found| found.metadata.annotations.clone());
            annotations.is_some_and(|all| all.contains_key("hades.dev/reconcile-requested-at"))
        };
        let found = kube::runtime::wait::await_condition(api.clone(), "production", requested);
        let found = found.await.unwrap().unwrap();
        let handled = found.metadata.annotations.unwrap()["hades.dev/reconcile-requested-at"].clone();
        let condition = |type_: &str, status: &str, reason: &str, message: &str| {
            json!({"type": type_, "status": status, "reason": reason, "message": message,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let container = |state: &str, health: &str| {
            json!({"kind": "Container", "name": "shop_production_api-1-aaaaaaaa", "host": "local",
                   "service": "api", "state": state, "health": health, "drift": "InSync",
                   "ports": ["8080:80"]})
        };
        let steps = [
            json!({"conditions": [condition("Ready", "False", "Progressing", "1 to replace"),
                                  condition("Reconciling", "True", "Progressing", "1 to replace")],
                   "resources": [container("created", "Progressing")], "ready": "0/1"}),
            json!({"conditions": [condition("Ready", "True", "Reconciled", "1 container runs as described")],
                   "resources": [container("running", "Healthy")], "ready": "1/1"}),
        ];
        for mut status in steps {
            status["observedGeneration"] = json!(found.metadata.generation);
            status["lastHandledReconcileAt"] = json!(handled);
            let patch = kube::api::Patch::Merge(json!({"status": status}));
            api.patch_status("production", &Default::default(), &patch).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    let outcome = shell.run("set image shop/production/api api:2 --wait");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("0/1 containers ready, 1 to replace"), "{outcome:?}");
    assert!(outcome.stderr.contains("api-1-aaaaaaaa on local: runs"), "{outcome:?}");
    assert!(outcome.stdout.contains("environment shop/production is ready after"), "{outcome:?}");
    assert!(outcome.stdout.ends_with("1/1 containers\n  api: 8080:80 on local\n"), "{outcome:?}");
}
