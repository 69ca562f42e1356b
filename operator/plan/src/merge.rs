//! An environment over its template: maps key by key at every depth, scalars
//! and lists replaced. What the environment says wins.
//!
//! Every struct is taken apart whole, so that a new field can't be forgotten.

use std::collections::BTreeMap;

use hades_api::{Defaults, EnvironmentSpec, EnvironmentTemplateSpec, ServiceSpec, VolumeSpec};

/// `environment` merged over `template`. An empty list in the environment
/// can't be told from none, so that it leaves the template's as it is.
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

fn merge_defaults(under: Defaults, over: Defaults) -> Defaults {
    let Defaults { host, image_pull_secrets } = over;
    Defaults {
        host: host.or(under.host),
        image_pull_secrets: list(under.image_pull_secrets, image_pull_secrets),
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
    } = over;
    ServiceSpec {
        image: image.or(under.image),
        image_pull_policy: image_pull_policy.or(under.image_pull_policy),
        image_policy: image_policy.or(under.image_policy),
        image_pull_secrets: list(under.image_pull_secrets, image_pull_secrets),
        host: host.or(under.host),
        replicas: replicas.or(under.replicas),
        command: command.or(under.command),
        entrypoint: entrypoint.or(under.entrypoint),
        user: user.or(under.user),
        working_dir: working_dir.or(under.working_dir),
        env: replaced(under.env, env),
        env_from: list(under.env_from, env_from),
        ports: list(under.ports, ports),
        volumes: list(under.volumes, volumes),
        labels: replaced(under.labels, labels),
        aliases: list(under.aliases, aliases),
        restart: restart.or(under.restart),
        stop_signal: stop_signal.or(under.stop_signal),
        stop_grace_period: stop_grace_period.or(under.stop_grace_period),
        init: init.or(under.init),
    }
}

fn option<T>(under: Option<T>, over: Option<T>, merge: impl Fn(T, T) -> T) -> Option<T> {
    match (under, over) {
        (Some(under), Some(over)) => Some(merge(under, over)),
        (under, over) => over.or(under),
    }
}

fn list<T>(under: Vec<T>, over: Vec<T>) -> Vec<T> {
    if over.is_empty() { under } else { over }
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
}
