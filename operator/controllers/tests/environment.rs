//! Environments on a host that can be made to fail.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use hades_api::{Drift, Health, annotation, condition};
use hades_provider::ErrorClass;
use hades_provider::fake::{CallKind, Fault, FaultPlan};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use support::{Hades, eventually, is_true};

fn two_services() -> Value {
    json!({
        "defaults": {"host": "local"},
        "services": {
            "web": {"image": "app:1", "env": {"MESSAGE": "one"}},
            "worker": {"image": "app:1", "replicas": 2},
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_comes_up_and_says_what_runs() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    let status = hades.ready("prod").await;
    assert_eq!(hades.running(), ["shop_prod_web-1", "shop_prod_worker-1", "shop_prod_worker-2"]);
    assert_eq!(status.ready.as_deref(), Some("3/3"));
    let plan = status.last_plan.expect("the plan is shown");
    assert!(plan.actions.iter().any(|line| line.contains("shop_prod_web-1")), "{plan:?}");
    let containers: Vec<_> = status.resources.iter().filter(|r| r.kind == "Container").collect();
    assert_eq!(containers.len(), 3);
    assert!(containers.iter().all(|c| c.health == Health::Healthy && c.drift == Drift::InSync));
    let events = hades.events("shop", "prod").await;
    assert!(events.iter().any(|event| event.starts_with("PlanApplied: ")), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_spec_replaces_only_what_it_changes() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let before = hades.host.running();
    let mut spec = two_services();
    spec["services"]["web"]["env"]["MESSAGE"] = json!("two");
    hades.apply_environment("prod", spec).await;
    hades.ready("prod").await;
    let after = hades.host.running();
    let kept: Vec<_> = after.iter().filter(|name| before.contains(name)).collect();
    assert_eq!(after.len(), 3);
    assert_eq!(kept.len(), 2, "before {before:?}, after {after:?}");
    let web = after.iter().find(|name| name.contains("_web-")).unwrap();
    assert_eq!(hades.host.env_of(web).unwrap()["MESSAGE"], "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_of_every_sort_is_healed_and_told() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let wanted = hades.host.running();
    let web = wanted.iter().find(|name| name.contains("_web-")).unwrap().clone();
    type Mess = fn(&Hades, &str);
    let messes: [(&str, Mess); 4] = [
        ("removed", |hades, web| assert!(hades.host.remove_by_hand(web))),
        ("stopped", |hades, web| assert!(hades.host.stop_by_hand(web))),
        ("paused", |hades, web| assert!(hades.host.pause_by_hand(web))),
        ("detached", |hades, web| assert!(hades.host.detach_by_hand(web))),
    ];
    for (what, mess) in messes {
        mess(&hades, &web);
        eventually(&format!("a {what} container to be healed"), || async {
            let found = hades.host.container(&web);
            let healed = hades.host.running() == wanted
                && found.as_ref().is_some_and(|c| c.networks.contains(&"shop_prod".to_owned()));
            if healed { Ok(()) } else { Err(found) }
        })
        .await;
        hades.ready("prod").await;
    }
    let events = hades.events("shop", "prod").await;
    assert!(events.iter().any(|event| event.starts_with("DriftHealed: ")), "{events:?}");
}

/// The server of these tests refuses nothing, as one of Kubernetes: the planner does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_tightened_holds_back_and_stops_nothing() {
    let hades = Hades::start().await;
    let policy = async |policy: Value| {
        hades
            .apply(json!({
                "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
                "metadata": {"name": "shop"}, "spec": {"policy": policy},
            }))
            .await;
    };
    let mut spec = two_services();
    spec["services"]["web"]["privileged"] = json!(true);
    hades.apply_environment("prod", spec.clone()).await;
    let denied = hades.not_ready("prod", "PolicyViolation").await;
    assert!(denied.message.contains("spec.services.web.privileged"), "{}", denied.message);
    assert!(denied.message.contains("(spec.policy.privileged)"), "{}", denied.message);
    assert!(hades.running().is_empty(), "nothing of it is rolled out");

    policy(json!({"privileged": true, "quotas": {"replicas": 3}})).await;
    hades.ready("prod").await;
    let before = hades.host.running();
    // The older environment has all there is; of one second the first by name.
    hades
        .apply_environment(
            "staging",
            json!({
                "defaults": {"host": "local"}, "services": {"web": {"image": "app:1"}},
            }),
        )
        .await;
    let denied = hades.not_ready("staging", "PolicyViolation").await;
    assert!(denied.message.contains("replicas 4 of 3"), "{}", denied.message);
    assert!(is_true(&hades.status("prod").await.conditions, condition::READY));
    policy(json!({"privileged": true, "quotas": {"replicas": 4}})).await;
    hades.ready("staging").await;

    policy(json!({})).await;
    hades.not_ready("prod", "PolicyViolation").await;
    spec["services"]["worker"]["image"] = json!("app:2");
    hades.apply_environment("prod", spec).await;
    hades.not_ready("prod", "PolicyViolation").await;
    let after = hades.host.running();
    assert!(before.iter().all(|name| after.contains(name)), "before {before:?}, after {after:?}");
    // What isn't allowed any more can be stopped, and the rest goes on then.
    let stop = json!({"metadata": {"annotations": {
        format!("{}web", annotation::STOPPED_SERVICE): "2026-01-01T00:00:00Z",
    }}});
    let environments = hades.environments();
    environments.patch("prod", &PatchParams::default(), &Patch::Merge(&stop)).await.unwrap();
    hades.ready("prod").await;
    let running = hades.host.running();
    assert!(!running.iter().any(|name| name.starts_with("shop_prod_web-")), "{running:?}");
}

/// An environment that is held back, or that can't be planned any more, keeps what it
/// has: that counts as long as it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_count_what_is_there_whatever_manifests_say() {
    let hades = Hades::start().await;
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject", "metadata": {"name": "shop"},
            "spec": {"policy": {"quotas": {"replicas": 3, "cpu": 3}}},
        }))
        .await;
    let spec = |replicas: u32, more: Value| {
        let limits = json!({"limits": {"cpu": "1"}});
        let web = json!({"image": "app:1", "replicas": replicas, "resources": limits});
        let mut spec = json!({"defaults": {"host": "local"}, "services": {"web": web}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    hades.apply_environment("one", spec(3, json!({}))).await;
    let status = hades.ready("one").await;
    let limits = status.resources.iter().find_map(|found| found.limits.clone()).unwrap();
    assert_eq!(limits.cpu.unwrap().to_string(), "1");
    for idle in [json!({"suspend": true}), json!({"defaults": {"host": "nowhere"}})] {
        hades.apply_environment("one", spec(0, idle.clone())).await;
        let reason = if idle["suspend"] == true { "Suspended" } else { "HostNotFound" };
        hades.not_ready("one", reason).await;
        hades.apply_environment("two", spec(1, json!({}))).await;
        let denied = hades.not_ready("two", "PolicyViolation").await;
        assert!(denied.message.contains("replicas 4 of 3"), "{}", denied.message);
        assert!(denied.message.contains("cpu 4 of 3"), "{}", denied.message);
        assert_eq!(hades.running().len(), 3);
        hades.environments().delete("two", &DeleteParams::default()).await.unwrap();
    }
    hades.apply_environment("one", spec(2, json!({}))).await;
    hades.ready("one").await;
    hades.apply_environment("two", spec(1, json!({}))).await;
    hades.ready("two").await;
}

/// Data goes no further than what runs with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_is_copied_to_hosts_that_the_policy_allows() {
    use futures::StreamExt;
    use hades_controllers::volume_copy::{VolumeCopy, copy};
    let hades = Hades::start().await;
    let other = hades_provider::fake::FakeHost::new();
    hades.connect.insert("unix:///other.sock", other.clone());
    hades.add_host("other", "unix:///other.sock").await;
    let mut spec = two_services();
    spec["services"]["web"]["volumes"] = json!(["data:/data"]);
    spec["volumes"] = json!({"data": {}});
    hades.apply_environment("prod", spec).await;
    hades.ready("prod").await;
    hades
        .apply(json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject", "metadata": {"name": "shop"},
            "spec": {"policy": {"hosts": ["loc*"]}},
        }))
        .await;
    let request = VolumeCopy {
        volume: "data".to_owned(),
        to: "other".to_owned(),
        live: true,
        ..VolumeCopy::default()
    };
    let progress = copy(&hades.context, "shop", "prod", &request).await.unwrap().unwrap();
    let last = progress.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(
        last.error.as_deref(),
        Some("policy of project shop doesn't allow DockerHost other (spec.policy.hosts)")
    );
    assert!(other.snapshot().volumes.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_is_named_and_nothing_is_touched() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let before = hades.host.running();

    let mut spec = two_services();
    spec["templateRef"] = json!({"name": "bass"});
    hades.apply_environment("prod", spec).await;
    let ready = hades.not_ready("prod", "TemplateNotFound").await;
    assert!(ready.message.contains("spec.templateRef.name"), "{}", ready.message);

    let mut spec = two_services();
    spec["templateRef"] = Value::Null;
    spec["defaults"]["host"] = json!("locl");
    hades.apply_environment("prod", spec).await;
    let ready = hades.not_ready("prod", "HostNotFound").await;
    assert!(ready.message.contains("local"), "suggests the host: {}", ready.message);

    let mut spec = two_services();
    spec["services"]["web"]["env"]["PASS"] = json!({"secretKeyRef": {"name": "db", "key": "p"}});
    hades.apply_environment("prod", spec).await;
    let ready = hades.not_ready("prod", "SecretNotFound").await;
    assert!(ready.message.contains("spec.services.web.env.PASS"), "{}", ready.message);
    assert!(is_true(&hades.status("prod").await.conditions, condition::STALLED));

    assert_eq!(hades.host.running(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_had_takes_nothing_down() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let mut spec = two_services();
    spec["services"]["web"]["image"] = json!("nowhere:1");
    hades.apply_environment("prod", spec).await;
    let ready = hades.not_ready("prod", "ImageUnavailable").await;
    assert!(ready.message.contains("nowhere:1"), "{}", ready.message);
    assert_eq!(hades.running().len(), 3, "the old container stays");
    assert!(is_true(&hades.status("prod").await.conditions, condition::STALLED));
    // It is there later, and somebody says so.
    hades.host.publish_image("nowhere:1", "late");
    let request = json!({"metadata": {"annotations": {annotation::RECONCILE_REQUESTED_AT: "now"}}});
    let parameters = PatchParams::default();
    hades.environments().patch("prod", &parameters, &Patch::Merge(request)).await.unwrap();
    hades.ready("prod").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_reach_the_container_and_nothing_else() {
    const VALUE: &str = "correct-horse-battery";
    let hades = Hades::start().await;
    let secret = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "db", "namespace": "shop"}, "stringData": {"password": value},
        })
    };
    hades.apply(secret(VALUE)).await;
    let spec = json!({
        "defaults": {"host": "local"},
        "services": {
            "web": {"image": "app:1", "env": {
                "PASS": {"secretKeyRef": {"name": "db", "key": "password"}},
                "URL": "postgres://app:$(PASS)@db/app",
            }},
            "other": {"image": "app:1"},
        },
    });
    hades.apply_environment("prod", spec).await;
    let status = hades.ready("prod").await;
    let running = hades.host.running();
    let web = running.iter().find(|name| name.contains("_web-")).unwrap().clone();
    let env = hades.host.env_of(&web).unwrap();
    assert_eq!(env["PASS"], VALUE);
    assert_eq!(env["URL"], format!("postgres://app:{VALUE}@db/app"));
    let seen = serde_json::to_string(&status).unwrap()
        + &hades.events("shop", "prod").await.join("\n")
        + &format!("{:?}", hades.host.container(&web).unwrap().labels);
    assert!(!seen.contains(VALUE));
    assert!(seen.contains("fp-shop-"), "its fingerprint is that of the project: {seen}");

    // A new value rolls exactly the service that uses it.
    hades.apply(secret("another-value-that-is-longer")).await;
    eventually("the service to get the new value", || async {
        let names = hades.host.running();
        let web = names.iter().find(|name| name.contains("_web-")).cloned().unwrap_or_default();
        let env = hades.host.env_of(&web).unwrap_or_default();
        let new = env.get("PASS").is_some_and(|pass| pass == "another-value-that-is-longer");
        if new && names.len() == 2 { Ok(()) } else { Err(names) }
    })
    .await;
    let other = running.iter().find(|name| name.contains("_other-")).unwrap();
    assert!(hades.host.running().contains(other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_change_rolls_only_what_it_changes() {
    let hades = Hades::start().await;
    let template = |message: &str| {
        json!({
            "apiVersion": "hades.dev/v1alpha1", "kind": "EnvironmentTemplate",
            "metadata": {"name": "base", "namespace": "shop"},
            "spec": {"defaults": {"host": "local"}, "services": {
                "web": {"image": "app:1", "env": {"MESSAGE": message}},
                "worker": {"image": "app:1"},
            }},
        })
    };
    hades.apply(template("one")).await;
    let spec = json!({"templateRef": {"name": "base"}, "services": {"worker": {"replicas": 2}}});
    hades.apply_environment("prod", spec).await;
    hades.ready("prod").await;
    let before = hades.host.running();
    assert_eq!(before.len(), 3);
    hades.apply(template("two")).await;
    eventually("the one service to be replaced", || async {
        let after = hades.host.running();
        let changed: Vec<_> = after.iter().filter(|name| !before.contains(name)).cloned().collect();
        let done = after.len() == 3 && changed.len() == 1 && changed[0].contains("_web-");
        if done { Ok(()) } else { Err(after) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_environment_is_left_alone_until_resumed() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let suspend = |on: bool| Patch::Merge(json!({"spec": {"suspend": on}}));
    let parameters = PatchParams::default();
    hades.environments().patch("prod", &parameters, &suspend(true)).await.unwrap();
    eventually("the condition Suspended", || async {
        let status = hades.status("prod").await;
        if is_true(&status.conditions, condition::SUSPENDED) { Ok(()) } else { Err(status) }
    })
    .await;
    let web = hades.host.running().into_iter().find(|name| name.contains("_web-")).unwrap();
    hades.host.remove_by_hand(&web);
    let status = eventually("the drift to be seen", || async {
        let status = hades.status("prod").await;
        let seen = status.resources.iter().any(|r| r.drift == Drift::OutOfSync);
        if seen { Ok(status) } else { Err(status) }
    })
    .await;
    assert_eq!(hades.running().len(), 2, "{status:?}");
    hades.environments().patch("prod", &parameters, &suspend(false)).await.unwrap();
    hades.ready("prod").await;
    assert_eq!(hades.running().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_removes_what_was_made_and_nothing_foreign() {
    let hades = Hades::start().await;
    hades.host.add_foreign_container("somebody-elses", &[]);
    let mut spec = two_services();
    spec["volumes"] = json!({"keep": {}, "drop": {"deletionPolicy": "Delete"}});
    spec["services"]["web"]["volumes"] = json!(["keep:/keep", "drop:/drop"]);
    hades.apply_environment("prod", spec).await;
    hades.ready("prod").await;
    hades.environments().delete("prod", &DeleteParams::default()).await.unwrap();
    eventually("the environment to be gone", || async {
        match hades.environments().get_opt("prod").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found.status),
        }
    })
    .await;
    assert_eq!(hades.host.running(), ["somebody-elses"]);
    let left = hades.host.snapshot();
    let volumes: Vec<_> = left.volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(volumes, ["shop_prod_keep"]);
    assert!(left.networks.iter().all(|network| network.name != "shop_prod"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_the_engine_holds_without_reason_is_told_and_goes_later() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    hades.host.miscount_endpoints_of("shop_prod", false);
    hades.environments().delete("prod", &DeleteParams::default()).await.unwrap();
    eventually("the reason to be told", || async {
        let found = hades.environments().get("prod").await.unwrap();
        let told = found
            .status
            .iter()
            .flat_map(|status| &status.conditions)
            .any(|condition| condition.message.contains("knows of no container on it"));
        if told { Ok(()) } else { Err(found.status) }
    })
    .await;
    hades.host.miscount_endpoints_of("shop_prod", true);
    eventually("the environment to be gone", || async {
        match hades.environments().get_opt("prod").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found.status),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_environment_goes_although_its_host_is_gone() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    hades.host.disconnect();
    hades.environments().delete("prod", &DeleteParams::default()).await.unwrap();
    let pending = hades.not_ready("prod", "CleanupPending").await;
    assert!(pending.message.contains(annotation::ABANDON), "{}", pending.message);
    let abandon = json!({"metadata": {"annotations": {annotation::ABANDON: "true"}}});
    let parameters = PatchParams::default();
    hades.environments().patch("prod", &parameters, &Patch::Merge(abandon)).await.unwrap();
    eventually("the environment to be gone", || async {
        match hades.environments().get_opt("prod").await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found.status),
        }
    })
    .await;
    hades.host.reconnect();
    assert_eq!(hades.running().len(), 3, "what ran runs on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_comes_back_is_converged_and_nothing_was_thought_gone() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    hades.host.disconnect();
    let mut spec = two_services();
    spec["services"]["web"]["image"] = json!("app:2");
    hades.apply_environment("prod", spec).await;
    hades.not_ready("prod", "HostUnreachable").await;
    hades.host.reconnect();
    hades.ready("prod").await;
    assert_eq!(hades.running().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_environment_does_not_hold_up_another() {
    let hades = Hades::start().await;
    let mut broken = two_services();
    broken["services"]["web"]["image"] = json!("nowhere:1");
    for n in 0..5 {
        hades.apply_environment(&format!("broken{n}"), broken.clone()).await;
    }
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    hades.not_ready("broken0", "ImageUnavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_replaces_the_containers_of_the_service_only() {
    let hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let before = hades.host.running();
    let key = format!("{}web", annotation::RESTARTED_AT_SERVICE);
    let patch = json!({"metadata": {"annotations": {key: "2026-01-01T00:00:00Z"}}});
    let parameters = PatchParams::default();
    hades.environments().patch("prod", &parameters, &Patch::Merge(patch)).await.unwrap();
    eventually("the service to be replaced", || async {
        let after = hades.host.running();
        let changed: Vec<_> = after.iter().filter(|name| !before.contains(name)).cloned().collect();
        let done = after.len() == 3 && changed.len() == 1 && changed[0].contains("_web-");
        if done { Ok(()) } else { Err(after) }
    })
    .await;
}

/// Hades dies at any of the calls of a roll-out, before or after it took effect,
/// and starts again: the environment is as described, nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_calls_is_survived() {
    use hades_provider::fake::Moment;
    let mut hades = Hades::start().await;
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
    let mut version = 0;
    for moment in [Moment::Before, Moment::After] {
        for step in 1.. {
            version += 1;
            let first = hades.host.call_count();
            hades.host.set_faults(FaultPlan::new().at(first + step, Fault::Crash(moment)));
            let mut spec = two_services();
            // The gate has a sweep of its own, and takes its time.
            for service in ["web", "worker"] {
                spec["services"][service]["strategy"] = json!({"minReady": "0s"});
                spec["services"][service]["healthCheck"] = json!({"none": true});
            }
            spec["env"] = json!({"VERSION": version});
            if version % 2 == 0 {
                spec["services"]["web"]["ports"] = json!(["8080:80"]);
            }
            hades.apply_environment("prod", spec).await;
            let crashed = crash_or_ready(&hades).await;
            hades.stop_controllers().await;
            hades.host.revive();
            hades.host.set_faults(FaultPlan::new());
            hades.run_controllers();
            hades.ready("prod").await;
            assert_eq!(
                hades.running(),
                ["shop_prod_web-1", "shop_prod_worker-1", "shop_prod_worker-2"],
                "after a crash {moment:?} call {step}"
            );
            let all = hades.host.snapshot().containers.len();
            assert_eq!(all, 3, "leftovers after a crash {moment:?} call {step}");
            if !crashed {
                break;
            }
        }
    }
    assert!(version > 10, "the sweep reached only {version} calls");
}

async fn crash_or_ready(hades: &Hades) -> bool {
    eventually("a crash or the end of the roll-out", || async {
        if hades.host.is_crashed() {
            return Ok(true);
        }
        let found = hades.environments().get("prod").await.unwrap();
        let status = found.status.unwrap_or_default();
        let current = status.observed_generation == found.metadata.generation;
        let done = current && is_true(&status.conditions, condition::READY);
        if done { Ok(false) } else { Err(status) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_action_is_tried_again_and_the_reason_told() {
    let hades = Hades::start().await;
    hades
        .host
        .set_faults(FaultPlan::new().next(CallKind::CreateNetwork, Fault::Fail(ErrorClass::Retry)));
    hades.apply_environment("prod", two_services()).await;
    hades.ready("prod").await;
}
