//! DockerHosts against the embedded API server and fake hosts.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use hades_api::{DockerHost, DockerHostStatus, condition, reason};
use hades_provider::Credentials;
use hades_provider::fake::FakeHost;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use support::{Hades, eventually};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJiEyZ0V7IP1TCOpW1ptN8SeQk1XWMzUEMvHpGMbJPvZ";

async fn status(hades: &Hades, name: &str) -> DockerHostStatus {
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    hosts.get(name).await.unwrap().status.unwrap_or_default()
}

/// Waits until the Ready condition of a host is as `wanted` says.
async fn ready(hades: &Hades, name: &str, wanted: impl Fn(&Condition) -> bool) -> Condition {
    eventually(&format!("{name} to be as wanted"), || async {
        let status = status(hades, name).await;
        match condition::find(&status.conditions, condition::READY) {
            Some(found) if wanted(found) => Ok(found.clone()),
            _ => Err(status),
        }
    })
    .await
}

/// Has a host probed now.
async fn probe(hades: &Hades, number: u32) {
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    let asked = json!({"metadata": {"annotations": {"test/probe": number.to_string()}}});
    let patch = kube::api::Patch::Merge(asked);
    hosts.patch_metadata("local", &Default::default(), &patch).await.unwrap();
}

fn ssh_host(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "DockerHost", "metadata": {"name": name},
        "spec": {
            "endpoint": "ssh://root@web-1",
            "ssh": {"secretRef": {"name": secret}, "hostKeys": [KEY]},
        },
    })
}

fn secret(key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "web-1", "namespace": "hades-system"},
        "stringData": {"ssh-privatekey": key},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_probe_is_not_an_outage() {
    let hades = Hades::start().await;
    ready(&hades, "local", |ready| ready.status == "True").await;
    hades.host.disconnect();
    probe(&hades, 1).await;
    let doubtful = ready(&hades, "local", |ready| ready.message.contains("1 of 3")).await;
    assert_eq!((&*doubtful.status, &*doubtful.reason), ("True", reason::REACHABLE));
    hades.host.reconnect();
    let calm = ready(&hades, "local", |ready| ready.message.contains("answers")).await;
    assert_eq!(calm.status, "True");
    assert_eq!(calm.last_transition_time, doubtful.last_transition_time);

    hades.host.disconnect();
    probe(&hades, 2).await;
    let out = ready(&hades, "local", |ready| ready.status == "False").await;
    assert_eq!(out.reason, reason::HOST_UNREACHABLE);
    hades.host.reconnect();
    ready(&hades, "local", |ready| ready.status == "True").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_host_that_is_known_not_to_answer() {
    let hades = Hades::start().await;
    let other = FakeHost::new();
    other.add_image("app:1", "one");
    hades.connect.insert("unix:///other.sock", other.clone());
    hades.add_host("other", "unix:///other.sock").await;
    ready(&hades, "other", |ready| ready.status == "True").await;
    let services = json!({
        "here": {"image": "app:1", "host": "local"}, "there": {"image": "app:1", "host": "other"},
    });
    hades.apply_environment("both", json!({"services": services})).await;
    hades.ready("both").await;
    hades.host.disconnect();
    ready(&hades, "local", |ready| ready.status == "False").await;
    let calls = hades.host.call_count();
    other.remove_by_hand(&other.running()[0]);
    eventually("the other host to be healed", || async {
        if other.running().len() == 1 { Ok(()) } else { Err(other.running()) }
    })
    .await;
    // Probes alone; without the memory of the outage each pass would look too.
    let since = &hades.host.calls()[usize::try_from(calls).unwrap()..];
    assert!(since.iter().all(|call| format!("{:?}", call.kind) == "Describe"), "{since:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_secrets_are_taken_up_when_they_change() {
    let hades = Hades::start().await;
    hades.connect.insert("ssh://root@web-1", FakeHost::new());
    hades.apply(ssh_host("web-1", "web-1")).await;
    let missing = ready(&hades, "web-1", |ready| ready.status == "False").await;
    assert_eq!(missing.reason, reason::SECRET_NOT_FOUND);
    assert!(missing.message.contains("hades-system/web-1"), "{}", missing.message);
    let keys = || {
        let of_ssh = |address: hades_provider::HostAddress| match address.credentials {
            Credentials::Ssh { private_key, host_keys } => {
                assert_eq!(host_keys, [KEY]);
                Some(private_key.expose_secret().to_owned())
            }
            _ => None,
        };
        hades.connect.connected().into_iter().filter_map(of_ssh).collect::<Vec<_>>()
    };
    hades.apply(secret("one")).await;
    ready(&hades, "web-1", |ready| ready.status == "True").await;
    assert_eq!(keys(), ["one"]);
    hades.apply(secret("two")).await;
    eventually("the new key", || async {
        if keys() == ["one", "two"] { Ok(()) } else { Err(keys()) }
    })
    .await;
    assert!(!format!("{:?}", status(&hades, "web-1").await).contains("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_listened_to_again_after_a_spec_that_was_none() {
    let hades = Hades::start().await;
    let spec = json!({"defaults": {"host": "local"}, "services": {"web": {"image": "app:1"}}});
    hades.apply_environment("prod", spec).await;
    hades.ready("prod").await;
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    for (endpoint, truth) in [("unix:///nowhere.sock", "False"), ("unix:///fake.sock", "True")] {
        let patch = kube::api::Patch::Merge(json!({"spec": {"endpoint": endpoint}}));
        let changed = hosts.patch("local", &Default::default(), &patch).await.unwrap();
        let is_seen = |ready: &Condition| {
            ready.status == truth && ready.observed_generation >= changed.metadata.generation
        };
        ready(&hades, "local", is_seen).await;
    }
    hades.ready("prod").await;
    // Nothing but the events of the engine tells of it soon.
    for _ in 0..2 {
        hades.host.remove_by_hand(&hades.host.running()[0]);
        eventually("the drift to be healed", || async {
            if hades.host.running().len() == 1 { Ok(()) } else { Err(()) }
        })
        .await;
        hades.ready("prod").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_and_what_they_need_are_checked() {
    let hades = Hades::start().await;
    let tls = json!({"secretRef": {"name": "x"}});
    let ssh = json!({"secretRef": {"name": "x"}, "hostKeys": [KEY]});
    for good in [
        json!({"endpoint": "unix:///run/docker.sock"}),
        json!({"endpoint": "ssh://root@203.0.113.7", "ssh": ssh}),
        json!({"endpoint": "ssh://a@[2001:db8::1]:2222/run/user/1/docker.sock", "ssh": ssh}),
        json!({"endpoint": "tcp://web-1.example.com:2376", "tls": tls}),
        json!({"endpoint": "tcp://127.0.0.1:2375"}),
        json!({"endpoint": "tcp://[::1]:2375", "unschedulable": true}),
    ] {
        apply(&hades, &good).await.unwrap();
    }
    for (bad, words) in [
        (json!({"endpoint": "http://x:1"}), "write unix:///path"),
        (json!({"endpoint": "ssh://web-1"}), "ssh://USER@ADDRESS"),
        (json!({"endpoint": "ssh://root@web-1"}), "needs spec.ssh"),
        (json!({"endpoint": "tcp://10.0.0.1:2376"}), "needs spec.tls"),
        (json!({"endpoint": "tcp://localhost.example.com:2376"}), "needs spec.tls"),
        (json!({"endpoint": "unix:///x", "ssh": ssh}), "for ssh:// endpoints only"),
        (json!({"endpoint": "unix:///x", "tls": tls}), "for tcp:// endpoints only"),
        (
            json!({"endpoint": "ssh://a@b", "ssh": {"secretRef": {"name": "x"}, "hostKeys": []}}),
            "pin at least one host key",
        ),
        (
            json!({"endpoint": "ssh://a@b", "ssh": {"secretRef": {"name": "x"}, "hostKeys": ["x"]}}),
            "a host key is a line of",
        ),
    ] {
        let error = apply(&hades, &bad).await.unwrap_err().to_string();
        assert!(error.contains(words), "{bad}: {error}");
    }
}

async fn apply(hades: &Hades, spec: &Value) -> Result<(), kube::Error> {
    let host = json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "DockerHost",
        "metadata": {"name": "checked"}, "spec": spec,
    });
    hades.try_apply(host).await.map(drop)
}
