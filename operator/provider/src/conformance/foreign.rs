//! Law 3: what the installation didn't make is never touched.

use std::collections::BTreeMap;

use hades_api::reason;
use hades_plan::{ContainerState, Operation, TargetKind};

use crate::ErrorClass;

use super::{Scene, Testbed};

/// A wanted name that something foreign holds is a conflict that names it.
pub async fn foreign_things_under_a_wanted_name_are_left_alone(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let container = bed.run_foreign_container(&scene.container("web")).await;
    bed.make_foreign_volume(&scene.volume()).await;
    let network = bed.make_foreign_network(&scene.network(), bed.subnet()).await;
    let attempts = [
        (scene.create_network(), scene.network()),
        (scene.create_volume(), scene.volume()),
        (scene.create_container("web", bed.running_spec()), scene.container("web")),
    ];
    for (action, name) in attempts {
        let error = scene.refused(&action).await;
        assert_eq!(error.class, ErrorClass::Conflict, "{error}");
        assert_eq!(error.reason, reason::BLOCKED_BY_FOREIGN, "{error}");
        assert!(error.message.contains(&name), "{error}");
    }
    let snapshot = scene.observe().await;
    let seen = scene.seen("web").await;
    assert_eq!((seen.id, seen.state), (container, ContainerState::Running));
    let of_that_name = snapshot.networks.iter().filter(|n| n.name == scene.network());
    assert_eq!(of_that_name.map(|n| n.id.clone()).collect::<Vec<_>>(), [network]);
}

/// An action whose target turns out to be foreign is refused.
pub async fn foreign_things_are_never_changed(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let id = bed.run_foreign_container(&scene.container("web")).await;
    bed.make_foreign_volume(&scene.volume()).await;
    let elsewhere = format!("{}-elsewhere", scene.environment.project);
    let network = bed.make_foreign_network(&elsewhere, bed.subnet()).await;
    bed.pause_by_hand(&id).await;
    let connect =
        Operation::ConnectNetwork { id: id.clone(), network: scene.network(), aliases: Vec::new() };
    let attempts = [
        scene.remove_container("web", &id),
        scene.container_action(
            "web",
            Operation::StartContainer { id: id.clone(), files: BTreeMap::new() },
        ),
        scene.container_action("web", Operation::UnpauseContainer { id: id.clone() }),
        scene.container_action("web", connect),
        scene.action(TargetKind::Volume, &scene.volume(), Operation::RemoveVolume),
        scene.action(
            TargetKind::Network,
            &elsewhere,
            Operation::RemoveNetwork { id: network.clone() },
        ),
    ];
    for action in attempts {
        let error = scene.refused(&action).await;
        assert_eq!(error.class, ErrorClass::Conflict, "{}: {error}", action.id);
    }
    let snapshot = scene.observe().await;
    let seen = scene.seen("web").await;
    assert_eq!((seen.id, seen.state), (id, ContainerState::Paused));
    assert!(!seen.networks.contains(&scene.network()));
    assert!(snapshot.networks.iter().any(|n| n.id == network));
    assert!(snapshot.volumes.iter().any(|v| v.name == scene.volume()));
}

/// What another installation made is foreign.
pub async fn things_of_other_installations_are_never_changed(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    bed.make_volume_of_another_installation(&scene.volume()).await;
    let removal = scene.action(TargetKind::Volume, &scene.volume(), Operation::RemoveVolume);
    for action in [removal, scene.create_volume()] {
        let error = scene.refused(&action).await;
        assert_eq!(error.class, ErrorClass::Conflict, "{error}");
        assert_eq!(error.reason, reason::BLOCKED_BY_FOREIGN, "{error}");
    }
    assert!(scene.observe().await.volumes.iter().any(|v| v.name == scene.volume()));
}
