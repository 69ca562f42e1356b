//! Engines that stop, that start again, and that aren't there.

use std::collections::BTreeMap;

use futures::StreamExt;
use hades_api::RestartPolicy;
use hades_plan::{ContainerState, Operation};
use hades_provider::conformance::{Scene, Testbed};
use hades_provider::{Connect, ErrorClass, Provider, Wake};
use hades_provider_docker::{DockerConnect, DockerHost};

use crate::bed::{DockerBed, testbed, unique};

/// A private engine, removed with all that it kept.
struct PrivateEngine {
    name: String,
}

impl PrivateEngine {
    fn start() -> (Self, String) {
        let engine = Self { name: unique("engine") };
        let endpoint = engine.command("start");
        (engine, endpoint)
    }

    fn command(&self, command: &str) -> String {
        testbed("dockerd.sh", &[command, &self.name], &[])
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.command("remove");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_may_stop_and_start_again() {
    let (engine, endpoint) = PrivateEngine::start();
    let bed = DockerBed::at(&endpoint);
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let restarted = bed.running_spec();
    let mut left = bed.running_spec();
    left.restart = RestartPolicy::No;
    scene.done(&scene.create_container("restarted", restarted)).await;
    scene.done(&scene.create_container("left", left)).await;
    let mut wakes = bed.host.wakes();
    assert_eq!(wakes.next().await, Some(Wake::Everything));

    engine.command("stop");
    let error = bed.host.observe().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
    assert!(error.message.contains(&endpoint), "{error}");
    let action = scene.create_container("more", bed.running_spec());
    assert_eq!(scene.refused(&action).await.class, ErrorClass::Unreachable);

    engine.command("start");
    // What was told before the connection was lost comes first.
    while wakes.next().await != Some(Wake::Everything) {}
    scene.until("restarted", &[ContainerState::Running]).await;
    let left = scene.seen("left").await;
    assert_eq!(left.state, ContainerState::Exited);
    scene
        .done(&scene.container_action(
            "left",
            Operation::StartContainer { id: left.id, files: BTreeMap::new() },
        ))
        .await;
    scene.done(&action).await;
    drop(bed);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable_and_told_how() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let endpoint = format!("unix://{}", path.display());
    let host = DockerHost::connect(&endpoint, "i").expect("connecting doesn't talk");
    let check = async |words: &str| {
        for error in [host.describe().await.err(), host.observe().await.err()] {
            let error = error.expect("nothing answers");
            assert_eq!(error.class, ErrorClass::Unreachable);
            assert!(error.message.contains(&endpoint), "{error}");
            assert!(error.message.contains(words), "{error}");
        }
    };
    check("no such socket").await;
    // A socket that nobody listens on any more.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    check("the engine is not running").await;
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused_at_once() {
    let error = DockerConnect::new("i").connect("tcp://10.0.0.1:2375").err().unwrap();
    assert_eq!(error.class, ErrorClass::Terminal);
    assert!(error.message.contains("unix:///var/run/docker.sock"), "{error}");
}

#[tokio::test]
async fn a_host_describes_itself() {
    let bed = DockerBed::shared();
    let info = bed.host.describe().await.unwrap();
    assert!(!info.version.is_empty() && info.cpus > 0 && info.memory > 0, "{info:?}");
}

#[tokio::test]
async fn a_command_that_the_image_lacks_is_not_tried_again() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.running_spec();
    spec.entrypoint = Some(vec!["/nope".to_owned()]);
    let error = scene.refused(&scene.create_container("web", spec)).await;
    assert_eq!(error.class, ErrorClass::Terminal, "{error}");
    assert!(error.message.contains("/nope"), "{error}");
}

#[tokio::test]
async fn services_find_each_other_by_their_aliases() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let id = scene.web().await;
    let format =
        format!("{{{{json (index .NetworkSettings.Networks {:?}).Aliases}}}}", scene.network());
    let aliases = bed.docker(&["inspect", "--format", &format, &id]);
    assert!(aliases.contains("\"web\""), "{aliases}");
}

#[tokio::test]
async fn a_name_taken_by_another_network_of_the_environment_is_found_again() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let create = scene.create_network();
    // This engine would make a second network of that name.
    let all = futures::future::join_all((0..8).map(|_| bed.host.execute(&create))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(scene.own().await.networks.len(), 1);
}

#[tokio::test]
async fn a_copy_of_a_container_is_not_ours() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let id = scene.web().await;
    let image = format!("{}:copy", scene.environment.project);
    bed.docker(&["commit", &id, &image]);
    let copy = bed.run_foreign_container_of(&format!("{}-copy", scene.environment.project), &image);
    let snapshot = scene.observe().await;
    let labels = |id: &str| {
        let found = snapshot.containers.iter().find(|c| c.id == id);
        found.map(|c| c.labels.clone()).unwrap_or_default()
    };
    assert!(labels(&copy).keys().all(|key| !key.starts_with(hades_api::label::PREFIX)));
    assert!(labels(&id).contains_key(hades_api::label::INSTALLATION));
    bed.docker(&["rm", "-f", &copy]);
    bed.docker(&["rmi", &image]);
}
