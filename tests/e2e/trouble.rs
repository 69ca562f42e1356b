//! Things in the way: each has a clear message, and goes on when it is gone.

use std::net::TcpListener;

use crate::hades::{Engine, Hades, free_port, http_get};

fn start() -> Hades {
    let hades = Hades::start(Engine::shared());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
    );
    hades
}

fn environment(service: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: production, namespace: PROJECT}}\n\
         spec: {{defaults: {{host: local}}, services: {{web: {service}}}}}\n"
    )
}

#[test]
fn a_port_that_is_taken() {
    let hades = start();
    // By a container that Hades didn't make: seen before anything is tried.
    let port = free_port();
    let holder = format!("{}-holder", hades.project);
    let publish = format!("127.0.0.1:{port}:8080");
    hades.engine.docker(&["run", "-d", "--name", &holder, "-p", &publish, "hades-sample:1"]);
    hades.apply(&environment(&format!("{{image: 'hades-sample:1', ports: ['{publish}']}}")));
    let message = hades.wait_not_ready("production", "PortTaken");
    assert!(message.contains(&holder) && message.contains(&port.to_string()), "{message}");
    hades.engine.docker(&["rm", "-f", &holder]);
    hades.wait_ready("production");
    assert!(http_get(port, "/").is_some());

    // By a process of the machine: seen when it is tried, and tried again.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:8080");
    hades.apply(&environment(&format!("{{image: 'hades-sample:1', ports: ['{publish}']}}")));
    let message = hades.wait_not_ready("production", "PortTaken");
    assert!(message.contains(&port.to_string()), "{message}");
    drop(listener);
    hades.wait_ready("production");
}

#[test]
fn a_container_that_ends_at_once() {
    let hades = start();
    hades.apply(&environment("{image: 'hades-sample:1', env: {EXIT_AT_ONCE: 3}}"));
    let message = hades.wait_not_ready("production", "ContainerFailed");
    assert!(message.contains("web"), "{message}");
    hades.apply(&environment("{image: 'hades-sample:1'}"));
    hades.wait_ready("production");
    assert_eq!(hades.containers().len(), 1);
}

#[test]
fn a_container_that_ends_at_once_and_is_not_started_again() {
    let hades = start();
    hades.apply(&environment("{image: 'hades-sample:1', env: {EXIT_AT_ONCE: 3}, restart: 'no'}"));
    let message = hades.wait_not_ready("production", "ContainerFailed");
    assert!(message.contains("exit status 3"), "{message}");
    hades.apply(&environment("{image: 'hades-sample:1'}"));
    hades.wait_ready("production");
    assert_eq!(hades.containers().len(), 1);
}

#[test]
fn a_foreign_container_under_the_name() {
    let hades = start();
    hades.apply(&environment("{image: 'hades-sample:1'}"));
    hades.wait_ready("production");
    let name = hades.container_of("web").unwrap();
    let address = format!("{}/production", hades.project);
    hades.hadesctl(&["suspend", &address]);
    hades.engine.docker(&["rm", "-f", &name]);
    hades.engine.docker(&["run", "-d", "--name", &name, "hades-sample:1"]);
    let id = |hades: &Hades| hades.engine.docker(&["inspect", "--format", "{{.Id}}", &name]);
    let foreign = id(&hades);
    hades.hadesctl(&["resume", &address]);
    let message = hades.wait_not_ready("production", "BlockedByForeign");
    assert!(message.contains(&name), "{message}");
    assert_eq!(id(&hades), foreign, "it is left alone");
    hades.engine.docker(&["rm", "-f", &name]);
    hades.wait_ready("production");
    assert_ne!(id(&hades), foreign);
}

#[test]
fn an_image_that_is_nowhere() {
    let hades = start();
    hades.pull_whatever_the_disk();
    let image = format!("hades-nowhere-{}:1", hades.project);
    hades.apply(&environment(&format!("{{image: '{image}'}}")));
    let message = hades.wait_not_ready("production", "ImageUnavailable");
    assert!(message.contains(&image), "{message}");
    hades.engine.docker(&["tag", "hades-sample:1", &image]);
    hades.wait_ready("production");
    hades.hadesctl(&["delete", &format!("{}/production", hades.project), "--yes"]);
    hades.engine.docker(&["rmi", &image]);
}

#[test]
fn secrets_stay_secret() {
    const VALUE: &str = "hunter2-hunter2-hunter2";
    let hades = start();
    hades.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: db, namespace: PROJECT}}, stringData: {{password: {VALUE}}}}}"
    ));
    hades.apply(&environment(
        "{image: 'hades-sample:1', env: {PASS: {secretKeyRef: {name: db, key: password}}}}",
    ));
    hades.wait_ready("production");
    let container = hades.container_of("web").unwrap();
    let env = hades.engine.docker(&["inspect", "--format", "{{.Config.Env}}", &container]);
    assert!(env.contains(VALUE));
    let encoded = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI=";
    let project = hades.project.as_str();
    let seen = [
        hades.hadesctl(&["get", "secret", "db", "-p", project, "-o", "yaml"]),
        hades.kubectl(&[
            "get",
            "secret",
            "db",
            "-n",
            project,
            "-o",
            "json",
            "--show-managed-fields",
        ]),
        hades.hadesctl(&["describe", "env", "production", "-p", project]),
        hades.hadesctl(&["events", &format!("{project}/production")]),
        hades.engine.docker(&["inspect", "--format", "{{.Config.Labels}}", &container]),
        hades.log(),
    ];
    for text in seen {
        assert!(!text.contains(VALUE) && !text.contains(encoded), "{text}");
    }
    for file in std::fs::read_dir(hades.dir.path().join("data")).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for text in [VALUE, encoded] {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "in the clear in {}", path.display());
        }
    }
}
