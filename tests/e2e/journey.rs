//! What a new user does, from the first commit on.

use std::path::Path;

use crate::hades::{Engine, Hades, Repository, condition, eventually, free_port, http_get};

fn project(hades: &Hades) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {{name: {}}}\nspec: {{}}\n",
        hades.project
    )
}

fn environment(hades: &Hades, name: &str, message: &str, port: u16) -> String {
    format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: {name}, namespace: {project}}}
spec:
  defaults: {{host: local}}
  services:
    web:
      image: hades-sample:1
      env: {{MESSAGE: "{message}"}}
      ports: ["127.0.0.1:{port}:8080"]
    worker: {{image: "hades-sample:1", replicas: 2}}
"#,
        project = hades.project
    )
}

fn follow(hades: &Hades, repository: &Repository) {
    let manifest = format!(
        "apiVersion: hades.dev/v1alpha1\nkind: ConfigRepository\n\
         metadata: {{name: config, namespace: hades-system}}\n\
         spec: {{url: \"{}\", interval: 500ms}}\n",
        repository.url()
    );
    hades.apply(&manifest);
}

fn synced(hades: &Hades, commit: &str) {
    eventually("the commit to be synced", || {
        let found = hades.object("configrepository", "config", "hades-system");
        let ready = condition(&found, "Ready");
        let synced = found["status"]["syncedCommit"] == commit && ready["status"] == "True";
        if synced { Ok(()) } else { Err(found["status"].clone()) }
    });
}

fn answers(port: u16, text: &str) {
    eventually(&format!("an answer with {text:?}"), || match http_get(port, "/") {
        Some(answer) if answer.contains(text) => Ok(()),
        other => Err(other),
    });
}

#[test]
fn from_a_commit_to_containers_and_on() {
    let hades = Hades::start(Engine::shared());
    let repository = Repository::new(hades.dir.path().join("config"));
    let (port, other_port) = (free_port(), free_port());
    let foreign = format!("{}-somebody-elses", hades.project);
    hades.engine.docker(&["run", "-d", "--name", &foreign, "hades-sample:1"]);

    // Commit → containers.
    repository.write("project.yaml", &project(&hades));
    repository.write("production.yaml", &environment(&hades, "production", "one", port));
    repository.write("staging.yaml", &environment(&hades, "staging", "staging", other_port));
    let first = repository.commit("two environments");
    follow(&hades, &repository);
    synced(&hades, &first);
    hades.wait_ready("production");
    hades.wait_ready("staging");
    answers(port, "one");
    assert_eq!(hades.running().len(), 6);
    let address = format!("{}/production", hades.project);
    let nothing = hades.try_hadesctl(&["diff", &address]);
    assert_eq!(nothing.status.code(), Some(0), "{}", String::from_utf8_lossy(&nothing.stdout));

    // Services find one another by name.
    let network = format!("{}_production", hades.project);
    let web = hades.container_of("web").unwrap();
    let attached = hades.engine.docker(&[
        "inspect",
        "--format",
        "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.Aliases}}{{end}}",
        &web,
    ]);
    assert!(attached.contains(&network) && attached.contains("web"), "{attached}");

    // Change → change arrives, and only that.
    let workers: Vec<String> =
        hades.running().into_iter().filter(|name| name.contains("worker")).collect();
    repository.write("production.yaml", &environment(&hades, "production", "two", port));
    let second = repository.commit("say two");
    synced(&hades, &second);
    answers(port, "two");
    hades.wait_ready("production");
    assert!(workers.iter().all(|worker| hades.running().contains(worker)));

    // Drift → healed.
    let web = hades.container_of("web").unwrap();
    hades.engine.docker(&["rm", "-f", &web]);
    answers(port, "two");
    hades.wait_ready("production");
    let web = hades.container_of("web").unwrap();
    hades.engine.docker(&["stop", &web]);
    answers(port, "two");
    let events = hades.hadesctl(&["events", &address]);
    assert!(events.contains("DriftHealed"), "{events}");
    let logs = hades.hadesctl(&["logs", &format!("{address}/worker")]);
    assert!(logs.contains("listening"), "{logs}");

    // Stall: a broken commit changes nothing and says where.
    repository.write("production.yaml", "apiVersion: hades.dev/v1alpha1\nkind: : broken\n");
    repository.commit("break it");
    let message = eventually("the stall", || {
        let found = hades.object("configrepository", "config", "hades-system");
        let stalled = condition(&found, "Stalled");
        if stalled["status"] == "True" { Ok(stalled["message"].clone()) } else { Err(stalled) }
    });
    assert!(message.as_str().unwrap().contains("production.yaml:2:"), "{message}");
    answers(port, "two");

    // Prune.
    repository.git(&["revert", "--no-edit", "--quiet", "HEAD"]);
    std::fs::remove_file(repository.dir.join("staging.yaml")).unwrap();
    let third = repository.commit("no staging");
    synced(&hades, &third);
    eventually("staging to be gone", || {
        let left = hades.containers();
        if left.len() == 3 { Ok(()) } else { Err(left) }
    });
    eventually("the object to be gone, too", || {
        let found = hades.object("environment", "staging", &hades.project);
        if found.is_null() { Ok(()) } else { Err(found) }
    });

    // Foreign containers are untouched through all of it.
    let state = hades.engine.docker(&["inspect", "--format", "{{.State.Running}}", &foreign]);
    hades.engine.docker(&["rm", "-f", &foreign]);
    assert_eq!(state.trim(), "true");
}

#[test]
fn a_restart_of_the_server_touches_nothing() {
    let mut hades = Hades::start(Engine::shared());
    let port = free_port();
    hades.apply(&project(&hades));
    hades.apply(&environment(&hades, "production", "stay", port));
    hades.wait_ready("production");
    let ids = |hades: &Hades| {
        let filter = format!("label=hades.dev/installation={}", hades.installation());
        hades.engine.docker(&["ps", "-q", "--no-trunc", "--filter", &filter])
    };
    let before = ids(&hades);
    hades.stop();
    answers(port, "stay");
    hades.launch();
    hades.wait_ready("production");
    assert_eq!(ids(&hades), before);

    // And with the environment goes all that it made.
    hades.hadesctl(&["delete", &format!("{}/production", hades.project), "--yes"]);
    assert_eq!(hades.containers(), Vec::<String>::new());
}

#[test]
fn a_deleted_local_host_does_not_come_back() {
    let mut hades = Hades::start(Engine::shared());
    hades.hadesctl(&["delete", "dockerhost", "local", "--yes"]);
    hades.stop();
    hades.launch();
    let hosts = hades.hadesctl(&["get", "dockerhosts", "-o", "name"]);
    assert!(!hosts.contains("local"), "{hosts}");
}

#[test]
fn kubectl_works_as_on_kubernetes() {
    let hades = Hades::start(Engine::shared());
    hades.apply(&project(&hades));
    hades.apply(&environment(&hades, "production", "x", free_port()));
    hades.wait_ready("production");
    let project = hades.project.as_str();
    let table = hades.kubectl(&["get", "env", "-n", project]);
    assert!(table.contains("READY") && table.contains("3/3"), "{table}");
    hades.kubectl(&["wait", "env/production", "-n", project, "--for=condition=Ready"]);
    let described = hades.kubectl(&["describe", "env", "production", "-n", project]);
    assert!(described.contains("PlanApplied"), "{described}");
    let explained = hades.kubectl(&["explain", "environment.spec.services"]);
    assert!(explained.contains("stopGracePeriod"), "{explained}");
    hades.kubectl(&["delete", "env", "production", "-n", project]);
    assert_eq!(hades.containers(), Vec::<String>::new());
}

#[test]
fn the_first_start_makes_what_it_needs_and_keeps_it_private() {
    use std::os::unix::fs::PermissionsExt;
    let hades = Hades::start(Engine::shared());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&hades.kubeconfig()), 0o600);
    assert_eq!(mode(&hades.dir.path().join("data/identity.age")), 0o600);
    let hosts = hades.hadesctl(&["get", "dockerhosts"]);
    assert!(hosts.contains("local"), "{hosts}");
    let curl = |path: &str| {
        let url = format!("https://{}{path}", hades.address);
        let output =
            std::process::Command::new("curl").args(["-sSk", "-w", "%{http_code}", &url]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(curl("/readyz"), "ok200");
    assert_eq!(curl("/livez"), "ok200");
    eventually("a first pass to be counted", || {
        let metrics = curl("/metrics");
        if metrics.contains("hades_reconcile_passes_total") { Ok(()) } else { Err(metrics) }
    });
    assert!(curl("/api/v1/namespaces").ends_with("401"));

    // A second server on the same folder is refused, and says why.
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_hades"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(hades.dir.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains("in use"), "{said}");
}
