//! Where values of secrets go, and where they don't.

use std::collections::BTreeMap;

use hades_plan::EnvVar;
use hades_provider::conformance::{Scene, Testbed};
use secrecy::SecretString;

use crate::bed::DockerBed;

const VALUE: &str = "correct-horse-battery";

fn secret() -> EnvVar {
    EnvVar::Secret { fingerprint: "fingerprint".to_owned(), value: Some(SecretString::from(VALUE)) }
}

#[tokio::test]
async fn a_container_gets_the_value_and_nobody_else_does() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.running_spec();
    spec.env = BTreeMap::from([("TOKEN".to_owned(), secret())]);
    let action = scene.create_container("web", spec.clone());
    assert!(!format!("{action:?} {:?}", bed.host).contains(VALUE));
    scene.done(&action).await;
    let seen = scene.seen("web").await;
    assert!(!format!("{seen:?}").contains(VALUE));
    let env = bed.docker(&["inspect", "--format", "{{json .Config.Env}}", &seen.id]);
    assert!(env.contains(&format!("TOKEN={VALUE}")));

    // Docker quotes the whole line of a variable without a name.
    spec.env = BTreeMap::from([(String::new(), secret())]);
    let error = scene.refused(&scene.create_container("db", spec)).await;
    assert!(error.message.contains("(secret)"), "{error}");
    assert!(!format!("{error} {error:?}").contains(VALUE));
}

#[test]
fn the_client_library_cannot_log_requests() {
    assert!(log::STATIC_MAX_LEVEL <= log::LevelFilter::Info);
}
