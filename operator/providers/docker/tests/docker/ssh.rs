//! Engines by SSH, through a real SSH server.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use hades_api::reason;
use hades_provider::conformance::{Scene, Testbed};
use hades_provider::{Credentials, ErrorClass, HostAddress, LogOptions, Provider, Wake};
use hades_provider_docker::DockerHost;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::bed::DockerBed;
use crate::engine::PrivateEngine;
use crate::sshd::Sshd;

/// Nothing here takes nearly as long.
const LIMIT: Duration = Duration::from_secs(60);

fn address(server: &Sshd, bed: &DockerBed) -> HostAddress {
    HostAddress {
        endpoint: format!("ssh://{}{}", server.authority(), bed.socket().display()),
        credentials: Credentials::Ssh {
            private_key: server.login(),
            host_keys: vec![server.host_key().to_string()],
        },
    }
}

fn reach(server: &Sshd, bed: &DockerBed) -> DockerHost {
    DockerHost::at(&address(server, bed), bed.installation()).unwrap()
}

/// The shared engine, reached by SSH.
async fn by_ssh() -> DockerBed {
    let (mut bed, server) = (DockerBed::shared(), Sshd::start());
    bed.host = reach(&server, &bed);
    bed.peers.push(Box::new(server));
    bed
}

hades_provider::conformance_tests!(by_ssh);

#[tokio::test]
async fn calls_and_events_share_one_connection() {
    let (mut bed, server) = (DockerBed::shared(), Sshd::start());
    bed.host = reach(&server, &bed);
    let mut wakes = bed.host.wakes();
    assert_eq!(wakes.next().await, Some(Wake::Everything));
    let looks = (0..20).map(|_| bed.host.describe());
    assert!(futures::future::join_all(looks).await.iter().all(Result::is_ok));
    assert_eq!(server.log().matches("Accepted publickey").count(), 1, "{}", server.log());
}

#[tokio::test]
async fn another_host_key_is_refused_and_told() {
    let (bed, mut server) = (DockerBed::shared(), Sshd::start());
    let pinned = address(&server, &bed);
    let fingerprint = server.host_key().fingerprint();
    server.change_host_key();
    server.restart();
    let host = DockerHost::at(&pinned, "i").unwrap();
    let error = host.describe().await.unwrap_err();
    assert_eq!(
        (error.class, error.reason),
        (ErrorClass::Unreachable, reason::HOST_IDENTITY_CHANGED)
    );
    assert!(error.message.contains(&format!("ssh://{}", server.authority())), "{error}");
    assert!(error.message.contains(&fingerprint), "{error}");
    assert!(error.message.contains(&server.host_key().fingerprint()), "{error}");
    assert!(reach(&server, &bed).describe().await.is_ok());
}

#[tokio::test]
async fn a_rotated_key_is_denied_until_it_is_taken_up() {
    let (bed, mut server) = (DockerBed::shared(), Sshd::start());
    let old = reach(&server, &bed);
    assert!(old.describe().await.is_ok());
    server.rotate_login();
    server.restart();
    // The loss of the old connection may be seen first.
    let _ = old.describe().await;
    let error = old.describe().await.unwrap_err();
    assert_eq!(
        (error.class, error.reason),
        (ErrorClass::Unreachable, reason::ACCESS_DENIED),
        "{error}"
    );
    assert!(error.message.contains("authorized_keys"), "{error}");
    assert!(reach(&server, &bed).describe().await.is_ok());
}

#[tokio::test]
async fn an_ssh_server_may_stop_and_start_again() {
    let (bed, mut server) = (DockerBed::shared(), Sshd::start());
    let host = reach(&server, &bed);
    let mut wakes = host.wakes();
    assert_eq!(wakes.next().await, Some(Wake::Everything));
    server.stop();
    let error = host.observe().await.unwrap_err();
    assert_eq!((error.class, error.reason), (ErrorClass::Unreachable, reason::HOST_UNREACHABLE));
    server.restart();
    let again = timeout(LIMIT, async { while wakes.next().await != Some(Wake::Everything) {} });
    again.await.expect("events come again");
    assert!(host.observe().await.is_ok());
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_told() {
    let (bed, server) = (DockerBed::shared(), Sshd::start());
    let mut wrong = address(&server, &bed);
    wrong.endpoint = format!("ssh://{}/nowhere/docker.sock", server.authority());
    let error = DockerHost::at(&wrong, "i").unwrap().describe().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(error.message.contains("/nowhere/docker.sock"), "{error}");
}

#[tokio::test]
async fn endpoints_without_what_they_need_are_refused_at_once() {
    let error = DockerHost::connect("ssh://root@web-1", "i").unwrap_err();
    assert_eq!((error.class, error.reason), (ErrorClass::Terminal, reason::INVALID_ENDPOINT));
    let credentials = Credentials::Ssh { private_key: "x".into(), host_keys: vec!["y".into()] };
    let address = HostAddress { endpoint: "ssh://root@web-1".to_owned(), credentials };
    let error = DockerHost::at(&address, "i").unwrap_err();
    assert_eq!((error.class, error.reason), (ErrorClass::Terminal, reason::INVALID_CREDENTIALS));
}

#[tokio::test]
async fn the_disk_of_an_engine_by_ssh_is_told() {
    let (mut bed, server) = (DockerBed::shared(), Sshd::start());
    let here = bed.host.disk().await.unwrap().expect("its folder is seen from here");
    bed.host = reach(&server, &bed);
    let disk = bed.host.disk().await.unwrap().expect("its user may run stat");
    assert_eq!(disk.total, here.total);
    assert!(disk.free > 0 && disk.free < disk.total, "{disk:?}");
}

/// Output is read as fast as somebody takes it, which must not hold up the calls.
#[tokio::test]
async fn output_has_a_connection_of_its_own() {
    let (mut bed, server) = (DockerBed::shared(), Sshd::start());
    bed.host = reach(&server, &bed);
    let scene = Scene::new(&bed);
    let id = scene.web().await;
    let connections = || server.log().matches("Accepted publickey").count();
    assert_eq!(connections(), 1);
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut output = Vec::new();
    for _ in 0..3 {
        let mut logs = bed.host.logs(&id, &follow).await.unwrap();
        assert!(timeout(LIMIT, logs.next()).await.unwrap().is_some());
        output.push(logs);
    }
    assert_eq!(connections(), 2, "one for calls, one for output");
    drop(output);
    let closed = || {
        let log = server.log();
        log.contains("Disconnected from user") || log.contains("Connection closed by")
    };
    let end = timeout(LIMIT, async {
        while !closed() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    end.await.expect("it goes with the last output");
    assert!(bed.host.describe().await.is_ok());
    assert_eq!(connections(), 2);
    drop(bed);
}

/// Two machines, as near as one machine comes to it: the engine and its SSH
/// server are in a network of their own.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_containers_on_another_machine_are_reached() {
    let (engine, endpoint) = PrivateEngine::start();
    let mut bed = DockerBed::at(&endpoint);
    let namespace = engine.command("namespace");
    let server = Sshd::start_at(&engine.command("address"), 22, Some(&namespace));
    bed.host = reach(&server, &bed);
    let scene = Scene::new(&bed);
    let id = scene.web().await;
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let ip = bed.docker(&["inspect", "--format", format, &id]);
    bed.output_of(&id).await;
    let address: SocketAddr = format!("{ip}:8080").parse().unwrap();
    let mut stream = bed.host.dial(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    timeout(LIMIT, stream.read_to_string(&mut reply)).await.unwrap().unwrap();
    assert!(reply.starts_with("HTTP/1."), "{reply}");
    let nobody: SocketAddr = format!("{ip}:9").parse().unwrap();
    let error = bed.host.dial(nobody).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Retry, "{error}");

    engine.command("stop");
    let error = bed.host.observe().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
    engine.command("start");
    assert!(bed.host.observe().await.is_ok());
    drop(bed);
    drop(server);
}
