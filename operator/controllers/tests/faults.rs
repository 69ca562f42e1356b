//! Faults that must stay where they are: one broken thing never holds up another.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hades_api::{condition, reason};
use hades_plan::ContainerState;
use hades_provider::fake::{FakeHost, FaultPlan};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Value, json};

use support::{Hades, Repository, eventually};

/// Far above what the one environment takes, far below what the broken ones wait for.
const IN_TIME: Duration = Duration::from_secs(10);

fn one_service(host: &str, image: &str) -> Value {
    json!({"defaults": {"host": host}, "services": {"web": {"image": image}}})
}

async fn add_silent_host(hades: &Hades) -> FakeHost {
    let silent = FakeHost::new();
    silent.set_faults(FaultPlan::new().delay_all(Duration::from_secs(30)));
    hades.connect.insert("unix:///silent.sock", silent.clone());
    hades.add_host("silent", "unix:///silent.sock").await;
    silent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_answer_holds_up_no_environment_of_another() {
    let hades = Hades::start().await;
    let silent = add_silent_host(&hades).await;
    for n in 0..150 {
        hades.apply_environment(&format!("waits{n}"), one_service("silent", "app:1")).await;
    }
    eventually("the silent host to be asked", || async {
        if silent.call_count() > 0 { Ok(()) } else { Err(()) }
    })
    .await;
    hades.apply_environment("prod", one_service("local", "app:1")).await;
    tokio::time::timeout(IN_TIME, hades.ready("prod")).await.expect("ready in time");
    assert!(hades.status("waits0").await.resources.is_empty(), "it still waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_environments_broken_at_once_hold_up_no_other() {
    let hades = Hades::start().await;
    add_silent_host(&hades).await;
    let gone = FakeHost::new();
    gone.disconnect();
    hades.connect.insert("unix:///gone.sock", gone);
    hades.add_host("gone", "unix:///gone.sock").await;
    hades.host.add_image("ends:1", "ends");
    hades.host.set_exits_at_once("ends:1", Some(3));
    let mut no_secret = one_service("local", "app:1");
    no_secret["services"]["web"]["envFrom"] = json!([{"secretRef": {"name": "nowhere"}}]);
    let mut no_volume = one_service("local", "app:1");
    no_volume["services"]["web"]["volumes"] = json!(["nowhere:/data"]);
    let broken: [(Value, Option<&str>); 7] = [
        (one_service("local", "nowhere:1"), Some(reason::IMAGE_UNAVAILABLE)),
        (no_volume, Some(reason::INVALID_SPEC)),
        (no_secret, Some(reason::SECRET_NOT_FOUND)),
        (one_service("gone", "app:1"), Some(reason::HOST_UNREACHABLE)),
        (one_service("nowhere", "app:1"), Some(reason::HOST_NOT_FOUND)),
        (one_service("local", "ends:1"), Some(reason::CONTAINER_FAILED)),
        (one_service("silent", "app:1"), None),
    ];
    for n in 0..50 {
        let (spec, _) = &broken[n % broken.len()];
        hades.apply_environment(&format!("broken{n}"), spec.clone()).await;
    }
    hades.apply_environment("prod", one_service("local", "app:1")).await;
    tokio::time::timeout(IN_TIME, hades.ready("prod")).await.expect("ready in time");
    let mut changed = one_service("local", "app:1");
    changed["services"]["web"]["env"] = json!({"MESSAGE": "two"});
    hades.apply_environment("prod", changed).await;
    tokio::time::timeout(IN_TIME, hades.ready("prod")).await.expect("changed in time");
    for (n, (_, reason)) in broken.iter().enumerate() {
        if let Some(reason) = reason {
            hades.not_ready(&format!("broken{n}"), reason).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_holds_nothing_up() {
    let mut hades = Hades::prepare().await;
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = ahead.clone();
        move || Timestamp::now() + SignedDuration::from_hours(ahead.load(Ordering::SeqCst))
    };
    hades.run_controllers_by(Arc::new(clock));
    let repository = Repository::new(&[("env.yaml", &environment("one"))]);
    follow(&hades, &repository).await;
    hades.ready("prod").await;
    // A year back, ten years on, and what is right again.
    for (hours, message) in [(-8_760, "two"), (87_600, "three"), (0, "four")] {
        ahead.store(hours, Ordering::SeqCst);
        repository.commit(&[("env.yaml", &environment(message))]);
        eventually(&format!("{message} to run"), || async {
            let running = hades.host.running();
            let env = running.first().and_then(|name| hades.host.env_of(name)).unwrap_or_default();
            let there = env.get("MESSAGE").is_some_and(|found| found == message);
            if there && running.len() == 1 { Ok(()) } else { Err(env) }
        })
        .await;
        hades.ready("prod").await;
        hades.host.remove_by_hand(&hades.host.running()[0]);
        eventually("the drift to be healed", || async {
            if hades.host.running().len() == 1 { Ok(()) } else { Err(()) }
        })
        .await;
        hades.ready("prod").await;
    }
}

async fn follow(hades: &Hades, repository: &Repository) {
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
            "metadata": {"name": "config", "namespace": "hades-system"},
            "spec": {"url": repository.url(), "interval": "100ms"},
        }))
        .await;
}

fn environment(message: &str) -> String {
    format!(
        "{{apiVersion: hades.dev/v1alpha1, kind: Environment, \
         metadata: {{name: prod, namespace: shop}}, spec: {{defaults: {{host: local}}, \
         services: {{web: {{image: 'app:1', env: {{MESSAGE: {message}}}}}}}}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_flaps_is_told_and_left_to_the_engine() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", one_service("local", "app:1")).await;
    hades.ready("prod").await;
    let web = hades.host.running().remove(0);
    let changes = hades.host.mutating_calls().len();
    for _ in 0..20 {
        hades.host.set_state_by_hand(&web, ContainerState::Restarting);
        let ready = hades.not_ready("prod", reason::CONTAINER_FAILED).await;
        assert!(ready.message.contains("web"), "{}", ready.message);
        hades.host.set_state_by_hand(&web, ContainerState::Running);
    }
    // It runs again, and is believed when it has done so for long enough.
    hades.host.set_uptime(&web, Duration::from_secs(180));
    hades.ready("prod").await;
    assert_eq!(hades.host.mutating_calls().len(), changes, "the engine starts it again, not Hades");
    let events = hades.events("shop", "prod").await;
    let told = events.iter().filter(|event| event.starts_with(reason::CONTAINER_FAILED)).count();
    assert!((1..=3).contains(&told), "said again and again: {events:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_whose_name_does_not_resolve_is_told_and_holds_up_no_other() {
    let hades = Hades::start().await;
    for n in 0..10 {
        hades
            .apply(json!({
                "apiVersion": "hades.dev/v1alpha1", "kind": "ConfigRepository",
                "metadata": {"name": format!("nowhere{n}"), "namespace": "hades-system"},
                "spec": {"url": "https://git.nowhere.invalid/shop.git"},
            }))
            .await;
    }
    let repository = Repository::new(&[("env.yaml", &environment("one"))]);
    follow(&hades, &repository).await;
    hades.ready("prod").await;
    let message = eventually("the failure to be told", || async {
        let found = hades.repositories("hades-system").get("nowhere0").await.unwrap();
        let conditions = found.status.clone().unwrap_or_default().conditions;
        match condition::find(&conditions, condition::READY) {
            Some(ready) if ready.reason == reason::FETCH_FAILED => Ok(ready.message.clone()),
            _ => Err((found.name_any(), conditions)),
        }
    })
    .await;
    assert!(message.contains("git.nowhere.invalid"), "{message}");
    assert!(message.to_lowercase().contains("resolve"), "{message}");
}
