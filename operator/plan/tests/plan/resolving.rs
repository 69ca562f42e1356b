//! What is wrong with a manifest is found at once, each with its field.

use std::collections::BTreeMap;

use hades_api::name::EnvironmentName;
use hades_api::{ProjectPolicy, annotation};
use hades_plan::{EnvVar, SpecErrorKind, needs};

use crate::fixture::{Fixture, PASSWORD, desired, spec};

/// Every error in one line each.
fn errors(yaml: &str) -> String {
    let errors = Fixture::default().resolve(yaml).unwrap_err();
    errors.iter().map(|error| format!("{:?} {error}\n", error.kind)).collect()
}

/// Every lint in one line each.
fn lints(yaml: &str) -> String {
    desired(yaml).lints.iter().map(|lint| format!("{}: {}\n", lint.field, lint.message)).collect()
}

#[test]
fn all_errors_at_once() {
    insta::assert_snapshot!(errors(
        "
defaults: {host: lokal}
env: {BROKEN: {secretKeyRef: {name: dbx, key: password}}}
services:
  api:
    host: othr
    image: Api:1
    env:
      PASS: {secretKeyRef: {name: db, key: pasword}}
      '': empty
      A=B: x
    envFrom: [{secretRef: {name: nope}}]
    volumes: ['dta:/data', 'data:/data/', 'data:/']
    aliases: [Bad_Alias]
    labels: {hades.dev/mine: x}
    workingDir: relative
  web: {replicas: 2, ports: ['8080:80', '127.0.0.1:8080:81']}
volumes: {data: {}}
"
    ));
}

#[test]
fn no_host_anywhere() {
    insta::assert_snapshot!(
        errors("services: {web: {image: 'web:1'}}"),
        @"HostNotFound spec.services.web.host: no host: set spec.defaults.host or spec.services.web.host; hosts: local, other
    "
    );
}

#[test]
fn services_of_one_host_share_its_ports() {
    let yaml = "
defaults: {host: local}
services:
  a: {image: 'a:1', ports: ['8080:80']}
  b: {image: 'b:1', ports: ['127.0.0.1:8080:90']}
  c: {image: 'c:1', ports: ['8080:80'], host: other}
  d: {image: 'd:1', ports: ['8080:80'], replicas: 0}
";
    insta::assert_snapshot!(
        errors(yaml),
        @"Invalid spec.services.b.ports[0]: service a has 8080:80 on host local already: choose another host port than 127.0.0.1:8080:90
    "
    );
}

#[test]
fn a_volume_is_on_one_host() {
    let yaml = "
services:
  a: {image: 'a:1', host: local, volumes: ['data:/data']}
  b: {image: 'b:1', host: other, volumes: ['data:/data:ro']}
volumes: {data: {}}
";
    insta::assert_snapshot!(
        errors(yaml),
        @"Invalid spec.volumes.data: services on local and other mount it, and a volume is on one host: put them on the same host, or declare a volume for each
    "
    );
}

#[test]
fn a_host_that_makes_no_sense_is_named() {
    let mut fixture = Fixture::default();
    fixture.hosts.get_mut("local").unwrap().subnet_prefix = Some(8);
    fixture.hosts.get_mut("other").unwrap().subnet_pool = Some("nonsense".into());
    let found = fixture.resolve("services: {web: {image: 'a:1', host: local}}").unwrap_err();
    // The other host isn't used, so that it is no matter of this environment.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].field, "spec.services.web.host");
    assert!(found[0].message.starts_with("DockerHost local: spec.subnetPrefix /8"), "{}", found[0]);
}

#[test]
fn names_that_would_grow_too_long() {
    let service = "s".repeat(40);
    let mut fixture = Fixture::default();
    fixture.environment.environment = "e".repeat(40);
    let yaml = format!("services: {{{service}: {{image: 'a:1', host: local}}}}");
    let found = fixture.resolve(&yaml).unwrap_err();
    assert_eq!(found[0].field, format!("spec.services.{service}"));
    assert!(found[0].message.contains("63"), "{}", found[0]);
}

#[test]
fn variables_from_every_layer() {
    let desired = desired(
        "
defaults: {host: local}
env: {LEVEL: info, user: shared, PORT: 3000, BASE: '$(LEVEL)!'}
services:
  api:
    image: 'a:1'
    envFrom: [{secretRef: {name: db}}]
    env:
      LEVEL: debug
      RAW: {secretKeyRef: {name: db, key: password}}
      URL: 'postgres://$(user):$(RAW)@db:$(PORT)/x'
      LITERAL: '$$(RAW) costs 5$'
      UNKNOWN: '$(NOBODY)'
",
    );
    let env = &desired.containers[0].spec.env;
    let plain = |name: &str| match &env[name] {
        EnvVar::Plain(text) => text.clone(),
        EnvVar::Secret { .. } => panic!("{name} is secret"),
    };
    assert_eq!(plain("LEVEL"), "debug");
    assert_eq!(plain("BASE"), "debug!");
    assert_eq!(plain("PORT"), "3000");
    assert_eq!(plain("LITERAL"), "$(RAW) costs 5$");
    assert_eq!(plain("UNKNOWN"), "$(NOBODY)");
    let secret = |name: &str| match &env[name] {
        EnvVar::Secret { value: Some(value), fingerprint } => {
            use secrecy::ExposeSecret;
            assert_eq!(fingerprint.len(), 16);
            value.expose_secret().to_owned()
        }
        _ => panic!("{name} isn't secret"),
    };
    assert_eq!(secret("user"), "app");
    assert_eq!(secret("password"), PASSWORD);
    assert_eq!(secret("URL"), format!("postgres://app:{PASSWORD}@db:3000/x"));
    assert_eq!(desired.lints.len(), 1, "{:?}", desired.lints);
    assert!(desired.lints[0].message.contains("$(NOBODY)"));
}

#[test]
fn variables_of_the_project_are_below_all_others() {
    let of_project = "{A: project, B: project, user: project, D: project, KEY: {secretKeyRef: {name: db, key: password}}}";
    let project_env = serde_saphyr::from_str(of_project).unwrap();
    let mut fixture = Fixture { project_env, ..Fixture::default() };
    let yaml = "
defaults: {host: local}
env: {B: environment, D: environment}
services:
  a: {image: 'a:1', envFrom: [{secretRef: {name: db}}], env: {D: service, ALL: '$(A) $(B) $(D)'}}
";
    let desired = fixture.resolve(yaml).unwrap();
    let env = &desired.containers[0].spec.env;
    assert_eq!(env["ALL"], EnvVar::Plain("project environment service".to_owned()));
    assert!(matches!(env["user"], EnvVar::Secret { .. }), "envFrom wins over the project");
    assert!(matches!(env["KEY"], EnvVar::Secret { .. }));
    let before = desired.containers[0].spec_hash.clone();
    fixture.project_env.insert("A".to_owned(), hades_api::EnvValue::text("other"));
    assert_ne!(fixture.resolve(yaml).unwrap().containers[0].spec_hash, before);

    fixture.project_env =
        serde_saphyr::from_str("{X: {secretKeyRef: {name: nope, key: k}}}").unwrap();
    let found = fixture.resolve(yaml).unwrap_err();
    assert_eq!(found[0].field, "HadesProject shop: spec.env.X.secretKeyRef.name");
    assert_eq!(found[0].kind, SpecErrorKind::SecretNotFound);
}

#[test]
fn what_needs_no_server_is_found_without_one() {
    let spec = spec(
        "
services:
  a: {image: 'a:1', capAdd: [SYS_ADMIN], env: {A: {secretKeyRef: {name: s, key: k}}}}
  b: {host: anywhere, files: {/key: {secretKeyRef: {name: s, key: k}}}}
  c: {image: 'c:1', host: here, files: {/etc/my.host: {}}, extraHosts: {db.host: nowhere}}
  d: {image: 'd:1', host: here, placement: {hosts: [here]}}
",
    );
    let fields = |policy: Option<&ProjectPolicy>| -> Vec<String> {
        let name = EnvironmentName::new("shop", "production");
        let found = hades_plan::check_offline(name, &spec, policy);
        found.into_iter().map(|error| error.field).collect()
    };
    let mistakes = [
        "spec.services.b.image",
        "spec.services.c.extraHosts.db.host",
        "spec.services.c.files./etc/my.host",
        "spec.services.d.host",
    ];
    assert_eq!(fields(None), mistakes, "a project elsewhere may allow the capability");
    let hosts = Some(vec!["here".to_owned()]);
    let policy = ProjectPolicy { hosts, ..ProjectPolicy::default() };
    let [image, rest @ ..] = mistakes;
    let violations = ["spec.services.a.capAdd[0]", "spec.services.b.host", image];
    assert_eq!(fields(Some(&policy)), [&violations[..], &rest[..]].concat());
}

#[test]
fn variables_composed_of_themselves() {
    insta::assert_snapshot!(
        errors(
            "
defaults: {host: local}
services:
  a: {image: 'a:1', env: {B: '$(C)', C: 'x$(A)', A: '$(B)', SELF: '$(SELF)', D: '$(A)'}}
"
        ),
        @"
    Invalid spec.services.a.env.A: variables are composed of themselves: $(A) → $(B) → $(C) → $(A)
    Invalid spec.services.a.env.SELF: variables are composed of themselves: $(SELF) → $(SELF)
    "
    );
}

#[test]
fn doubling_variables_end_in_an_error_and_not_in_all_memory() {
    let mut env = String::from("A00: xxxxxxxxxxxxxxxx");
    for index in 1..30 {
        env += &format!(", A{index:02}: '$(A{0:02})$(A{0:02})'", index - 1);
    }
    let yaml = format!("services: {{a: {{image: 'a:1', host: local, env: {{{env}}}}}}}");
    let found = errors(&yaml);
    assert!(found.contains("longer than the 131071 bytes"), "{found}");
}

#[test]
fn remarks() {
    insta::assert_snapshot!(lints(
        "
defaults: {host: local}
services:
  a: {image: nginx, env: {DB_PASSWORD: hunter2, TOKEN_TTL: 30, URL: 'db://a:hunter2@db'}}
  b: {image: 'b:latest', host: other, aliases: [a], replicas: 2, volumes: ['data:/data']}
volumes: {data: {}, unused: {}}
"
    ));
}

#[test]
fn what_to_fetch_first() {
    let needs = needs(
        &spec(
        "
defaults: {host: local}
env: {A: {secretKeyRef: {name: one, key: k}}}
services:
  a: {host: other, envFrom: [{secretRef: {name: two}}], env: {B: {secretKeyRef: {name: three, key: k}}}}
",
        ),
        &BTreeMap::new(),
    );
    assert_eq!(Vec::from_iter(needs.hosts), ["local", "other"]);
    assert_eq!(Vec::from_iter(needs.secrets), ["one", "three", "two"]);
}

#[test]
fn the_hash_is_of_what_runs_and_of_nothing_else() {
    let hash = |yaml: &str| {
        let yaml = format!("defaults: {{host: local}}\nservices: {{web: {{{yaml}}}}}");
        desired(&yaml).containers[0].spec_hash.clone()
    };
    let base = hash("image: 'web:1'");
    assert_eq!(base, hash("image: 'web:1', imagePullPolicy: Never, replicas: 3"));
    assert_eq!(base, hash("image: 'web:1', host: other, restart: unless-stopped"));
    for other in ["image: 'web:2'", "image: 'web:1', env: {A: b}", "image: 'web:1', init: true"] {
        assert_ne!(base, hash(other), "{other}");
    }
    let twins = desired("services: {web: {image: 'web:1', host: local, replicas: 2}}");
    assert_eq!(twins.containers[0].spec_hash, twins.containers[1].spec_hash);
    assert_ne!(twins.containers[0].name, twins.containers[1].name);
}

#[test]
fn restarts_by_annotation() {
    let yaml = "defaults: {host: local}\nservices: {a: {image: 'a:1'}, b: {image: 'b:1'}}";
    let at = |fixture: &Fixture, index: usize| {
        fixture.resolve(yaml).unwrap().containers[index].spec.restarted_at.clone()
    };
    let mut fixture = Fixture::annotated(annotation::RESTARTED_AT, "2026-01-01T12:00:00Z");
    let of_b = format!("{}b", annotation::RESTARTED_AT_SERVICE);
    // Later, though it sorts before as text.
    fixture.annotations.insert(of_b.clone(), "2026-01-01T11:30:00-02:00".into());
    assert_eq!(at(&fixture, 0).unwrap(), "2026-01-01T12:00:00Z");
    assert_eq!(at(&fixture, 1).unwrap(), "2026-01-01T13:30:00Z");
    fixture.annotations.insert(of_b, "yesterday".into());
    assert_eq!(at(&fixture, 1).unwrap(), "2026-01-01T12:00:00Z");
    assert!(fixture.resolve(yaml).unwrap().lints[0].message.contains("yesterday"));
}

#[test]
fn kinds_of_errors_are_told_apart() {
    let found = Fixture::default()
        .resolve("services: {a: {image: 'a:1', host: nope, env: {A: {secretKeyRef: {name: none, key: k}}}}}")
        .unwrap_err();
    let kinds: Vec<SpecErrorKind> = found.iter().map(|error| error.kind).collect();
    assert_eq!(kinds, [SpecErrorKind::SecretNotFound, SpecErrorKind::HostNotFound]);
}

#[test]
fn a_stopped_service_has_no_containers_and_keeps_its_count() {
    let mut fixture = Fixture::default();
    let time = || "2026-01-01T00:00:00Z".to_owned();
    fixture.annotations.insert(format!("{}api", annotation::STOPPED_SERVICE), time());
    fixture.annotations.insert(format!("{}apo", annotation::STOPPED_SERVICE), time());
    let yaml = "
defaults: {host: local}
services:
  api: {image: 'api:1', replicas: 3, volumes: ['data:/data']}
  web: {image: 'web:1'}
volumes: {data: {}}
";
    let desired = fixture.resolve(yaml).unwrap();
    let services: Vec<&str> = desired.containers.iter().map(|c| c.service.as_str()).collect();
    assert_eq!(services, ["web"]);
    assert_eq!(Vec::from_iter(&desired.stopped), ["api"]);
    assert_eq!(desired.volumes.len(), 1, "its data stays");
    assert!(
        desired
            .lints
            .iter()
            .any(|lint| lint.field.contains("apo") && lint.message.contains("did you mean")),
        "{:?}",
        desired.lints
    );
}
