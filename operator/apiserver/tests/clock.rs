//! A clock that jumps changes nothing but the times that are written down.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::StreamExt;
use hades_apiserver::{ApiServer, Identity};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use support::{Barn, barn, config};

#[tokio::test]
async fn versions_patches_watches_and_leases_do_not_mind() {
    let directory = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let hours = Arc::new(AtomicI64::new(0));
    let mut config = config(&directory);
    let ahead = Arc::clone(&hours);
    config.clock =
        Arc::new(move || start + SignedDuration::from_hours(ahead.load(Ordering::SeqCst)));
    let server = ApiServer::open(config).await.unwrap();
    let client = server.client(Identity::controller("tester"));
    let barns: Api<Barn> = Api::namespaced(client.clone(), "default");
    let leases: Api<Lease> = Api::namespaced(client, "default");
    let created = barns.create(&PostParams::default(), &barn("b", 1)).await.unwrap();
    let version = |barn: &Barn| -> u64 {
        barn.metadata.resource_version.as_deref().unwrap().parse().unwrap()
    };
    let mut last = version(&created);
    let watch = WatchParams::default().timeout(60);
    let mut watch = barns.watch(&watch, &last.to_string()).await.unwrap().boxed();
    let lease = json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 15}});
    let lease: Lease = serde_json::from_value(lease).unwrap();
    let mut lease = leases.create(&PostParams::default(), &lease).await.unwrap();
    let apply = PatchParams::apply("tester").force();
    let same = Patch::Apply(json!({
        "apiVersion": "farm.example/v1", "kind": "Barn", "spec": {"cows": 2},
    }));
    for (cows, hour) in [(2, 0), (3, 100_000), (4, -100_000), (5, 1)] {
        hours.store(hour, Ordering::SeqCst);
        let merge = Patch::Merge(json!({"spec": {"cows": cows}}));
        let params =
            PatchParams { field_manager: Some("tester".to_owned()), ..PatchParams::default() };
        let patched = barns.patch("b", &params, &merge).await.unwrap();
        assert!(version(&patched) > last, "versions go on at {hour}");
        last = version(&patched);
        assert_eq!(patched.metadata.creation_timestamp, created.metadata.creation_timestamp);
        // The watch has neither ended nor been held up.
        let event = watch.next().await.unwrap().unwrap();
        assert!(matches!(event, WatchEvent::Modified(barn) if version(&barn) == last), "{hour}");
        // Only the time would differ, and that is no change.
        hours.store(hour + 5, Ordering::SeqCst);
        let again = barns.patch("b", &params, &merge).await.unwrap();
        assert_eq!(version(&again), last, "nothing is written at {hour}");
        // A holder renews by the version, whatever the clocks say.
        lease.spec.as_mut().unwrap().holder_identity = Some(format!("holder-{cows}"));
        lease = leases.replace("l", &PostParams::default(), &lease).await.unwrap();
    }
    let applied = barns.patch("b", &apply, &same).await.unwrap();
    hours.store(-50_000, Ordering::SeqCst);
    let again = barns.patch("b", &apply, &same).await.unwrap();
    assert_eq!(version(&again), version(&applied), "an apply of the same is no change");
    server.shutdown().await;
}
