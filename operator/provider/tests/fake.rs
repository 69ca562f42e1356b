//! The fake host keeps the laws, and lets every crash be tried.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test gives up where it must")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU16, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use hades_api::Protocol;
use hades_plan::{
    Action, ContainerFile, ContainerSpec, ContainerState, FileContent, ObservedContainer,
    Operation, TargetKind,
};
use hades_provider::conformance::{Scene, SeenFile, Testbed};
use hades_provider::fake::{CallKind, FakeConnect, FakeHost, Fault, FaultPlan, Moment};
use hades_provider::{Connect, ErrorClass, LogChunk, Outcome, Provider};
use ipnet::Ipv4Net;

const INSTALLATION: &str = "fake-installation";
const RUNS: &str = "runs:1";
const ENDS: &str = "ends:1";

struct FakeBed {
    host: FakeHost,
    next: AtomicU16,
}

async fn fake() -> FakeBed {
    let host = FakeHost::for_installation(INSTALLATION);
    host.add_image(RUNS, "");
    host.add_image(ENDS, "");
    FakeBed { host, next: AtomicU16::new(1) }
}

impl FakeBed {
    fn next(&self) -> u16 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

fn spec(image: &str) -> ContainerSpec {
    ContainerSpec { image: image.to_owned(), ..ContainerSpec::default() }
}

#[async_trait]
impl Testbed for FakeBed {
    fn provider(&self) -> &dyn Provider {
        &self.host
    }
    fn installation(&self) -> &str {
        INSTALLATION
    }
    fn project(&self) -> String {
        "shop".to_owned()
    }
    fn subnet(&self) -> Ipv4Net {
        let address = Ipv4Addr::from(0x0a5a_0000 + u32::from(self.next()) * 256);
        Ipv4Net::new(address, 24).unwrap()
    }
    fn free_port(&self) -> (IpAddr, u16) {
        (IpAddr::V4(Ipv4Addr::LOCALHOST), 20_000 + self.next())
    }
    fn running_spec(&self) -> ContainerSpec {
        spec(RUNS)
    }
    fn ending_spec(&self, code: i64) -> ContainerSpec {
        self.host.set_exits_at_once(ENDS, Some(code));
        spec(ENDS)
    }
    fn missing_image(&self) -> String {
        "missing:1".to_owned()
    }
    async fn take_port(&self, _: IpAddr, port: u16) {
        self.host.take_port(port, Protocol::Tcp);
    }
    async fn run_foreign_container(&self, name: &str) -> String {
        self.host.add_foreign_container(name, &[])
    }
    async fn make_foreign_network(&self, name: &str, subnet: Ipv4Net) -> String {
        self.host.add_foreign_network(name, subnet).unwrap()
    }
    async fn make_foreign_volume(&self, name: &str) {
        self.host.add_foreign_volume(name);
    }
    async fn make_volume_of_another_installation(&self, name: &str) {
        self.host.add_volume_of_another_installation(name);
    }
    async fn stop_by_hand(&self, id: &str) {
        assert!(self.host.stop_by_hand(id));
    }
    async fn pause_by_hand(&self, id: &str) {
        assert!(self.host.pause_by_hand(id));
    }
    async fn detach_by_hand(&self, id: &str, _: &str) {
        assert!(self.host.detach_by_hand(id));
    }
    async fn remove_by_hand(&self, id: &str) {
        assert!(self.host.remove_by_hand(id));
    }
    async fn remove_network_by_hand(&self, name: &str) {
        assert!(self.host.remove_network_by_hand(name));
    }
    async fn file_of(&self, id: &str, path: &str) -> Option<SeenFile> {
        let ContainerFile { content, mode, uid, gid } = self.host.files_of(id)?.remove(path)?;
        Some(SeenFile { text: content.expose()?.to_owned(), mode, uid, gid })
    }
    async fn output_of(&self, id: &str) -> String {
        let bytes = Bytes::from_static(b"listening\n");
        assert!(self.host.write_log(id, LogChunk { stderr: false, bytes }));
        "listening".to_owned()
    }
}

hades_provider::conformance_tests!(fake);

const FILE: &str = "/etc/app.conf";

fn with_files(spec: ContainerSpec) -> ContainerSpec {
    let text = Some("text".to_owned());
    let content = FileContent::Plain { sha256: "s".to_owned(), size: 4, text };
    let file = ContainerFile { content, mode: 0o444, uid: 0, gid: 0 };
    ContainerSpec { files: BTreeMap::from([(FILE.to_owned(), file)]), ..spec }
}

/// All that making and removing an environment takes.
async fn make(scene: &Scene<'_>, bed: &FakeBed) -> Result<(), hades_provider::ProviderError> {
    for action in [
        scene.create_network(),
        scene.create_volume(),
        scene.create_container("web", with_files(bed.running_spec())),
        scene.create_container("db", bed.running_spec()),
    ] {
        assert_eq!(bed.host.execute(&action).await?, Outcome::Done, "{}", action.id);
    }
    Ok(())
}

fn removals(scene: &Scene<'_>, bed: &FakeBed) -> Vec<Action> {
    let snapshot = bed.host.snapshot();
    let containers = snapshot.containers.iter().map(|container| {
        let operation =
            Operation::RemoveContainer { id: container.id.clone(), stop_grace_seconds: None };
        scene.action(TargetKind::Container, &container.name, operation)
    });
    let networks = snapshot.networks.iter().map(|network| {
        let operation = Operation::RemoveNetwork { id: network.id.clone() };
        scene.action(TargetKind::Network, &network.name, operation)
    });
    let volumes = snapshot
        .volumes
        .iter()
        .map(|volume| scene.action(TargetKind::Volume, &volume.name, Operation::RemoveVolume));
    containers.chain(networks).chain(volumes).collect()
}

fn is_whole(bed: &FakeBed) {
    let snapshot = bed.host.snapshot();
    assert_eq!(snapshot.containers.len(), 2);
    assert_eq!((snapshot.networks.len(), snapshot.volumes.len()), (1, 1));
    assert!(snapshot.containers.iter().all(|c| c.state == ContainerState::Running));
    let with_file = |c: &&ObservedContainer| {
        bed.host.files_of(&c.id).is_some_and(|files| files.contains_key(FILE))
    };
    assert_eq!(snapshot.containers.iter().filter(with_file).count(), 1);
}

#[tokio::test]
async fn a_crash_at_any_call_of_making_is_healed_by_doing_it_again() {
    let mut crashes = 0;
    for number in 1.. {
        for fault in [
            Fault::Crash(Moment::Before),
            Fault::Crash(Moment::After),
            Fault::FailAfter(ErrorClass::Retry),
            Fault::Unreachable(1),
        ] {
            let bed = fake().await;
            let scene = Scene::new(&bed);
            bed.host.set_faults(FaultPlan::new().at(number, fault.clone()));
            let outcome = make(&scene, &bed).await;
            if outcome.is_ok() {
                assert!(crashes > 10, "every call was tried");
                return;
            }
            crashes += 1;
            bed.host.revive();
            make(&scene, &bed).await.unwrap_or_else(|error| panic!("{fault:?} {number}: {error}"));
            is_whole(&bed);
        }
    }
}

/// What a new pass plans for a container that it finds created: to start it.
#[tokio::test]
async fn a_container_left_without_its_files_gets_them_before_it_is_started() {
    for (kind, moment) in [
        (CallKind::CreateContainer, Moment::After),
        (CallKind::PutFiles, Moment::Before),
        (CallKind::PutFiles, Moment::After),
        (CallKind::StartContainer, Moment::Before),
    ] {
        let bed = fake().await;
        let scene = Scene::new(&bed);
        scene.done(&scene.create_network()).await;
        let spec = with_files(bed.running_spec());
        let mut create = scene.create_container("web", spec.clone());
        if let Operation::CreateContainer { labels, spec, .. } = &mut create.operation {
            let spec = serde_json::to_string(spec).unwrap();
            labels.insert(hades_api::label::SPEC.to_owned(), spec);
        }
        bed.host.set_faults(FaultPlan::new().next(kind, Fault::Crash(moment)));
        assert!(bed.host.execute(&create).await.is_err());
        bed.host.revive();
        let seen = bed.host.container(&scene.container("web")).unwrap();
        assert_eq!(seen.state, ContainerState::Created);
        let start = |files| {
            let operation = Operation::StartContainer { id: seen.id.clone(), files };
            scene.container_action("web", operation)
        };
        scene.changed(&start(BTreeMap::new())).await;
        scene.done(&start(spec.files)).await;
        assert_eq!(scene.seen("web").await.state, ContainerState::Running);
        assert!(bed.host.files_of(&seen.id).unwrap().contains_key(FILE));
    }
}

#[tokio::test]
async fn a_crash_at_any_call_of_removing_is_healed_by_doing_it_again() {
    for number in 1.. {
        for moment in [Moment::Before, Moment::After] {
            let bed = fake().await;
            let scene = Scene::new(&bed);
            make(&scene, &bed).await.unwrap();
            let removals = removals(&scene, &bed);
            let at = bed.host.call_count() + number;
            bed.host.set_faults(FaultPlan::new().at(at, Fault::Crash(moment)));
            for removal in &removals {
                if bed.host.execute(removal).await.is_err() {
                    break;
                }
            }
            let crashed = bed.host.is_crashed();
            bed.host.set_faults(FaultPlan::new());
            bed.host.revive();
            for removal in &removals {
                assert_eq!(bed.host.execute(removal).await, Ok(Outcome::Done), "{}", removal.id);
            }
            let left = bed.host.snapshot();
            assert!(left.containers.is_empty() && left.networks.is_empty());
            assert!(left.volumes.is_empty());
            if !crashed {
                assert!(number > 8, "every call was tried");
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_crashed_process_gets_no_further() {
    let bed = fake().await;
    let scene = Scene::new(&bed);
    let faults = FaultPlan::new().next(CallKind::StartContainer, Fault::Crash(Moment::Before));
    bed.host.set_faults(faults);
    assert!(make(&scene, &bed).await.is_err());
    let calls = bed.host.call_count();
    assert!(bed.host.observe().await.is_err() && bed.host.describe().await.is_err());
    assert_eq!(bed.host.call_count(), calls);
    let seen = bed.host.container(&scene.container("web")).unwrap();
    assert_eq!(seen.state, ContainerState::Created);
}

#[tokio::test]
async fn an_engine_that_stops_and_starts_brings_its_containers_back() {
    let bed = fake().await;
    let scene = Scene::new(&bed);
    make(&scene, &bed).await.unwrap();
    bed.host.stop_engine();
    let error = bed.host.observe().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(bed.host.running().is_empty());
    bed.host.start_engine();
    assert_eq!(bed.host.running().len(), 2);
    is_whole(&bed);
}

#[tokio::test]
async fn images_come_from_the_registry() {
    let bed = fake().await;
    let scene = Scene::new(&bed);
    let pull = scene.action(TargetKind::Image, "app:2", Operation::PullImage);
    bed.host.set_registry_down(true);
    assert_eq!(bed.host.execute(&pull).await.unwrap_err().class, ErrorClass::Retry);
    bed.host.set_registry_down(false);
    assert_eq!(bed.host.execute(&pull).await.unwrap_err().class, ErrorClass::Terminal);
    let id = bed.host.publish_image("app:2", "");
    assert_eq!(bed.host.execute(&pull).await, Ok(Outcome::Done));
    let images = bed.host.snapshot().images;
    assert_eq!(images.get("docker.io/library/app:2"), Some(&id));
    assert_ne!(id, bed.host.publish_image("app:2", "another build"));
}

#[tokio::test]
async fn an_engine_that_lost_count_is_named_and_not_asked_for_ever() {
    let bed = fake().await;
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let id = bed.host.snapshot().networks[0].id.clone();
    let remove =
        scene.action(TargetKind::Network, &scene.network(), Operation::RemoveNetwork { id });
    bed.host.miscount_endpoints_of(&scene.network(), false);
    let error = bed.host.execute(&remove).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Conflict);
    assert!(error.message.contains("knows of no container on it"), "{error}");
    bed.host.miscount_endpoints_of(&scene.network(), true);
    assert_eq!(bed.host.execute(&remove).await, Ok(Outcome::Done));
}

#[tokio::test]
async fn endpoints_of_fake_hosts() {
    let host = FakeHost::new();
    let connect = FakeConnect::new().with("unix:///a.sock", host.clone());
    host.add_foreign_container("x", &[]);
    let provider = connect.connect("unix:///a.sock").unwrap();
    assert_eq!(provider.observe().await.unwrap().containers.len(), 1);
    let error = connect.connect("unix:///b.sock").err().unwrap();
    assert_eq!(error.class, ErrorClass::Terminal);
}
