//! A copy of the data directory, started beside the original.

use crate::hades::{Engine, Hades, eventually};

fn environment(message: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: production, namespace: PROJECT}}\n\
         spec:\n  defaults: {{host: local}}\n  services:\n    web:\n      \
         image: 'hades-sample:1'\n      env: {{MESSAGE: '{message}'}}\n"
    )
}

#[test]
fn a_restored_copy_beside_the_original_changes_nothing_until_it_is_adopted() {
    let mut original = Hades::start(Engine::shared());
    original.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
    );
    original.apply(&environment("original"));
    original.wait_ready("production");
    let before = original.containers();
    original.stop();
    let mut copy = original.copied();
    original.launch();
    copy.launch();
    eventually("the copy to say what it is", || {
        let log = copy.log();
        if log.contains("is a copy") { Ok(()) } else { Err(log) }
    });
    // Its API works, and what is asked of it there stays undone.
    copy.apply(&environment("copy"));
    original.apply(&environment("original, changed"));
    original.wait_ready("production");
    let after = original.containers();
    assert_ne!(after, before, "the original goes on with its work");
    // Nor does it act outside when it is told to.
    let web = format!("{}/production/web", original.project);
    let refused = copy.try_hadesctl(&["exec", &web, "--", "true"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("hades store adopt"), "{said}");
    assert!(copy.hadesctl(&["host", "test", "local"]).contains("answers"), "looking is no change");
    // The original is gone for good, and somebody says so.
    original.stop();
    copy.stop();
    assert_eq!(copy.containers(), after);
    copy.adopt();
    copy.launch();
    copy.wait_ready("production");
    assert_ne!(copy.containers(), after);
}
