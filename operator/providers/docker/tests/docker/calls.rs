//! How many calls are made, how many at once, and what becomes of lost answers.

use futures::future::join_all;
use hades_plan::ContainerState;
use hades_provider::conformance::{Scene, Testbed};
use hades_provider::{ErrorClass, ExecOptions, Outcome, Provider, TerminalSize};

use crate::bed::DockerBed;
use crate::proxy::Proxy;

const CONTAINERS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_creations_are_bounded_and_a_look_at_them_is_four_calls() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    let actions: Vec<_> = (0..CONTAINERS)
        .map(|number| scene.create_container(&format!("s{number}"), bed.running_spec()))
        .collect();
    let outcomes = join_all(actions.iter().map(|action| host.execute(action))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Outcome::Done)), "{outcomes:?}");
    let most = proxy.most_changing();
    assert!((2..=8).contains(&most), "{most} changes at once");

    let before = proxy.requests().len();
    let snapshot = host.observe().await.unwrap();
    let ours =
        snapshot.containers.iter().filter(|c| c.name.starts_with(&scene.environment.project));
    assert_eq!(ours.filter(|c| c.state == ContainerState::Running).count(), CONTAINERS);
    let requests = proxy.requests().split_off(before);
    let inspections = requests.iter().filter(|line| is_inspection(line)).count();
    assert_eq!(requests.len() - inspections, 4, "{requests:?}");
    for id in snapshot.containers.iter().filter(|c| c.name.starts_with(&scene.environment.project))
    {
        assert!(!requests.iter().any(|line| line.contains(&id.id)), "{} was inspected", id.name);
    }
}

/// Of one container; other tests may leave stopped ones about.
fn is_inspection(line: &str) -> bool {
    line.contains("/containers/") && !line.contains("/containers/json")
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_at_the_same_time_are_shared() {
    let bed = DockerBed::shared();
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    host.observe().await.unwrap();
    let before = proxy.requests().len();
    let looks = join_all((0..100).map(|_| host.observe())).await;
    assert!(looks.iter().all(Result::is_ok));
    let lists = proxy.requests()[before..].iter().filter(|line| !is_inspection(line)).count();
    assert_eq!(lists, 8, "the one under way and the next one");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_containers_of_others_are_inspected_once() {
    let bed = DockerBed::shared();
    let name = bed.project();
    let id = bed.run_foreign_container(&name).await;
    bed.stop_by_hand(&id).await;
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    for _ in 0..3 {
        let snapshot = host.observe().await.unwrap();
        assert!(snapshot.containers.iter().any(|c| c.id == id));
    }
    let inspections = proxy.requests().iter().filter(|line| line.contains(&id)).count();
    assert_eq!(inspections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_nothing_twice() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    let attempts = [
        ("/networks/create", scene.create_network()),
        ("/volumes/create", scene.create_volume()),
        ("/containers/create", scene.create_container("web", bed.running_spec())),
        ("/start", scene.create_container("db", bed.running_spec())),
    ];
    for (part, action) in attempts {
        proxy.lose_answer_to(part);
        let error = host.execute(&action).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
        assert_eq!(host.execute(&action).await, Ok(Outcome::Done), "{}", action.id);
    }
    let own = scene.own().await;
    assert_eq!((own.networks.len(), own.volumes.len(), own.containers.len()), (1, 1, 2));
    assert!(own.containers.iter().all(|c| c.state == ContainerState::Running));
    for service in ["web", "db"] {
        let id = scene.seen(service).await.id;
        let removal = scene.remove_container(service, &id);
        proxy.lose_answer_to("DELETE");
        assert!(host.execute(&removal).await.is_err());
        assert_eq!(host.execute(&removal).await, Ok(Outcome::Done));
    }
    assert!(scene.own().await.containers.is_empty());
}

/// Whoever asked for a command gets an error and no session, so nobody could end it.
#[tokio::test]
async fn a_command_whose_terminal_is_not_sized_is_hung_up_on() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let id = scene.web().await;
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    proxy.lose_answer_to("/resize");
    let options = ExecOptions {
        command: bed.copying_command(),
        tty: true,
        stdin: true,
        size: Some(TerminalSize { width: 80, height: 24 }),
        ..ExecOptions::default()
    };
    let error = host.exec(&id, &options).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
    let requests = proxy.requests();
    let made = requests.iter().filter(|line| line.contains(&format!("/containers/{id}/exec")));
    assert_eq!(made.count(), 2, "the command, and what ends it: {requests:?}");
}
