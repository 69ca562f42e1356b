//! The fields of a service: what they become, what is refused, and how a plan
//! names them.

use std::collections::BTreeMap;

use hades_plan::{
    CommandCheck, ContainerState, EngineCheck, FileContent, Operation, needs, plan, render,
};
use secrecy::SecretString;

use crate::fixture::{Fixture, PASSWORD, desired, number_hashes, spec};
use crate::simulator::Simulator;

const EVERYTHING: &str = "
defaults: {host: local}
services:
  web:
    image: 'web:1'
    user: '1000:1001'
    healthCheck: {command: [check, --fast], interval: 2s, retries: 5, startPeriod: 500ms}
    resources: {limits: {cpu: 500m, memory: 256Mi, pids: 100}}
    shmSize: 128Mi
    ulimits: {nofile: {soft: 1024, hard: 65536}, core: 0}
    capAdd: [CAP_NET_ADMIN, SYS_NICE]
    capDrop: [ALL]
    groupAdd: [2000, video]
    privileged: true
    hostPID: true
    hostIPC: false
    devices: [/dev/fuse, '/dev/ttyUSB0:/dev/modem:rw']
    securityOpt: ['no-new-privileges:true', 'seccomp:unconfined']
    volumes: ['/srv/shop/./x/:/data/x:ro']
    sysctls: {net.core.somaxconn: 1024}
    tmpfs: {/run: {size: 16Mi, mode: '0755'}, /tmp: {}}
    files:
      /etc/app/app.conf: {content: 'listen = 8080', mode: '0640'}
      /etc/app/key: {secretKeyRef: {name: db, key: password}, uid: 5, gid: 6}
    hostname: front
    extraHosts: {legacy: 192.0.2.7, the-host: host-gateway}
    dns: [192.0.2.53]
    logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}
";
const OTHERWISE: &str = "
defaults: {host: local}
services:
  web:
    image: 'web:1'
    user: '1000:1001'
    healthCheck: {none: true}
    resources: {limits: {cpu: 2, memory: 1Gi}}
    ulimits: {nofile: 65536, memlock: -1}
    capAdd: [NET_RAW]
    readOnly: true
    hostIPC: true
    devices: [/dev/fuse]
    securityOpt: [no-new-privileges]
    volumes: ['/srv/shop/x:/data/x']
    sysctls: {net.core.somaxconn: 2048}
    tmpfs: {/run: {size: 32Mi}}
    extraHosts: {legacy: 192.0.2.8}
    logging: {driver: local}
";

fn errors(yaml: &str) -> String {
    let yaml = format!(
        "defaults: {{host: local}}\nservices: {{web: {{image: 'a:1', {yaml}}}}}\nvolumes: {{data: {{}}}}"
    );
    let errors = Fixture::default().resolve(&yaml).err().unwrap_or_default();
    errors.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn a_new_container_and_a_changed_one_show_every_field() {
    let page = |yaml: &str, simulator: &Simulator| {
        number_hashes(&render::text(&plan(&desired(yaml), &simulator.observe()), false))
    };
    let mut simulator = Simulator::new(&["local"]);
    insta::assert_snapshot!("every_field_is_new", page(EVERYTHING, &simulator));
    simulator.apply(&plan(&desired(EVERYTHING), &simulator.observe()));
    insta::assert_snapshot!("every_field_changes", page(OTHERWISE, &simulator));
    simulator.converge(&desired(OTHERWISE));
    assert!(plan(&desired(OTHERWISE), &simulator.observe()).is_empty());
}

#[test]
fn files_belong_to_the_user_unless_they_say_otherwise() {
    let desired = desired(EVERYTHING);
    let files = &desired.containers[0].spec.files;
    let config = &files["/etc/app/app.conf"];
    assert_eq!((config.mode, config.uid, config.gid), (0o640, 1000, 1001));
    assert_eq!(config.content.expose(), Some("listen = 8080"));
    let key = &files["/etc/app/key"];
    assert_eq!((key.mode, key.uid, key.gid), (0o444, 5, 6));
    assert_eq!(key.content.expose(), Some(PASSWORD));
    assert_eq!(
        Vec::from_iter(needs(&spec(EVERYTHING), &std::collections::BTreeMap::new()).secrets),
        ["db"]
    );
}

#[test]
fn a_file_from_a_secret_is_shown_nowhere() {
    let yaml = "
services:
  web: {image: 'web:1', host: local, files: {/key: {secretKeyRef: {name: db, key: password}}, /conf: {content: open-text}}}
";
    let mut fixture = Fixture::default();
    let first = fixture.resolve(yaml).unwrap();
    let mut simulator = Simulator::new(&["local"]);
    let create = plan(&first, &simulator.observe());
    simulator.apply(&create);
    let before = format!("{:?}", simulator.hosts);
    let other = SecretString::from("another-password");
    fixture.secrets.get_mut("db").unwrap().0.insert("password".into(), other);
    let second = fixture.resolve(yaml).unwrap();
    let replace = plan(&second, &simulator.observe());
    assert_eq!(replace.summary().replace, 1, "another value is another container");
    simulator.container("web").state = ContainerState::Created;
    let start = plan(&first, &simulator.observe());
    let mut forms = vec![before, format!("{first:?}{second:?}")];
    for plan in [&create, &replace, &start] {
        forms.extend([
            format!("{plan:?}"),
            serde_json::to_string(plan).unwrap(),
            render::json(plan).unwrap(),
            render::text(plan, false),
            render::lines(plan).join("\n"),
        ]);
    }
    for form in forms {
        assert!(!form.contains(PASSWORD) && !form.contains("another-password"), "{form}");
        // Not secret, but it would swell every list of containers.
        assert!(!form.contains("open-text"), "{form}");
    }
    assert!(render::text(&replace, false).contains("files./key: (secret) "));
}

#[test]
fn a_container_that_was_never_started_is_started_with_its_files() {
    let mut simulator = Simulator::new(&["local"]);
    simulator.apply(&plan(&desired(EVERYTHING), &simulator.observe()));
    let files = |simulator: &Simulator| {
        let plan = plan(&desired(EVERYTHING), &simulator.observe());
        let mut starts = plan.actions.into_iter().filter_map(|action| match action.operation {
            Operation::StartContainer { files, .. } => Some(files),
            _ => None,
        });
        starts.next().unwrap()
    };
    simulator.container("web").state = ContainerState::Exited;
    simulator.container("web").exit_code = Some(1);
    assert_eq!(files(&simulator), BTreeMap::new());
    simulator.container("web").state = ContainerState::Created;
    let files = files(&simulator);
    assert_eq!(files.len(), 2);
    assert!(files.values().all(|file| file.content.expose().is_some()));
}

#[test]
fn the_hash_is_as_it_was_for_those_that_have_none_of_them() {
    let json = serde_json::to_string(
        &desired("services: {web: {image: 'web:1', host: local}}").containers[0].spec,
    )
    .unwrap();
    assert_eq!(json, r#"{"image":"web:1","aliases":["web"],"restart":"unless-stopped"}"#);
    let hash = |field: &str| {
        let yaml = format!("services: {{web: {{image: 'web:1', host: local, {field}}}}}");
        desired(&yaml).containers[0].spec_hash.clone()
    };
    let files = |content: &str| hash(&format!("files: {{/a: {{content: {content}}}}}"));
    assert_ne!(files("one"), files("two"));
    assert_eq!(
        hash("capAdd: [SYS_NICE, NET_RAW]"),
        hash("capAdd: [CAP_NET_RAW, SYS_NICE, NET_RAW]")
    );
    assert_eq!(hash("resources: {limits: {cpu: 500m}}"), hash("resources: {limits: {cpu: '0.5'}}"));
    assert_eq!(hash("readOnly: false"), hash("init: null"));
}

#[test]
fn checks_that_are_not_the_engines_turn_the_images_own_off() {
    let check = |text: &str| {
        let yaml = format!("services: {{web: {{image: 'web:1', host: local{text}}}}}");
        desired(&yaml).containers[0].spec.health_check.clone()
    };
    assert_eq!(check(""), None);
    for other in ["none: true", "http: {port: 80}", "tcp: {port: 80}"] {
        assert_eq!(check(&format!(", healthCheck: {{{other}}}")), Some(EngineCheck::Disabled));
    }
    let expected = CommandCheck {
        command: vec!["ok".to_owned()],
        interval_millis: 10_000,
        timeout_millis: 5_000,
        retries: 3,
        start_period_millis: 0,
    };
    assert_eq!(check(", healthCheck: {command: [ok]}"), Some(EngineCheck::Command(expected)));
}

#[test]
fn what_is_refused_says_why_and_where() {
    insta::assert_snapshot!(errors(
        "resources: {limits: {cpu: 1m, memory: 256m}}, shmSize: 0, ulimits: {nofil: 1, core: -2, nproc: {soft: 2, hard: 1}},
         capAdd: [SYS_ADMIN, ALL, NET_ADMN], capDrop: [NOTHING], groupAdd: ['', -1], sysctls: {vm.max_map_count: 262144},
         hostname: 'a b', extraHosts: {'a:b': 1.2.3.4, ok: example.com}, dns: [dns.example.com],
         logging: {driver: syslog, options: {syslog-address: 'unix:///dev/log'}},
         healthCheck: {http: {path: /}, tcp: {port: 0}, interval: 0s}"
    ));
}

#[test]
fn what_makes_no_sense_beside_the_network_of_the_host_is_refused() {
    insta::assert_snapshot!(errors(
        "hostNetwork: true, hostIPC: true, shmSize: 64Mi, ports: ['8080:80'], aliases: [www],
         sysctls: {net.core.somaxconn: 1, kernel.shmmax: 1, fs.mqueue.msg_max: 1}, devices: [/dev/a, '/dev/b:/dev/a'],
         securityOpt: ['seccomp=/etc/seccomp.json', 'systempaths=unconfined', 'no-new-privileges=maybe', 'apparmor=', 'label:disable'],
         volumes: ['/srv/x:/data/../etc', '/srv/x:/', '/srv/x:/y', '/srv/z:/y/', 'data:/./z']"
    ));
}

#[test]
fn output_goes_to_no_socket_of_the_host_however_it_is_written() {
    for address in ["unix:///dev/log", "UNIXGRAM:///dev/log", " unix:///x", "/dev/log", "file:///x"]
    {
        let options =
            format!("logging: {{driver: syslog, options: {{syslog-address: '{address}'}}}}");
        assert!(errors(&options).contains("socket of the host"), "{address}");
    }
}

#[test]
fn places_of_files_that_cannot_be_say_why() {
    insta::assert_snapshot!(errors(
        "volumes: ['data:/data'], tmpfs: {/run: {}, /data: {}, relative: {}, /x: {size: 0}}, readOnly: true,
         files: {/data/a: {content: x}, /run/a: {content: x}, /a: {content: x}, /a/b: {content: x}, '/c/../d': {content: x},
                 /etc/hosts: {content: x}, /both: {content: x, secretKeyRef: {name: db, key: user}}, /none: {mode: '0600'},
                 /missing: {secretKeyRef: {name: db, key: usr}}, /gone: {secretKeyRef: {name: nope, key: k}}}"
    ));
    let large = format!("files: {{/a: {{content: {}}}}}", "x".repeat(1024 * 1024 + 1));
    assert!(errors(&large).contains("1048577 bytes in all"), "{}", errors(&large));
}

#[test]
fn what_went_through_json_compares_and_holds_no_text() {
    let first = desired(EVERYTHING).containers.remove(0).spec;
    let back: hades_plan::ContainerSpec =
        serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(back, first);
    for file in back.files.values() {
        assert_eq!(file.content.expose(), None);
        assert!(matches!(
            file.content,
            FileContent::Plain { text: None, .. } | FileContent::Secret { value: None, .. }
        ));
    }
}
