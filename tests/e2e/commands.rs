//! What people change and look at with `hadesctl`, on real containers.

use serde_json::Value;

use crate::hades::{Engine, Hades, Repository, condition, eventually};

fn start() -> Hades {
    let hades = Hades::start(Engine::shared());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}\n\
         ---\n\
         apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {name: production, namespace: PROJECT}\n\
         spec:\n  defaults: {host: local}\n  services:\n    \
         web: {image: 'hades-sample:1'}\n    worker: {image: 'hades-sample:1', replicas: 2}\n",
    );
    hades.hadesctl(&["use", &format!("{}/production", hades.project)]);
    hades.hadesctl(&["sync", &format!("{}/production", hades.project), "--wait"]);
    hades
}

fn of_service(hades: &Hades, service: &str) -> Vec<String> {
    let part = format!("_{service}-");
    hades.running().into_iter().filter(|name| name.contains(&part)).collect()
}

#[test]
fn scaled_stopped_and_started() {
    let hades = start();
    let scaled = hades.hadesctl(&["scale", "/worker=3", "/web=1", "--wait"]);
    assert!(scaled.contains("scaled to 3") && scaled.contains("has 1 already"), "{scaled}");
    assert!(scaled.contains("is ready after") && scaled.contains("4/4 containers"), "{scaled}");
    assert_eq!(of_service(&hades, "worker").len(), 3);

    let stopped = hades.hadesctl(&["stop", "/worker", "--wait"]);
    assert!(stopped.contains("1/1 containers"), "{stopped}");
    assert_eq!(of_service(&hades, "worker"), Vec::<String>::new());
    let listed = hades.hadesctl(&["ps"]);
    assert!(
        listed.contains("stopped     Suspended") || listed.contains("stopped   Suspended"),
        "{listed}"
    );
    let ready = hades.ready_condition("production");
    assert!(ready["message"].as_str().unwrap().contains("stopped: worker"), "{ready}");
    let again = hades.hadesctl(&["stop", "/worker"]);
    assert!(again.contains("is stopped already"), "{again}");

    // It comes back with as many as it had.
    hades.hadesctl(&["start", "--wait"]);
    assert_eq!(of_service(&hades, "worker").len(), 3);

    let listed: Value = serde_json::from_str(&hades.hadesctl(&["ps", "-o", "json"])).unwrap();
    let found: Vec<(&str, u64)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["service"].as_str().unwrap(), entry["replica"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, [("web", 1), ("worker", 1), ("worker", 2), ("worker", 3)]);
}

#[test]
fn what_containers_use() {
    let hades = start();
    let used: Value = serde_json::from_str(&hades.hadesctl(&["top", "-o", "json"])).unwrap();
    let used = used.as_array().unwrap();
    assert_eq!(used.len(), 3, "{used:?}");
    for usage in used {
        assert!(usage["memoryBytes"].as_u64().unwrap() > 0, "{usage}");
        assert!(usage["memoryLimitBytes"].as_u64().unwrap() > 0, "{usage}");
        assert!(usage["cpuMillicores"].is_u64(), "{usage}");
    }
    let text = hades.hadesctl(&["top", &hades.project, "--sort-by", "memory"]);
    assert!(text.starts_with("ENVIRONMENT") && text.contains("worker"), "{text}");
}

#[test]
fn variables_and_images() {
    let hades = start();
    hades.hadesctl(&["set", "env", "/web", "MESSAGE=hello", "--wait"]);
    let env = |hades: &Hades| {
        let name = hades.container_of("web").unwrap();
        hades.engine.docker(&["inspect", "--format", "{{json .Config.Env}}", &name])
    };
    assert!(env(&hades).contains("MESSAGE=hello"), "{}", env(&hades));

    // A value that nobody is to see.
    let file = hades.dir.path().join("secrets");
    std::fs::write(&file, "TOKEN=\"s3cret value\"\n").unwrap();
    let file = file.to_str().unwrap();
    let args = ["set", "env", "/web", "--secret", "--from-file", file, "MESSAGE-", "--wait"];
    let said = hades.hadesctl(&args);
    assert!(said.contains("set TOKEN in Secret production-web; removed MESSAGE"), "{said}");
    let inside = env(&hades);
    assert!(inside.contains("TOKEN=s3cret value") && !inside.contains("MESSAGE"), "{inside}");
    let listed = hades.hadesctl(&["set", "env", "/web"]);
    assert!(listed.contains("(key TOKEN of Secret production-web)"), "{listed}");
    // A second one joins it.
    hades.hadesctl(&["set", "env", "/web", "--secret", "OTHER=0ther", "--wait"]);
    let inside = env(&hades);
    assert!(inside.contains("OTHER=0ther") && inside.contains("TOKEN=s3cret"), "{inside}");

    // What fails is told with its reason, and the next image mends it.
    let address = format!("{}/production/web", hades.project);
    let failed = hades.try_hadesctl(&[
        "set",
        "image",
        &address,
        "127.0.0.1:1/nothing:1",
        "--wait",
        "--timeout",
        "5s",
    ]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("127.0.0.1:1/nothing:1") && said.contains("hadesctl describe"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let done = hades.hadesctl(&["set", "image", &address, "hades-sample:1", "--wait"]);
    assert!(done.contains("is ready after"), "{done}");
}

#[test]
fn what_git_owns_is_changed_in_git_or_for_a_time() {
    let hades = Hades::start(Engine::shared());
    let repository = Repository::new(hades.dir.path().join("config"));
    let manifests = format!(
        "apiVersion: hades.dev/v1alpha1\nkind: HadesProject\nmetadata: {{name: {0}}}\nspec: {{}}\n---\n\
         apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: production, namespace: {0}}}\n\
         spec:\n  defaults: {{host: local}}\n  services: {{web: {{image: 'hades-sample:1'}}}}\n",
        hades.project
    );
    repository.write("all.yaml", &manifests);
    repository.commit("one service");
    hades.apply(&format!(
        "apiVersion: hades.dev/v1alpha1\nkind: ConfigRepository\n\
         metadata: {{name: config, namespace: hades-system}}\n\
         spec: {{url: \"{}\", interval: 500ms}}\n",
        repository.url()
    ));
    let synced = hades.hadesctl(&["sync", "config", "-p", "hades-system", "--wait"]);
    assert!(synced.contains("is in sync") && synced.contains("1/1 containers"), "{synced}");

    let address = format!("{}/production/web", hades.project);
    let refused = hades.try_hadesctl(&["scale", &format!("{address}=2")]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("spec.services.web.replicas: 2 (new)") && said.contains("--override-until"),
        "{said}"
    );
    hades.hadesctl(&["scale", &format!("{address}=2"), "--override-until", "2h", "--wait"]);
    assert_eq!(hades.running().len(), 2);
    // A stop needs none: git says nothing of it.
    hades.hadesctl(&["stop", &address, "--wait"]);
    eventually("git to have looked again", || {
        let found = hades.object("configrepository", "config", "hades-system");
        if condition(&found, "Ready")["status"] == "True" { Ok(()) } else { Err(found) }
    });
    assert_eq!(hades.running(), Vec::<String>::new());
}
