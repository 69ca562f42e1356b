//! Bringing back what people and failures have changed.

use std::collections::BTreeMap;

use hades_plan::{ContainerState, Operation, TargetKind};

use super::{Scene, Testbed};

/// Stopped containers run again, frozen ones are thawed.
pub async fn stopped_and_paused_containers_are_brought_back(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    bed.stop_by_hand(&id).await;
    scene
        .done(&scene.container_action(
            "web",
            Operation::StartContainer { id: id.clone(), files: BTreeMap::new() },
        ))
        .await;
    assert_eq!(scene.seen("web").await.state, ContainerState::Running);
    bed.pause_by_hand(&id).await;
    assert_eq!(scene.seen("web").await.state, ContainerState::Paused);
    scene
        .changed(&scene.container_action(
            "web",
            Operation::StartContainer { id: id.clone(), files: BTreeMap::new() },
        ))
        .await;
    scene
        .done(&scene.container_action("web", Operation::UnpauseContainer { id: id.clone() }))
        .await;
    let seen = scene.seen("web").await;
    assert_eq!((seen.state, seen.id), (ContainerState::Running, id));
}

/// A container that was taken off its network is attached again.
pub async fn detached_containers_are_attached_again(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    let network = scene.network();
    bed.detach_by_hand(&id, &network).await;
    assert!(scene.seen("web").await.networks.is_empty());
    let operation =
        Operation::ConnectNetwork { id, network: network.clone(), aliases: vec!["web".to_owned()] };
    let connect = scene.container_action("web", operation);
    scene.done(&connect).await;
    assert_eq!(scene.seen("web").await.networks, std::slice::from_ref(&network));
    scene.done(&connect).await;
    assert_eq!(scene.seen("web").await.networks, [network]);
}

/// A network that was removed under a stopped container is seen as missing
/// from it, and takes it back when it is made anew.
pub async fn a_network_made_anew_takes_its_containers_back(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    bed.stop_by_hand(&id).await;
    bed.remove_network_by_hand(&scene.network()).await;
    assert!(scene.seen("web").await.networks.is_empty(), "its network is gone");
    let start = scene.container_action(
        "web",
        Operation::StartContainer { id: id.clone(), files: BTreeMap::new() },
    );
    scene.changed(&start).await;
    scene.done(&scene.create_network()).await;
    assert!(scene.seen("web").await.networks.is_empty(), "the new one is another network");
    let operation = Operation::ConnectNetwork {
        id: id.clone(),
        network: scene.network(),
        aliases: vec!["web".to_owned()],
    };
    scene.done(&scene.container_action("web", operation)).await;
    scene.done(&start).await;
    let seen = scene.seen("web").await;
    assert_eq!((seen.id, seen.state), (id, ContainerState::Running));
    assert_eq!(seen.networks, [scene.network()]);
}

/// A frozen container can be removed.
pub async fn paused_containers_are_removed(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    bed.pause_by_hand(&id).await;
    scene.done(&scene.remove_container("web", &id)).await;
    assert_eq!(scene.find("web").await, None);
    let network = scene.own().await.networks[0].id.clone();
    let removal = Operation::RemoveNetwork { id: network };
    scene.done(&scene.action(TargetKind::Network, &scene.network(), removal)).await;
}
