//! Every field of a spec reaches the engine; what the engine refuses says which
//! field it is.

use std::collections::BTreeMap;

use hades_api::{DeviceMapping, LogDriver, UlimitRange};
use hades_plan::{
    CommandCheck, Confinement, ContainerFile, ContainerSpec, ContainerState, EngineCheck, EnvVar,
    FileContent, Limits, LogOutput, Lookup, Mount, TmpfsMount,
};
use hades_provider::conformance::{Scene, Testbed};
use hades_provider::{ErrorClass, Outcome, Provider};
use serde_json::{Value, json};

use crate::bed::DockerBed;
use crate::proxy::Proxy;

const CONFIG: &str = "/etc/app/app.conf";

fn text(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn file(content: &str, mode: u32, owner: u32) -> ContainerFile {
    let (size, text) = (content.len() as u64, Some(content.to_owned()));
    let content = FileContent::Plain { sha256: "s".to_owned(), size, text };
    ContainerFile { content, mode, uid: owner, gid: owner }
}

fn everything(spec: ContainerSpec) -> ContainerSpec {
    ContainerSpec {
        user: Some("1000:1000".to_owned()),
        // Ends at once when it may not write to its own file.
        env: BTreeMap::from([("WRITE_FILE".to_owned(), EnvVar::Plain(CONFIG.to_owned()))]),
        limits: Limits {
            nano_cpus: Some(500_000_000),
            memory_bytes: Some(64 << 20),
            pids: Some(50),
            shm_bytes: Some(16 << 20),
            ulimits: BTreeMap::from([
                ("nofile".to_owned(), UlimitRange { soft: 1024, hard: 4096 }),
                ("core".to_owned(), UlimitRange { soft: 0, hard: 0 }),
            ]),
        },
        confinement: Confinement {
            cap_add: text(&["NET_ADMIN"]),
            cap_drop: text(&["ALL"]),
            group_add: text(&["2000"]),
            sysctls: map([("net.core.somaxconn", "512")]),
            ..Confinement::default()
        },
        lookup: Lookup {
            hostname: Some("front".to_owned()),
            extra_hosts: map([("legacy", "192.0.2.7"), ("the-host", "host-gateway")]),
            dns: text(&["192.0.2.53"]),
        },
        tmpfs: BTreeMap::from([(
            "/scratch".to_owned(),
            TmpfsMount { size_bytes: Some(1 << 20), mode: Some(0o1770) },
        )]),
        files: BTreeMap::from([(CONFIG.to_owned(), file("listen = 8080\n", 0o600, 1000))]),
        logging: LogOutput {
            driver: Some(LogDriver::JsonFile),
            options: map([("max-size", "1m"), ("max-file", "2")]),
        },
        health_check: Some(EngineCheck::Command(CommandCheck {
            command: text(&["/sample-app", "--check"]),
            interval_millis: 2_500,
            timeout_millis: 1_000,
            retries: 4,
            start_period_millis: 30_000,
        })),
        ..spec
    }
}

fn inspected(bed: &DockerBed, id: &str) -> Value {
    let text = bed.docker(&["inspect", id]);
    serde_json::from_str::<Vec<Value>>(&text).unwrap().remove(0)
}

#[tokio::test]
async fn every_field_reaches_the_engine() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    scene.done(&scene.create_container("web", everything(bed.running_spec()))).await;
    let id = scene.until("web", &[ContainerState::Running]).await.id;
    let seen = inspected(&bed, &id);
    let host = &seen["HostConfig"];
    for (field, expected) in [
        ("NanoCpus", json!(500_000_000)),
        ("Memory", json!(64 << 20)),
        ("PidsLimit", json!(50)),
        ("ShmSize", json!(16 << 20)),
        ("CapAdd", json!(["NET_ADMIN"])),
        ("CapDrop", json!(["ALL"])),
        ("GroupAdd", json!(["2000"])),
        ("ExtraHosts", json!(["legacy:192.0.2.7", "the-host:host-gateway"])),
        ("Dns", json!(["192.0.2.53"])),
        ("Sysctls", json!({"net.core.somaxconn": "512"})),
        ("Tmpfs", json!({"/scratch": "size=1048576,mode=1770"})),
        ("LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}})),
    ] {
        let seen = without_prefixes(&host[field]);
        assert_eq!(seen, expected, "{field}");
    }
    let mut ulimits = host["Ulimits"].as_array().unwrap().clone();
    ulimits.sort_by_key(|limit| limit["Name"].to_string());
    let core = json!({"Name": "core", "Soft": 0, "Hard": 0});
    assert_eq!(ulimits, [core, json!({"Name": "nofile", "Soft": 1024, "Hard": 4096})]);
    let config = &seen["Config"];
    assert_eq!(config["Hostname"], "front");
    let check = json!({
        "Test": ["CMD", "/sample-app", "--check"], "Interval": 2_500_000_000_u64,
        "Timeout": 1_000_000_000, "Retries": 4, "StartPeriod": 30_000_000_000_u64,
    });
    assert_eq!(config["Healthcheck"], check);
    // Its process, which is not root, could open the file and write to it.
    bed.output_of(&id).await;
    let file = bed.file_of(&id, CONFIG).await.unwrap();
    assert_eq!((file.text.as_str(), file.mode), ("listen = 8080\nstarted\n", 0o600));
    assert_eq!((file.uid, file.gid), (1000, 1000));
}

#[tokio::test]
async fn what_a_policy_allows_reaches_the_engine_and_works() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let (_, port) = bed.free_port();
    let mut spec = bed.running_spec();
    spec.confinement = Confinement {
        host_network: true,
        host_pid: true,
        host_ipc: true,
        devices: vec![DeviceMapping::parse("/dev/null:/dev/nothing:r").unwrap()],
        security_opt: text(&["no-new-privileges=true", "seccomp=unconfined"]),
        ..Confinement::default()
    };
    spec.mounts = vec![Mount {
        source: path.clone(),
        path: "/host".to_owned(),
        read_only: false,
        bind: true,
    }];
    spec.env = BTreeMap::from([
        ("PORT".to_owned(), EnvVar::Plain(port.to_string())),
        ("WRITE_FILE".to_owned(), EnvVar::Plain("/host/started".to_owned())),
    ]);
    // The network of an environment isn't there, and isn't needed.
    let create = scene.create_container("web", spec.clone());
    scene.done(&create).await;
    let seen = scene.until("web", &[ContainerState::Running]).await;
    let host = inspected(&bed, &seen.id)["HostConfig"].clone();
    for (field, expected) in
        [("NetworkMode", json!("host")), ("PidMode", json!("host")), ("IpcMode", json!("host"))]
    {
        assert_eq!(host[field], expected, "{field}");
    }
    let options = host["SecurityOpt"].to_string();
    assert!(options.contains("no-new-privileges=true"), "{options}");
    assert_eq!(host["Devices"][0]["PathInContainer"], "/dev/nothing");
    let started = || std::fs::read_to_string(folder.path().join("started")).unwrap_or_default();
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    for _ in 0..100 {
        if listens() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(listens(), "it listens on a port of its host");
    assert_eq!(started(), "started\n", "it writes to a folder of its host");

    // Read-only is what the engine keeps, and a folder that isn't there is not made.
    spec.confinement = Confinement::default();
    spec.restart = hades_api::RestartPolicy::No;
    scene.done(&scene.create_network()).await;
    spec.mounts[0].read_only = true;
    scene.done(&scene.create_container("db", spec.clone())).await;
    scene.until("db", &[ContainerState::Exited]).await;
    assert_eq!(started(), "started\n");
    spec.mounts[0].source = format!("{path}/missing");
    let error = scene.refused(&scene.create_container("gone", spec)).await;
    assert_eq!(error.class, ErrorClass::Terminal, "{error}");
    assert!(error.message.contains("volumes"), "{error}");
    assert!(!folder.path().join("missing").exists());
}

/// A machine that is itself held short can't give away what it lacks; that it was
/// asked for shows all the same.
#[tokio::test]
async fn a_privileged_container_is_what_the_engine_is_asked_for() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    let mut spec = bed.running_spec();
    spec.confinement = Confinement {
        privileged: true,
        host_network: true,
        cap_add: text(&["SYS_ADMIN"]),
        ..Confinement::default()
    };
    let (_, port) = bed.free_port();
    spec.env = BTreeMap::from([("PORT".to_owned(), EnvVar::Plain(port.to_string()))]);
    match bed.host.execute(&scene.create_container("web", spec)).await {
        Ok(outcome) => assert_eq!(outcome, Outcome::Done),
        Err(error) => assert!(error.message.contains("apply caps"), "{error}"),
    }
    let host = inspected(&bed, &scene.container("web"))["HostConfig"].clone();
    assert_eq!(host["Privileged"], json!(true));
    assert_eq!(without_prefixes(&host["CapAdd"]), json!(["SYS_ADMIN"]));
}

/// Some engines write `CAP_` before capabilities.
fn without_prefixes(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(without_prefixes).collect(),
        Value::String(text) => text.strip_prefix("CAP_").unwrap_or(text).into(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_file_system_may_be_read_only_and_a_check_may_be_left_out() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let mut spec = bed.running_spec();
    spec.confinement.read_only = true;
    spec.health_check = Some(EngineCheck::Disabled);
    let writes =
        |path: &str| BTreeMap::from([("WRITE_FILE".to_owned(), EnvVar::Plain(path.to_owned()))]);
    spec.env = writes("/tmp/x");
    spec.tmpfs = BTreeMap::from([("/tmp".to_owned(), TmpfsMount::default())]);
    scene.done(&scene.create_container("web", spec.clone())).await;
    let seen = scene.until("web", &[ContainerState::Running]).await;
    bed.output_of(&seen.id).await;
    assert_eq!(inspected(&bed, &seen.id)["Config"]["Healthcheck"]["Test"], json!(["NONE"]));

    spec.env = writes("/data/x");
    spec.restart = hades_api::RestartPolicy::No;
    scene.done(&scene.create_container("db", spec)).await;
    scene.until("db", &[ContainerState::Exited]).await;
}

#[tokio::test]
async fn what_the_engine_refuses_says_which_field_it_is() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    type Mistake = fn(&mut ContainerSpec);
    let cases: [(&str, Mistake); 4] = [
        ("resources.limits.cpu", |spec| spec.limits.nano_cpus = Some(100_000_000_000_000)),
        ("logging.options", |spec| {
            spec.logging.driver = Some(LogDriver::JsonFile);
            spec.logging.options = map([("max-sizes", "1m")]);
        }),
        ("sysctls", |spec| spec.confinement.sysctls = map([("net.core.nothing", "1")])),
        // A folder of the image.
        ("files", |spec| spec.files = BTreeMap::from([("/data".to_owned(), file("x", 0o444, 0))])),
    ];
    for (field, change) in cases {
        let mut spec = bed.running_spec();
        change(&mut spec);
        let service = field.split('.').next().unwrap();
        let error = scene.refused(&scene.create_container(service, spec)).await;
        assert_eq!(error.class, ErrorClass::Terminal, "{error}");
        assert!(error.message.contains(field), "{field}: {error}");
        assert!(error.message.contains(&scene.container(service)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_no_container_that_runs_without_its_files() {
    let bed = DockerBed::shared();
    let scene = Scene::new(&bed);
    scene.done(&scene.create_network()).await;
    let proxy = Proxy::new(bed.socket());
    let host = bed.provider_at(&proxy.endpoint);
    for (number, part) in ["/containers/create", "/archive", "/start"].into_iter().enumerate() {
        let service = format!("s{number}");
        let mut spec = bed.running_spec();
        spec.files = BTreeMap::from([(CONFIG.to_owned(), file("text", 0o444, 0))]);
        let action = scene.create_container(&service, spec);
        proxy.lose_answer_to(part);
        let error = host.execute(&action).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
        assert_eq!(host.execute(&action).await, Ok(Outcome::Done));
        let seen = scene.seen(&service).await;
        assert_eq!(seen.state, ContainerState::Running);
        assert_eq!(bed.file_of(&seen.id, CONFIG).await.unwrap().text, "text", "{part}");
    }
}
