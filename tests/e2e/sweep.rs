//! `kill -9` at every request of a roll-out over two hosts that changes
//! something, just before and just after it took effect.
//!
//! `HADES_SWEEP=all` tries every point, which takes some minutes; without it, a
//! spread of them. The same for every single call, on hosts in memory, is in
//! operator/controllers/tests/sweep.rs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::Value;

use crate::bed::{Bed, Host};
use crate::gate::Moment;
use crate::hades::{Hades, eventually};

/// Points of each scenario when not all are asked for.
const SPREAD: usize = 5;

/// What is described at a time; none of it, or with that version everywhere.
type Version = Option<u32>;

fn environment(version: u32) -> String {
    format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: production, namespace: PROJECT}}
spec:
  env: {{VERSION: {version}, WRITE_FILE: /data/started}}
  volumes: {{data: {{}}, scratch: {{deletionPolicy: Delete}}}}
  services:
    api: {{host: one, image: "hades-sample:{image}", replicas: 2, strategy: {{minReady: 0s}}, healthCheck: {{none: true}}, env: {{WRITE_FILE: /tmp/x}}}}
    web: {{host: two, image: "hades-sample:{image}", replicas: 2, strategy: {{minReady: 0s}}, healthCheck: {{none: true}}, env: {{WRITE_FILE: /tmp/x}}}}
    db: {{host: one, image: "hades-sample:{image}", volumes: ["data:/data"]}}
    cache: {{host: two, image: "hades-sample:{image}", volumes: ["scratch:/data"]}}
"#,
        image = 1 + version % 2
    )
}

/// Containers of each host, by service, and how they are replaced.
const RUNNING: [[(&str, usize, Replacement); 2]; 2] = [
    [("api", 2, Replacement::Rolling), ("db", 1, Replacement::Exclusive)],
    [("web", 2, Replacement::Rolling), ("cache", 1, Replacement::Exclusive)],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacement {
    /// At no time fewer than promised.
    Rolling,
    /// At no time two of them: they share data.
    Exclusive,
}

struct Sweep {
    bed: Bed,
    version: u32,
    /// Lines that the service `db` has written to its volume, one a start.
    kept: usize,
}

/// Number of a change, and when the server dies.
type Point = Option<(usize, Moment)>;

#[test]
fn a_kill_at_any_call_over_two_hosts_is_survived() {
    let mut sweep = Sweep { bed: Bed::start("sweep"), version: 1, kept: 0 };
    for host in sweep.bed.hosts() {
        host.engine.engine.load_sample("hades-sample:2", "two");
    }
    let started = Instant::now();
    // Without any kill, to know how many calls there are.
    let create = sweep.create(None);
    let change = sweep.change(None);
    let remove = sweep.remove(None);
    let mut creates = points(create).into_iter();
    let mut removes = points(remove).into_iter();
    let mut tried = 3;
    sweep.create(creates.next());
    for point in points(change) {
        sweep.change(Some(point));
        tried += 1;
    }
    loop {
        let (remove, create) = (removes.next(), creates.next());
        if remove.is_none() && create.is_none() {
            break;
        }
        sweep.remove(remove);
        sweep.create(create);
        tried += 2;
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{create} calls to create, {change} to change, {remove} to remove: \
         {tried} roll-outs in {took:.1} s, {:.2} s each",
        took / f64::from(tried)
    );
}

/// Where to kill, among so many calls.
fn points(calls: usize) -> Vec<(usize, Moment)> {
    let all = std::env::var("HADES_SWEEP").is_ok_and(|sweep| sweep == "all");
    let every: Vec<_> =
        (1..=calls).flat_map(|call| [(call, Moment::Before), (call, Moment::After)]).collect();
    // Odd, so that both moments are met.
    let stride = if all { 1 } else { (every.len() / SPREAD) | 1 };
    every.into_iter().step_by(stride).collect()
}

impl Sweep {
    /// From nothing; returns how many calls it took.
    fn create(&mut self, point: Point) -> usize {
        self.version += 1;
        let calls = self.roll_out(point);
        self.check(Some(self.version), &format!("creation killed at {point:?}"));
        calls
    }

    /// Another image and another variable for everything.
    fn change(&mut self, point: Point) -> usize {
        self.version += 1;
        let since = self.bed.hosts().map(Host::now);
        let before: Vec<_> = self.bed.hosts().map(|host| self.running(host)).into();
        let calls = self.roll_out(point);
        let what = format!("change killed at {point:?}");
        self.check(Some(self.version), &what);
        for ((host, before), (since, services)) in
            self.bed.hosts().into_iter().zip(before).zip(since.into_iter().zip(RUNNING))
        {
            for (service, count, replacement) in services {
                let (least, most) = extremes(host, since, &before, service);
                match replacement {
                    Replacement::Rolling => assert!(least >= count, "{service}, {what}: {least}"),
                    Replacement::Exclusive => assert!(most <= 1, "{service}, {what}: {most}"),
                }
            }
        }
        calls
    }

    /// Of the whole environment.
    fn remove(&mut self, point: Point) -> usize {
        self.bed.ledger.begin(point);
        let hades = &mut self.bed.hades;
        let delete = |hades: &Hades| {
            let namespace = hades.project.as_str();
            hades.try_kubectl(&["delete", "env", "production", "-n", namespace, "--wait=false"])
        };
        delete(hades);
        let namespace = hades.project.clone();
        let ledger = self.bed.ledger.clone();
        let calls = eventually("the environment to be gone", || {
            if ledger.struck().is_some() {
                ledger.begin(None);
                hades.launch();
                delete(hades);
            }
            // Nothing is known while the server is dead.
            let list = hades.try_kubectl(&["get", "env", "-n", &namespace, "-o", "name"]);
            let gone = list.status.success() && list.stdout.is_empty();
            if gone { Ok(ledger.changes().len()) } else { Err(ledger.changes()) }
        });
        self.check(None, &format!("removal killed at {point:?}"));
        calls
    }

    /// Applies the version and waits until it runs, with the server started
    /// again when it was killed.
    fn roll_out(&mut self, point: Point) -> usize {
        let (ledger, hades) = (self.bed.ledger.clone(), &mut self.bed.hades);
        ledger.begin(point);
        let manifest = environment(self.version);
        // Fails when the server dies before it has answered.
        hades.try_apply(&manifest);
        let calls = eventually("a kill or the end of the roll-out", || {
            let calls = ledger.changes().len();
            if ledger.struck().is_some() || hades.is_ready("production") {
                return Ok(calls);
            }
            Err(ledger.changes())
        });
        if ledger.struck().is_some() {
            ledger.begin(None);
            hades.launch();
            hades.apply(&manifest);
            hades.wait_ready("production");
        }
        calls
    }

    /// Ids of what runs, by service.
    fn running(&self, host: &Host) -> BTreeMap<String, BTreeSet<String>> {
        let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for found in host.containers(&self.bed.label()) {
            let id = found["Id"].as_str().unwrap_or_default().to_owned();
            running.entry(label(&found, "service")).or_default().insert(id);
        }
        running
    }

    /// Exactly what is described is there, and the data are.
    fn check(&mut self, version: Version, what: &str) {
        let prefix = format!("{}_production", self.bed.hades.project);
        let mark = self.bed.label();
        for (index, host) in self.bed.hosts().into_iter().enumerate() {
            let mut wanted = BTreeSet::new();
            for (service, count, _) in RUNNING[index] {
                let count = if version.is_some() { count } else { 0 };
                wanted.extend((1..=count).map(|replica| (service.to_owned(), replica.to_string())));
            }
            let containers = host.containers(&mark);
            let slot = |found: &Value| (label(found, "service"), label(found, "replica"));
            let slots: BTreeSet<_> = containers.iter().map(slot).collect();
            assert_eq!(slots, wanted, "after {what}, host {index}");
            assert_eq!(containers.len(), wanted.len(), "twice after {what}: {containers:#?}");
            for found in &containers {
                assert_eq!(found["State"]["Running"], true, "after {what}: {found:#}");
                let env = found["Config"]["Env"].to_string();
                let version = format!("\"VERSION={}\"", self.version);
                assert!(env.contains(&version), "after {what}: {env}");
            }
            let networks = host.names("networks", &mark);
            let here = if version.is_some() { vec![prefix.clone()] } else { Vec::new() };
            assert_eq!(networks, here, "after {what}, host {index}");
            let volumes = host.names("volumes", &mark);
            let here = match (index, version) {
                (0, _) => vec![format!("{prefix}_data")],
                (_, Some(_)) => vec![format!("{prefix}_scratch")],
                (_, None) => Vec::new(),
            };
            assert_eq!(volumes, here, "after {what}, host {index}");
            let foreign = host.containers("hades.dev/installation").len();
            assert_eq!(foreign, containers.len(), "without our mark, after {what}");
        }
        let file = self.bed.one.data_of(&format!("{prefix}_data")).join("started");
        let lines = std::fs::read_to_string(file).unwrap_or_default().lines().count();
        assert!(lines >= self.kept.max(1), "the data are gone after {what}");
        self.kept = lines;
    }
}

fn label(container: &Value, key: &str) -> String {
    let labels = &container["Config"]["Labels"];
    labels[format!("hades.dev/{key}")].as_str().unwrap_or_default().to_owned()
}

/// The least and the most containers of a service that ran at a time since then.
fn extremes(
    host: &Host,
    since: i64,
    before: &BTreeMap<String, BTreeSet<String>>,
    service: &str,
) -> (usize, usize) {
    let mut running = before.get(service).cloned().unwrap_or_default();
    let (mut least, mut most) = (running.len(), running.len());
    for (started, id, labels) in host.starts_and_ends(since) {
        if labels["hades.dev/service"] != service {
            continue;
        }
        if started {
            running.insert(id);
        } else {
            running.remove(&id);
        }
        least = least.min(running.len());
        most = most.max(running.len());
    }
    (least, most)
}
