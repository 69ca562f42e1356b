//! Images from a registry.

use hades_api::reason;
use hades_plan::{Operation, TargetKind};
use hades_provider::conformance::{Scene, Testbed};
use hades_provider::{ErrorClass, Provider};

use crate::bed::{DockerBed, unique};
use crate::registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_with_the_tag_that_is_meant() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let registry = Registry::start(&unique("image")).await;
    let name = format!("{}/app", registry.address);
    for reference in [format!("{name}:1"), name.clone()] {
        let pull = scene.action(TargetKind::Image, &reference, Operation::PullImage);
        scene.done(&pull).await;
        let images = bed.host.observe().await.unwrap().images.clone();
        assert!(images.contains_key(&reference), "{reference}");
        scene.done(&pull).await;
    }
    let images = bed.host.observe().await.unwrap().images.clone();
    let digest = images.keys().find(|key| key.starts_with(&format!("{name}@sha256:")));
    let by_digest = digest.expect("the registry's digest is known").clone();
    bed.docker(&["rmi", &format!("{name}:1"), &format!("{name}:latest")]);
    let pull = scene.action(TargetKind::Image, &by_digest, Operation::PullImage);
    scene.done(&pull).await;
    assert!(bed.host.observe().await.unwrap().images.contains_key(&by_digest));
    bed.docker(&["rmi", &by_digest]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_registry_are_final_and_its_absence_is_not() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let registry = Registry::start(&unique("image")).await;
    let id = format!("sha256:{}", "0".repeat(64));
    let attempts = [
        (format!("{}/app:2", registry.address), ErrorClass::Terminal, "manifest unknown"),
        (format!("{}/private:1", registry.address), ErrorClass::Terminal, "auth"),
        (bed.missing_image(), ErrorClass::Retry, "connection refused"),
        (id, ErrorClass::Terminal, "names no registry"),
    ];
    for (reference, class, words) in attempts {
        let pull = scene.action(TargetKind::Image, &reference, Operation::PullImage);
        let error = scene.refused(&pull).await;
        assert_eq!((error.class, error.reason), (class, reason::IMAGE_UNAVAILABLE), "{error}");
        for part in [&*reference, &pull.target.host, words] {
            assert!(error.message.contains(part), "{error}");
        }
    }
}
