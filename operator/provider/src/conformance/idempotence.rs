//! Law 2: done twice is as if done once, also after a crash in the middle.

use std::collections::BTreeMap;

use hades_plan::{ContainerState, Mount, Operation, TargetKind};

use super::{Scene, Testbed};

/// Every making action done twice leaves one thing.
pub async fn done_twice_is_done_once(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let actions = [
        scene.create_network(),
        scene.create_volume(),
        scene.create_container("web", bed.running_spec()),
    ];
    for action in &actions {
        scene.done(action).await;
    }
    let once = scene.own().await;
    for action in &actions {
        scene.done(action).await;
    }
    assert_eq!(scene.own().await, once);
    let id = once.containers[0].id.clone();
    let more = [
        scene.container_action(
            "web",
            Operation::StartContainer { id: id.clone(), files: BTreeMap::new() },
        ),
        scene.container_action("web", Operation::UnpauseContainer { id: id.clone() }),
        scene.container_action(
            "web",
            Operation::ConnectNetwork { id, network: scene.network(), aliases: vec!["web".into()] },
        ),
    ];
    for action in &more {
        scene.done(action).await;
    }
    assert_eq!(scene.own().await, once, "what is as wanted is left as it is");
}

/// Removing what is gone is done.
pub async fn what_is_gone_is_done(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    scene.done(&scene.create_volume()).await;
    let network = scene.own().await.networks[0].id.clone();
    let removals = [
        scene.remove_container("web", &id),
        scene.action(
            TargetKind::Network,
            &scene.network(),
            Operation::RemoveNetwork { id: network },
        ),
        scene.action(TargetKind::Volume, &scene.volume(), Operation::RemoveVolume),
    ];
    for _ in 0..2 {
        for removal in &removals {
            scene.done(removal).await;
        }
        let own = scene.own().await;
        assert!(own.containers.is_empty() && own.networks.is_empty() && own.volumes.is_empty());
    }
}

/// A crash between create and start leaves a container that the same action
/// starts, and doesn't make again.
pub async fn a_container_that_was_only_created_is_started(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    bed.stop_by_hand(&id).await;
    assert_eq!(scene.seen("web").await.state, ContainerState::Exited);
    scene.done(&scene.create_container("web", bed.running_spec())).await;
    let seen = scene.seen("web").await;
    assert_eq!((seen.state, seen.id), (ContainerState::Running, id));
}

/// What is stopped stays stopped, with its output, until it is started.
pub async fn what_is_stopped_is_kept(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    let stop = Operation::StopContainer { id: id.clone(), stop_grace_seconds: Some(1) };
    let stop = scene.container_action("web", stop);
    for _ in 0..2 {
        scene.done(&stop).await;
        let seen = scene.seen("web").await;
        assert_eq!((seen.state, seen.uptime_seconds), (ContainerState::Exited, None));
        assert!(seen.addresses.is_empty(), "{:?}", seen.addresses);
    }
    let options = crate::LogOptions::default();
    let _output = bed.provider().logs(&id, &options).await.expect("its output is there");
    let start = Operation::StartContainer { id, files: BTreeMap::new() };
    scene.done(&scene.container_action("web", start)).await;
    assert_eq!(scene.seen("web").await.state, ContainerState::Running);
    let gone = Operation::StopContainer { id: "0".repeat(64), stop_grace_seconds: None };
    scene.changed(&scene.container_action("web", gone)).await;
}

/// Data outlives its container.
pub async fn removal_keeps_named_volumes(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    scene.done(&scene.create_volume()).await;
    let mut spec = bed.running_spec();
    spec.mounts =
        vec![Mount { source: scene.volume(), path: "/data".to_owned(), ..Mount::default() }];
    scene.done(&scene.create_container("web", spec)).await;
    let volume = scene.own().await.volumes;
    let removal = scene.action(TargetKind::Volume, &scene.volume(), Operation::RemoveVolume);
    let error = scene.refused(&removal).await;
    assert_eq!(error.class, crate::ErrorClass::Conflict, "it is in use: {error}");
    let id = scene.seen("web").await.id;
    scene.done(&scene.remove_container("web", &id)).await;
    assert_eq!(scene.own().await.volumes, volume);
}
