//! An environment over its template: maps key by key at every depth, scalars
//! and lists replaced, by an empty list too. What the environment says wins; of
//! fields that exclude one another, all that the template says gives way.
//!
//! Every struct is taken apart whole, so that a new field can't be forgotten.

use std::collections::BTreeMap;

use hades_api::{
    Defaults, EnvironmentSpec, EnvironmentTemplateSpec, FileSpec, HadesProjectSpec, HealthCheck,
    HostSelector, HttpCheck, ImagePolicy, ImagePullPolicy, Logging, Placement, ResourceLimits,
    Resources, ServiceSpec, Strategy, StrategyType, TcpCheck, Tmpfs, VolumeSpec,
};

use crate::reference;

/// `environment` merged over `template`.
pub fn merge(template: &EnvironmentTemplateSpec, environment: &EnvironmentSpec) -> EnvironmentSpec {
    let EnvironmentTemplateSpec { defaults, env, services, volumes } = template.clone();
    let over = environment.clone();
    EnvironmentSpec {
        template_ref: over.template_ref,
        suspend: over.suspend,
        defaults: option(defaults, over.defaults, merge_defaults),
        env: replaced(env, over.env),
        services: maps(services, over.services, merge_service),
        volumes: maps(volumes, over.volumes, merge_volume),
    }
}

/// `spec` with the variables that its project has for all environments, as one
/// environment that needs neither.
pub fn with_project(project: &HadesProjectSpec, spec: EnvironmentSpec) -> EnvironmentSpec {
    EnvironmentSpec { env: replaced(project.env.clone(), spec.env), ..spec }
}

fn merge_defaults(under: Defaults, over: Defaults) -> Defaults {
    let Defaults { host, image_pull_secrets } = over;
    Defaults {
        host: host.or(under.host),
        image_pull_secrets: image_pull_secrets.or(under.image_pull_secrets),
    }
}

fn merge_volume(under: VolumeSpec, over: VolumeSpec) -> VolumeSpec {
    let VolumeSpec { deletion_policy } = over;
    VolumeSpec { deletion_policy: deletion_policy.or(under.deletion_policy) }
}

fn merge_service(under: ServiceSpec, over: ServiceSpec) -> ServiceSpec {
    let ServiceSpec {
        image,
        image_pull_policy,
        image_policy,
        image_pull_secrets,
        host,
        placement,
        replicas,
        command,
        entrypoint,
        user,
        working_dir,
        env,
        env_from,
        ports,
        volumes,
        labels,
        aliases,
        restart,
        stop_signal,
        stop_grace_period,
        init,
        health_check,
        depends_on,
        strategy,
        resources,
        shm_size,
        ulimits,
        cap_add,
        cap_drop,
        group_add,
        read_only,
        privileged,
        devices,
        host_network,
        host_pid,
        host_ipc,
        security_opt,
        tmpfs,
        files,
        hostname,
        extra_hosts,
        dns,
        sysctls,
        logging,
    } = over;
    let (host, placement) = merge_place((under.host, under.placement), (host, placement));
    let (image_pull_policy, image_policy) = merge_image_policy(
        (under.image_pull_policy, under.image_policy),
        (image_pull_policy, image_policy),
        image.as_deref(),
    );
    ServiceSpec {
        image: image.or(under.image),
        image_pull_policy,
        image_policy,
        image_pull_secrets: image_pull_secrets.or(under.image_pull_secrets),
        host,
        placement,
        replicas: replicas.or(under.replicas),
        command: command.or(under.command),
        entrypoint: entrypoint.or(under.entrypoint),
        user: user.or(under.user),
        working_dir: working_dir.or(under.working_dir),
        env: replaced(under.env, env),
        env_from: env_from.or(under.env_from),
        ports: ports.or(under.ports),
        volumes: volumes.or(under.volumes),
        labels: replaced(under.labels, labels),
        aliases: aliases.or(under.aliases),
        restart: restart.or(under.restart),
        stop_signal: stop_signal.or(under.stop_signal),
        stop_grace_period: stop_grace_period.or(under.stop_grace_period),
        init: init.or(under.init),
        health_check: option(under.health_check, health_check, merge_health_check),
        depends_on: depends_on.or(under.depends_on),
        strategy: option(under.strategy, strategy, merge_strategy),
        resources: option(under.resources, resources, merge_resources),
        shm_size: shm_size.or(under.shm_size),
        ulimits: replaced(under.ulimits, ulimits),
        cap_add: cap_add.or(under.cap_add),
        cap_drop: cap_drop.or(under.cap_drop),
        group_add: group_add.or(under.group_add),
        read_only: read_only.or(under.read_only),
        privileged: privileged.or(under.privileged),
        devices: devices.or(under.devices),
        host_network: host_network.or(under.host_network),
        host_pid: host_pid.or(under.host_pid),
        host_ipc: host_ipc.or(under.host_ipc),
        security_opt: security_opt.or(under.security_opt),
        tmpfs: maps(under.tmpfs, tmpfs, merge_tmpfs),
        files: maps(under.files, files, merge_file),
        hostname: hostname.or(under.hostname),
        extra_hosts: replaced(under.extra_hosts, extra_hosts),
        dns: dns.or(under.dns),
        sysctls: replaced(under.sysctls, sysctls),
        logging: option(under.logging, logging, merge_logging),
    }
}

type Images = (Option<ImagePullPolicy>, Option<ImagePolicy>);

/// An image that can't change, or is never asked for, ends the template's policy; a
/// policy ends the template's wish never to ask. `image`: the environment's.
fn merge_image_policy(under: Images, over: Images, image: Option<&str>) -> Images {
    let never = Some(ImagePullPolicy::Never);
    let is_fixed = |image: &str| reference::digest(image).is_some() || reference::is_id(image);
    let pinned = over.0 == never || image.is_some_and(is_fixed);
    let pull_under = under.0.filter(|pull| over.1.is_none() || Some(*pull) != never);
    (over.0.or(pull_under), over.1.or(under.1.filter(|_| !pinned)))
}

type Place = (Option<String>, Option<Placement>);

/// A host takes the place of a placement and the other way round.
fn merge_place(under: Place, over: Place) -> Place {
    match over {
        (None, None) => under,
        (Some(host), placement) => (Some(host), placement),
        (None, placement) => (None, option(under.1, placement, merge_placement)),
    }
}

fn merge_placement(under: Placement, over: Placement) -> Placement {
    let Placement { hosts, selector } = over;
    match (hosts, selector) {
        (None, None) => under,
        (Some(hosts), selector) => Placement { hosts: Some(hosts), selector },
        (None, selector) => {
            Placement { hosts: None, selector: option(under.selector, selector, merge_selector) }
        }
    }
}

fn merge_selector(under: HostSelector, over: HostSelector) -> HostSelector {
    let HostSelector { match_labels } = over;
    HostSelector { match_labels: replaced(under.match_labels, match_labels) }
}

/// Another way to check takes the place of the template's; how often and how
/// long stays.
fn merge_health_check(under: HealthCheck, over: HealthCheck) -> HealthCheck {
    let HealthCheck { http, tcp, command, none, interval, timeout, retries, start_period } = over;
    let kept = http.is_none() && tcp.is_none() && command.is_none() && none.is_none();
    let (http, tcp, command, none) = match kept {
        true => (under.http, under.tcp, under.command, under.none),
        false => (
            http.map(|http| merge_http(under.http.unwrap_or_default(), http)),
            tcp.map(|tcp| merge_tcp(under.tcp.unwrap_or_default(), tcp)),
            command,
            none,
        ),
    };
    HealthCheck {
        http,
        tcp,
        command,
        none,
        interval: interval.or(under.interval),
        timeout: timeout.or(under.timeout),
        retries: retries.or(under.retries),
        start_period: start_period.or(under.start_period),
    }
}

fn merge_http(under: HttpCheck, over: HttpCheck) -> HttpCheck {
    let HttpCheck { path, port, scheme, headers } = over;
    HttpCheck {
        path: path.or(under.path),
        port: port.or(under.port),
        scheme: scheme.or(under.scheme),
        headers: replaced(under.headers, headers),
    }
}

fn merge_tcp(under: TcpCheck, over: TcpCheck) -> TcpCheck {
    let TcpCheck { port } = over;
    TcpCheck { port: port.or(under.port) }
}

/// `Recreate` has no use for the template's `maxSurge`.
fn merge_strategy(under: Strategy, over: Strategy) -> Strategy {
    let Strategy { type_, max_surge, progress_deadline, min_ready } = over;
    let surge_under = under.max_surge.filter(|_| type_ != Some(StrategyType::Recreate));
    // The other way round a surge asks for the rolling update that it belongs to.
    let type_under =
        under.type_.filter(|type_| max_surge.is_none() || *type_ != StrategyType::Recreate);
    Strategy {
        type_: type_.or(type_under),
        max_surge: max_surge.or(surge_under),
        progress_deadline: progress_deadline.or(under.progress_deadline),
        min_ready: min_ready.or(under.min_ready),
    }
}

fn merge_resources(under: Resources, over: Resources) -> Resources {
    let Resources { limits } = over;
    Resources { limits: option(under.limits, limits, merge_limits) }
}

fn merge_limits(under: ResourceLimits, over: ResourceLimits) -> ResourceLimits {
    let ResourceLimits { cpu, memory, pids } = over;
    ResourceLimits {
        cpu: cpu.or(under.cpu),
        memory: memory.or(under.memory),
        pids: pids.or(under.pids),
    }
}

fn merge_tmpfs(under: Tmpfs, over: Tmpfs) -> Tmpfs {
    let Tmpfs { size, mode } = over;
    Tmpfs { size: size.or(under.size), mode: mode.or(under.mode) }
}

fn merge_file(under: FileSpec, over: FileSpec) -> FileSpec {
    let FileSpec { content, secret_key_ref, mode, uid, gid } = over;
    let (content, secret_key_ref) = match (content, secret_key_ref) {
        (None, None) => (under.content, under.secret_key_ref),
        source => source,
    };
    FileSpec {
        content,
        secret_key_ref,
        mode: mode.or(under.mode),
        uid: uid.or(under.uid),
        gid: gid.or(under.gid),
    }
}

/// Options belong to their driver: another driver starts without any.
fn merge_logging(under: Logging, over: Logging) -> Logging {
    let Logging { driver, options } = over;
    let same = driver.is_none() || driver == under.driver;
    Logging {
        driver: driver.or(under.driver),
        options: if same { replaced(under.options, options) } else { options },
    }
}

fn option<T>(under: Option<T>, over: Option<T>, merge: impl Fn(T, T) -> T) -> Option<T> {
    match (under, over) {
        (Some(under), Some(over)) => Some(merge(under, over)),
        (under, over) => over.or(under),
    }
}

fn replaced<V>(under: BTreeMap<String, V>, over: BTreeMap<String, V>) -> BTreeMap<String, V> {
    maps(under, over, |_, over| over)
}

fn maps<V>(
    mut under: BTreeMap<String, V>,
    over: BTreeMap<String, V>,
    merge: impl Fn(V, V) -> V,
) -> BTreeMap<String, V> {
    for (key, value) in over {
        let merged = match under.remove(&key) {
            Some(old) => merge(old, value),
            None => value,
        };
        under.insert(key, merged);
    }
    under
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(yaml: &str) -> EnvironmentTemplateSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn environment(yaml: &str) -> EnvironmentSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn maps_merge_key_by_key_and_everything_else_is_replaced() {
        let base = template(
            "
defaults: {host: local}
env: {LOG_LEVEL: info, REGION: eu}
services:
  api:
    image: api:1
    replicas: 1
    command: [serve, --slow]
    env: {A: 1, B: {secretKeyRef: {name: s, key: k}}}
    labels: {team: shop, tier: back}
    ports: ['80', '81']
    restart: always
  db: {image: 'postgres:16', volumes: ['data:/data']}
volumes: {data: {deletionPolicy: Delete}, cache: {}}
",
        );
        let over = environment(
            "
templateRef: {name: base}
env: {LOG_LEVEL: debug}
services:
  api:
    image: api:2
    command: [serve]
    env: {B: plain, C: true}
    labels: {tier: front}
    ports: ['90']
  web: {image: 'web:1'}
volumes: {data: {}, logs: {}}
",
        );
        let expected = environment(
            "
templateRef: {name: base}
defaults: {host: local}
env: {LOG_LEVEL: debug, REGION: eu}
services:
  api:
    image: api:2
    replicas: 1
    command: [serve]
    env: {A: 1, B: plain, C: true}
    labels: {team: shop, tier: front}
    ports: ['90']
    restart: always
  db: {image: 'postgres:16', volumes: ['data:/data']}
  web: {image: 'web:1'}
volumes: {data: {deletionPolicy: Delete}, cache: {}, logs: {}}
",
        );
        assert_eq!(merge(&base, &over), expected);
    }

    #[test]
    fn an_empty_template_changes_nothing_and_an_empty_environment_takes_it_all() {
        let spec = environment("services: {web: {image: 'web:1', aliases: [www]}}\nsuspend: true");
        assert_eq!(merge(&EnvironmentTemplateSpec::default(), &spec), spec);
        let base = template("services: {web: {image: 'web:1', aliases: [www]}}");
        let merged = merge(&base, &EnvironmentSpec::default());
        assert_eq!(merged.services, base.services);
    }

    /// The template's service, the environment's, and what they are together.
    const TABLE: &[(&str, &str, &str)] = &[
        // Lists are replaced, by an empty one too.
        ("ports: ['80', '81']", "ports: ['82']", "ports: ['82']"),
        ("ports: ['80']", "ports: []", "ports: []"),
        ("ports: ['80']", "", "ports: ['80']"),
        ("volumes: ['a:/a']", "volumes: []", "volumes: []"),
        ("aliases: [a]", "aliases: []", "aliases: []"),
        ("envFrom: [{secretRef: {name: a}}]", "envFrom: []", "envFrom: []"),
        ("dependsOn: [db]", "dependsOn: []", "dependsOn: []"),
        ("capAdd: [NET_RAW]", "capAdd: []", "capAdd: []"),
        ("privileged: true", "privileged: false", "privileged: false"),
        ("hostNetwork: true", "hostPID: true", "hostNetwork: true, hostPID: true"),
        ("hostIPC: true", "hostIPC: false", "hostIPC: false"),
        ("devices: [/dev/fuse]", "devices: [/dev/kvm]", "devices: [/dev/kvm]"),
        ("securityOpt: [no-new-privileges]", "securityOpt: []", "securityOpt: []"),
        ("capDrop: [ALL]", "capDrop: []", "capDrop: []"),
        ("groupAdd: [1]", "groupAdd: []", "groupAdd: []"),
        ("dns: [1.1.1.1]", "dns: []", "dns: []"),
        ("command: [a]", "command: []", "command: []"),
        // Scalars are replaced.
        ("readOnly: true", "readOnly: false", "readOnly: false"),
        ("hostname: a", "hostname: b", "hostname: b"),
        ("shmSize: 64Mi", "shmSize: 128Mi", "shmSize: 128Mi"),
        // Maps are merged at every depth.
        (
            "ulimits: {nofile: {soft: 1, hard: 2}, core: 0}",
            "ulimits: {nofile: 3}",
            "ulimits: {nofile: 3, core: 0}",
        ),
        ("sysctls: {a: 1, b: 2}", "sysctls: {b: 3}", "sysctls: {a: 1, b: 3}"),
        ("extraHosts: {a: x}", "extraHosts: {b: y}", "extraHosts: {a: x, b: y}"),
        (
            "resources: {limits: {cpu: 1, memory: 1Gi}}",
            "resources: {limits: {memory: 2Gi, pids: 9}}",
            "resources: {limits: {cpu: 1, memory: 2Gi, pids: 9}}",
        ),
        (
            "tmpfs: {/a: {size: 1Mi, mode: '0700'}}",
            "tmpfs: {/a: {size: 2Mi}, /b: {}}",
            "tmpfs: {/a: {size: 2Mi, mode: '0700'}, /b: {}}",
        ),
        (
            "files: {/a: {content: x, mode: '0600', uid: 1}, /b: {content: y}}",
            "files: {/a: {secretKeyRef: {name: s, key: k}, gid: 2}}",
            "files: {/a: {secretKeyRef: {name: s, key: k}, mode: '0600', uid: 1, gid: 2}, /b: {content: y}}",
        ),
        // Of ways that exclude one another the template's gives way.
        (
            "healthCheck: {http: {path: /, port: 80}, interval: 1s, retries: 2}",
            "healthCheck: {tcp: {port: 81}, interval: 3s}",
            "healthCheck: {tcp: {port: 81}, interval: 3s, retries: 2}",
        ),
        (
            "healthCheck: {http: {path: /a, port: 80, headers: {A: a, B: b}}, timeout: 1s}",
            "healthCheck: {http: {path: /b, headers: {B: c}}}",
            "healthCheck: {http: {path: /b, port: 80, headers: {A: a, B: c}}, timeout: 1s}",
        ),
        (
            "healthCheck: {command: [a], startPeriod: 1s}",
            "healthCheck: {none: true}",
            "healthCheck: {none: true, startPeriod: 1s}",
        ),
        (
            "healthCheck: {command: [a]}",
            "healthCheck: {retries: 9}",
            "healthCheck: {command: [a], retries: 9}",
        ),
        (
            "image: app, imagePolicy: {digest: {}}",
            "image: 'app@sha256:0123456789abcdef0123456789abcdef'",
            "image: 'app@sha256:0123456789abcdef0123456789abcdef'",
        ),
        (
            "image: app, imagePolicy: {semver: {range: ^1}}",
            "imagePullPolicy: Never",
            "image: app, imagePullPolicy: Never",
        ),
        (
            "image: app, imagePolicy: {semver: {range: ^1}}",
            "image: 'app:1.2.3'",
            "image: 'app:1.2.3', imagePolicy: {semver: {range: ^1}}",
        ),
        (
            "image: app, imagePullPolicy: Never",
            "imagePolicy: {digest: {}}",
            "image: app, imagePolicy: {digest: {}}",
        ),
        ("host: a", "placement: {hosts: [b, c]}", "placement: {hosts: [b, c]}"),
        ("placement: {hosts: [b]}", "host: a", "host: a"),
        (
            "placement: {hosts: [b]}",
            "placement: {selector: {matchLabels: {zone: a}}}",
            "placement: {selector: {matchLabels: {zone: a}}}",
        ),
        (
            "placement: {selector: {matchLabels: {zone: a, disk: ssd}}}",
            "placement: {selector: {matchLabels: {zone: b}}}",
            "placement: {selector: {matchLabels: {zone: b, disk: ssd}}}",
        ),
        (
            "strategy: {type: RollingUpdate, maxSurge: 2, minReady: 1s}",
            "strategy: {type: Recreate}",
            "strategy: {type: Recreate, minReady: 1s}",
        ),
        (
            "strategy: {type: Recreate, minReady: 1s}",
            "strategy: {maxSurge: 2, progressDeadline: 5m}",
            "strategy: {maxSurge: 2, minReady: 1s, progressDeadline: 5m}",
        ),
        (
            "strategy: {type: RollingUpdate}",
            "strategy: {maxSurge: 2}",
            "strategy: {type: RollingUpdate, maxSurge: 2}",
        ),
        (
            "logging: {driver: json-file, options: {max-size: 1m, max-file: 2}}",
            "logging: {options: {max-file: 3}}",
            "logging: {driver: json-file, options: {max-size: 1m, max-file: 3}}",
        ),
        (
            "logging: {driver: json-file, options: {max-size: 1m}}",
            "logging: {driver: none}",
            "logging: {driver: none}",
        ),
    ];

    #[test]
    fn services_by_table() {
        let service = |text: &str| format!("services: {{web: {{{text}}}}}");
        for (under, over, expected) in TABLE {
            let merged = merge(&template(&service(under)), &environment(&service(over)));
            assert_eq!(merged, environment(&service(expected)), "{under} + {over}");
        }
    }

    #[test]
    fn every_field_of_a_template_can_be_overridden() {
        // Whatever a template says, the same said otherwise is what holds.
        for (under, _, _) in TABLE {
            let yaml = format!("services: {{web: {{{under}}}}}");
            let (below, above) = (template(&yaml), environment(&yaml));
            assert_eq!(merge(&below, &above), above, "{under}");
        }
    }
}
