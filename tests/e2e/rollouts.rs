//! Roll-outs of a real service, gated by checks that Hades makes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::hades::{Engine, Hades, eventually};

fn environment(message: &str, path: &str, more: &str) -> String {
    format!(
        "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
         metadata: {{name: production, namespace: PROJECT}}\n\
         spec:\n  defaults: {{host: local}}\n  services:\n    web:\n      image: hades-sample:1\n\
         \x20     env: {{MESSAGE: {message}{more}}}\n\
         \x20     healthCheck: {{http: {{path: {path}, port: 8080}}, interval: 500ms, retries: 2}}\n\
         \x20     strategy: {{progressDeadline: 4s}}\n"
    )
}

/// Where the container of the environment answers, by its address on the
/// engine's network.
fn address(hades: &Hades, container: &str) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = hades.engine.docker(&["inspect", "--format", format, container]);
    format!("{}:8080", address.trim())
}

fn get(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.1 200").then_some(text)
}

/// A good roll-out takes over while the old container answers to the last; a bad
/// one leaves it, and tells what the new one said.
#[test]
fn a_good_and_a_bad_roll_out() {
    let hades = Hades::start(Engine::shared());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
    );
    hades.apply(&environment("one", "/healthz", ""));
    hades.wait_ready("production");
    let first = hades.container_of("web").unwrap();
    let old = address(&hades, &first);
    assert!(get(&old).is_some_and(|text| text.contains("one")));

    // Bad: it runs, and answers the check with 404.
    let missed = Arc::new(AtomicU32::new(0));
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let client = std::thread::spawn({
        let (missed, stop, asked, old) = (missed.clone(), stop.clone(), asked.clone(), old.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                asked.fetch_add(1, Ordering::Relaxed);
                if get(&old).is_none() {
                    missed.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    hades.apply(&environment("two", "/nothing-here", ", VERSION: '2'"));
    let message = hades.wait_not_ready("production", "RolloutFailed");
    for words in ["answered 404", "within 4s", "its last lines: GET /nothing-here"] {
        assert!(message.contains(words), "{message}");
    }
    stop.store(true, Ordering::Relaxed);
    client.join().unwrap();
    assert!(asked.load(Ordering::Relaxed) > 0);
    assert_eq!(missed.load(Ordering::Relaxed), 0, "the old one answers all the time");
    assert_eq!(hades.running(), std::slice::from_ref(&first));
    assert_eq!(hades.containers().len(), 2, "the failed one is kept for its logs");
    let logs =
        hades.hadesctl(&["logs", &format!("{}/production/web", hades.project), "--tail", "5"]);
    assert!(logs.contains("GET /nothing-here"), "{logs}");

    // A bad one that ends at once.
    hades.apply(&environment("three", "/healthz", ", EXIT_AT_ONCE: '3'"));
    let message = eventually("the other failure", || {
        let ready = hades.ready_condition("production");
        let message = ready["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("exit status 3") { Ok(message) } else { Err(message) }
    });
    assert!(message.contains("ending at once with 3"), "{message}");
    assert_eq!(hades.running(), std::slice::from_ref(&first));

    // Good: nothing of what failed is left.
    hades.apply(&environment("four", "/healthz", ""));
    hades.wait_ready("production");
    let last = hades.container_of("web").unwrap();
    assert!(get(&address(&hades, &last)).is_some_and(|text| text.contains("four")));
    assert_eq!(hades.containers(), [last]);
}

/// The engine's own check of a command, and a service that waits for it.
#[test]
fn a_service_waits_for_a_check_of_the_engine() {
    let hades = Hades::start(Engine::shared());
    hades.apply(
        "{apiVersion: hades.dev/v1alpha1, kind: HadesProject, metadata: {name: PROJECT}, spec: {}}",
    );
    let check = |command: &str| {
        format!(
            "apiVersion: hades.dev/v1alpha1\nkind: Environment\n\
             metadata: {{name: production, namespace: PROJECT}}\n\
             spec:\n  defaults: {{host: local}}\n  services:\n\
             \x20   db: {{image: 'hades-sample:1', healthCheck: {{command: [{command}], interval: 500ms, timeout: 5s, retries: 100}}}}\n\
             \x20   api: {{image: 'hades-sample:1', dependsOn: [db]}}\n"
        )
    };
    hades.apply(&check("/nothing/there"));
    let waits = eventually("the wait to be told", || {
        let object = hades.object("environment", "production", &hades.project);
        let resources = object["status"]["resources"].as_array().cloned().unwrap_or_default();
        let api = resources.iter().find(|found| found["service"] == "api").cloned();
        let message = api.unwrap_or_default()["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("depends on service db") { Ok(message) } else { Err(object) }
    });
    assert!(waits.contains("isn't"), "{waits}");
    eventually("the first service to run", || match hades.running().len() {
        1 => Ok(()),
        count => Err(count),
    });
    hades.apply(&check("/sample-app, check"));
    hades.wait_ready("production");
    assert_eq!(hades.running().len(), 2);
    let db = hades.container_of("db").unwrap();
    let format = "{{.State.Health.Status}}";
    assert_eq!(hades.engine.docker(&["inspect", "--format", format, &db]).trim(), "healthy");
}
