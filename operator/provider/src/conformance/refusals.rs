//! Law 5: a world that isn't as planned is told, not improvised on; and what
//! stands in the way is named.

use std::collections::BTreeMap;

use hades_api::{PortMapping, Protocol, reason};
use hades_plan::{ContainerState, EnvVar, Operation, TargetKind};

use crate::{ErrorClass, Outcome};

use super::{Scene, Testbed};

/// Id of a container that has never been.
const NOBODY: &str = "00000000000000000000000000000000000000000000000000000000deadbeef";

/// Actions on what has gone since, or without what they need, say so.
pub async fn a_plan_that_is_out_of_date_changes_nothing(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let id = || NOBODY.to_owned();
    let connect =
        Operation::ConnectNetwork { id: id(), network: scene.network(), aliases: Vec::new() };
    let mut without_image = bed.running_spec();
    without_image.image = bed.missing_image();
    let mut other_subnet = scene.create_network();
    other_subnet.operation =
        Operation::CreateNetwork { subnet: bed.subnet(), labels: scene.labels() };
    let before = scene.own().await;
    for action in [
        scene.container_action(
            "web",
            Operation::StartContainer { id: id(), files: BTreeMap::new() },
        ),
        scene.container_action("web", Operation::UnpauseContainer { id: id() }),
        scene.container_action("web", connect),
        scene.create_container("web", without_image),
        other_subnet,
    ] {
        scene.changed(&action).await;
    }
    assert_eq!(scene.own().await, before);
}

/// A network that something has been attached to since isn't removed.
pub async fn a_network_in_use_stays(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.web().await;
    let before = scene.own().await;
    let operation = Operation::RemoveNetwork { id: before.networks[0].id.clone() };
    scene.changed(&scene.action(TargetKind::Network, &scene.network(), operation)).await;
    assert_eq!(scene.own().await, before);
}

/// A port held by a process or a container is a conflict that names the port;
/// when it is free, the container starts.
pub async fn taken_ports_are_named(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let with_port = |(address, port)| {
        let mut spec = bed.running_spec();
        let (host_ip, host_port) = (Some(address), Some(port));
        let protocol = Protocol::Tcp;
        spec.ports = vec![PortMapping { host_ip, host_port, container_port: 8080, protocol }];
        spec
    };
    let by_process = bed.free_port();
    bed.take_port(by_process.0, by_process.1).await;
    let by_container = bed.free_port();
    scene.done(&scene.create_container("holder", with_port(by_container))).await;
    for (service, port) in [("first", by_process), ("second", by_container)] {
        let action = scene.create_container(service, with_port(port));
        for _ in 0..2 {
            let error = scene.refused(&action).await;
            assert_eq!((error.class, error.reason), (ErrorClass::Conflict, reason::PORT_TAKEN));
            assert!(error.message.contains(&port.1.to_string()), "{error}");
            assert!(error.message.contains(&scene.container(service)), "{error}");
        }
    }
    let holder = scene.seen("holder").await.id;
    scene.done(&scene.remove_container("holder", &holder)).await;
    let waiting = scene.seen("second").await.id;
    scene
        .done(&scene.container_action(
            "second",
            Operation::StartContainer { id: waiting, files: BTreeMap::new() },
        ))
        .await;
    assert_eq!(scene.seen("second").await.state, ContainerState::Running);
}

/// A subnet that another network has is refused, and nothing is left behind.
pub async fn subnets_that_overlap_are_refused(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let holder = format!("{}-elsewhere", scene.environment.project);
    bed.make_foreign_network(&holder, scene.subnet).await;
    let error = scene.refused(&scene.create_network()).await;
    assert_eq!(error.class, ErrorClass::Conflict, "{error}");
    assert!(error.message.contains(&scene.subnet.to_string()), "{error}");
    assert!(scene.own().await.networks.is_empty());
}

/// An image that isn't to be had is told by name, with where it was looked for.
pub async fn images_that_are_not_to_be_had_are_named(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let image = bed.missing_image();
    let pull = scene.action(TargetKind::Image, &image, Operation::PullImage);
    let error = scene.refused(&pull).await;
    assert_eq!(error.reason, reason::IMAGE_UNAVAILABLE, "{error}");
    assert!(matches!(error.class, ErrorClass::Terminal | ErrorClass::Retry), "{error}");
    assert!(error.message.contains(&image), "{error}");
    assert!(error.message.contains(&pull.target.host), "{error}");
}

/// An image that is there is as wanted.
pub async fn images_that_are_there_are_not_pulled(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let image = bed.running_spec().image;
    let pull = scene.action(TargetKind::Image, &image, Operation::PullImage);
    assert_eq!(bed.provider().execute(&pull).await, Ok(Outcome::Done));
}

/// A plan that was read back has no secrets; it is never run without them.
pub async fn the_value_of_a_secret_must_be_known(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.running_spec();
    let secret = EnvVar::Secret { fingerprint: "f".to_owned(), value: None };
    spec.env = BTreeMap::from([("TOKEN".to_owned(), secret)]);
    let error = scene.refused(&scene.create_container("web", spec)).await;
    assert_eq!(error.class, ErrorClass::Terminal);
    assert!(error.message.contains("TOKEN"), "{error}");
    assert_eq!(scene.find("web").await, None);
}
