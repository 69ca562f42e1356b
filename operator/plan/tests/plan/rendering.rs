//! Plans as people see them.

use hades_plan::{ContainerState, plan, render};

use crate::fixture::{Fixture, desired, number_hashes};
use crate::simulator::Simulator;

const FIRST: &str = "
defaults: {host: local}
env: {LOG_LEVEL: info}
services:
  api:
    image: web:1
    command: [serve, --port, '80']
    env:
      PASS: {secretKeyRef: {name: db, key: password}}
      OLD: gone
    ports: ['8080:80']
    volumes: ['uploads:/data', 'conf:/conf:ro']
  job: {image: 'job:1', restart: 'no'}
  web: {image: 'web:1', replicas: 2, labels: {team: shop}}
volumes: {uploads: {}, conf: {deletionPolicy: Delete}}
";
const SECOND: &str = "
defaults: {host: local}
env: {LOG_LEVEL: debug}
services:
  api:
    image: new:1
    command: [serve]
    env: {PASS: {secretKeyRef: {name: db, key: user}}}
    ports: ['8080:80', '8081:81']
    volumes: ['uploads:/data']
  late: {image: 'never:1', imagePullPolicy: Never}
  web: {image: 'web:1', labels: {team: store}, stopGracePeriod: 1500ms, restart: always}
volumes: {uploads: {}, conf: {deletionPolicy: Delete}}
";

fn page(yaml: &str, simulator: &Simulator) -> String {
    number_hashes(&render::text(&plan(&desired(yaml), &simulator.observe()), false))
}

#[test]
fn everything_is_new() {
    insta::assert_snapshot!(page(FIRST, &Simulator::new(&["local"])));
}

#[test]
fn everything_changes() {
    let mut simulator = Simulator::new(&["local"]);
    simulator.apply(&plan(&desired(FIRST), &simulator.observe()));
    insta::assert_snapshot!(page(SECOND, &simulator));
}

#[test]
fn small_steps() {
    let mut simulator = Simulator::new(&["local"]);
    simulator.apply(&plan(&desired(FIRST), &simulator.observe()));
    let job = simulator.container("job");
    (job.state, job.exit_code) = (ContainerState::Exited, Some(1));
    simulator.container("api").state = ContainerState::Exited;
    let host = simulator.host("local");
    let web = host.containers.iter_mut().filter(|found| found.name.contains("-web-"));
    for (found, state) in web.zip([ContainerState::Paused, ContainerState::Running]) {
        found.state = state;
        found.networks.clear();
    }
    insta::assert_snapshot!(page(FIRST, &simulator));
}

#[test]
fn nothing_changes() {
    let yaml = "services: {web: {image: 'web:1', host: local}}";
    let mut simulator = Simulator::new(&["local"]);
    simulator.apply(&plan(&desired(yaml), &simulator.observe()));
    insta::assert_snapshot!(page(yaml, &simulator), @"No changes. shop/production is as described.
");
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let plan = plan(&desired(FIRST), &Simulator::new(&["local"]).observe());
    let (plain, coloured) = (render::text(&plan, false), render::text(&plan, true));
    assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[32m"));
    let mut bare = String::new();
    for (index, piece) in coloured.split('\u{1b}').enumerate() {
        bare.push_str(if index == 0 { piece } else { piece.split_once('m').unwrap().1 });
    }
    assert_eq!(bare, plain);
}

#[test]
fn json_is_stable() {
    let yaml = "
services: {web: {image: 'new:1', host: local, ports: ['80'], env: {PASS: {secretKeyRef: {name: db, key: password}}}}}
";
    let desired = Fixture::default().resolve(yaml).unwrap();
    let mut plan = plan(&desired, &Simulator::new(&["local"]).observe());
    assert_eq!(plan.digest.len(), 64);
    plan.digest = "(digest)".into();
    insta::assert_snapshot!(render::json(&plan).unwrap());
}
