//! Roll-outs on hosts that can be made to fail: what is gated by health, what
//! waits for others, and where things run.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use hades_api::{DockerHost, Environment, Health, annotation, label};
use hades_controllers::environment::{Instead, preview};
use hades_plan::{ContainerHealth, ContainerState, ObservedContainer};
use hades_provider::ErrorClass;
use hades_provider::fake::{CallKind, Fault, FaultPlan, Moment};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use support::{Hades, VALUE, eventually};

fn check() -> Value {
    json!({"http": {"path": "/healthz", "port": 8080}, "interval": "200ms", "retries": 1})
}

fn web(image: &str) -> Value {
    json!({"defaults": {"host": "local"}, "services": {
        "web": {"image": image, "healthCheck": check(), "strategy": {"progressDeadline": "1s"}},
    }})
}

/// A server on whose host `app:1` answers as it should.
async fn start() -> Hades {
    let hades = Hades::start().await;
    hades.host.set_answer("app:1", Some(200));
    hades
}

fn images(hades: &Hades) -> Vec<String> {
    let mut images: Vec<String> = hades
        .host
        .snapshot()
        .containers
        .into_iter()
        .filter(|found| found.state == ContainerState::Running)
        .map(|found| found.image)
        .collect();
    images.sort();
    images
}

fn creations(hades: &Hades) -> usize {
    hades.host.calls().iter().filter(|call| call.kind == CallKind::CreateContainer).count()
}

async fn ask_again(hades: &Hades, word: &str) {
    let patch = json!({"metadata": {"annotations": {annotation::RECONCILE_REQUESTED_AT: word}}});
    let parameters = PatchParams::default();
    hades.environments().patch("prod", &parameters, &Patch::Merge(patch)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_container_takes_over_when_it_is_healthy() {
    let hades = start().await;
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    let mut slow = web("app:2");
    slow["services"]["web"]["strategy"] = json!({"progressDeadline": "5m"});
    hades.apply_environment("prod", slow).await;
    // It runs, and doesn't answer yet.
    eventually("both to run", || async {
        let images = images(&hades);
        if images == ["app:1", "app:2"] { Ok(()) } else { Err(images) }
    })
    .await;
    hades.not_ready("prod", "Progressing").await;
    hades.host.set_answer("app:2", Some(204));
    hades.ready("prod").await;
    assert_eq!(images(&hades), ["app:2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_roll_out_leaves_the_old_one_and_tells_why() {
    const PASSWORD: &str = support::VALUE;
    let mut hades = start().await;
    hades
        .apply(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db", "namespace": "shop"}, "stringData": {"password": PASSWORD},
        }))
        .await;
    let with_secret = |image: &str| {
        let mut spec = web(image);
        spec["services"]["web"]["env"] =
            json!({"PASS": {"secretKeyRef": {"name": "db", "key": "password"}}});
        spec
    };
    hades.apply_environment("prod", with_secret("app:1")).await;
    hades.ready("prod").await;
    hades.host.set_answer("app:2", Some(503));
    hades.host.set_first_words("app:2", &format!("starting\ncannot log in with {PASSWORD}\n"));
    hades.apply_environment("prod", with_secret("app:2")).await;
    let failed = hades.not_ready("prod", "RolloutFailed").await;
    for words in ["answered 503", "within 1s", "cannot log in with ***"] {
        assert!(failed.message.contains(words), "{}", failed.message);
    }
    assert!(!failed.message.contains(PASSWORD));
    assert_eq!(images(&hades), ["app:1"]);
    let kept = |hades: &Hades| hades.host.snapshot().containers.len();
    assert_eq!(kept(&hades), 2, "it is kept for its logs");
    let status = hades.status("prod").await;
    let failure = status.resources.iter().find_map(|found| found.failure.clone());
    assert!(failure.unwrap().contains("answered 503"));

    // A restart of Hades changes nothing, not even the words.
    let tried = creations(&hades);
    hades.stop_controllers().await;
    hades.run_controllers();
    ask_again_later(&hades).await;
    let still = hades.not_ready("prod", "RolloutFailed").await;
    assert_eq!(still.message, failed.message);
    assert_eq!((creations(&hades), images(&hades)), (tried, vec!["app:1".to_owned()]));

    // Somebody asks, and this time it works.
    hades.host.set_answer("app:2", Some(200));
    ask_again(&hades, "now").await;
    hades.ready("prod").await;
    assert_eq!(images(&hades), ["app:2"]);
    assert_eq!((creations(&hades), kept(&hades)), (tried, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_passed_while_hades_was_down_is_not_held_against_a_container() {
    let mut hades = start().await;
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    let mut slow = web("app:2");
    slow["services"]["web"]["strategy"] = json!({"progressDeadline": "2m"});
    hades.apply_environment("prod", slow).await;
    let new = eventually("the new one to run", || async {
        let containers = hades.host.snapshot().containers;
        let runs = |found: &ObservedContainer| {
            found.image == "app:2" && found.state == ContainerState::Running
        };
        containers.into_iter().find(runs).ok_or(())
    })
    .await;
    hades.stop_controllers().await;
    hades.host.set_answer("app:2", Some(200));
    hades.host.set_uptime(&new.id, Duration::from_secs(180));
    hades.run_controllers();
    hades.ready("prod").await;
    assert_eq!(images(&hades), ["app:2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_words_that_could_not_be_had_are_asked_for_again() {
    let hades = start().await;
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    hades.host.set_exits_at_once("app:2", Some(3));
    hades.host.set_first_words("app:2", "no such table\n");
    let mute = || Fault::Fail(ErrorClass::Retry);
    hades.host.set_faults(FaultPlan::new().next(CallKind::Logs, mute()));
    hades.apply_environment("prod", web("app:2")).await;
    hades.not_ready("prod", "RolloutFailed").await;
    ask_again_later(&hades).await;
    eventually("the last words", || async {
        let failed = hades.not_ready("prod", "RolloutFailed").await;
        if failed.message.contains("no such table") { Ok(()) } else { Err(failed.message) }
    })
    .await;
}

/// Lets a pass come that nobody asked for.
async fn ask_again_later(hades: &Hades) {
    let lists = || hades.host.calls().iter().filter(|call| call.kind == CallKind::List).count();
    let before = lists();
    hades.host.add_foreign_container("somebody-elses", &[]);
    eventually("two passes", || async { if lists() > before + 1 { Ok(()) } else { Err(lists()) } })
        .await;
    hades.host.remove_by_hand("somebody-elses");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_spec_takes_the_place_of_what_failed() {
    let hades = start().await;
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    hades.host.set_exits_at_once("app:2", Some(3));
    hades.apply_environment("prod", web("app:2")).await;
    let failed = hades.not_ready("prod", "RolloutFailed").await;
    assert!(failed.message.contains("exit status 3"), "{}", failed.message);
    hades.host.add_image("app:3", "three");
    hades.host.set_answer("app:3", Some(200));
    hades.apply_environment("prod", web("app:3")).await;
    hades.ready("prod").await;
    assert_eq!(images(&hades), ["app:3"]);
    assert_eq!(hades.host.snapshot().containers.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_fails_later_is_told_and_nothing_is_churned() {
    let hades = start().await;
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    let before = hades.host.mutating_calls().len();
    hades.host.set_answer("app:1", None);
    let failing = hades.not_ready("prod", "HealthCheckFailing").await;
    assert!(failing.message.contains("refused"), "{}", failing.message);
    let status = hades.status("prod").await;
    assert_eq!(
        status.resources.iter().find(|r| r.kind == "Container").unwrap().health,
        Health::Degraded
    );
    hades.host.set_answer("app:1", Some(200));
    hades.ready("prod").await;
    assert_eq!(hades.host.mutating_calls().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_an_image_counts() {
    let hades = Hades::start().await;
    hades.host.set_health_of_image("app:1", ContainerHealth::Starting);
    let spec = json!({"defaults": {"host": "local"}, "services": {"web": {"image": "app:1"}}});
    hades.apply_environment("prod", spec).await;
    let waiting = hades.not_ready("prod", "Progressing").await;
    assert!(!waiting.message.is_empty());
    hades.host.set_health_of_image("app:1", ContainerHealth::Healthy);
    hades.ready("prod").await;
    hades.host.set_health_of_image("app:1", ContainerHealth::Unhealthy);
    hades.not_ready("prod", "HealthCheckFailing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_flaps_is_told_and_left_to_the_engine() {
    let hades = Hades::start().await;
    let spec = json!({"defaults": {"host": "local"}, "services": {"web": {"image": "app:1"}}});
    hades.apply_environment("prod", spec).await;
    hades.ready("prod").await;
    let web = hades.host.running().remove(0);
    let before = hades.host.mutating_calls().len();
    for _ in 0..4 {
        // It ends, and the engine has started it again before anybody looks.
        let lists = || hades.host.calls().iter().filter(|call| call.kind == CallKind::List).count();
        for seconds in [50, 0] {
            let seen = lists();
            hades.host.set_uptime(&web, Duration::from_secs(seconds));
            eventually("a pass", || async { if lists() > seen { Ok(()) } else { Err(()) } }).await;
        }
    }
    let told = hades.not_ready("prod", "ContainerFailed").await;
    assert!(told.message.contains("again and again"), "{}", told.message);
    assert_eq!(hades.host.mutating_calls().len(), before);
    hades.host.set_uptime(&web, Duration::from_secs(150));
    hades.ready("prod").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_waits_for_the_one_that_it_depends_on() {
    let hades = Hades::start().await;
    let spec = json!({"defaults": {"host": "local"}, "services": {
        "db": {"image": "app:1", "healthCheck": check()},
        "api": {"image": "app:2", "dependsOn": ["db"]},
    }});
    hades.apply_environment("prod", spec).await;
    eventually("the wait to be told", || async {
        let status = hades.status("prod").await;
        let told = status.resources.iter().any(|found| {
            found.service.as_deref() == Some("api")
                && found.message.as_ref().is_some_and(|m| m.contains("depends on service db"))
        });
        if told { Ok(()) } else { Err(status) }
    })
    .await;
    // What is planned is told before anything is made.
    eventually("the one that is waited for", || async {
        let found = images(&hades);
        if found == ["app:1"] { Ok(()) } else { Err(found) }
    })
    .await;
    hades.host.set_answer("app:1", Some(200));
    hades.ready("prod").await;
    assert_eq!(images(&hades), ["app:1", "app:2"]);
    // What goes down later takes nothing with it.
    hades.host.set_answer("app:1", None);
    hades.not_ready("prod", "HealthCheckFailing").await;
    assert_eq!(images(&hades), ["app:1", "app:2"]);
}

/// Two hosts, each with the images; the second one is answered for separately.
async fn two_hosts() -> (Hades, hades_provider::fake::FakeHost) {
    let hades = start().await;
    let other = hades_provider::fake::FakeHost::new();
    for image in ["app:1", "app:2"] {
        other.add_image(image, image);
        other.set_answer(image, Some(200));
    }
    hades.host.set_answer("app:2", Some(200));
    hades.connect.insert("unix:///other.sock", other.clone());
    hades.add_host("other", "unix:///other.sock").await;
    (hades, other)
}

fn spread(image: &str, replicas: u32) -> Value {
    json!({"services": {"web": {
        "image": image, "replicas": replicas, "healthCheck": check(),
        "placement": {"hosts": ["local", "other"]},
    }}})
}

fn drain(on: bool) -> Patch<Value> {
    Patch::Merge(json!({"spec": {"unschedulable": on}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_spread_and_a_drained_host_is_left() {
    let (hades, other) = two_hosts().await;
    hades.apply_environment("prod", spread("app:1", 2)).await;
    hades.ready("prod").await;
    assert_eq!((hades.host.running().len(), other.running().len()), (1, 1));
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    hosts.patch("other", &PatchParams::default(), &drain(true)).await.unwrap();
    eventually("the host to be left", || async {
        let counts = (hades.host.running().len(), other.running().len());
        if counts == (2, 0) { Ok(()) } else { Err((counts, hades.status("prod").await)) }
    })
    .await;
    hades.ready("prod").await;
    // Back again, nothing moves; what is new goes there.
    let stayed: BTreeSet<String> = hades.host.running().into_iter().collect();
    hosts.patch("other", &PatchParams::default(), &drain(false)).await.unwrap();
    hades.apply_environment("prod", spread("app:1", 3)).await;
    hades.ready("prod").await;
    assert_eq!(hades.host.running().into_iter().collect::<BTreeSet<_>>(), stayed);
    assert_eq!(other.running().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_hosts_say_where_things_may_run() {
    let (hades, other) = two_hosts().await;
    let hosts: Api<DockerHost> = Api::all(hades.client.clone());
    let label = |zone: Option<&str>| Patch::Merge(json!({"metadata": {"labels": {"zone": zone}}}));
    let parameters = PatchParams::default();
    let spec = json!({"services": {"web": {
        "image": "app:1", "healthCheck": check(),
        "placement": {"selector": {"matchLabels": {"zone": "a"}}},
    }}});
    hades.apply_environment("prod", spec).await;
    hades.not_ready("prod", "HostNotFound").await;
    hosts.patch("local", &parameters, &label(Some("a"))).await.unwrap();
    hades.ready("prod").await;
    hosts.patch("other", &parameters, &label(Some("a"))).await.unwrap();
    hosts.patch("local", &parameters, &label(None)).await.unwrap();
    eventually("the host to be left", || async {
        let counts = (hades.host.running().len(), other.running().len());
        if counts == (0, 1) { Ok(()) } else { Err(counts) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_changes_nothing_of_what_is_checked() {
    let hades = start().await;
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    let mut instead = hades.environments().get("prod").await.unwrap();
    instead.spec.services.get_mut("web").unwrap().health_check = None;
    let instead = Instead { environment: Some(instead), ..Instead::default() };
    let reply = preview(&hades.context, "shop", "prod", instead).await.unwrap().unwrap();
    assert!(reply.plan.is_some());
    hades.host.set_answer("app:1", Some(500));
    hades.not_ready("prod", "HealthCheckFailing").await;
}

/// Or whoever may ask for plans could try guesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_does_not_tell_which_texts_are_values_of_secrets() {
    let hades = start().await;
    let spec = |guess: &str| {
        let service = json!({"image": "app:1", "env": {"GUESS": guess}});
        json!({"defaults": {"host": "local"}, "services": {"web": service}})
    };
    hades.apply_environment("prod", spec(VALUE)).await;
    hades.ready("prod").await;
    let mut posted = hades.environments().get("prod").await.unwrap();
    let texts = async |environment: Option<Environment>| {
        let instead = Instead { environment, ..Instead::default() };
        let reply = preview(&hades.context, "shop", "prod", instead).await.unwrap().unwrap();
        serde_json::to_string(&reply).unwrap()
    };
    let web = posted.spec.services.get_mut("web").unwrap();
    web.env = serde_json::from_value(json!({"GUESS": "other", "NEW": VALUE})).unwrap();
    let text = texts(Some(posted.clone())).await;
    assert!(text.contains(&format!("\"to\":\"{VALUE}\"")), "what was posted: {text}");
    assert!(text.contains("\"from\":\"***\""), "what runs: {text}");
    // Neither in what is wrong with it.
    let web = posted.spec.services.get_mut("web").unwrap();
    web.host = Some(serde_json::from_value(json!(VALUE)).unwrap());
    let text = texts(Some(posted)).await;
    assert!(text.contains(VALUE) && !text.contains("***"), "{text}");
    // What is stored is nobody's guess.
    let suspended = json!({"suspend": true, "defaults": {"host": "local"}, "services": {"web": {"image": "app:1", "env": {"NEW": VALUE}}}});
    hades.apply_environment("prod", suspended).await;
    let text = texts(None).await;
    assert!(!text.contains(VALUE) && text.contains("***"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cut_off_in_a_roll_out_and_back() {
    let (hades, other) = two_hosts().await;
    hades.apply_environment("prod", spread("app:1", 4)).await;
    hades.ready("prod").await;
    let before = other.running();
    other.set_faults(FaultPlan::new().next(CallKind::CreateContainer, Fault::Unreachable(1)));
    other.disconnect();
    hades.apply_environment("prod", spread("app:2", 4)).await;
    let told = hades.not_ready("prod", "HostUnreachable").await;
    assert!(told.message.contains("other"), "{}", told.message);
    assert_eq!(other.running(), before, "what runs there runs on, and is not made elsewhere");
    assert!(hades.host.running().len() <= 3, "{:?}", hades.host.running());
    other.reconnect();
    hades.ready("prod").await;
    for host in [&hades.host, &other] {
        let snapshot = host.snapshot();
        assert_eq!(snapshot.containers.len(), 2);
        let spec = |found: &ObservedContainer| found.labels[label::SPEC].clone();
        assert!(snapshot.containers.iter().all(|found| spec(found).contains("app:2")));
    }
}

/// Hades dies at any of the calls of a roll-out that health gates, before or
/// after it took effect: something always answers, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_gated_roll_out_is_survived() {
    let mut hades = start().await;
    hades.host.set_answer("app:2", Some(200));
    hades.apply_environment("prod", web("app:1")).await;
    hades.ready("prod").await;
    let mut version = 0;
    for moment in [Moment::Before, Moment::After] {
        for step in 1.. {
            version += 1;
            let first = hades.host.call_count();
            hades.host.set_faults(FaultPlan::new().at(first + step, Fault::Crash(moment)));
            let image = if version % 2 == 0 { "app:1" } else { "app:2" };
            hades.apply_environment("prod", web(image)).await;
            let crashed = eventually("a crash or the end of the roll-out", || async {
                assert!(!hades.host.running().is_empty(), "nothing runs");
                if hades.host.is_crashed() {
                    return Ok(true);
                }
                let found = hades.environments().get("prod").await.unwrap();
                let status = found.status.unwrap_or_default();
                let current = status.observed_generation == found.metadata.generation;
                let ready = support::is_true(&status.conditions, "Ready");
                if current && ready { Ok(false) } else { Err(status) }
            })
            .await;
            hades.stop_controllers().await;
            hades.host.revive();
            hades.host.set_faults(FaultPlan::new());
            hades.run_controllers();
            hades.ready("prod").await;
            let containers = hades.host.snapshot().containers;
            assert_eq!(containers.len(), 1, "leftovers after a crash {moment:?} call {step}");
            assert_eq!(containers[0].image, image);
            if !crashed {
                break;
            }
        }
    }
    assert!(version > 6, "the sweep reached only {version} calls");
}
