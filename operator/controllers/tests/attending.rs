//! What people do to running services: stop and start them, run commands in their
//! containers, and see what they use.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use futures::StreamExt;
use hades_api::annotation;
use hades_controllers::environment::{ExecError, exec, stats};
use hades_provider::{ContainerStats, ExecOptions};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use support::{Hades, eventually};

fn two_services() -> Value {
    json!({
        "defaults": {"host": "local"},
        "services": {"web": {"image": "app:1"}, "worker": {"image": "app:1", "replicas": 2}},
    })
}

async fn annotate(hades: &Hades, key: &str, value: Value) {
    let patch = json!({"metadata": {"annotations": {key: value}}});
    let parameters = PatchParams::default();
    hades.environments().patch("prod", &parameters, &Patch::Merge(patch)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_service_comes_back_with_as_many_containers() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let key = format!("{}worker", annotation::STOPPED_SERVICE);
    annotate(&hades, &key, json!("2026-01-01T00:00:00Z")).await;
    let stopped = eventually("the service to be stopped", || async {
        let status = hades.ready("prod").await;
        if hades.host.running().len() == 1 && status.ready.as_deref() == Some("1/1") {
            Ok(status)
        } else {
            Err(status)
        }
    })
    .await;
    assert_eq!(stopped.stopped, ["worker"]);
    let ready = hades_api::condition::find(&stopped.conditions, hades_api::condition::READY);
    assert_eq!(ready.unwrap().message, "1 container runs as described; stopped: worker");
    annotate(&hades, &key, Value::Null).await;
    eventually("the service to be started", || async {
        let status = hades.ready("prod").await;
        let whole = hades.host.running().len() == 3 && status.stopped.is_empty();
        if whole { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_counters_of_containers() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let run = |container: &'static str| {
        let command = vec!["echo".to_owned(), "hello".to_owned()];
        let options = ExecOptions { command, ..ExecOptions::default() };
        let context = hades.context.clone();
        async move { exec(&context, "shop", "prod", container, &options).await }
    };
    let mut session = run("worker/2").await.unwrap().unwrap();
    assert_eq!(&session.output.next().await.unwrap().unwrap().bytes[..], b"hello\n");
    let error = run("worker/3").await.unwrap_err();
    assert!(matches!(error, ExecError::Pick(_)), "{error}");
    assert!(error.to_string().contains("worker/2"), "{error}");
    let none = exec(&hades.context, "shop", "prd", "web", &ExecOptions::default()).await;
    assert!(none.unwrap().is_none());

    let web = hades.host.running().into_iter().find(|name| name.contains("_web-")).unwrap();
    let used = ContainerStats { memory_bytes: 7, ..ContainerStats::default() };
    assert!(hades.host.set_stats(&web, used));
    let reply = stats(&hades.context, "shop", "prod").await.unwrap().unwrap();
    let found: Vec<_> = reply
        .items
        .iter()
        .map(|e| (&*e.service, e.replica, e.stats.unwrap().memory_bytes))
        .collect();
    assert_eq!(found, [("web", 1, 7), ("worker", 1, 0), ("worker", 2, 0)]);

    // A host that doesn't answer is an entry, and names itself to who wants in.
    hades.host.disconnect();
    let reply = stats(&hades.context, "shop", "prod").await.unwrap().unwrap();
    assert_eq!(reply.items.len(), 1);
    assert!(reply.items[0].error.is_some(), "{reply:?}");
    let error = run("web").await.unwrap_err().to_string();
    assert!(error.contains("host local can't be looked at"), "{error}");
    hades.host.reconnect();
}
