//! The engine goes and comes back.

use std::process::Command;

use crate::hades::{Engine, Hades, eventually, testbed};

struct Private(&'static str);

impl Private {
    fn run(&self, command: &str) {
        let status = Command::new(testbed("dockerd.sh")).args([command, self.0]).status().unwrap();
        assert!(status.success(), "dockerd.sh {command} {}", self.0);
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.run("remove");
    }
}

#[test]
fn a_stopped_engine_is_told_and_converged_when_it_is_back() {
    let engine = Engine::named("e2e-restart");
    let private = Private("e2e-restart");
    let hades = Hades::start(engine);
    let manifest = |message: &str| {
        format!(
            r#"apiVersion: hades.dev/v1alpha1
kind: HadesProject
metadata: {{name: PROJECT}}
spec: {{}}
---
apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: production, namespace: PROJECT}}
spec:
  defaults: {{host: local}}
  services:
    web: {{image: "hades-sample:1", env: {{MESSAGE: {message}}}}}
"#
        )
    };
    hades.apply(&manifest("one"));
    hades.wait_ready("production");
    private.run("stop");
    hades.apply(&manifest("two"));
    let message = hades.wait_not_ready("production", "HostUnreachable");
    assert!(message.contains("local"), "{message}");
    eventually("the host not to be ready", || {
        let host = hades.object("dockerhost", "local", "default");
        let ready = crate::hades::condition(&host, "Ready");
        if ready["status"] == "False" { Ok(()) } else { Err(ready) }
    });
    private.run("start");
    hades.wait_ready("production");
    let running = hades.running();
    assert_eq!(running.len(), 1, "{running:?}");
    let env = hades.engine.docker(&["inspect", "--format", "{{.Config.Env}}", &running[0]]);
    assert!(env.contains("MESSAGE=two"), "{env}");
}
