//! Faults of real hosts: each is told, stays where it is, and is over when it is over.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bed::{Bed, PrivateEngine};
use crate::hades::{Hades, condition, eventually};

const PROJECT: &str =
    "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}\n";

fn environment(name: &str, host: &str, services: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: {name}, namespace: PROJECT}}\n\
         spec: {{defaults: {{host: {host}}}, services: {{{services}}}}}\n"
    )
}

/// So many services, each with that message.
fn services(count: usize, message: &str) -> String {
    services_on("local", count, message).replace("host: local, ", "")
}

/// The same, named for a host and on it.
fn services_on(host: &str, count: usize, message: &str) -> String {
    let one = |n| {
        let env = format!("env: {{MESSAGE: {message}}}");
        format!("on-{host}-{n}: {{host: {host}, image: 'hades-sample:1', {env}}}")
    };
    (0..count).map(one).collect::<Vec<_>>().join(", ")
}

/// How many containers run with each message; those that don't run have one of
/// their own.
fn messages(containers: &[Value]) -> BTreeMap<String, usize> {
    let mut messages = BTreeMap::new();
    for found in containers {
        if found["State"]["Running"] != true {
            *messages.entry("(doesn't run)".to_owned()).or_default() += 1;
            continue;
        }
        let env = found["Config"]["Env"].as_array().cloned().unwrap_or_default();
        let message = env.iter().filter_map(Value::as_str).find_map(|e| e.strip_prefix("MESSAGE="));
        *messages.entry(message.unwrap_or_default().to_owned()).or_default() += 1;
    }
    messages
}

#[test]
fn a_host_cut_off_in_the_middle_of_a_roll_out_and_back() {
    const COUNT: usize = 6;
    let bed = Bed::start("cut");
    let hades = &bed.hades;
    let both = |message: &str| {
        let (one, two) = (services_on("one", COUNT, message), services_on("two", COUNT, message));
        environment("production", "one", &format!("{one}, {two}"))
    };
    hades.apply(&both("first"));
    hades.wait_ready("production");
    let since = bed.two.now();
    // Each replacement takes four changes.
    bed.two.gate.cut_after(COUNT * 4 / 2);
    hades.apply(&both("second"));
    let message = hades.wait_not_ready("production", "HostUnreachable");
    assert!(bed.two.gate.is_cut() && message.contains("two"), "{message}");
    eventually("the other host's part", || {
        let found = messages(&bed.one.containers(&bed.label()));
        if found == BTreeMap::from([("second".to_owned(), COUNT)]) { Ok(()) } else { Err(found) }
    });
    let there = bed.two.containers(&bed.label());
    let serving = there.iter().filter(|found| found["State"]["Running"] == true).count();
    assert!(serving >= COUNT, "{serving} of {COUNT} run on the host that is cut off");
    bed.two.gate.open();
    hades.wait_ready("production");
    for host in bed.hosts() {
        let found = messages(&host.containers(&bed.label()));
        assert_eq!(found, BTreeMap::from([("second".to_owned(), COUNT)]));
    }
    // Every service was started once more, not twice.
    let started = bed.two.starts_and_ends(since).iter().filter(|event| event.0).count();
    assert_eq!(started, COUNT);
}

#[test]
fn an_engine_that_hangs_is_told_and_holds_up_no_other() {
    let bed = Bed::start("hang");
    let hades = &bed.hades;
    hades.apply(&environment("production", "two", &services(1, "first")));
    hades.wait_ready("production");
    bed.two.engine.run("pause");
    hades.apply(&environment("production", "two", &services(1, "second")));
    hades.apply(&environment("other", "one", &services(1, "first")));
    hades.wait_ready("other");
    let message = hades.wait_not_ready("production", "HostUnreachable");
    assert!(message.contains("two"), "{message}");
    bed.two.engine.run("resume");
    hades.wait_ready("production");
    let found = messages(&bed.two.containers(&bed.label()));
    assert_eq!(found, BTreeMap::from([("second".to_owned(), 1)]));
}

#[test]
fn an_engine_restarted_under_load() {
    const COUNT: usize = 12;
    let private = PrivateEngine::start("e2e-load");
    let hades = Hades::start(private.engine.clone());
    let label = format!("hades.dev/installation={}", hades.installation());
    hades.apply(&format!(
        "{PROJECT}---\n{}",
        environment("production", "local", &services(COUNT, "first"))
    ));
    hades.wait_ready("production");
    hades.apply(&environment("production", "local", &services(COUNT, "second")));
    eventually("the roll-out to be under way", || {
        let found = private.engine.labelled("containers", &label).len();
        if found > COUNT { Ok(()) } else { Err(found) }
    });
    private.run("stop");
    private.run("start");
    hades.wait_ready("production");
    assert_eq!(hades.running().len(), COUNT);
    assert_eq!(hades.containers().len(), COUNT, "none is left over");
    for name in hades.running() {
        let env = hades.engine.docker(&["inspect", "--format", "{{.Config.Env}}", &name]);
        assert!(env.contains("MESSAGE=second"), "{name}: {env}");
    }
}

/// A file that takes all that is left of a disk, until it is dropped.
struct Filling(PathBuf);

impl Filling {
    fn of(folder: &Path) -> Self {
        let path = folder.join("filling");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Self(path)
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_down() {
    let private = PrivateEngine::start_on_disk("e2e-disk", "64M");
    let hades = Hades::start(private.engine.clone());
    let description = |message: &str| environment("production", "local", &services(2, message));
    hades.apply(&format!("{PROJECT}---\n{}", description("first")));
    hades.wait_ready("production");
    let before = hades.running();
    let root = private.engine.docker(&["info", "--format", "{{.DockerRootDir}}"]);
    let filling = Filling::of(Path::new(root.trim()));
    hades.apply(&description("second"));
    eventually("the trouble to be told", || {
        let ready = hades.ready_condition("production");
        let message = ready["message"].as_str().unwrap_or_default();
        if message.contains("no space left on device") { Ok(()) } else { Err(ready) }
    });
    assert_eq!(hades.running(), before, "the old ones run on");
    drop(filling);
    hades.wait_ready("production");
    assert_eq!((hades.running().len(), hades.containers().len()), (2, 2));
    assert!(hades.running().iter().all(|name| !before.contains(name)));
}

#[test]
fn a_container_that_flaps_is_told_and_not_made_again() {
    let private = PrivateEngine::start("e2e-flap");
    let hades = Hades::start(private.engine.clone());
    let flaps = "web: {image: 'hades-sample:1', env: {CRASH_AFTER: 1}}";
    hades.apply(&format!("{PROJECT}---\n{}", environment("production", "local", flaps)));
    let message = hades.wait_not_ready("production", "ContainerFailed");
    assert!(message.contains("web"), "{message}");
    let first = hades.containers();
    hades.apply(&environment("other", "local", &services(1, "first")));
    hades.wait_ready("other");
    let filter = format!("name={}", first[0]);
    eventually("it to have ended three times", || {
        let found = hades.engine.docker(&["inspect", "--format", "{{.RestartCount}}", &first[0]]);
        if found.trim().parse::<u32>().unwrap() >= 3 { Ok(()) } else { Err(found) }
    });
    let ids = hades.engine.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
    assert_eq!(ids.lines().count(), 1, "{ids}");
    assert!(hades.containers().contains(&first[0]), "Docker starts it again, not Hades");
    let address = format!("{}/production", hades.project);
    let events = hades.hadesctl(&["events", &address]);
    let told = events.lines().filter(|line| line.contains("ContainerFailed")).count();
    assert!((1..=3).contains(&told), "{events}");
}

#[test]
fn a_registry_whose_name_does_not_resolve() {
    let private = PrivateEngine::start("e2e-dns");
    let hades = Hades::start(private.engine.clone());
    hades.pull_whatever_the_disk();
    let nowhere = "web: {image: 'registry.nowhere.invalid/shop/web:1'}";
    hades.apply(&format!("{PROJECT}---\n{}", environment("production", "local", nowhere)));
    hades.apply(&environment("other", "local", &services(1, "first")));
    let ready = eventually("the trouble to be told", || {
        let ready = hades.ready_condition("production");
        let message = ready["message"].as_str().unwrap_or_default();
        if message.contains("registry.nowhere.invalid") { Ok(ready) } else { Err(ready) }
    });
    assert_eq!(ready["reason"], "ImageUnavailable", "{ready}");
    hades.wait_ready("other");
    let host = hades.object("dockerhost", "local", "default");
    assert_eq!(condition(&host, "Ready")["status"], "True", "the host is not to blame");
}
