//! The engine goes and comes back.

use crate::bed::PrivateEngine;
use crate::hades::{Hades, eventually};

#[test]
fn a_stopped_engine_is_told_and_converged_when_it_is_back() {
    let private = PrivateEngine::start("e2e-restart");
    let hades = Hades::start(private.engine.clone());
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
