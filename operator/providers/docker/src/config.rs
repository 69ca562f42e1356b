//! Requests as values: pure functions from specs to what the engine's API takes.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Ipam, IpamConfig, Mount, MountType,
    MountVolumeOptions, NetworkConnectRequest, NetworkCreateRequest, NetworkingConfig, PortBinding,
    PortMap, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use hades_api::{PortMapping, label};
use hades_plan::{ContainerSpec, EnvVar, FileContent, naming};
use hades_provider::engine::NewContainer;
use hades_provider::ownership;
use ipnet::Ipv4Net;
use secrecy::ExposeSecret;

use crate::host_config;

/// What stands in place of a secret in the engine's words.
const HIDDEN: &str = "(secret)";
/// Driver of the volumes that are made.
pub(crate) const VOLUME_DRIVER: &str = "local";

/// The value of a variable isn't known: the action went through JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of variable {name} is not known: the plan was read back from JSON; plan anew")]
pub struct MissingSecret {
    /// Name of the variable.
    pub name: String,
}

/// The body that creates a container. It holds the values of secrets: it must
/// not be logged.
///
/// # Errors
/// When the value of a secret isn't known.
pub fn container(new: NewContainer<'_>) -> Result<ContainerCreateBody, MissingSecret> {
    // Named one by one, so that a new field can't be forgotten.
    let ContainerSpec {
        image: _,
        image_pull_policy: _,
        command,
        entrypoint,
        user,
        working_dir,
        env,
        ports,
        mounts,
        labels: _, // in `new.labels`
        aliases,
        restart,
        stop_signal,
        stop_grace_seconds,
        init,
        limits: _, // with the five below: see host_config
        confinement,
        lookup,
        tmpfs: _,
        files: _, // put in afterwards: see archive
        logging: _,
        health_check,
        restarted_at: _,
    } = new.spec;
    let on_host = confinement.host_network;
    let network = if on_host { host_config::HOST } else { new.network };
    let endpoint =
        EndpointSettings { aliases: some_unless_empty(aliases.clone()), ..Default::default() };
    let mut host_config = HostConfig {
        network_mode: Some(network.to_owned()),
        port_bindings: some_unless_empty_map(port_bindings(ports)),
        restart_policy: Some(restart_policy(*restart)),
        mounts: some_unless_empty(mounts.iter().map(|m| mount(m, new.labels)).collect()),
        init: *init,
        ..Default::default()
    };
    host_config::fill(&mut host_config, new.spec);
    Ok(ContainerCreateBody {
        hostname: lookup.hostname.clone(),
        healthcheck: health_check.as_ref().map(host_config::health_check),
        image: Some(new.image.to_owned()),
        cmd: command.clone(),
        entrypoint: entrypoint.clone(),
        user: user.clone(),
        working_dir: working_dir.clone(),
        env: some_unless_empty(variables(env)?),
        exposed_ports: some_unless_empty(ports.iter().map(container_port).collect()),
        labels: Some(hash_map(new.labels)),
        stop_signal: stop_signal.clone(),
        stop_timeout: stop_grace_seconds.map(|s| i64::try_from(s).unwrap_or(i64::MAX)),
        host_config: Some(host_config),
        // The network of the host knows no names.
        networking_config: (!on_host).then(|| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
        }),
        ..Default::default()
    })
}

/// The body that makes a bridge network.
pub fn network(
    name: &str,
    subnet: Ipv4Net,
    labels: &BTreeMap<String, String>,
) -> NetworkCreateRequest {
    let config = IpamConfig { subnet: Some(subnet.to_string()), ..Default::default() };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Default::default() }),
        labels: Some(hash_map(labels)),
        ..Default::default()
    }
}

/// The body that makes a named volume.
pub fn volume(name: &str, labels: &BTreeMap<String, String>) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: Some(VOLUME_DRIVER.to_owned()),
        labels: Some(hash_map(labels)),
        ..Default::default()
    }
}

/// The body that attaches a container to a network.
pub fn connection(container: &str, aliases: &[String]) -> NetworkConnectRequest {
    NetworkConnectRequest {
        container: container.to_owned(),
        endpoint_config: Some(EndpointSettings {
            aliases: some_unless_empty(aliases.to_vec()),
            ..Default::default()
        }),
    }
}

/// The engine's words without the values of the spec's secrets: some errors
/// quote the request.
pub fn without_secrets(words: &str, spec: &ContainerSpec) -> String {
    let mut values: Vec<&str> = spec
        .env
        .values()
        .filter_map(|value| match value {
            EnvVar::Secret { value: Some(value), .. } => Some(value.expose_secret()),
            EnvVar::Secret { value: None, .. } | EnvVar::Plain(_) => None,
        })
        .chain(spec.files.values().filter_map(|file| match &file.content {
            FileContent::Secret { .. } => file.content.expose(),
            FileContent::Plain { .. } => None,
        }))
        .filter(|value| !value.is_empty())
        .collect();
    // A value that is part of another one must not keep that from being found.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.iter().fold(words.to_owned(), |words, value| words.replace(value, HIDDEN))
}

fn variables(env: &BTreeMap<String, EnvVar>) -> Result<Vec<String>, MissingSecret> {
    let line = |(name, value): (&String, &EnvVar)| match value {
        EnvVar::Plain(text) => Ok(format!("{name}={text}")),
        EnvVar::Secret { value: Some(value), .. } => {
            Ok(format!("{name}={}", value.expose_secret()))
        }
        EnvVar::Secret { value: None, .. } => Err(MissingSecret { name: name.clone() }),
    };
    env.iter().map(line).collect()
}

/// As the engine names ports of containers: `80/tcp`.
fn container_port(port: &PortMapping) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn port_bindings(ports: &[PortMapping]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.map(|ip| ip.to_string()).unwrap_or_default()),
            // The engine picks a free port where none is given.
            host_port: Some(port.host_port.map(|port| port.to_string()).unwrap_or_default()),
        };
        let of_port = bindings.entry(container_port(port)).or_insert_with(|| Some(Vec::new()));
        of_port.get_or_insert_default().push(binding);
    }
    bindings
}

fn restart_policy(policy: hades_api::RestartPolicy) -> RestartPolicy {
    let name = match policy {
        hades_api::RestartPolicy::Always => RestartPolicyNameEnum::ALWAYS,
        hades_api::RestartPolicy::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
        hades_api::RestartPolicy::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        hades_api::RestartPolicy::No => RestartPolicyNameEnum::NO,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: None }
}

/// A path of the host must be there: what an engine makes in its place would be an
/// empty folder of root's.
fn bind(mount: &hades_plan::Mount) -> Mount {
    Mount {
        target: Some(mount.path.clone()),
        source: Some(mount.source.clone()),
        typ: Some(MountType::BIND),
        read_only: Some(mount.read_only),
        ..Default::default()
    }
}

/// Engines make a volume that isn't there along with the container. Should that
/// happen because somebody has just removed it, it must still carry an owner.
fn mount(mount: &hades_plan::Mount, labels: &BTreeMap<String, String>) -> Mount {
    if mount.bind {
        return bind(mount);
    }
    let mut owner = ownership::ownership_part(labels);
    if let Some(environment) = ownership::environment_of(labels, None)
        && let Some(key) = mount.source.strip_prefix(&naming::volume(&environment, ""))
    {
        owner.insert(label::VOLUME.to_owned(), key.to_owned());
    }
    Mount {
        target: Some(mount.path.clone()),
        source: Some(mount.source.clone()),
        typ: Some(MountType::VOLUME),
        read_only: Some(mount.read_only),
        volume_options: Some(MountVolumeOptions {
            labels: Some(hash_map(&owner)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn hash_map(labels: &BTreeMap<String, String>) -> HashMap<String, String> {
    labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn some_unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn some_unless_empty_map(map: PortMap) -> Option<PortMap> {
    Some(map).filter(|map| !map.is_empty())
}

#[cfg(test)]
mod tests {
    use hades_plan::Mount as SpecMount;
    use secrecy::SecretString;

    use super::*;

    fn secret(value: &str) -> EnvVar {
        EnvVar::Secret { fingerprint: "f".to_owned(), value: Some(SecretString::from(value)) }
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn labels() -> BTreeMap<String, String> {
        BTreeMap::from([
            (label::INSTALLATION.to_owned(), "i".to_owned()),
            (label::PROJECT.to_owned(), "shop".to_owned()),
            (label::ENVIRONMENT.to_owned(), "prod".to_owned()),
            (label::SERVICE.to_owned(), "web".to_owned()),
        ])
    }

    fn volume_name() -> String {
        naming::volume(&hades_api::name::EnvironmentName::new("shop", "prod"), "data")
    }

    fn body(spec: &ContainerSpec) -> Result<ContainerCreateBody, MissingSecret> {
        let labels = labels();
        let (name, image, network) = ("shop_prod_web-1-abc", "web:1", "shop_prod");
        container(NewContainer { name, spec, image, network, labels: &labels })
    }

    #[test]
    fn a_spec_without_anything_asks_for_nothing() {
        let expected = ContainerCreateBody {
            image: Some("web:1".to_owned()),
            labels: Some(hash_map(&labels())),
            host_config: Some(HostConfig {
                network_mode: Some("shop_prod".to_owned()),
                restart_policy: Some(restart_policy(hades_api::RestartPolicy::UnlessStopped)),
                ..Default::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(
                    "shop_prod".to_owned(),
                    EndpointSettings::default(),
                )])),
            }),
            ..Default::default()
        };
        assert_eq!(body(&ContainerSpec::default()), Ok(expected));
    }

    #[test]
    fn everything_that_a_spec_can_say() {
        let port = |text| PortMapping::parse(text).unwrap();
        let spec = ContainerSpec {
            image: "ignored: the caller says which".to_owned(),
            command: Some(texts(&["serve"])),
            entrypoint: Some(texts(&["/app"])),
            user: Some("1000:1000".to_owned()),
            working_dir: Some("/srv".to_owned()),
            env: BTreeMap::from([
                ("PLAIN".to_owned(), EnvVar::Plain("a=b".to_owned())),
                ("TOKEN".to_owned(), secret("hush")),
            ]),
            ports: vec![port("127.0.0.1:8080:80"), port("8081:80"), port("53/udp")],
            mounts: vec![SpecMount {
                source: volume_name(),
                path: "/data".to_owned(),
                read_only: true,
                bind: false,
            }],
            aliases: texts(&["web", "www"]),
            restart: hades_api::RestartPolicy::OnFailure,
            stop_signal: Some("SIGINT".to_owned()),
            stop_grace_seconds: Some(30),
            init: Some(true),
            ..Default::default()
        };
        let body = body(&spec).unwrap();
        assert_eq!(body.cmd, Some(texts(&["serve"])));
        assert_eq!(body.entrypoint, Some(texts(&["/app"])));
        assert_eq!(body.user.as_deref(), Some("1000:1000"));
        assert_eq!(body.working_dir.as_deref(), Some("/srv"));
        assert_eq!(body.env, Some(texts(&["PLAIN=a=b", "TOKEN=hush"])));
        assert_eq!(body.exposed_ports, Some(texts(&["80/tcp", "80/tcp", "53/udp"])));
        assert_eq!(body.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(body.stop_timeout, Some(30));
        let host = body.host_config.unwrap();
        assert_eq!(host.init, Some(true));
        assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::ON_FAILURE));
        let binding = |ip: &str, port: &str| PortBinding {
            host_ip: Some(ip.to_owned()),
            host_port: Some(port.to_owned()),
        };
        let expected = PortMap::from([
            ("80/tcp".to_owned(), Some(vec![binding("127.0.0.1", "8080"), binding("", "8081")])),
            ("53/udp".to_owned(), Some(vec![binding("", "")])),
        ]);
        assert_eq!(host.port_bindings, Some(expected));
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].source, Some(volume_name()));
        assert_eq!(mounts[0].target.as_deref(), Some("/data"));
        assert_eq!((mounts[0].typ, mounts[0].read_only), (Some(MountType::VOLUME), Some(true)));
        let owner = mounts[0].volume_options.clone().unwrap().labels.unwrap();
        assert_eq!(owner.get(label::VOLUME).map(String::as_str), Some("data"));
        assert_eq!(owner.get(label::INSTALLATION).map(String::as_str), Some("i"));
        assert!(!owner.contains_key(label::SERVICE));
        let endpoint = &body.networking_config.unwrap().endpoints_config.unwrap()["shop_prod"];
        assert_eq!(endpoint.aliases, Some(texts(&["web", "www"])));
    }

    #[test]
    fn what_a_container_may_have_of_its_host() {
        let confinement = hades_plan::Confinement {
            privileged: true,
            host_network: true,
            host_pid: true,
            host_ipc: true,
            devices: vec![hades_api::DeviceMapping::parse("/dev/fuse:/dev/x:r").unwrap()],
            security_opt: texts(&["seccomp=unconfined"]),
            ..Default::default()
        };
        let mounts = vec![SpecMount {
            source: "/srv/shop".to_owned(),
            path: "/data".to_owned(),
            read_only: true,
            bind: true,
        }];
        let spec =
            ContainerSpec { confinement, mounts, aliases: texts(&["web"]), ..Default::default() };
        let body = body(&spec).unwrap();
        assert_eq!(body.networking_config, None);
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("host"));
        assert_eq!(
            (host.pid_mode.as_deref(), host.ipc_mode.as_deref()),
            (Some("host"), Some("host"))
        );
        assert_eq!(host.privileged, Some(true));
        assert_eq!(host.security_opt, Some(texts(&["seccomp=unconfined"])));
        let device = host.devices.unwrap().remove(0);
        assert_eq!(device.path_on_host.as_deref(), Some("/dev/fuse"));
        assert_eq!(device.path_in_container.as_deref(), Some("/dev/x"));
        assert_eq!(device.cgroup_permissions.as_deref(), Some("r"));
        let mount = host.mounts.unwrap().remove(0);
        assert_eq!((mount.typ, mount.read_only), (Some(MountType::BIND), Some(true)));
        assert_eq!(mount.source.as_deref(), Some("/srv/shop"));
        assert_eq!((mount.volume_options, mount.bind_options), (None, None));
    }

    #[test]
    fn a_plan_without_its_secrets_cannot_run() {
        let value = EnvVar::Secret { fingerprint: "f".to_owned(), value: None };
        let spec =
            ContainerSpec { env: BTreeMap::from([("T".to_owned(), value)]), ..Default::default() };
        assert_eq!(body(&spec), Err(MissingSecret { name: "T".to_owned() }));
    }

    #[test]
    fn secrets_are_taken_out_of_the_engines_words() {
        let env = BTreeMap::from([
            ("A".to_owned(), secret("hush")),
            ("B".to_owned(), secret("hush-hush")),
            ("C".to_owned(), secret("")),
            ("D".to_owned(), EnvVar::Plain("seen".to_owned())),
        ]);
        let spec = ContainerSpec { env, ..Default::default() };
        let words = without_secrets("bad variable hush-hush, hush, seen", &spec);
        assert_eq!(words, "bad variable (secret), (secret), seen");
    }

    #[test]
    fn networks_volumes_and_connections() {
        let made = network("shop_prod", "10.90.0.0/24".parse().unwrap(), &labels());
        assert_eq!(made.driver.as_deref(), Some("bridge"));
        let subnet = made.ipam.unwrap().config.unwrap()[0].subnet.clone();
        assert_eq!(subnet.as_deref(), Some("10.90.0.0/24"));
        assert_eq!(made.labels, Some(hash_map(&labels())));
        assert_eq!(volume("v", &labels()).labels, Some(hash_map(&labels())));
        let connection = connection("id", &texts(&["web"]));
        assert_eq!(connection.endpoint_config.unwrap().aliases, Some(texts(&["web"])));
    }
}
