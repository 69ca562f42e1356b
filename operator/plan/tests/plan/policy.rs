//! What a project may not ask for isn't planned, whatever road it comes by.

use std::collections::BTreeMap;

use hades_api::{ProjectPolicy, ServiceSpec};
use hades_plan::policy::Usage;
use hades_plan::{Desired, HostView, Operation, SpecError, SpecErrorKind, needs, plan};

use crate::fixture::{Fixture, spec};
use crate::simulator::Simulator;

fn policy(yaml: &str) -> ProjectPolicy {
    serde_saphyr::from_str(yaml).unwrap()
}

fn under(rules: &str) -> Fixture {
    Fixture { policy: Some(policy(rules)), ..Fixture::default() }
}

fn service(fields: &str) -> String {
    format!(
        "defaults: {{host: local}}\nservices: {{web: {{image: 'web:1', {fields}}}}}\nvolumes: {{data: {{}}}}"
    )
}

/// What the policy has against a spec, in a line each.
fn refused(fixture: &Fixture, yaml: &str) -> String {
    let found: Vec<SpecError> = fixture.resolve(yaml).err().unwrap_or_default();
    let violations = found.into_iter().filter(|e| e.kind == SpecErrorKind::PolicyViolation);
    violations.map(|error| format!("{error}\n")).collect()
}

fn allowed(rules: &str, fields: &str) -> bool {
    refused(&under(rules), &service(fields)).is_empty()
}

/// Every field that gives away a part of the host, and the rule that allows it.
const DANGEROUS: [(&str, &str); 9] = [
    ("privileged: true", "privileged: true"),
    ("hostNetwork: true", "hostNetwork: true"),
    ("hostPID: true", "hostPID: true"),
    ("hostIPC: true", "hostIPC: true"),
    ("capAdd: [SYS_ADMIN]", "capabilities: [SYS_ADMIN]"),
    ("devices: [/dev/kvm]", "devices: [/dev/kvm]"),
    ("securityOpt: ['seccomp:unconfined']", "securityOpt: [seccomp=unconfined]"),
    ("volumes: ['/srv/shop:/data']", "hostMounts: [/srv/shop]"),
    ("volumes: ['/var/run/docker.sock:/var/run/docker.sock']", "dockerSocket: true"),
];

#[test]
fn each_danger_needs_its_own_rule_and_no_other_helps() {
    for (index, (fields, _)) in DANGEROUS.iter().enumerate() {
        assert!(!allowed("{}", fields), "{fields} is denied by default");
        for (other, (_, rule)) in DANGEROUS.iter().enumerate() {
            assert_eq!(allowed(&format!("{{{rule}}}"), fields), index == other, "{fields}: {rule}");
        }
    }
    let all = DANGEROUS.map(|(_, rule)| rule).join(", ");
    let fields: Vec<&str> = DANGEROUS[..8].iter().map(|(field, _)| *field).collect();
    assert!(allowed(&format!("{{{all}}}"), &fields.join(", ")));
    let never = all.replace("true", "false");
    assert!(!allowed(&format!("{{{never}}}"), "privileged: true"));
}

#[test]
fn every_violation_names_the_field_and_the_rule() {
    let yaml = "
defaults: {host: other}
services:
  web:
    image: 'ghcr.io/evil/web:1'
    privileged: true
    hostNetwork: true
    hostPID: true
    hostIPC: true
    capAdd: [CHOWN, CAP_SYS_ADMIN, ALL]
    devices: [/dev/sda]
    securityOpt: [no-new-privileges, 'apparmor:unconfined']
    volumes: ['/var/run/docker.sock:/s', '/:/host:ro', '/srv/shop:/a', '/etc/ssl:/b', 'data:/c', '/srv/x/../../root:/d']
  api: {image: 'ghcr.io/acme/api:1', placement: {hosts: [local, other]}, ports: ['22:22', '80', '8080:80']}
volumes: {data: {}}
";
    let rules = "{hostMounts: ['/srv/shop/', '/etc/ssl:ro'], hosts: [loc*], registries: [ghcr.io/acme], hostPorts: [8000-8999]}";
    insta::assert_snapshot!(refused(&under(rules), yaml));
}

#[test]
fn what_hardens_or_says_no_needs_no_rule() {
    for fields in [
        "privileged: false, hostNetwork: false, hostPID: false, hostIPC: false",
        "capAdd: [CHOWN, CAP_NET_BIND_SERVICE, MKNOD], capDrop: [ALL]",
        "securityOpt: [no-new-privileges], devices: []",
        "volumes: ['data:/data'], readOnly: true",
    ] {
        assert!(allowed("{}", fields), "{fields}");
    }
    assert!(!allowed("{}", "securityOpt: ['no-new-privileges=false']"));
}

#[test]
fn paths_lead_nowhere_else_by_the_way_they_are_written() {
    let rules = "{hostMounts: [/srv/shop, '/srv/web/:ro']}";
    for path in ["/srv/shop", "/srv//shop/.", "/srv/x/../shop"] {
        assert!(allowed(rules, &format!("volumes: ['{path}:/data']")), "{path}");
    }
    for path in ["/srv/shop", "/srv/web/a/b", "/srv/web/a/../b"] {
        assert!(allowed(rules, &format!("volumes: ['{path}:/data:ro']")), "{path}");
    }
    for path in [
        "/srv/shop/below",
        "/srv/shop/..",
        "/srv/web/..",
        "/srv/web/../shop/x",
        "/srv/web/../../etc",
        "/srv/web-of-others",
        "/srv",
        "/",
        "/srv/Shop",
    ] {
        assert!(!allowed(rules, &format!("volumes: ['{path}:/data']")), "{path}");
        let long = format!("volumes: [{{type: bind, source: '{path}', target: /data}}]");
        assert!(!allowed(rules, &long), "{path}");
    }
    // What was compared is what is mounted.
    let yaml = service("volumes: ['/srv/web//a/../b/:/data/:ro']");
    let desired = under(rules).resolve(&yaml).unwrap();
    let mount = &desired.containers[0].spec.mounts[0];
    assert_eq!((mount.source.as_str(), mount.path.as_str()), ("/srv/web/b", "/data"));
    assert!(mount.bind && desired.volumes.is_empty());
}

#[test]
fn all_that_leads_to_the_engine_is_its_socket() {
    let mut fixture = under("{hostMounts: ['/']}");
    fixture.hosts.get_mut("other").unwrap().endpoint = "unix:///opt/engine/x.sock".into();
    let paths = [
        "/",
        "/run",
        "/var",
        "/var/run",
        "/run/docker.sock",
        "/var/run/../run/docker.sock",
        "/var/lib",
        "/var/lib/docker",
        "/var/lib/docker/volumes/other_production_data/_data",
        "/proc/1/root/run/docker.sock",
        "/opt/engine",
        "/opt/engine/x.sock",
    ];
    for path in paths {
        let yaml = service(&format!("volumes: ['{path}:/data:ro']"));
        assert!(refused(&fixture, &yaml).contains("spec.policy.dockerSocket"), "{path}");
    }
    fixture.policy = Some(policy("{hostMounts: ['/'], dockerSocket: true}"));
    for path in paths {
        let yaml = service(&format!("volumes: ['{path}:/data:ro']"));
        assert_eq!(refused(&fixture, &yaml), "", "{path}");
    }
    assert!(!allowed("{dockerSocket: true}", "volumes: ['/var/run:/data']"));
    assert!(!allowed("{dockerSocket: true}", "volumes: ['/var/lib/docker:/data']"));
}

/// The engine follows links on the host: whoever writes in a folder decides where what
/// is below it leads, and a socket takes commands through a read-only mount.
#[test]
fn what_is_below_a_folder_that_may_be_written_leads_anywhere() {
    for rules in ["[/srv/shop, '/srv/:ro']", "['/srv/shop/']", "['/srv/:ro', '/srv/shop/', '/']"] {
        for path in ["/srv/shop/x", "/srv/shop/x/y", "/srv/shop/../shop/x"] {
            let fields = format!("volumes: ['{path}:/data:ro']");
            let found = refused(&under(&format!("{{hostMounts: {rules}}}")), &service(&fields));
            assert!(found.contains("may be written, and a link that lies there"), "{found}");
            assert!(found.contains("(spec.policy.dockerSocket)"), "{found}");
            assert!(allowed(&format!("{{dockerSocket: true, hostMounts: {rules}}}"), &fields));
        }
        if !rules.contains("'/'") {
            let rules = format!("{{hostMounts: {rules}}}");
            assert!(allowed(&rules, "volumes: ['/srv/shop:/data']"), "the folder itself");
        }
    }
    let beside = "{hostMounts: [/srv/shop, '/srv/:ro']}";
    assert!(allowed(beside, "volumes: ['/srv/shop:/a', '/srv/other:/b:ro']"));
}

#[test]
fn capabilities_and_devices_by_all_their_names() {
    assert!(allowed("{capabilities: [ALL]}", "capAdd: [ALL, SYS_ADMIN]"));
    assert!(!allowed("{capabilities: [NET_ADMIN]}", "capAdd: [ALL]"));
    assert!(allowed("{capabilities: [CAP_NET_ADMIN]}", "capAdd: [NET_ADMIN]"));
    assert!(!allowed("{capabilities: [NET_ADMIN]}", "capAdd: [NET_ADMIN, SYS_PTRACE]"));
    assert!(allowed("{devices: ['/dev/dri/']}", "devices: ['/dev/dri/card0:/dev/x:r']"));
    assert!(!allowed("{devices: ['/dev/dri']}", "devices: [/dev/dri/card0]"));
    assert!(!allowed("{devices: ['/dev/dri/']}", "devices: [/dev/drive]"));
}

#[test]
fn images_come_from_where_they_may() {
    let rules = "{registries: [ghcr.io/acme, docker.io/library/nginx]}";
    let yaml = |image: &str| format!("services: {{web: {{image: '{image}', host: local}}}}");
    let fine = |image: &str| refused(&under(rules), &yaml(image)).is_empty();
    for image in [
        "ghcr.io/acme/web:1",
        "nginx",
        "docker.io/library/nginx:1",
        "index.docker.io/library/nginx",
    ] {
        assert!(fine(image), "{image}");
    }
    let id = format!("sha256:{}", "0".repeat(64));
    for image in
        ["ghcr.io/acme-evil/web", "ghcr.io/other", "redis", "evil.example/ghcr.io/acme/web", &id]
    {
        assert!(!fine(image), "{image}");
    }
    assert!(refused(&under("{registries: []}"), &yaml("nginx")).contains("any image"));
}

#[test]
fn a_selector_chooses_among_the_hosts_that_are_allowed() {
    let mut fixture = under("{hosts: [local]}");
    for host in ["local", "other"] {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        fixture.host_labels.insert(host.to_owned(), labels);
    }
    let yaml = "services: {web: {image: 'web:1', replicas: 4, placement: {selector: {matchLabels: {zone: a}}}}}";
    let desired = fixture.resolve(yaml).unwrap();
    assert!(desired.containers.iter().all(|container| container.host == "local"));
    // What is there already doesn't move because a rule has become stricter.
    let replica = ("web".to_owned(), 2);
    fixture.current.replicas.insert(replica, vec!["other".to_owned()]);
    assert_eq!(
        refused(&fixture, yaml),
        "spec.services.web.placement.selector: policy of project shop doesn't allow DockerHost other, where containers of the service are (spec.policy.hosts)\n"
    );
    fixture.policy = Some(policy("{hosts: [elsewhere-*]}"));
    let found = refused(&fixture, yaml);
    assert!(
        found.contains("doesn't allow any of the DockerHosts that have these labels"),
        "{found}"
    );
}

#[test]
fn quotas_count_the_whole_project() {
    let yaml = "
defaults: {host: local}
services:
  web: {image: 'web:1', replicas: 3, resources: {limits: {cpu: 500m, memory: 256Mi}}}
  api: {image: 'api:1', resources: {limits: {memory: 1Gi}}}
  off: {image: 'off:1', replicas: 0}
volumes: {}
";
    let usage = Usage::of(&spec(yaml));
    assert_eq!((usage.services, usage.replicas, usage.nano_cpus), (3, 4, 1_500_000_000));
    assert_eq!(usage.memory_bytes, 1_792 << 20);
    let rules =
        "{quotas: {environments: 2, services: 5, replicas: 6, volumes: 1, cpu: 2, memory: 2Gi}}";
    let mut fixture = under(rules);
    let other = Usage { environments: 1, services: 2, replicas: 2, ..Usage::default() };
    fixture.others = other;
    assert_eq!(
        refused(&fixture, yaml),
        "spec.services.api.resources.limits.cpu: missing: project shop has a quota of cpu, so that every service must say how much it may take (spec.policy.quotas.cpu)\n"
    );
    fixture.others = other + usage;
    let found = refused(&fixture, yaml);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "metadata.name: quota of project shop: environments 3 of 2 (this environment 1, others 2) (spec.policy.quotas.environments)",
            "spec.services: quota of project shop: cpu 3 of 2 (this environment 1500m, others 1500m) (spec.policy.quotas.cpu)",
            "spec.services: quota of project shop: memory 3584Mi of 2Gi (this environment 1792Mi, others 1792Mi) (spec.policy.quotas.memory)",
            "spec.services: quota of project shop: replicas 10 of 6 (this environment 4, others 6) (spec.policy.quotas.replicas)",
            "spec.services: quota of project shop: services 8 of 5 (this environment 3, others 5) (spec.policy.quotas.services)",
        ]
    );
}

#[test]
fn a_policy_that_is_tightened_stops_nothing_that_runs() {
    let yaml = service("privileged: true, hostNetwork: true");
    let mut fixture = under("{privileged: true, hostNetwork: true}");
    let desired: Desired = fixture.resolve(&yaml).unwrap();
    let mut simulator = Simulator::new(&["local", "other"]);
    simulator.converge(&desired);
    assert!(plan(&desired, &simulator.observe()).is_empty());
    fixture.policy = Some(policy("{}"));
    let errors = fixture.resolve(&yaml).unwrap_err();
    assert!(errors.iter().all(|error| error.kind == SpecErrorKind::PolicyViolation), "{errors:?}");
}

#[test]
fn what_is_not_allowed_any_more_can_be_stopped() {
    let mut fixture = under("{}");
    let yaml = service("privileged: true");
    assert!(!refused(&fixture, &yaml).is_empty());
    let stopped = ("stopped.hades.dev/web".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    fixture.annotations.extend([stopped]);
    assert!(fixture.resolve(&yaml).unwrap().containers.is_empty());
    fixture.annotations.clear();
    let none = fixture.resolve(&service("privileged: true, replicas: 0")).unwrap();
    assert!(none.containers.is_empty());
}

/// What is on a host that isn't allowed any more can be stopped, and keeps its data.
#[test]
fn a_host_that_is_not_allowed_any_more_can_be_left() {
    let yaml = |fields: &str| {
        format!(
            "defaults: {{host: local}}
services:
  web: {{image: 'web:1', volumes: ['data:/data'], {fields}}}
  api: {{image: 'api:1', host: other}}
volumes: {{data: {{}}}}"
        )
    };
    let mut fixture = under("{}");
    let desired = fixture.resolve(&yaml("")).unwrap();
    let mut simulator = Simulator::new(&["local", "other"]);
    simulator.converge(&desired);
    fixture.see(&simulator.observe());
    fixture.policy = Some(policy("{hosts: [other]}"));
    let found = refused(&fixture, &yaml(""));
    assert!(
        found.starts_with("spec.defaults.host: policy of project shop doesn't allow"),
        "{found}"
    );
    // By the manifest, or by hand.
    let desired = fixture.resolve(&yaml("replicas: 0")).unwrap();
    let stopped = ("stopped.hades.dev/web".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    fixture.annotations.extend([stopped]);
    let same = fixture.resolve(&yaml("")).unwrap();
    for desired in [desired, same] {
        assert_eq!(desired.containers.len(), 1, "the other service goes on");
        let volumes: Vec<&str> = desired.volumes.iter().map(|volume| &*volume.host).collect();
        assert_eq!(volumes, ["local"], "the data is where it was");
        let plan = plan(&desired, &simulator.observe());
        let operations: Vec<&Operation> =
            plan.actions.iter().map(|action| &action.operation).collect();
        assert!(matches!(operations[0], Operation::RemoveContainer { .. }), "{operations:?}");
        let makes = |operation: &&Operation| {
            matches!(operation, Operation::CreateContainer { .. } | Operation::CreateVolume { .. })
        };
        assert!(!operations.iter().any(makes), "{operations:?}");
    }
    // And nothing is made there.
    let new = Fixture { current: hades_plan::Current::default(), ..fixture };
    assert!(new.resolve(&yaml("")).unwrap().volumes.is_empty());
}

#[test]
fn a_lowered_quota_lets_what_is_there_be_made_smaller() {
    let yaml = |web: u32| {
        format!(
            "defaults: {{host: local}}
services: {{web: {{image: 'web:1', replicas: {web}}}, api: {{image: 'api:1', replicas: 2}}}}"
        )
    };
    let mut fixture = under("{quotas: {replicas: 1}}");
    let there = Usage { replicas: 5, services: 2, environments: 1, ..Usage::default() };
    fixture.before = Some(there);
    assert_eq!(refused(&fixture, &yaml(3)), "", "it goes on");
    assert_eq!(refused(&fixture, &yaml(2)), "");
    assert!(refused(&fixture, &yaml(4)).contains("replicas 6 of 1"));
    // A volume that was dropped and stays counts beside a new one.
    let made = Fixture {
        before: Some(Usage { volumes: 1, ..there }),
        kept_volumes: 1,
        ..under("{quotas: {volumes: 1}}")
    };
    let fresh =
        "services: {web: {image: 'web:1', host: local, volumes: ['b:/b']}}\nvolumes: {b: {}}";
    assert!(refused(&made, fresh).contains("volumes 2 of 1"));
    // Stopped services count nothing.
    let stopped = ("stopped.hades.dev/web".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    fixture.annotations.extend([stopped]);
    fixture.before = Some(Usage { replicas: 2, ..there });
    assert_eq!(refused(&fixture, &yaml(9)), "");
    fixture.policy = Some(policy("{quotas: {cpu: 1}}"));
    let found = refused(&fixture, &yaml(9));
    assert!(found.contains("spec.services.api.resources") && !found.contains("web"), "{found}");
}

#[test]
fn what_is_there_counts_whatever_the_spec_says() {
    let resource = |kind: &str, service: Option<&str>, name: &str, cpu: &str| {
        let mut found = serde_json::json!({
            "kind": kind, "name": name, "host": "local", "service": service,
            "state": "running", "health": "Healthy", "drift": "InSync",
        });
        if !cpu.is_empty() {
            found["limits"] = serde_json::json!({"cpu": cpu, "memory": "1Gi"});
        }
        serde_json::from_value::<hades_api::ResourceStatus>(found).unwrap()
    };
    let resources = [
        resource("Network", None, "shop_production", ""),
        resource("Volume", None, "shop_production_data", ""),
        resource("Container", Some("web"), "shop_production_web-1-aaaaaaaa", "1"),
        // Two of one replica, while the one takes the place of the other.
        resource("Container", Some("web"), "shop_production_web-2-aaaaaaaa", "1"),
        resource("Container", Some("web"), "shop_production_web-2-bbbbbbbb", "1500m"),
        resource("Container", Some("api"), "shop_production_api-1-aaaaaaaa", ""),
    ];
    let expected = Usage {
        environments: 1,
        services: 2,
        replicas: 3,
        volumes: 1,
        nano_cpus: 2_500_000_000,
        memory_bytes: 2 << 30,
    };
    assert_eq!(Usage::there(&resources), expected);
    // A volume that no spec names any more stays, and counts beside a new one.
    let name = hades_api::name::EnvironmentName::new("shop", "production");
    let fresh = spec("volumes: {fresh: {}}");
    assert_eq!(Usage::of_stored(&name, &fresh, &resources).volumes, 2);
    assert_eq!(Usage::of_stored(&name, &spec("volumes: {data: {}}"), &resources), expected);
    assert_eq!(Usage::there(&[]), Usage::default());
}

/// What plans tell is read by people who may not see the hosts and the Secrets.
#[test]
fn nothing_is_told_of_hosts_and_secrets_that_are_not_the_projects() {
    let mut fixture = Fixture::default();
    for host in ["warehouse", "secret-client"] {
        fixture.hosts.insert(host.to_owned(), fixture.hosts["local"].clone());
    }
    let said = |fixture: &Fixture, yaml: &str| {
        let errors = fixture.resolve(yaml).unwrap_err();
        errors.iter().map(|error| format!("{error}\n")).collect::<String>()
    };
    let on = |host: &str| format!("services: {{web: {{image: 'web:1', host: {host}}}}}");
    let unplaced = "services: {web: {image: 'web:1'}}";
    let labelled =
        "services: {web: {image: 'web:1', placement: {selector: {matchLabels: {a: b}}}}}";
    for rules in ["{}", "{hosts: ['local*', warehouse]}", "{hosts: []}"] {
        fixture.policy = Some(policy(rules));
        for yaml in [unplaced, labelled, &on("zzz"), &on("secret-cl"), &on("s")] {
            let said = said(&fixture, yaml);
            assert!(!said.contains("secret-client") && !said.contains("other"), "{rules}: {said}");
        }
        // Whether a host that isn't allowed is there doesn't show.
        if rules != "{}" {
            let denied = |host: &str| said(&fixture, &on(host)).replace(host, "HOST");
            assert_eq!(denied("secret-client"), denied("secret-clienx"), "{rules}");
        }
    }
    fixture.policy = Some(policy("{hosts: ['local*', warehouse]}"));
    let words = "no host: set spec.defaults.host or spec.services.web.host; policy of project shop allows: local*, warehouse\n";
    assert!(said(&fixture, unplaced).ends_with(words), "{}", said(&fixture, unplaced));
    assert!(said(&fixture, &on("local9")).contains("did you mean \"local\"?"));
    let key = |key: &str| {
        let env = format!("env: {{A: {{secretKeyRef: {{name: db, key: {key}}}}}}}");
        said(&Fixture::default(), &service(&env))
    };
    assert!(key("passwrod").contains("did you mean \"password\"?"));
    assert!(!key("x").contains("password") && !key("pass").contains("password"));
}

/// What goes on when a new container fails is held to the rules of today.
#[test]
fn what_the_policy_denies_is_not_started_again() {
    let yaml = |image: &str, fields: &str| {
        format!(
            "defaults: {{host: local}}
services: {{web: {{image: '{image}', {fields}}}}}"
        )
    };
    for (fields, old_rules, still) in [
        ("privileged: true", "{privileged: true}", false),
        ("privileged: true", "{privileged: true}", true),
        ("volumes: ['/run/docker.sock:/s:ro']", "{dockerSocket: true}", false),
        ("capAdd: [SYS_ADMIN]", "{capabilities: [SYS_ADMIN]}", false),
        ("init: true", "{}", true),
    ] {
        let mut fixture = under(old_rules);
        let mut simulator = Simulator::new(&["local", "other"]);
        simulator.converge(&fixture.resolve(&yaml("web:1", fields)).unwrap());
        if !still {
            fixture.policy = Some(policy("{}"));
        }
        let desired = fixture.resolve(&yaml("web:2", "")).unwrap();
        let first = plan(&desired, &simulator.observe());
        simulator.apply(&first);
        // The new one has failed, and then the old one ended.
        for found in &mut simulator.host("local").containers {
            (found.state, found.exit_code) = (hades_plan::ContainerState::Exited, Some(1));
            if found.image == "web:2" {
                found.health_message = Some("it ended".to_owned());
            }
        }
        let old = simulator.host("local").containers.iter().find(|found| found.image == "web:1");
        let old = old.unwrap().id.clone();
        let next = plan(&desired, &simulator.observe());
        let started = |action: &hades_plan::Action| matches!(&action.operation, Operation::StartContainer { id, .. } if *id == old);
        assert_eq!(next.actions.iter().any(started), still, "{fields}: {:?}", next.actions);
    }
}

#[test]
fn a_container_on_the_network_of_its_host_needs_no_other() {
    let yaml = service("hostNetwork: true, healthCheck: {tcp: {port: 80}}");
    let desired = under("{hostNetwork: true}").resolve(&yaml).unwrap();
    let simulator = Simulator::new(&["local", "other"]);
    let first = plan(&desired, &simulator.observe());
    let networks = |plan: &hades_plan::Plan| {
        let network = |operation: &Operation| matches!(operation, Operation::CreateNetwork { .. });
        plan.actions.iter().filter(|action| network(&action.operation)).count()
    };
    assert_eq!(networks(&first), 0);
    assert!(desired.containers[0].spec.is_exclusive(), "two would want the same ports");
    let beside = "
defaults: {host: local}
services: {web: {image: 'web:1', hostNetwork: true}, api: {image: 'api:1'}}";
    let desired = under("{hostNetwork: true}").resolve(beside).unwrap();
    let mut simulator = Simulator::new(&["local", "other"]);
    assert_eq!(networks(&plan(&desired, &simulator.observe())), 1);
    simulator.converge(&desired);
    // One that stopped is started, and never attached to anything.
    simulator.container("web").state = hades_plan::ContainerState::Exited;
    simulator.container("web").exit_code = Some(1);
    let again = plan(&desired, &simulator.observe());
    let operations: Vec<&Operation> =
        again.actions.iter().map(|action| &action.operation).collect();
    assert!(matches!(operations[..], [Operation::StartContainer { .. }]), "{operations:?}");
    let lint = desired.lints.iter().find(|lint| lint.field.ends_with("hostNetwork")).unwrap();
    assert!(lint.message.contains("by name"), "{}", lint.message);
}

/// Whatever a tenant writes, the labels that say whose a thing is are Hades's, the
/// names are of its own environment, and Secrets are of its own project.
#[test]
fn no_field_claims_what_is_anothers() {
    let open = under("{privileged: true}");
    let error = |fields: &str| {
        let found = open.resolve(&service(fields)).unwrap_err();
        found.iter().map(|error| format!("{error}\n")).collect::<String>()
    };
    for label in ["hades.dev/project", "hades.dev/environment", "hades.dev/installation"] {
        assert!(error(&format!("labels: {{{label}: other}}")).contains("belong to Hades"));
    }
    let stolen = hades_api::VolumeMount::parse("other_production_data:/data");
    assert!(stolen.unwrap_err().contains("neither a name of a volume"));
    // Names of Secrets end up in paths of requests.
    for name in ["../../hades-system/secrets/token", "x/../../y", "db?watch=1", "DB", ".."] {
        let env = format!("env: {{A: {{secretKeyRef: {{name: '{name}', key: k}}}}}}");
        let from = format!("envFrom: [{{secretRef: {{name: '{name}'}}}}]");
        let files = format!("files: {{/a: {{secretKeyRef: {{name: '{name}', key: k}}}}}}");
        let pull = format!("imagePullSecrets: [{{name: '{name}'}}]");
        for fields in [env, from, files, pull] {
            let wanted = needs(&spec(&service(&fields)), &BTreeMap::new()).secrets;
            assert!(wanted.is_empty(), "{wanted:?}");
            assert!(error(&fields).contains("no Secret"), "{fields}: {}", error(&fields));
        }
    }
    for fields in [
        "env: {A: {secretKeyRef: {name: db, namespace: other, key: k}}}",
        "envFrom: [{secretRef: {name: db, namespace: other}}]",
        "imagePullSecrets: [{name: db, namespace: other}]",
        "containerName: other_production_web-1",
        "container_name: other_production_web-1",
        "networkMode: host",
        "networks: [other_production]",
        "pid: host",
        "volumesFrom: [other]",
        "cgroupParent: /",
        "usernsMode: host",
        "runtime: runc",
    ] {
        assert!(
            serde_saphyr::from_str::<ServiceSpec>(&format!("{{{fields}}}")).is_err(),
            "{fields}"
        );
    }
}

#[test]
fn files_are_put_into_no_folder_of_the_host() {
    let fixture = under("{hostMounts: ['/srv/shop']}");
    for path in ["/data", "/data/x", "/data/x/y"] {
        let fields = format!("volumes: ['/srv/shop:/data/'], files: {{{path}: {{content: x}}}}");
        let found = fixture.resolve(&service(&fields)).unwrap_err();
        assert_eq!(found[0].field, format!("spec.services.web.files.{path}"));
    }
}

#[test]
fn what_is_made_carries_the_labels_of_its_own_environment() {
    let yaml = service("labels: {com.example/x: y}, volumes: ['data:/data'], aliases: [other]");
    let desired = under("{}").resolve(&yaml).unwrap();
    let simulator = Simulator::new(&["local", "other"]);
    let observed = simulator.observe();
    assert!(observed.hosts.values().all(|view| matches!(view, HostView::Snapshot(_))));
    for action in plan(&desired, &observed).actions {
        let (labels, network) = match &action.operation {
            Operation::CreateContainer { labels, network, .. } => (labels, Some(network)),
            Operation::CreateNetwork { labels, .. } | Operation::CreateVolume { labels } => {
                (labels, None)
            }
            _ => continue,
        };
        assert_eq!(labels["hades.dev/project"], "shop", "{}", action.id);
        assert_eq!(labels["hades.dev/environment"], "production", "{}", action.id);
        assert!(network.is_none_or(|network| network == "shop_production"));
        assert!(action.target.name.starts_with("shop_production") || action.id.0.contains("image"));
    }
}
