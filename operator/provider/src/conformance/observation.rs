//! Law 1: observing changes nothing and sees everything. Wakes and output.

use futures::StreamExt;
use hades_api::{PortMapping, Protocol};
use hades_plan::{ContainerHealth, ContainerState, PublishedPort};

use crate::{ErrorClass, LogOptions, Wake};

use super::{Scene, Testbed};

/// How long a wake or a piece of output may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Two looks at a world that nobody changes see the same.
pub async fn observing_changes_nothing(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.web().await;
    scene.done(&scene.create_volume()).await;
    let first = scene.own().await;
    assert_eq!((first.containers.len(), first.networks.len(), first.volumes.len()), (1, 1, 1));
    for _ in 0..3 {
        assert_eq!(scene.own().await, first);
    }
    bed.provider().describe().await.expect("the host describes itself");
    assert_eq!(scene.own().await, first);
}

/// All that a plan needs to know is seen, of others' things too.
pub async fn everything_is_observed(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let foreign =
        bed.run_foreign_container(&format!("{}-foreign", scene.environment.project)).await;
    let (address, port) = bed.free_port();
    let mut spec = bed.running_spec();
    let (host_port, protocol) = (Some(port), Protocol::Tcp);
    spec.ports =
        vec![PortMapping { host_ip: Some(address), host_port, container_port: 8080, protocol }];
    scene.done(&scene.create_network()).await;
    scene.done(&scene.create_volume()).await;
    scene.done(&scene.create_container("web", spec.clone())).await;

    let snapshot = scene.observe().await;
    let seen = scene.seen("web").await;
    for (key, value) in scene.container_labels("web") {
        // Beside them, labels of the image may be there.
        assert_eq!(seen.labels.get(&key), Some(&value), "{key}");
    }
    assert_eq!(seen.image, spec.image);
    assert_eq!(snapshot.images.get(&spec.image), Some(&seen.image_id));
    assert_eq!(snapshot.images.get(&seen.image_id), Some(&seen.image_id), "by its id too");
    assert_eq!(seen.state, ContainerState::Running);
    assert_eq!(seen.networks, [scene.network()]);
    let own = seen.addresses.get(&scene.network()).copied();
    let subnet = ipnet::IpNet::V4(scene.subnet);
    assert!(own.is_some_and(|own| subnet.contains(&own)), "{own:?} in {subnet}");
    assert!(seen.uptime_seconds.is_some_and(|uptime| uptime < 600), "{}", seen.status);
    assert_eq!(seen.health, ContainerHealth::None);
    let published =
        PublishedPort { host_ip: Some(address), host_port: port, container_port: 8080, protocol };
    assert_eq!(seen.ports, std::slice::from_ref(&published));

    let own = scene.own().await;
    assert_eq!(own.networks[0].name, scene.network());
    assert_eq!(own.networks[0].subnets, [ipnet::IpNet::V4(scene.subnet)]);
    assert_eq!(seen.network_ids, [own.networks[0].id.clone()]);
    assert_eq!(own.volumes[0].name, scene.volume());
    let foreign = snapshot.containers.iter().find(|c| c.id == foreign);
    assert!(foreign.is_some_and(|c| c.state == ContainerState::Running), "others' things too");

    bed.stop_by_hand(&seen.id).await;
    let stopped = scene.seen("web").await;
    assert_eq!(stopped.state, ContainerState::Exited);
    assert_eq!(stopped.ports, [published], "what it will hold when it runs");
}

/// A container that ends at once is no error of the action that started it;
/// the next look tells.
pub async fn containers_that_end_are_observed(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.ending_spec(3);
    scene.done(&scene.create_container("restarted", spec.clone())).await;
    let seen = scene.until("restarted", &[ContainerState::Restarting]).await;
    assert_eq!(seen.exit_code, Some(3));
    spec.restart = hades_api::RestartPolicy::No;
    scene.done(&scene.create_container("once", spec)).await;
    let seen = scene.until("once", &[ContainerState::Exited]).await;
    assert_eq!(seen.exit_code, Some(3));
}

/// Wakes name the environment that a change concerns.
pub async fn wakes_say_whom_it_concerns(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let mut wakes = bed.provider().wakes();
    let ours = Wake::Environment(scene.environment.clone());
    let id = scene.web().await;
    let mut expect = async |wanted: &[&Wake]| {
        let found = async {
            while let Some(wake) = wakes.next().await {
                if wanted.contains(&&wake) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        assert_eq!(found, Ok(true), "one of {wanted:?} is told");
    };
    // The connection may be made only now, and says then that all may be new.
    bed.stop_by_hand(&id).await;
    expect(&[&ours, &Wake::Everything]).await;
    bed.run_foreign_container(&format!("{}-foreign", scene.environment.project)).await;
    expect(&[&Wake::Foreign]).await;
    bed.remove_by_hand(&id).await;
    expect(&[&ours]).await;
}

/// Output comes as it was written; a container that is gone is a conflict.
pub async fn output_of_containers(bed: &dyn Testbed) {
    let scene = Scene::new(bed);
    let id = scene.web().await;
    let expected = bed.output_of(&id).await;
    let read = async |options: LogOptions| {
        let logs = bed.provider().logs(&id, &options).await.expect("it has output");
        let pieces: Vec<_> = logs.collect().await;
        let mut text = Vec::new();
        for piece in pieces {
            let piece = piece.expect("the output can be read");
            assert!(!piece.stderr);
            text.extend_from_slice(&piece.bytes);
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let text = read(LogOptions::default()).await;
    assert!(text.contains(&expected), "{expected:?} in {text:?}");
    assert_eq!(read(LogOptions { tail: Some(0), ..LogOptions::default() }).await, "");
    bed.remove_by_hand(&id).await;
    let gone = bed.provider().logs(&id, &LogOptions::default()).await;
    assert_eq!(gone.err().map(|error| error.class), Some(ErrorClass::Conflict));
}
