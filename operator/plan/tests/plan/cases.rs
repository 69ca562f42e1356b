//! One case after another: what is there, and the plan that follows from it.

use hades_api::{Drift, Health, PinnedImage};
use hades_plan::{
    ContainerState, Desired, HostView, ObservedContainer, ObservedNetwork, ObservedVolume,
    Operation, Plan, WaitCause, plan,
};

use crate::fixture::{Fixture, deletion, desired, number_hashes, shown};
use crate::simulator::Simulator;

const WEB: &str = "{defaults: {host: local}, services: {web: {image: 'web:1'}}}";
const FIXED: &str =
    "{defaults: {host: local}, services: {web: {image: 'web:1', ports: ['8080:80']}}}";
const DATA: &str = "
defaults: {host: local}
services: {web: {image: 'web:1', volumes: ['data:/data']}}
volumes: {data: {}}
";

/// A host on which `yaml` has been carried out.
fn converged(yaml: &str) -> Simulator {
    let mut simulator = Simulator::new(&["local", "other"]);
    let desired = desired(yaml);
    simulator.apply(&plan(&desired, &simulator.observe()));
    let again = plan(&desired, &simulator.observe());
    assert!(again.is_empty(), "{}", shown(&again));
    simulator
}

fn planned(desired: &Desired, simulator: &Simulator) -> Plan {
    plan(desired, &simulator.observe())
}

/// What is done for `yaml`, pass after pass; then that nothing is left to do.
fn settled(yaml: &str, simulator: &mut Simulator) -> String {
    let plans = simulator.converge(&desired(yaml));
    let last = plans.last().unwrap();
    assert!(last.is_empty(), "{}", shown(last));
    done(&plans)
}

/// The actions of plans one after the other, and what the last one waits for.
fn done(plans: &[Plan]) -> String {
    let waiting = plans.last().into_iter().flat_map(|plan| &plan.waiting);
    let lines: Vec<String> = plans
        .iter()
        .flat_map(hades_plan::render::lines)
        .chain(waiting.map(hades_plan::render::waiting_line))
        .collect();
    number_hashes(&lines.join("\n"))
}

fn foreign(name: &str, port: Option<&str>) -> ObservedContainer {
    let port = port.map(|text| hades_api::PortMapping::parse(text).unwrap());
    ObservedContainer {
        id: format!("foreign-{name}"),
        name: name.to_owned(),
        state: ContainerState::Running,
        ports: port.iter().filter_map(crate::simulator::published).collect(),
        ..ObservedContainer::default()
    }
}

#[test]
fn nothing_is_there() {
    insta::assert_snapshot!(settled(DATA, &mut Simulator::new(&["local"])), @"
    create network shop_production on local: it isn't there
    create volume shop_production_data on local: it isn't there
    create container shop_production_web-1-#1 on local: it isn't there
    ");
}

#[test]
fn an_image_is_pulled_once_per_host() {
    let yaml = "
services:
  a: {image: 'new:1', host: local, replicas: 2}
  b: {image: 'new:1', host: local}
  c: {image: 'new:1', host: other}
  d: {image: 'web:1', host: other}
";
    let plan = planned(&desired(yaml), &Simulator::new(&["local", "other"]));
    let pulls = plan.actions.iter().filter(|action| action.operation == Operation::PullImage);
    assert_eq!(pulls.count(), 2, "{}", shown(&plan));
}

#[test]
fn an_absent_image_that_must_not_be_pulled_is_waited_for_and_takes_nothing_down() {
    let mut simulator = converged(FIXED);
    let yaml = FIXED.replace("'web:1'", "'gone:1', imagePullPolicy: Never");
    insta::assert_snapshot!(shown(&planned(&desired(&yaml), &simulator)), @"container shop_production_web-1-#1 on local waits: the host doesn't have the image gone:1, and imagePullPolicy is Never");
    simulator.host("local").images.insert("gone:1".into(), "sha256:gone".into());
    settled(&yaml, &mut simulator);
}

#[test]
fn images_are_found_under_the_names_that_engines_list() {
    let mut simulator = Simulator::new(&["local"]);
    let images = &mut simulator.host("local").images;
    images.insert("nginx:latest".into(), "sha256:a".into());
    for reference in ["nginx", "docker.io/library/nginx", "docker.io/nginx:latest"] {
        let yaml = format!("services: {{a: {{image: '{reference}', host: local}}}}");
        let plan = planned(&desired(&yaml), &simulator);
        assert!(!shown(&plan).contains("pull"), "{}", shown(&plan));
    }
}

#[test]
fn the_pinned_image_runs_as_long_as_it_is_there() {
    let pin = PinnedImage {
        host: "local".into(),
        image: "web:1".into(),
        id: "sha256:old".into(),
        digest: None,
    };
    let fixture = Fixture { pins: vec![pin], ..Fixture::default() };
    let desired = fixture.resolve(WEB).unwrap();
    let mut simulator = Simulator::new(&["local"]);
    let image = |simulator: &Simulator| {
        let plan = planned(&desired, simulator);
        plan.actions.into_iter().find_map(|action| match action.operation {
            Operation::CreateContainer { image_id, .. } => Some(image_id),
            _ => None,
        })
    };
    assert_eq!(image(&simulator).unwrap(), None);
    simulator.host("local").images.clear();
    assert!(shown(&planned(&desired, &simulator)).starts_with("pull image web:1"));
    simulator.host("local").images.insert("sha256:old".into(), "sha256:old".into());
    assert_eq!(image(&simulator).unwrap().unwrap(), "sha256:old");
}

#[test]
fn the_smallest_step_that_heals() {
    type Mess = fn(&mut Simulator);
    let cases: [(&str, Mess, &str); 7] = [
        ("running", |_| {}, ""),
        (
            "stopped",
            |found| found.container("web").state = ContainerState::Exited,
            "start container shop_production_web-1-#1 on local: it isn't running (exited)",
        ),
        (
            "never started",
            |found| found.container("web").state = ContainerState::Created,
            "start container shop_production_web-1-#1 on local: it isn't running (created)",
        ),
        (
            "paused",
            |found| found.container("web").state = ContainerState::Paused,
            "unpause container shop_production_web-1-#1 on local: it is paused",
        ),
        (
            "detached",
            |found| found.container("web").networks.clear(),
            "attach container shop_production_web-1-#1 on local to network shop_production: it isn't attached to its network",
        ),
        (
            "removed",
            |found| found.host("local").containers.clear(),
            "create container shop_production_web-1-#1 on local: it isn't there",
        ),
        (
            "half removed",
            |found| found.container("web").state = ContainerState::Dead,
            "remove container shop_production_web-1-#1 on local: the engine left it half removed\n\
             create container shop_production_web-1-#1 on local: it isn't there",
        ),
    ];
    for (what, mess, expected) in cases {
        let mut simulator = converged(WEB);
        mess(&mut simulator);
        assert_eq!(settled(WEB, &mut simulator), expected, "{what}");
    }
}

#[test]
fn a_network_that_was_made_anew_is_attached_before_the_start() {
    let mut simulator = converged(WEB);
    simulator.container("web").state = ContainerState::Exited;
    simulator.host("local").networks.clear();
    insta::assert_snapshot!(settled(WEB, &mut simulator), @"
    create network shop_production on local: it isn't there
    attach container shop_production_web-1-#1 on local to network shop_production: it isn't attached to its network
    start container shop_production_web-1-#1 on local: it isn't running (exited)
    ");
}

#[test]
fn what_the_restart_policy_leaves_ended() {
    let ended = |policy: &str, code: Option<i64>| {
        let yaml = WEB.replace("'web:1'", &format!("'web:1', restart: '{policy}'"));
        let mut simulator = converged(&yaml);
        let found = simulator.container("web");
        (found.state, found.exit_code) = (ContainerState::Exited, code);
        found.status = "Exited 5 minutes ago".into();
        let plan = planned(&desired(&yaml), &simulator);
        let of_web = |found: &&hades_plan::ResourceState| found.target.service.is_some();
        let web = plan.resources.iter().find(of_web).unwrap();
        (shown(&plan), web.health, web.drift, web.message.clone())
    };
    let completed = Some("completed".to_owned());
    for policy in ["no", "on-failure"] {
        let expected = (String::new(), Health::Healthy, Drift::InSync, completed.clone());
        assert_eq!(ended(policy, Some(0)), expected);
    }
    let (plan, health, ..) = ended("no", Some(3));
    assert_eq!(health, Health::Degraded);
    insta::assert_snapshot!(plan, @"container shop_production_web-1-#1 on local waits: the container fails: exited, exit status 3");
    for (policy, code) in [("on-failure", 1), ("always", 0), ("unless-stopped", 0)] {
        assert!(ended(policy, Some(code)).0.starts_with("start "), "{policy}");
    }
}

#[test]
fn one_that_the_engine_keeps_starting_is_left_to_it() {
    let mut simulator = converged(WEB);
    let found = simulator.container("web");
    (found.state, found.exit_code) = (ContainerState::Restarting, Some(1));
    let plan = planned(&desired(WEB), &simulator);
    assert!(plan.actions.is_empty());
    assert!(matches!(
        plan.waiting[0].cause,
        WaitCause::ContainerFailing { exit_code: Some(1), .. }
    ));
}

#[test]
fn one_that_is_being_removed_is_waited_for() {
    let mut simulator = converged(WEB);
    simulator.container("web").state = ContainerState::Removing;
    let plan = planned(&desired(WEB), &simulator);
    assert_eq!(shown(&plan).lines().count(), 1, "{}", shown(&plan));
    assert_eq!(plan.waiting[0].cause, WaitCause::RemovalInProgress);
    simulator.settle();
    assert!(settled(WEB, &mut simulator).starts_with("create "));
}

#[test]
fn a_change_starts_the_new_one_before_the_old_one_goes() {
    let mut simulator = converged(WEB);
    insta::assert_snapshot!(settled(&WEB.replace("web:1", "web:2"), &mut simulator), @"
    create container shop_production_web-1-#1 on local in place of shop_production_web-1-#2: image: web:1 → web:2
    remove container shop_production_web-1-#2 on local: shop_production_web-1-#1 takes its place
    ");
}

#[test]
fn what_can_not_run_side_by_side_goes_first_and_the_image_before_it() {
    for yaml in [FIXED, DATA] {
        let mut simulator = converged(yaml);
        let changed = yaml.replace("'web:1'", "'new:1'");
        let plan = planned(&desired(&changed), &simulator);
        let verbs: Vec<&str> =
            plan.actions.iter().filter_map(|action| action.id.0.split(' ').next()).collect();
        assert_eq!(verbs, ["pull", "remove", "create"]);
        assert_eq!(plan.actions[1].needs, [plan.actions[0].id.clone()]);
        assert!(plan.actions[2].needs.contains(&plan.actions[1].id));
        settled(&changed, &mut simulator);
        // The old one was exclusive, whatever the new one is.
        let verb = settled(WEB, &mut simulator);
        assert!(verb.starts_with("remove "), "{verb}");
    }
}

#[test]
fn services_swap_their_ports() {
    let yaml = |a: u16, b: u16| {
        format!(
            "{{defaults: {{host: local}}, services: {{a: {{image: 'web:1', ports: ['{a}:80']}}, b: {{image: 'web:1', ports: ['{b}:80']}}}}}}"
        )
    };
    let mut simulator = converged(&yaml(8080, 8081));
    settled(&yaml(8081, 8080), &mut simulator);
}

#[test]
fn a_port_that_the_engine_picked_is_given_up_for_one_that_the_manifest_names() {
    let yaml = |image: &str, b: &str| {
        format!(
            "{{defaults: {{host: local}}, services: {{a: {{image: '{image}', ports: ['80']}}{b}}}}}"
        )
    };
    let mut simulator = converged(&yaml("web:1", ""));
    let picked = hades_api::PortMapping::parse("8080:80").unwrap();
    simulator.container("a").ports = crate::simulator::published(&picked).into_iter().collect();
    let changed = yaml("web:2", ", b: {image: 'web:1', ports: ['8080:80']}");
    insta::assert_snapshot!(settled(&changed, &mut simulator), @"
    remove container shop_production_a-1-#1 on local: shop_production_a-1-#2 takes its place
    create container shop_production_a-1-#2 on local in place of shop_production_a-1-#1: image: web:1 → web:2
    create container shop_production_b-1-#3 on local: it isn't there
    ");
}

#[test]
fn a_restart_that_was_asked_for() {
    let mut simulator = converged(WEB);
    let fixture = Fixture::annotated(hades_api::annotation::RESTARTED_AT, "2026-01-01T12:00:00Z");
    let desired = fixture.resolve(WEB).unwrap();
    let plan = planned(&desired, &simulator);
    insta::assert_snapshot!(shown(&plan), @"
    create container shop_production_web-1-#1 on local in place of shop_production_web-1-#2: a restart was asked for at 2026-01-01T12:00:00Z
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    ");
    simulator.converge(&desired);
    assert!(planned(&desired, &simulator).is_empty());
}

#[test]
fn an_old_one_stays_until_its_replacement_runs() {
    let mut simulator = converged(WEB);
    let changed = WEB.replace("web:1", "web:2");
    // Made, and then Hades was killed.
    simulator.apply_some(&planned(&desired(&changed), &simulator), 1, 0);
    let half = simulator.clone();
    let new = |found: &&mut ObservedContainer| found.image == "web:2";
    let state = |simulator: &mut Simulator, state| {
        simulator.host("local").containers.iter_mut().find(new).unwrap().state = state;
    };
    state(&mut simulator, ContainerState::Restarting);
    insta::assert_snapshot!(shown(&planned(&desired(&changed), &simulator)), @"
    stop container shop_production_web-1-#1 on local: it ended
    container shop_production_web-1-#2 on local waits: it stays until shop_production_web-1-#1, which takes its place, does its work
    container shop_production_web-1-#1 on local waits: the roll-out failed, and what ran before goes on: it ended
    ");
    state(&mut simulator, ContainerState::Created);
    insta::assert_snapshot!(settled(&changed, &mut simulator), @"
    start container shop_production_web-1-#1 on local: it isn't running (created)
    remove container shop_production_web-1-#2 on local: shop_production_web-1-#1 takes its place
    ");
    // Going back needs nothing new.
    insta::assert_snapshot!(settled(WEB, &mut half.clone()), @"remove container shop_production_web-1-#1 on local: shop_production_web-1-#2 takes its place");
}

#[test]
fn replicas_come_and_go() {
    let yaml = |replicas: u32| WEB.replace("'web:1'", &format!("'web:1', replicas: {replicas}"));
    let mut simulator = converged(&yaml(3));
    insta::assert_snapshot!(settled(&yaml(1), &mut simulator), @"
    remove container shop_production_web-2-#1 on local: it is no longer in the manifest
    remove container shop_production_web-3-#1 on local: it is no longer in the manifest
    ");
    insta::assert_snapshot!(settled(&yaml(0), &mut simulator), @"
    remove container shop_production_web-1-#1 on local: it is no longer in the manifest
    remove network shop_production on local: it is no longer in the manifest
    ");
}

#[test]
fn a_service_moves_to_another_host() {
    let mut simulator = converged(WEB);
    let plan = settled(&WEB.replace("host: local", "host: other"), &mut simulator);
    insta::assert_snapshot!(plan, @"
    create network shop_production on other: it isn't there
    create container shop_production_web-1-#1 on other: host: local → other
    remove container shop_production_web-1-#1 on local: shop_production_web-1-#1 takes its place
    remove network shop_production on local: it is no longer in the manifest
    ");
}

#[test]
fn duplicates_are_removed() {
    let mut simulator = converged(WEB);
    let mut copy = simulator.container("web").clone();
    (copy.id, copy.name) = ("copy".into(), "a-copy".into());
    simulator.host("local").containers.insert(0, copy);
    insta::assert_snapshot!(settled(WEB, &mut simulator), @"remove container a-copy on local: shop_production_web-1-#1 takes its place");
}

#[test]
fn names_that_others_have() {
    let mut simulator = Simulator::new(&["local"]);
    let host = simulator.host("local");
    let name = desired(WEB).containers[0].name.clone();
    host.containers.push(foreign(&name, None));
    insta::assert_snapshot!(shown(&planned(&desired(WEB), &simulator)), @r#"
    create network shop_production on local: it isn't there
    container shop_production_web-1-#1 on local waits: the host has a container "shop_production_web-1-#1" that this environment didn't make
    "#);
    let host = simulator.host("local");
    host.containers.clear();
    let network = ObservedNetwork { name: "shop_production".into(), ..Default::default() };
    host.networks.push(network);
    insta::assert_snapshot!(shown(&planned(&desired(WEB), &simulator)), @r#"
    network shop_production on local waits: the host has a network "shop_production" that this environment didn't make
    container shop_production_web-1-#1 on local waits: the host has a network "shop_production" that this environment didn't make
    "#);
    let host = simulator.host("local");
    host.networks.clear();
    let volume = ObservedVolume { name: "shop_production_data".into(), ..Default::default() };
    host.volumes.push(volume);
    insta::assert_snapshot!(shown(&planned(&desired(DATA), &simulator)), @r#"
    create network shop_production on local: it isn't there
    volume shop_production_data on local waits: the host has a volume "shop_production_data" that this environment didn't make
    container shop_production_web-1-#1 on local waits: the host has a volume "shop_production_data" that this environment didn't make
    "#);
}

#[test]
fn ports_that_others_hold() {
    let mut simulator = Simulator::new(&["local"]);
    simulator.host("local").containers.push(foreign("nginx", Some("127.0.0.1:8080:80")));
    insta::assert_snapshot!(shown(&planned(&desired(FIXED), &simulator)), @r#"
    create network shop_production on local: it isn't there
    container shop_production_web-1-#1 on local waits: container "nginx" holds the host port of 8080:80
    "#);
    simulator.host("local").containers[0].state = ContainerState::Exited;
    settled(FIXED, &mut simulator);
}

#[test]
fn a_chain_of_ports_waits_from_its_end_and_keeps_what_runs() {
    let yaml = |a: &str, b: &str| {
        format!(
            "{{defaults: {{host: local}}, services: {{a: {{image: 'web:1', ports: ['{a}:80']}}, b: {{image: 'web:1', ports: ['{b}:80']}}}}}}"
        )
    };
    let mut simulator = converged(&yaml("8080", "8081"));
    simulator.host("local").containers.push(foreign("nginx", Some("9090:80")));
    // a wants what b has, b wants what a stranger has.
    let plan = planned(&desired(&yaml("8081", "9090")), &simulator);
    assert!(plan.actions.is_empty(), "{}", shown(&plan));
    assert_eq!(plan.waiting.len(), 2);
}

#[test]
fn subnets_run_out() {
    let mut simulator = Simulator::new(&["local"]);
    let subnets = vec!["10.213.0.0/16".parse().unwrap()];
    let network = ObservedNetwork { name: "all".into(), subnets, ..Default::default() };
    simulator.host("local").networks.push(network);
    let plan = planned(&desired(WEB), &simulator);
    assert!(plan.actions.is_empty());
    insta::assert_snapshot!(shown(&plan), @"
    network shop_production on local waits: no subnet of the host's pool 10.213.0.0/16 is free
    container shop_production_web-1-#1 on local waits: no subnet of the host's pool 10.213.0.0/16 is free
    ");
}

#[test]
fn of_several_networks_of_ours_the_one_in_use_stays() {
    let mut simulator = converged(WEB);
    let mut double = simulator.host("local").networks[0].clone();
    double.id = "a-double".into();
    double.subnets.clear();
    simulator.host("local").networks.insert(0, double);
    insta::assert_snapshot!(settled(WEB, &mut simulator), @"remove network shop_production on local: shop_production (id0001) takes its place");
}

#[test]
fn a_container_on_the_wrong_one_of_two_networks_is_made_anew() {
    let yaml = WEB.replace("'web:1'", "'web:1', replicas: 3");
    let mut simulator = converged(&yaml);
    let mut double = simulator.host("local").networks[0].clone();
    double.id = "a-double".into();
    double.subnets.clear();
    let host = simulator.host("local");
    host.networks.push(double);
    host.containers[0].network_ids = vec!["a-double".into()];
    insta::assert_snapshot!(settled(&yaml, &mut simulator), @"
    remove container shop_production_web-1-#1 on local: it isn't attached to its network
    remove network shop_production on local: shop_production (id0001) takes its place
    create container shop_production_web-1-#1 on local in place of shop_production_web-1-#1: it isn't attached to its network
    ");
}

#[test]
fn nothing_is_made_while_a_name_is_the_name_of_two_networks() {
    let mut simulator = converged(WEB);
    let mut double = simulator.host("local").networks[0].clone();
    double.id = "a-double".into();
    let host = simulator.host("local");
    for network in [host.networks[0].id.clone(), double.id.clone()] {
        let mut stranger = foreign(&format!("stranger-on-{network}"), None);
        stranger.networks = vec![double.name.clone()];
        stranger.network_ids = vec![network];
        host.containers.push(stranger);
    }
    host.networks.push(double);
    let yaml = WEB.replace("'web:1'", "'web:1', replicas: 2");
    insta::assert_snapshot!(shown(&planned(&desired(&yaml), &simulator)), @"
    network shop_production on local waits: it is used by stranger-on-a-double
    container shop_production_web-2-#1 on local waits: it is used by stranger-on-a-double
    ");
}

#[test]
fn a_network_that_strangers_use_stays() {
    let mut simulator = converged(WEB);
    let mut stranger = foreign("stranger", None);
    stranger.networks = vec!["shop_production".into()];
    simulator.host("local").containers.push(stranger);
    let empty = "{defaults: {host: local}}";
    insta::assert_snapshot!(shown(&planned(&desired(empty), &simulator)), @"
    remove container shop_production_web-1-#1 on local: it is no longer in the manifest
    network shop_production on local waits: it is used by stranger
    ");
}

#[test]
fn a_host_that_does_not_answer_holds_up_nothing_else() {
    let yaml = "services: {a: {image: 'web:1', host: local}, b: {image: 'web:1', host: other}}";
    let simulator = Simulator::new(&["local", "other"]);
    let mut observed = simulator.observe();
    let silent = HostView::Unreachable { message: "connection refused".into() };
    observed.hosts.insert("other".into(), silent);
    insta::assert_snapshot!(shown(&plan(&desired(yaml), &observed)), @"
    create network shop_production on local: it isn't there
    create container shop_production_a-1-#1 on local: it isn't there
    network shop_production on other waits: its host doesn't answer: connection refused
    container shop_production_b-1-#2 on other waits: its host doesn't answer: connection refused
    ");
}

#[test]
fn a_service_stays_where_it_is_while_its_new_host_does_not_answer() {
    let mut simulator = converged(WEB);
    simulator.hosts.remove("other");
    let plan = planned(&desired(&WEB.replace("host: local", "host: other")), &simulator);
    let removed = plan.actions.iter().filter(|action| action.target.service.is_some());
    assert_eq!(removed.count(), 0, "{}", shown(&plan));
}

#[test]
fn deletion_keeps_data_unless_told_otherwise() {
    let yaml = "
defaults: {host: local}
services: {web: {image: 'web:1', volumes: ['keep:/a', 'drop:/b']}}
volumes: {keep: {}, drop: {deletionPolicy: Delete}}
";
    let mut simulator = converged(yaml);
    simulator.host("local").containers.push(foreign("stranger", None));
    let deletion = deletion(yaml);
    let plan = planned(&deletion, &simulator);
    insta::assert_snapshot!(shown(&plan), @"
    remove container shop_production_web-1-#1 on local: its environment is being deleted
    remove network shop_production on local: its environment is being deleted
    remove volume shop_production_drop on local: its environment is being deleted
    ");
    assert_eq!(plan.lints[0].field, "spec.volumes.keep");
    simulator.apply(&plan);
    assert!(planned(&deletion, &simulator).is_empty());
    let left = simulator.host("local");
    assert_eq!(left.volumes[0].name, "shop_production_keep");
    assert_eq!(left.containers[0].name, "stranger");
    let mut observed = simulator.observe();
    let silent = HostView::Unreachable { message: "gone".into() };
    observed.hosts.insert("other".into(), silent);
    let waiting = plan_waiting(&deletion, &observed);
    assert_eq!(waiting, 1, "what can't be looked at can't be called clean");
}

fn plan_waiting(desired: &Desired, observed: &hades_plan::Observed) -> usize {
    plan(desired, observed).waiting.len()
}

#[test]
fn a_volume_that_left_the_manifest_stays_and_is_pointed_out() {
    let mut simulator = converged(DATA);
    let plan = settled(WEB, &mut simulator);
    assert!(!plan.contains("volume "), "{plan}");
    let lints = planned(&desired(WEB), &simulator).lints;
    assert!(lints[0].message.contains("shop_production_data"), "{lints:?}");
}

#[test]
fn environments_whose_names_join_alike_do_not_disturb_one_another() {
    let mut simulator = converged(WEB);
    let mut fixture = Fixture::default();
    fixture.environment.project = "shop-production".into();
    fixture.environment.environment = "web".into();
    let other = fixture.resolve(WEB).unwrap();
    simulator.apply(&planned(&other, &simulator));
    assert!(planned(&other, &simulator).is_empty());
    assert!(planned(&desired(WEB), &simulator).is_empty());
}

#[test]
fn labels_of_a_new_container() {
    let yaml = WEB.replace("'web:1'", "'web:1', labels: {team: shop}");
    let mut simulator = converged(&yaml);
    let labels = simulator.container("web").labels.clone();
    let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "hades.dev/environment",
            "hades.dev/environment-uid",
            "hades.dev/installation",
            "hades.dev/project",
            "hades.dev/replica",
            "hades.dev/service",
            "hades.dev/spec",
            "hades.dev/spec-hash",
            "team"
        ]
    );
    let back: hades_plan::ContainerSpec = serde_json::from_str(&labels["hades.dev/spec"]).unwrap();
    assert_eq!(back, desired(&yaml).containers[0].spec);
}
