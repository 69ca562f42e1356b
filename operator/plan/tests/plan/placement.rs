//! Where replicas run.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::name::EnvironmentName;
use hades_plan::placement::{Candidate, Current, Placer, Request};
use hades_plan::{ContainerState, Desired, Operation, plan};
use proptest::prelude::*;

use crate::fixture::{Fixture, shown};
use crate::simulator::Simulator;

const NAMES: [&str; 5] = ["h1", "h2", "h3", "h4", "h5"];

fn environment() -> EnvironmentName {
    EnvironmentName::new("shop", "production")
}

fn candidates(open: &[bool]) -> Vec<Candidate<'static>> {
    let named = NAMES.iter().zip(open);
    named.map(|(name, open)| Candidate { name, schedulable: *open }).collect()
}

fn request(replicas: u32, open: &[bool]) -> Request<'static> {
    Request {
        service: "web",
        replicas,
        candidates: candidates(open),
        volumes: Vec::new(),
        one_per_host: false,
    }
}

fn place(current: &Current, request: &Request<'static>) -> Vec<String> {
    let current = current.clone();
    let placed = Placer::new(&environment(), &current).place(request).into_iter();
    placed.map(str::to_owned).collect()
}

fn current(hosts: &[String]) -> Current {
    let replicas = (1..).zip(hosts).map(|(n, host)| (("web".to_owned(), n), vec![host.clone()]));
    Current { replicas: replicas.collect(), ..Current::default() }
}

fn counts(hosts: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for host in hosts {
        *counts.entry(host.as_str()).or_default() += 1;
    }
    counts
}

fn any_hosts() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(prop::bool::weighted(0.8), 1..=5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Replicas that have to find a host are spread evenly over those that take
    /// anything.
    #[test]
    fn balance(replicas in 1..12u32, open in any_hosts()) {
        prop_assume!(open.iter().any(|open| *open));
        let placed = place(&Current::default(), &request(replicas, &open));
        prop_assert_eq!(placed.len(), replicas as usize);
        let counts = counts(&placed);
        let takers = open.iter().filter(|open| **open).count();
        let most = counts.values().max().copied().unwrap_or_default();
        let least = if counts.len() < takers { 0 } else { counts.values().min().copied().unwrap_or_default() };
        prop_assert!(most - least <= 1, "{:?}", counts);
        for (name, open) in NAMES.iter().zip(&open) {
            prop_assert!(*open || !counts.contains_key(name));
        }
    }

    /// Whatever is asked of more, fewer or drained hosts: a replica moves only
    /// from where it may no longer be, and asking twice moves nothing.
    #[test]
    fn stability(
        before in 1..12u32, after in 1..12u32,
        first in any_hosts(), second in any_hosts(),
        down in prop::collection::btree_set(prop::sample::select(NAMES.to_vec()), 0..3),
    ) {
        prop_assume!(first.iter().any(|open| *open));
        let placed = place(&Current::default(), &request(before, &first));
        let mut there = current(&placed);
        there.unreachable = down.into_iter().map(str::to_owned).collect();
        let request = request(after, &second);
        let moved = place(&there, &request);
        prop_assert_eq!(moved.len(), after as usize);
        for (old, new) in placed.iter().zip(&moved) {
            let may_stay = request.candidates.iter().any(|c| c.name == old && c.schedulable);
            prop_assert!(!may_stay || old == new, "{} moved to {}", old, new);
        }
        // New ones go to hosts that answer, while there are any.
        let answers = |name: &str| !there.unreachable.contains(name);
        let any = request.candidates.iter().any(|c| c.schedulable && answers(c.name));
        for new in moved.iter().skip(placed.len()) {
            prop_assert!(!any || answers(new), "{}", new);
        }
        let mut settled = current(&moved);
        settled.unreachable = there.unreachable.clone();
        prop_assert_eq!(place(&settled, &request), moved);
    }

    /// The order in which hosts are named means nothing.
    #[test]
    fn determinism(replicas in 1..12u32, open in any_hosts()) {
        let request = request(replicas, &open);
        let mut reversed = request.clone();
        reversed.candidates.reverse();
        let current = Current::default();
        prop_assert_eq!(place(&current, &request), place(&current, &reversed));
    }
}

#[test]
fn a_further_host_moves_nothing_and_gets_what_is_new() {
    let placed = place(&Current::default(), &request(4, &[true, true]));
    let more = place(&current(&placed), &request(6, &[true, true, true]));
    assert_eq!(more[..4], placed[..]);
    assert_eq!(more[4..], ["h3", "h3"]);
}

#[test]
fn what_has_nowhere_else_to_go_stays_on_a_drained_host() {
    let placed = place(&Current::default(), &request(2, &[true, true]));
    let mut there = current(&placed);
    assert_eq!(place(&there, &request(2, &[false, false])), placed);
    // Better where it is than where nobody can start it.
    there.unreachable.insert("h2".to_owned());
    let drained = place(&there, &request(2, &[false, true]));
    assert_eq!(drained, placed);
}

#[test]
fn one_per_host_is_kept() {
    let request = Request { one_per_host: true, ..request(3, &[true, true, true]) };
    let placed = place(&Current::default(), &request);
    assert_eq!(BTreeSet::from_iter(&placed).len(), 3);
    // Drained with nowhere to go, the third stays.
    let mut drained = request.clone();
    drained.candidates[0].schedulable = false;
    assert_eq!(place(&current(&placed), &drained), placed);
}

#[test]
fn services_of_an_environment_seek_the_same_host_and_environments_do_not() {
    let hosts = [true; 5];
    let nothing = Current::default();
    let environment = environment();
    let mut placer = Placer::new(&environment, &nothing);
    let first = placer.place(&request(1, &hosts));
    let second = placer.place(&Request { service: "api", ..request(1, &hosts) });
    assert_eq!(first, second);
    let firsts: BTreeSet<String> = (0..50)
        .map(|n| {
            let environment = EnvironmentName::new("shop", format!("e{n}"));
            let nothing = Current::default();
            let placed = Placer::new(&environment, &nothing).place(&request(1, &hosts));
            placed[0].to_owned()
        })
        .collect();
    assert_eq!(firsts.len(), 5);
}

#[test]
fn a_volume_holds_its_services_together() {
    let yaml = "
services:
  db: {image: 'web:1', placement: {hosts: [local, other]}, volumes: ['data:/data']}
  backup: {image: 'job:1', replicas: 2, placement: {hosts: [local, other]}, volumes: ['data:/data:ro']}
volumes: {data: {}}
";
    let mut simulator = Simulator::new(&["local", "other"]);
    let resolve = |simulator: &Simulator, yaml: &str| -> Desired {
        let mut fixture = Fixture::default();
        fixture.see(&simulator.observe());
        fixture.resolve(yaml).unwrap()
    };
    let desired = resolve(&simulator, yaml);
    let hosts: BTreeSet<&str> = desired.containers.iter().map(|c| c.host.as_str()).collect();
    assert_eq!(hosts.len(), 1);
    // It is where its data is, also where that isn't where it would go today.
    let elsewhere = if hosts.contains("local") { "other" } else { "local" };
    let pinned = yaml.replace("[local, other]", &format!("[{elsewhere}]"));
    simulator.converge(&resolve(&simulator, &pinned));
    let desired = resolve(&simulator, yaml);
    assert!(desired.containers.iter().all(|c| c.host == elsewhere));
    assert!(plan(&desired, &simulator.observe()).is_empty());
}

#[test]
fn a_drained_host_is_left_and_no_replica_is_missed_meanwhile() {
    let yaml = "{services: {web: {image: 'web:1', replicas: 2, ports: ['80:80'], placement: {selector: {matchLabels: {zone: a}}}}}}";
    let mut simulator = Simulator::new(&["local", "other", "third"]);
    let mut fixture = Fixture::default();
    let spec = fixture.hosts["other"].clone();
    fixture.hosts.insert("third".to_owned(), spec);
    for host in ["local", "other", "third"] {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        fixture.host_labels.insert(host.to_owned(), labels);
    }
    fixture.see(&simulator.observe());
    simulator.converge(&fixture.resolve(yaml).unwrap());
    fixture.see(&simulator.observe());
    let used: Vec<String> =
        fixture.resolve(yaml).unwrap().containers.into_iter().map(|c| c.host).collect();
    fixture.hosts.get_mut(&used[0]).unwrap().unschedulable = Some(true);
    for _ in 0..6 {
        fixture.see(&simulator.observe());
        let desired = fixture.resolve(yaml).unwrap();
        let plan = plan(&desired, &simulator.observe());
        for action in &plan.actions {
            assert!(
                action.target.host != used[1]
                    && !(action.target.host == used[0]
                        && matches!(action.operation, Operation::CreateContainer { .. })),
                "{}",
                shown(&plan)
            );
        }
        simulator.apply(&plan);
        let running = simulator
            .hosts
            .values()
            .flat_map(|host| &host.containers)
            .filter(|found| found.state == ContainerState::Running)
            .count();
        assert!(running >= 2, "{}", shown(&plan));
        simulator.pass_time(2);
    }
    assert!(simulator.hosts[&used[0]].containers.is_empty());
}

#[test]
fn what_can_not_be_placed_is_named() {
    let errors = |yaml: &str| -> Vec<String> {
        let errors = Fixture::default().resolve(yaml).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    let yaml = "
services:
  a: {image: 'web:1', placement: {hosts: [local, othre]}}
  b: {image: 'web:1', placement: {selector: {matchLabels: {zone: b}}}}
  c: {image: 'web:1', host: local, placement: {hosts: [local]}}
  d: {image: 'web:1', placement: {}}
  e: {image: 'web:1', replicas: 3, ports: ['80:80'], placement: {hosts: [local, other]}}
  f: {image: 'web:1', replicas: 2, ports: ['81:80'], volumes: ['data:/data:ro'], placement: {hosts: [local, other]}}
volumes: {data: {}}
";
    insta::assert_snapshot!(errors(yaml).join("\n"), @r#"
    spec.services.a.placement.hosts[1]: there is no DockerHost "othre"; did you mean "other"?
    spec.services.b.placement.selector: no DockerHost has the labels zone=b; hosts: local, other
    spec.services.c.host: a service has either host or placement: leave one out
    spec.services.d.placement: a placement has either hosts or a selector
    spec.services.e.ports[0]: 3 replicas can't all have host port 80 on 2 hosts: set replicas to 2, or publish 80 without a host port
    spec.services.f.ports[0]: 2 replicas can't all have host port 81 on the one host that has volume data: set replicas to 1, or publish 80 without a host port
    "#);
}

#[test]
fn nothing_new_is_put_on_a_drained_host() {
    let yaml = "{defaults: {host: local}, services: {web: {image: 'web:1', replicas: 1}}}";
    let mut simulator = Simulator::new(&["local"]);
    let mut fixture = Fixture::default();
    simulator.converge(&fixture.resolve(yaml).unwrap());
    fixture.hosts.get_mut("local").unwrap().unschedulable = Some(true);
    let desired = fixture.resolve(&yaml.replace("replicas: 1", "replicas: 2")).unwrap();
    let plan = plan(&desired, &simulator.observe());
    insta::assert_snapshot!(shown(&plan), @"container shop_production_web-2-#1 on local waits: its host is unschedulable: nothing new is put there");
    let lints: Vec<&str> = plan.lints.iter().map(|lint| lint.message.as_str()).collect();
    assert!(lints.iter().any(|lint| lint.contains("unschedulable")), "{lints:?}");
}
