//! One project on two hosts: placed, lost, back, and changed over both.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bed::{Bed, Host};
use crate::hades::{condition, eventually, http_get_at};

fn environment(message: &str) -> String {
    format!(
        r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {{name: production, namespace: PROJECT}}
spec:
  defaults: {{host: one}}
  env: {{MESSAGE: {message}}}
  volumes: {{data: {{}}}}
  services:
    api: {{image: "hades-sample:1", replicas: 2}}
    db: {{image: "hades-sample:1", host: two, volumes: ["data:/data"], env: {{WRITE_FILE: /data/started}}}}
    web: {{image: "hades-sample:1", host: two, ports: ["8080:8080"]}}
"#
    )
}

const STAGING: &str = r#"apiVersion: hades.dev/v1alpha1
kind: Environment
metadata: {name: staging, namespace: PROJECT}
spec:
  defaults: {host: one}
  services: {web: {image: "hades-sample:1"}}
"#;

/// Containers by service, with what they say.
fn running(bed: &Bed, host: &Host) -> BTreeMap<String, Vec<String>> {
    let mut running: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in host.containers(&bed.label()) {
        assert_eq!(found["State"]["Running"], true, "{found:#}");
        let env = found["Config"]["Env"].as_array().cloned().unwrap_or_default();
        let text = |line: &Value| line.as_str().map(str::to_owned);
        let message = env
            .iter()
            .filter_map(text)
            .find_map(|line| line.strip_prefix("MESSAGE=").map(str::to_owned));
        let service = found["Config"]["Labels"]["hades.dev/service"].as_str().unwrap().to_owned();
        running.entry(service).or_default().push(message.unwrap_or_default());
    }
    running
}

fn expected(services: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |messages: &[&str]| messages.iter().map(|&message| message.to_owned()).collect();
    services.iter().map(|(name, messages)| ((*name).to_owned(), owned(messages))).collect()
}

#[test]
fn a_project_on_two_hosts_one_of_which_is_lost_and_back() {
    let bed = Bed::start("two");
    let hades = &bed.hades;
    let address = bed.two.engine.run("address");
    hades.apply(&environment("first"));
    hades.wait_ready("production");
    let on_one = |message: &str| expected(&[("api", &[message, message])]);
    let on_two = |message: &str| expected(&[("db", &[message]), ("web", &[message])]);
    assert_eq!(running(&bed, &bed.one), on_one("first"));
    assert_eq!(running(&bed, &bed.two), on_two("first"));
    for host in bed.hosts() {
        assert_eq!(host.names("networks", &bed.label()).len(), 1);
    }
    let says = || http_get_at(&address, 8080, "/").unwrap_or_default();
    assert!(says().contains("first"), "{}", says());
    let data = bed.two.data_of(&format!("{}_production_data", hades.project)).join("started");
    let starts = || std::fs::read_to_string(&data).unwrap().lines().count();
    assert_eq!(starts(), 1);

    // One is lost: told by name, what ran runs on, and the other one goes on.
    bed.two.gate.cut();
    hades.apply(&environment("second"));
    let message = hades.wait_not_ready("production", "HostUnreachable");
    assert!(message.contains("two"), "{message}");
    eventually("the host not to be ready", || {
        let ready = condition(&hades.object("dockerhost", "two", "default"), "Ready");
        if ready["status"] == "False" { Ok(()) } else { Err(ready) }
    });
    eventually("the change on the other host", || {
        let found = running(&bed, &bed.one);
        if found == on_one("second") { Ok(()) } else { Err(found) }
    });
    assert!(says().contains("first"), "{}", says());
    hades.apply(STAGING);
    hades.wait_ready("staging");
    hades.hadesctl(&["delete", &format!("{}/staging", hades.project), "--yes"]);

    // It is back: exactly what is described, once, with its data.
    bed.two.gate.open();
    hades.wait_ready("production");
    assert_eq!(running(&bed, &bed.two), on_two("second"));
    assert!(says().contains("second"), "{}", says());
    assert_eq!(starts(), 2);

    // A change over both.
    hades.apply(&environment("third"));
    hades.wait_ready("production");
    assert_eq!(running(&bed, &bed.one), on_one("third"));
    assert_eq!(running(&bed, &bed.two), on_two("third"));
    assert_eq!(starts(), 3);

    // A pass that finds nothing to do looks once at each.
    eventually("a pass that nothing else looks beside", || {
        bed.ledger.begin(None);
        hades.hadesctl(&["sync", &format!("{}/production", hades.project), "--wait"]);
        let mut lists = bed.ledger.lists();
        lists.sort();
        assert_eq!(bed.ledger.changes(), Vec::<String>::new());
        // Probes of the hosts look, too.
        if lists == ["one", "two"] { Ok(()) } else { Err(lists) }
    });

    // The end, on both; the data stay.
    hades.hadesctl(&["delete", &format!("{}/production", hades.project), "--yes"]);
    for host in bed.hosts() {
        assert_eq!(running(&bed, host), BTreeMap::new());
        assert_eq!(host.names("networks", &bed.label()), Vec::<String>::new());
    }
    assert_eq!(starts(), 3);
}
