//! `kill -9` at any moment of a roll-out.

use std::time::Duration;

use crate::hades::{Engine, Hades, eventually};

fn environment(version: u32) -> String {
    format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: production, namespace: PROJECT}}
spec:
  defaults: {{host: local}}
  env: {{VERSION: {version}}}
  volumes: {{data: {{}}}}
  services:
    api: {{image: "hades-sample:1", replicas: 3}}
    db: {{image: "hades-sample:1", volumes: ["data:/data"]}}
"#
    )
}

#[test]
fn a_killed_server_goes_on_where_it_was() {
    let mut hades = Hades::start(Engine::shared());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
    );
    for version in 0..12 {
        hades.apply(&environment(version));
        // Later in the roll-out each time: it lasts about a second.
        std::thread::sleep(Duration::from_millis(u64::from(version) * 80));
        hades.kill();
        hades.launch();
        hades.wait_ready("production");
        let wanted = eventually("exactly the containers that are described", || {
            let (all, running) = (hades.containers(), hades.running());
            if all.len() == 4 && running.len() == 4 { Ok(all) } else { Err((all, running)) }
        });
        for container in wanted {
            let env = hades.engine.docker(&["inspect", "--format", "{{.Config.Env}}", &container]);
            assert!(env.contains(&format!("VERSION={version}")), "{container}: {env}");
        }
    }
    let filter = format!("label=hades.dev/installation={}", hades.installation());
    let count =
        |what: &str| hades.engine.docker(&[what, "ls", "-q", "--filter", &filter]).lines().count();
    assert_eq!((count("network"), count("volume")), (1, 1));
}
