//! Roll-outs: when a new container takes the place of an old one, and when not.

use std::collections::BTreeSet;

use hades_api::Health;
use hades_plan::{
    ContainerHealth, ContainerState, Desired, HostView, Operation, Plan, plan, render,
};

use proptest::prelude::*;

use crate::fixture::{Fixture, desired, number_hashes, shown};
use crate::simulator::{Simulator, published};

const CHECKED: &str =
    "{defaults: {host: local}, services: {web: {image: 'web:1', healthCheck: {http: {port: 80}}}}}";

fn planned(desired: &Desired, simulator: &Simulator) -> Plan {
    plan(desired, &simulator.observe())
}

fn checked(yaml: &str) -> Simulator {
    let mut simulator = Simulator::new(&["local", "other"]);
    simulator.checked = true;
    simulator.converge(&desired(yaml));
    assert!(planned(&desired(yaml), &simulator).is_empty());
    simulator
}

/// Images that run, sorted.
fn running(simulator: &Simulator) -> Vec<String> {
    let containers = simulator.hosts.values().flat_map(|host| &host.containers);
    let mut images: Vec<String> = containers
        .filter(|found| found.state == ContainerState::Running)
        .map(|found| found.image.clone())
        .collect();
    images.sort();
    images
}

fn creations(plans: &[Plan]) -> usize {
    let actions = plans.iter().flat_map(|plan| &plan.actions);
    actions.filter(|action| matches!(action.operation, Operation::CreateContainer { .. })).count()
}

/// What each pass does and waits for.
fn told(plans: &[Plan]) -> String {
    let pages: Vec<String> = plans
        .iter()
        .map(|plan| {
            let lines = render::lines(plan).into_iter();
            let waiting = plan.waiting.iter().map(render::waiting_line);
            lines.chain(waiting).collect::<Vec<_>>().join("\n")
        })
        .collect();
    number_hashes(&pages.join("\n--\n"))
}

#[test]
fn a_good_roll_out() {
    let mut simulator = checked(CHECKED);
    let plans = simulator.converge(&desired(&CHECKED.replace("web:1", "web:2")));
    insta::assert_snapshot!(told(&plans), @"
    create container shop_production_web-1-#1 on local in place of shop_production_web-1-#2: image: web:1 → web:2
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    --
    remove container shop_production_web-1-#2 on local: shop_production_web-1-#1 takes its place
    --
    ");
    assert_eq!(running(&simulator), ["web:2"]);
}

#[test]
fn a_bad_roll_out_leaves_the_old_one_and_is_not_tried_again() {
    let mut simulator = checked(CHECKED);
    simulator.sick.insert("web:2".to_owned());
    let mut bad = desired(&CHECKED.replace("web:1", "web:2"));
    let mut plans = Vec::new();
    for _ in 0..6 {
        let plan = planned(&bad, &simulator);
        simulator.apply(&plan);
        simulator.pass_time(45);
        plans.push(plan);
    }
    insta::assert_snapshot!(told(&plans[..5]), @"
    create container shop_production_web-1-#1 on local in place of shop_production_web-1-#2: image: web:1 → web:2
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    --
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    container shop_production_web-1-#1 on local waits: it isn't healthy yet
    --
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    container shop_production_web-1-#1 on local waits: it isn't healthy yet
    --
    stop container shop_production_web-1-#1 on local: it wasn't healthy within 120s: it doesn't pass
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    container shop_production_web-1-#1 on local waits: the roll-out failed, and what ran before goes on: it wasn't healthy within 120s: it doesn't pass
    --
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    container shop_production_web-1-#1 on local waits: the roll-out failed, and what ran before goes on: it wasn't healthy within 120s: it doesn't pass
    ");
    assert_eq!(plans[4], plans[5], "nothing more is done, and it is told in the same words");
    assert_eq!(running(&simulator), ["web:1"]);

    // Somebody asks: the same container is started once more.
    bad.retry = true;
    let again = planned(&bad, &simulator);
    insta::assert_snapshot!(shown(&again), @"
    start container shop_production_web-1-#1 on local: it isn't running (exited)
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    ");
    simulator.apply(&again);
    bad.retry = false;
    simulator.sick.clear();
    simulator.pass_time(1);
    simulator.converge(&bad);
    assert_eq!(running(&simulator), ["web:2"]);
}

#[test]
fn a_changed_spec_takes_the_place_of_what_failed() {
    let mut simulator = checked(CHECKED);
    simulator.sick.insert("web:2".to_owned());
    let bad = desired(&CHECKED.replace("web:1", "web:2"));
    for _ in 0..5 {
        simulator.apply(&planned(&bad, &simulator));
        simulator.pass_time(60);
    }
    let mut going_back = simulator.clone();
    let back = going_back.converge(&desired(CHECKED));
    assert_eq!(creations(&back), 0, "what ran before runs still");
    assert_eq!(going_back.host("local").containers.len(), 1);

    let third = CHECKED.replace("web:1", "job:1");
    simulator.converge(&desired(&third));
    assert_eq!(running(&simulator), ["job:1"]);
    assert_eq!(simulator.host("local").containers.len(), 1, "what failed is gone");
}

#[test]
fn a_new_one_that_ends_or_is_started_again_has_failed() {
    type Mess = fn(&mut Simulator, &str);
    let cases: [(&str, Mess, bool); 4] = [
        ("restarting", |simulator, id| state(simulator, id, ContainerState::Restarting, 3), true),
        ("ended", |simulator, id| state(simulator, id, ContainerState::Exited, 3), false),
        (
            "ended, and its exit status was 0",
            |simulator, id| state(simulator, id, ContainerState::Exited, 0),
            false,
        ),
        (
            "was started again",
            |simulator, id| {
                let found =
                    simulator.host("local").containers.iter_mut().find(|c| c.id == id).unwrap();
                found.restarts_seen = 1;
            },
            true,
        ),
    ];
    let yaml = "{defaults: {host: local}, services: {web: {image: 'web:1'}}}";
    for (what, mess, stops) in cases {
        let mut simulator = checked(yaml);
        let changed = desired(&yaml.replace("web:1", "web:2"));
        simulator.apply(&planned(&changed, &simulator));
        let new = simulator.host("local").containers.last().unwrap().id.clone();
        mess(&mut simulator, &new);
        let plan = planned(&changed, &simulator);
        let stopped = plan.actions.iter().any(
            |action| matches!(&action.operation, Operation::StopContainer { id, .. } if *id == new),
        );
        assert_eq!(
            (stopped, plan.actions.len()),
            (stops, usize::from(stops)),
            "{what}: {}",
            shown(&plan)
        );
        assert!(shown(&plan).contains("the roll-out failed"), "{what}: {}", shown(&plan));
        let failed = plan.resources.iter().find(|found| found.failure.is_some()).unwrap();
        assert_eq!(failed.health, Health::Degraded);
        simulator.apply(&plan);
        assert!(running(&simulator).contains(&"web:1".to_owned()), "{what}");
    }
}

fn state(simulator: &mut Simulator, id: &str, state: ContainerState, code: i64) {
    let found = simulator.host("local").containers.iter_mut().find(|c| c.id == id).unwrap();
    (found.state, found.exit_code, found.uptime_seconds) = (state, Some(code), None);
}

#[test]
fn without_a_check_it_must_have_run_for_a_moment() {
    let yaml = "{defaults: {host: local}, services: {web: {image: 'web:1'}}}";
    let mut simulator = checked(yaml);
    simulator.checked = false;
    let changed = desired(&yaml.replace("web:1", "web:2"));
    simulator.apply(&planned(&changed, &simulator));
    let plan = planned(&changed, &simulator);
    insta::assert_snapshot!(shown(&plan), @"
    container shop_production_web-1-#1 on local waits: it stays until shop_production_web-1-#2, which takes its place, does its work
    container shop_production_web-1-#2 on local waits: it must run for 2s before the old one goes
    ");
    assert_eq!(plan.look_again_seconds, Some(2));
    simulator.pass_time(2);
    assert_eq!(planned(&changed, &simulator).actions.len(), 1);

    // Said to need no time and no check, it is one plan, as both steps are known
    // beforehand.
    let at_once = "'web:2', strategy: {minReady: 0s}, healthCheck: {none: true}";
    let yaml = yaml.replace("'web:1'", at_once);
    let mut simulator = checked(&yaml);
    let plan = planned(&desired(&yaml.replace("web:2", "job:1")), &simulator);
    assert_eq!(plan.actions.len(), 2, "{}", shown(&plan));
    simulator.apply(&plan);
}

#[test]
fn a_check_is_waited_for_however_little_time_is_asked_for() {
    // One by a command, and one that the image may have.
    for check in ["healthCheck: {command: [ok]}", ""] {
        let yaml = format!(
            "{{defaults: {{host: local}}, services: {{web: {{image: 'web:1', strategy: {{minReady: 0s}}, {check}}}}}}}"
        );
        let mut simulator = checked(&yaml);
        simulator.sick.insert("web:2".to_owned());
        let bad = desired(&yaml.replace("web:1", "web:2"));
        for _ in 0..6 {
            simulator.apply(&planned(&bad, &simulator));
            simulator.pass_time(60);
        }
        assert_eq!(running(&simulator), ["web:1"], "{check}");
    }
}

#[test]
fn the_first_check_of_a_command_has_its_time() {
    let deadline = |check: &str| {
        let yaml = format!(
            "{{defaults: {{host: local}}, services: {{web: {{image: 'web:1', healthCheck: {{{check}}}}}}}}}"
        );
        desired(&yaml).containers[0].rollout.progress_deadline.as_secs()
    };
    assert_eq!(deadline("command: [ok], interval: 3m, startPeriod: 5s"), 305);
    assert_eq!(deadline("command: [ok]"), 130);
    assert_eq!(deadline("http: {port: 80}, interval: 3m, startPeriod: 5s"), 125);
}

#[test]
fn what_failed_stays_so_while_the_old_one_is_down() {
    let mut simulator = checked(CHECKED);
    simulator.sick.insert("web:2".to_owned());
    let bad = desired(&CHECKED.replace("web:1", "web:2"));
    for _ in 0..5 {
        simulator.apply(&planned(&bad, &simulator));
        simulator.pass_time(60);
    }
    let before = planned(&bad, &simulator);
    assert!(shown(&before).contains("the roll-out failed"), "{}", shown(&before));
    let old = simulator.host("local").containers[0].id.clone();
    // The engine is about to start it again.
    state(&mut simulator, &old, ContainerState::Restarting, 1);
    assert_eq!(shown(&planned(&bad, &simulator)), shown(&before));
    // Somebody has stopped it, or is starting it anew.
    state(&mut simulator, &old, ContainerState::Exited, 137);
    let plan = planned(&bad, &simulator);
    insta::assert_snapshot!(shown(&plan), @"
    start container shop_production_web-1-#1 on local: it isn't running (exited)
    container shop_production_web-1-#1 on local waits: it stays until shop_production_web-1-#2, which takes its place, does its work
    container shop_production_web-1-#2 on local waits: the roll-out failed, and what ran before goes on: it wasn't healthy within 120s: it doesn't pass
    ");
    simulator.apply(&plan);
    simulator.pass_time(1);
    assert_eq!(shown(&planned(&bad, &simulator)), shown(&before));
    assert_eq!(running(&simulator), ["web:1"]);
}

#[test]
fn what_is_new_waits_for_nothing_but_its_own_health() {
    let yaml = "{defaults: {host: local}, services: {web: {image: 'web:1', replicas: 3, healthCheck: {tcp: {port: 80}}}}}";
    let mut simulator = Simulator::new(&["local"]);
    let wanted = desired(yaml);
    let first = planned(&wanted, &simulator);
    assert_eq!(creations(std::slice::from_ref(&first)), 3, "{}", shown(&first));
    simulator.apply(&first);
    let second = planned(&wanted, &simulator);
    assert!(second.actions.is_empty() && second.waiting.len() == 3, "{}", shown(&second));
    simulator.checked = true;
    simulator.pass_time(1);
    assert!(planned(&wanted, &simulator).is_empty());
}

#[test]
fn replicas_are_replaced_in_turn() {
    let yaml = |image: &str, surge: u32| {
        format!(
            "{{defaults: {{host: local}}, services: {{web: {{image: '{image}', replicas: 4, strategy: {{maxSurge: {surge}}}, healthCheck: {{tcp: {{port: 80}}}}}}}}}}"
        )
    };
    for surge in [1, 2, 4] {
        let mut simulator = checked(&yaml("web:1", surge));
        let plans = simulator.converge(&desired(&yaml("web:2", surge)));
        assert_eq!(running(&simulator), ["web:2"; 4]);
        let most = plans.iter().map(|plan| creations(std::slice::from_ref(plan))).max();
        assert_eq!(most, Some(surge as usize), "{}", told(&plans));
        assert_eq!(creations(&plans), 4);
    }
}

#[test]
fn one_failure_halts_the_replicas_behind_it() {
    let yaml = |image: &str, replicas| {
        format!(
            "{{defaults: {{host: local}}, services: {{web: {{image: '{image}', replicas: {replicas}, healthCheck: {{tcp: {{port: 80}}}}}}}}}}"
        )
    };
    let mut simulator = checked(&yaml("web:1", 3));
    simulator.sick.insert("web:2".to_owned());
    let changed = desired(&yaml("web:2", 4));
    let mut plans = Vec::new();
    for _ in 0..6 {
        plans.push(planned(&changed, &simulator));
        simulator.apply(plans.last().unwrap());
        simulator.pass_time(60);
    }
    assert_eq!(running(&simulator), ["web:1"; 3]);
    insta::assert_snapshot!(told(&plans[5..]), @"
    container shop_production_web-1-#1 on local waits: it stays until shop_production_web-1-#2, which takes its place, does its work
    container shop_production_web-1-#2 on local waits: the roll-out failed, and what ran before goes on: it wasn't healthy within 120s: it doesn't pass
    container shop_production_web-2-#2 on local waits: the roll-out is halted, as shop_production_web-1-#2 of the same description failed
    container shop_production_web-3-#2 on local waits: the roll-out is halted, as shop_production_web-1-#2 of the same description failed
    container shop_production_web-4-#2 on local waits: the roll-out is halted, as shop_production_web-1-#2 of the same description failed
    ");
}

#[test]
fn recreate_takes_all_down_first() {
    let yaml = |image: &str| {
        format!(
            "{{defaults: {{host: local}}, services: {{web: {{image: '{image}', replicas: 2, strategy: {{type: Recreate}}, healthCheck: {{tcp: {{port: 80}}}}}}}}}}"
        )
    };
    let mut simulator = checked(&yaml("web:1"));
    simulator.sick.insert("web:2".to_owned());
    let changed = desired(&yaml("web:2"));
    let plan = planned(&changed, &simulator);
    insta::assert_snapshot!(shown(&plan), @"
    remove container shop_production_web-1-#1 on local: shop_production_web-1-#2 takes its place
    remove container shop_production_web-2-#1 on local: shop_production_web-2-#2 takes its place
    create container shop_production_web-1-#2 on local in place of shop_production_web-1-#1: image: web:1 → web:2
    create container shop_production_web-2-#2 on local in place of shop_production_web-2-#1: image: web:1 → web:2
    ");
    for action in &plan.actions {
        if matches!(action.operation, Operation::CreateContainer { .. }) {
            assert_eq!(action.needs.len(), 2, "both removals");
        }
    }
    simulator.apply(&plan);
    // Nothing is left to go on in its stead: the new one is left to the engine.
    simulator.pass_time(300);
    let after = planned(&changed, &simulator);
    assert!(after.actions.is_empty(), "{}", shown(&after));
    assert!(shown(&after).contains("its health check fails"), "{}", shown(&after));
}

#[test]
fn recreate_takes_all_down_or_none() {
    let yaml = |image: &str, port: u16| {
        format!(
            "{{services: {{web: {{image: '{image}', replicas: 2, ports: ['{port}:80'], placement: {{hosts: [local, other]}}, strategy: {{type: Recreate}}}}}}}}"
        )
    };
    let mut simulator = Simulator::new(&["local", "other"]);
    simulator.converge(&desired(&yaml("web:1", 8080)));
    simulator.host("other").images.remove("web:2");
    let changed = desired(&yaml("web:2", 8081));
    let mut observed = simulator.observe();
    observed.full_disks.insert("other".to_owned(), "97 % in use".to_owned());
    let held = plan(&changed, &observed);
    assert!(held.actions.is_empty(), "{}", shown(&held));
    assert_eq!(shown(&held).matches("97 % in use").count(), 2, "{}", shown(&held));
    // The same where it is a port that holds one of them up.
    let ports = changed.containers[0].spec.ports.iter().filter_map(published);
    let stranger = hades_plan::ObservedContainer {
        id: "stranger".to_owned(),
        name: "stranger".to_owned(),
        state: ContainerState::Running,
        ports: ports.collect(),
        ..Default::default()
    };
    simulator.host("other").containers.push(stranger);
    let held = planned(&changed, &simulator);
    assert!(held.actions.is_empty(), "{}", shown(&held));
    simulator.host("other").containers.pop();
    simulator.converge(&changed);
    assert_eq!(running(&simulator), ["web:2"; 2]);
}

#[test]
fn what_is_in_the_way_of_a_dependency_is_said() {
    let yaml = "{defaults: {host: local}, services: {db: {image: 'gone:1', imagePullPolicy: Never}, api: {image: 'web:1', dependsOn: [db]}}}";
    let plan = planned(&desired(yaml), &Simulator::new(&["local"]));
    let says =
        "it depends on service db: shop_production_db-1-#1: the host doesn't have the image gone:1";
    let shown = shown(&plan).replace("#2", "#1");
    assert!(shown.contains(says), "{shown}");
}

#[test]
fn what_flaps_is_told_and_left_alone() {
    let mut simulator = checked(CHECKED);
    let wanted = desired(CHECKED);
    simulator.container("web").restarts_seen = 2;
    assert!(planned(&wanted, &simulator).is_empty());
    simulator.container("web").restarts_seen = 3;
    let plan = planned(&wanted, &simulator);
    insta::assert_snapshot!(shown(&plan), @"container shop_production_web-1-#1 on local waits: the container fails: it ends again and again");
}

#[test]
fn a_check_that_fails_later_is_told_and_nothing_is_done() {
    let mut simulator = checked(CHECKED);
    let wanted = desired(CHECKED);
    let web = simulator.container("web");
    web.health = ContainerHealth::Unhealthy;
    web.health_message = Some("GET / on port 80 answered 500".to_owned());
    let plan = planned(&wanted, &simulator);
    insta::assert_snapshot!(shown(&plan), @"container shop_production_web-1-#1 on local waits: its health check fails: GET / on port 80 answered 500");
    assert_eq!(
        plan.resources.iter().find(|r| r.target.service.is_some()).unwrap().health,
        Health::Degraded
    );
}

const CHAIN: &str = "
defaults: {host: local}
services:
  db: {image: 'web:1', healthCheck: {tcp: {port: 5432}}}
  migrate: {image: 'job:1', restart: 'no', dependsOn: [db]}
  api: {image: 'web:1', dependsOn: [migrate, db]}
";

#[test]
fn services_wait_for_those_that_they_depend_on() {
    let mut simulator = Simulator::new(&["local"]);
    simulator.checked = true;
    let wanted = desired(CHAIN);
    let mut plans = vec![planned(&wanted, &simulator)];
    simulator.apply(&plans[0]);
    simulator.pass_time(1);
    plans.push(planned(&wanted, &simulator));
    simulator.apply(&plans[1]);
    // A job that runs isn't done.
    simulator.pass_time(1);
    let job = simulator.container("migrate");
    (job.state, job.exit_code) = (ContainerState::Exited, Some(1));
    plans.push(planned(&wanted, &simulator));
    simulator.container("migrate").exit_code = Some(0);
    plans.push(planned(&wanted, &simulator));
    insta::assert_snapshot!(told(&plans), @"
    create network shop_production on local: it isn't there
    create container shop_production_db-1-#1 on local: it isn't there
    container shop_production_api-1-#2 on local waits: it depends on service migrate: shop_production_migrate-1-#3 isn't there yet
    container shop_production_migrate-1-#3 on local waits: it depends on service db: shop_production_db-1-#1 isn't there yet
    --
    create container shop_production_migrate-1-#3 on local: it isn't there
    container shop_production_api-1-#2 on local waits: it depends on service migrate: shop_production_migrate-1-#3 isn't there yet
    --
    container shop_production_api-1-#2 on local waits: it depends on service migrate: shop_production_migrate-1-#3: the container fails: exited, exit status 1
    container shop_production_migrate-1-#3 on local waits: the container fails: exited, exit status 1
    --
    create container shop_production_api-1-#2 on local: it isn't there
    ");
    simulator.apply(&plans[3]);
    simulator.pass_time(1);
    assert!(planned(&wanted, &simulator).is_empty());

    // What goes down later takes nothing with it, and holds no healing up.
    simulator.container("db").health = ContainerHealth::Unhealthy;
    simulator.container("api").state = ContainerState::Exited;
    let plan = planned(&wanted, &simulator);
    assert!(shown(&plan).starts_with("start container shop_production_api-1"), "{}", shown(&plan));
    // But nothing is replaced meanwhile.
    let changed = desired(&CHAIN.replace("api: {image: 'web:1'", "api: {image: 'web:2'"));
    let plan = planned(&changed, &simulator);
    assert!(plan.actions.is_empty(), "{}", shown(&plan));
}

#[test]
fn impossible_dependencies_are_named() {
    let errors = |yaml: &str| -> Vec<String> {
        let errors = Fixture::default().resolve(yaml).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    let yaml = "
defaults: {host: local}
services:
  api: {image: 'web:1', dependsOn: [bd]}
  db: {image: 'web:1', dependsOn: [one]}
  one: {image: 'web:1', dependsOn: [two]}
  two: {image: 'web:1', dependsOn: [three, one]}
  three: {image: 'web:1', dependsOn: [one]}
  self: {image: 'web:1', dependsOn: [self]}
";
    insta::assert_snapshot!(errors(yaml).join("\n"), @r#"
    spec.services.api.dependsOn[0]: there is no service "bd"; services: db, one, self, three, two
    spec.services.one.dependsOn[0]: one → two → one is a circle, in which nothing could ever start: leave one of them out
    spec.services.self.dependsOn[0]: self → self is a circle, in which nothing could ever start: leave one of them out
    spec.services.three.dependsOn[0]: three → one → two → three is a circle, in which nothing could ever start: leave one of them out
    "#);
}

#[test]
fn a_host_cut_off_in_the_middle_and_back() {
    let yaml = |image: &str| {
        format!(
            "{{services: {{web: {{image: '{image}', replicas: 2, placement: {{hosts: [local, other]}}, healthCheck: {{tcp: {{port: 80}}}}}}}}}}"
        )
    };
    let fixture = |simulator: &Simulator, cut: Option<&str>| {
        let mut observed = simulator.observe();
        if let Some(host) = cut {
            let message = "connection refused".to_owned();
            observed.hosts.insert(host.to_owned(), HostView::Unreachable { message });
        }
        observed
    };
    let mut simulator = Simulator::new(&["local", "other"]);
    simulator.checked = true;
    let resolve = |simulator: &Simulator, image: &str| {
        let mut fixture = Fixture::default();
        fixture.see(&simulator.observe());
        fixture.resolve(&yaml(image)).unwrap()
    };
    simulator.converge(&resolve(&simulator, "web:1"));
    assert_eq!(running(&simulator), ["web:1"; 2]);
    let hosts: BTreeSet<&String> = simulator
        .hosts
        .iter()
        .filter(|(_, host)| !host.containers.is_empty())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(hosts.len(), 2, "spread");
    let wanted = resolve(&simulator, "web:2");
    simulator.apply(&planned(&wanted, &simulator));
    let cut = wanted.containers[0].host.clone();
    let plan = plan(&wanted, &fixture(&simulator, Some(&cut)));
    assert!(plan.actions.iter().all(|action| action.target.host != cut), "{}", shown(&plan));
    assert!(shown(&plan).contains("its host doesn't answer"), "{}", shown(&plan));
    simulator.apply(&plan);
    simulator.pass_time(1);
    simulator.converge(&wanted);
    assert_eq!(running(&simulator), ["web:2"; 2]);
    assert!(planned(&wanted, &simulator).is_empty());
}

/// A stretch of time in which one spec is wanted: its image, how many may be
/// replaced at a time, and the passes that are made: how many of their actions
/// are carried out, which first, how much time passes then, and which of the old
/// ones dies before, if any.
#[derive(Debug, Clone)]
struct Stretch {
    image: usize,
    surge: u32,
    passes: Vec<(usize, usize, u64, Option<usize>)>,
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let pass = (0..4usize, 0..50usize, 0..80u64, prop::option::of(0..50usize));
    let stretch = (0..3usize, 1..4u32, prop::collection::vec(pass, 0..8))
        .prop_map(|(image, surge, passes)| Stretch { image, surge, passes });
    prop::collection::vec(stretch, 1..5)
}

/// Lets an old one die: the engine is about to start it again or, where what is to
/// take its place has failed already, somebody has stopped it.
fn let_die(simulator: &mut Simulator, wanted: &str, choice: usize) {
    let containers = &mut simulator.host("local").containers;
    let failed: Vec<_> = containers
        .iter()
        .filter(|found| found.image == wanted && found.state == ContainerState::Exited)
        .map(|found| found.labels["hades.dev/replica"].clone())
        .collect();
    let mut olds: Vec<_> = containers
        .iter_mut()
        .filter(|found| found.image != wanted && found.state == ContainerState::Running)
        .collect();
    let index = choice % olds.len().max(1);
    if let Some(old) = olds.get_mut(index) {
        let may_stop =
            failed.contains(&old.labels["hades.dev/replica"]) && choice.is_multiple_of(2);
        old.state = if may_stop { ContainerState::Exited } else { ContainerState::Restarting };
        (old.exit_code, old.uptime_seconds) = (Some(1), None);
    }
}

/// The engine has started again what it was about to.
fn start_again(simulator: &mut Simulator) {
    for found in &mut simulator.host("local").containers {
        if found.state == ContainerState::Restarting {
            (found.state, found.uptime_seconds) = (ContainerState::Running, Some(0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is rolled out, whenever Hades is killed and whichever old ones die:
    /// as many replicas do their work, or will when they are started again, as there
    /// are, what does its work goes only when another does in its place, and the same
    /// input is tried once.
    #[test]
    fn laws_of_a_rolling_update(replicas in 1..4u32, stretches in stretches()) {
        let yaml = |image: usize, surge: u32| {
            let image = ["web:1", "web:2", "job:1"][image];
            format!("{{defaults: {{host: local}}, services: {{web: {{image: '{image}', replicas: {replicas}, strategy: {{maxSurge: {surge}}}, healthCheck: {{tcp: {{port: 80}}}}}}}}}}")
        };
        let mut simulator = checked(&yaml(0, 1));
        simulator.sick.insert("web:2".to_owned());
        let working = |simulator: &Simulator| {
            let containers = &simulator.hosts["local"].containers;
            let works = |found: &&hades_plan::ObservedContainer| {
                !simulator.sick.contains(&found.image)
            };
            containers.iter().filter(works).count()
        };
        for Stretch { image, surge, passes } in stretches {
            let wanted = desired(&yaml(image, surge));
            let mut tried = BTreeSet::new();
            let rest = std::iter::repeat_n((9, 0, 70, None), 12);
            for (count, choice, seconds, death) in passes.into_iter().chain(rest) {
                if let Some(choice) = death {
                    let_die(&mut simulator, &wanted.containers[0].spec.image, choice);
                }
                let plan = planned(&wanted, &simulator);
                let creates = |action: &&hades_plan::Action| {
                    matches!(action.operation, Operation::CreateContainer { .. })
                };
                prop_assert!(plan.actions.iter().filter(creates).count() <= surge as usize);
                let before = simulator.clone();
                simulator.apply_some(&plan, count, choice);
                for action in plan.actions.iter().filter(creates) {
                    let made = simulator.hosts["local"].containers.iter().any(|c| c.name == action.target.name);
                    prop_assert!(!made || tried.insert(action.target.name.clone()), "{} again", action.id);
                }
                prop_assert!(
                    working(&simulator) >= replicas as usize,
                    "{} of {replicas} work after\n{}\nof {:#?}", working(&simulator), shown(&plan), before.hosts["local"].containers
                );
                start_again(&mut simulator);
                simulator.pass_time(seconds);
            }
            let running = running(&simulator);
            let up = running.iter().filter(|image| !simulator.sick.contains(*image)).count();
            prop_assert!(up >= replicas as usize, "{up} of {replicas} run");
            let plan = planned(&wanted, &simulator);
            prop_assert!(plan.actions.is_empty(), "never done: {}", shown(&plan));
            let good = image != 1;
            prop_assert_eq!(plan.waiting.is_empty(), good, "{}", shown(&plan));
        }
    }
}
