//! From the engine's lists to a snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, ImageSummary, Network, PortMap, PortSummary,
    PortSummaryTypeEnum, Volume,
};
use hades_api::{PortMapping, Protocol, label};
use hades_plan::{
    ContainerState, HostSnapshot, ObservedContainer, ObservedNetwork, ObservedVolume, PublishedPort,
};
use hades_provider::image;
use jiff::Timestamp;
use serde::Deserialize;

use crate::words;

/// What the engine calls images without a name.
const NAMELESS: &str = "<none>";

/// The four lists of one look.
pub struct Lists {
    /// `GET /containers/json?all=1`.
    pub containers: Vec<ContainerSummary>,
    /// `GET /networks`.
    pub networks: Vec<Network>,
    /// `GET /volumes`.
    pub volumes: Vec<Volume>,
    /// `GET /images/json`.
    pub images: Vec<ImageSummary>,
}

/// Ports that containers will hold when they run, by container id: the list
/// doesn't tell for those that don't.
pub type DormantPorts = HashMap<String, Vec<PublishedPort>>;

/// A snapshot out of the lists.
pub fn snapshot(lists: Lists, dormant: &DormantPorts) -> HostSnapshot {
    let networks: Vec<_> = lists.networks.into_iter().filter_map(network).collect();
    let mut containers: Vec<_> =
        lists.containers.into_iter().filter_map(|c| container(c, &networks, dormant)).collect();
    disown_copies(&mut containers, &lists.images);
    // In the order that every planner of it wants, and sorts in no time then.
    containers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    HostSnapshot {
        containers,
        volumes: lists.volumes.into_iter().map(volume).collect(),
        images: images(&lists.images),
        networks,
    }
}

/// Ids of the containers whose ports only an inspection tells: they don't run
/// and carry no spec of ours.
pub fn needs_inspection(summary: &ContainerSummary) -> Option<&str> {
    let id = summary.id.as_deref()?;
    (!holds_ports(summary) && ports_in_label(summary).is_none()).then_some(id)
}

fn holds_ports(summary: &ContainerSummary) -> bool {
    matches!(
        state(summary),
        ContainerState::Running | ContainerState::Paused | ContainerState::Removing
    )
}

fn container(
    summary: ContainerSummary,
    networks: &[ObservedNetwork],
    dormant: &DormantPorts,
) -> Option<ObservedContainer> {
    let id = summary.id.clone()?;
    let state = state(&summary);
    let ports = if holds_ports(&summary) {
        published(summary.ports.as_deref().unwrap_or_default())
    } else {
        ports_in_label(&summary).or_else(|| dormant.get(&id).cloned()).unwrap_or_default()
    };
    let (names, network_ids) = attached(&summary, networks);
    let addresses = addresses(&summary);
    let status = summary.status.unwrap_or_default();
    Some(ObservedContainer {
        id,
        name: own_name(summary.names.as_deref().unwrap_or_default()),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        state,
        exit_code: exit_code(&status),
        created_at: summary.created.and_then(|time| Timestamp::from_second(time).ok()),
        networks: names,
        network_ids,
        ports,
        addresses,
        uptime_seconds: words::uptime_seconds(&status),
        health: words::health(&status),
        status,
        ..ObservedContainer::default()
    })
}

/// Takes our labels off containers that have them only from their image.
///
/// `docker commit` of a container of ours puts its labels into the image, and
/// whoever runs that would seem to have made a second one: it would be removed
/// as no longer wanted. One that we make from such an image has a spec hash of
/// its own, as the image's name goes into it.
fn disown_copies(containers: &mut [ObservedContainer], images: &[ImageSummary]) {
    let hashes: HashMap<&str, &str> = images
        .iter()
        .filter_map(|image| Some((&*image.id, &**image.labels.get(label::SPEC_HASH)?)))
        .collect();
    for container in containers {
        let of_image = hashes.get(&*container.image_id).copied();
        let own = container.labels.get(label::SPEC_HASH).map(String::as_str);
        if of_image.is_some() && of_image == own {
            container.labels.retain(|key, _| !key.starts_with(label::PREFIX));
        }
    }
}

fn state(summary: &ContainerSummary) -> ContainerState {
    match summary.state {
        Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING) => {
            ContainerState::Running
        }
        Some(ContainerSummaryStateEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerSummaryStateEnum::RESTARTING) => ContainerState::Restarting,
        Some(ContainerSummaryStateEnum::REMOVING) => ContainerState::Removing,
        Some(ContainerSummaryStateEnum::EXITED) => ContainerState::Exited,
        Some(ContainerSummaryStateEnum::DEAD) => ContainerState::Dead,
        Some(ContainerSummaryStateEnum::CREATED | ContainerSummaryStateEnum::EMPTY) | None => {
            ContainerState::Created
        }
    }
}

/// The container's own name: links of other containers come as `/other/alias`.
fn own_name(names: &[String]) -> String {
    let stripped = || names.iter().map(|name| name.trim_start_matches('/'));
    stripped()
        .find(|name| !name.contains('/'))
        .or_else(|| stripped().next())
        .unwrap_or_default()
        .to_owned()
}

/// Names and ids of the networks that it is attached to. A container keeps the
/// entry of a network that was removed while it didn't run; such an entry is
/// none. One that has never run has no id yet.
fn attached(
    summary: &ContainerSummary,
    networks: &[ObservedNetwork],
) -> (Vec<String>, Vec<String>) {
    let settings = summary.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    let mut names = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (name, endpoint) in settings.into_iter().flatten() {
        let id = endpoint.network_id.as_deref().filter(|id| !id.is_empty());
        let is_there = |network: &&ObservedNetwork| match id {
            Some(id) => network.id == id,
            None => network.name == *name || network.id == *name,
        };
        if let Some(network) = networks.iter().find(is_there) {
            names.insert(network.name.clone());
            ids.extend(id.map(str::to_owned));
        }
    }
    (names.into_iter().collect(), ids.into_iter().collect())
}

/// Address on each network, IPv4 before IPv6.
fn addresses(summary: &ContainerSummary) -> BTreeMap<String, IpAddr> {
    let settings = summary.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    let given = settings.into_iter().flatten().filter_map(|(name, endpoint)| {
        let both = [endpoint.ip_address.as_deref(), endpoint.global_ipv6_address.as_deref()];
        let address = both.into_iter().flatten().find_map(|text| text.parse().ok())?;
        Some((name.clone(), address))
    });
    given.collect()
}

/// From words such as `Exited (137) 2 hours ago` and `Restarting (1) 3 seconds ago`.
fn exit_code(status: &str) -> Option<i64> {
    let rest = status.strip_prefix("Exited (").or_else(|| status.strip_prefix("Restarting ("))?;
    rest.split_once(')')?.0.parse().ok()
}

fn published(ports: &[PortSummary]) -> Vec<PublishedPort> {
    let held: BTreeSet<_> = ports
        .iter()
        .filter_map(|port| {
            let protocol = match port.typ {
                Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
                Some(PortSummaryTypeEnum::TCP | PortSummaryTypeEnum::EMPTY) | None => Protocol::Tcp,
                Some(PortSummaryTypeEnum::SCTP) => return None,
            };
            Some(PublishedPort {
                host_ip: host_ip(port.ip.as_deref()),
                host_port: port.public_port?,
                container_port: port.private_port,
                protocol,
            })
        })
        .collect();
    held.into_iter().collect()
}

/// None for every address: the engine lists a port that is bound to all as one
/// of IPv4 and one of IPv6.
fn host_ip(text: Option<&str>) -> Option<IpAddr> {
    text?.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified())
}

/// Ports out of an inspection's `HostConfig.PortBindings`; those that the engine
/// picks at every start aren't held by a container that doesn't run.
pub fn bound(bindings: &PortMap) -> Vec<PublishedPort> {
    let mut held = BTreeSet::new();
    for (key, bindings) in bindings {
        let Ok(port) = PortMapping::parse(key) else { continue };
        for binding in bindings.iter().flatten() {
            let host_port = binding.host_port.as_deref().and_then(|text| text.parse().ok());
            if let Some(host_port) = host_port.filter(|port| *port != 0) {
                held.insert(PublishedPort {
                    host_ip: host_ip(binding.host_ip.as_deref()),
                    host_port,
                    container_port: port.container_port,
                    protocol: port.protocol,
                });
            }
        }
    }
    held.into_iter().collect()
}

/// Ports out of the spec that a container of ours carries.
fn ports_in_label(summary: &ContainerSummary) -> Option<Vec<PublishedPort>> {
    #[derive(Deserialize)]
    struct Ports {
        #[serde(default)]
        ports: Vec<PortMapping>,
    }
    let spec = summary.labels.as_ref()?.get(label::SPEC)?;
    let Ports { ports } = serde_json::from_str(spec).ok()?;
    let fixed = ports.iter().filter_map(|port| {
        Some(PublishedPort {
            host_ip: port.host_ip.filter(|ip| !ip.is_unspecified()),
            host_port: port.host_port?,
            container_port: port.container_port,
            protocol: port.protocol,
        })
    });
    Some(fixed.collect())
}

/// A network as observed; none for one without id or name.
pub fn network(network: Network) -> Option<ObservedNetwork> {
    let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    Some(ObservedNetwork {
        id: network.id?,
        name: network.name?,
        labels: network.labels.unwrap_or_default().into_iter().collect(),
        subnets: configs.into_iter().filter_map(|c| c.subnet?.parse().ok()).collect(),
    })
}

/// A volume as observed.
pub fn volume(volume: Volume) -> ObservedVolume {
    ObservedVolume { name: volume.name, labels: volume.labels.into_iter().collect() }
}

fn images(images: &[ImageSummary]) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for summary in images {
        let references = summary.repo_tags.iter().chain(&summary.repo_digests);
        for reference in references.filter(|reference| !reference.contains(NAMELESS)) {
            for spelling in image::spellings(reference) {
                ids.insert(spelling, summary.id.clone());
            }
        }
        ids.insert(summary.id.clone(), summary.id.clone());
    }
    ids
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn networks() -> Vec<Network> {
        read(json!([
            {"Id": "n1", "Name": "shop_prod", "Labels": {"a": "b"},
             "IPAM": {"Config": [{"Subnet": "10.90.0.0/24", "Gateway": "10.90.0.1"}]}},
            {"Id": "n2", "Name": "host", "Labels": null, "IPAM": {"Config": null}},
        ]))
    }

    fn look(container: serde_json::Value, dormant: &DormantPorts) -> ObservedContainer {
        let lists = Lists {
            containers: vec![read(container)],
            networks: networks(),
            volumes: Vec::new(),
            images: Vec::new(),
        };
        snapshot(lists, dormant).containers.remove(0)
    }

    #[test]
    fn a_running_container() {
        let seen = look(
            json!({
                "Id": "c1", "Names": ["/other/alias", "/web"], "Image": "web:1",
                "ImageID": "sha256:1", "State": "running", "Status": "Up 2 hours",
                "Created": 1_767_225_600,
                "Labels": {"k": "v"},
                "Ports": [
                    {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                    {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                    {"IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
                    {"PrivatePort": 9000, "Type": "tcp"},
                ],
                "NetworkSettings": {"Networks": {"shop_prod": {"NetworkID": "n1"}}},
            }),
            &DormantPorts::new(),
        );
        assert_eq!(seen.name, "web");
        assert_eq!(seen.created_at, "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!((seen.state, seen.exit_code), (ContainerState::Running, None));
        assert_eq!(
            (&*seen.networks, &*seen.network_ids),
            (&["shop_prod".into()][..], &["n1".into()][..])
        );
        let ports: Vec<_> =
            seen.ports.iter().map(|p| (p.host_ip, p.host_port, p.protocol)).collect();
        let local = "127.0.0.1".parse().ok();
        assert_eq!(ports, [(None, 8080, Protocol::Tcp), (local, 53, Protocol::Udp)]);
    }

    #[test]
    fn a_stopped_container_keeps_its_exit_code_and_its_ports() {
        let port = PublishedPort {
            host_ip: None,
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let stopped = json!({
            "Id": "c1", "Names": ["/web"], "State": "exited", "Status": "Exited (137) 2 hours ago",
            "Ports": [], "NetworkSettings": {"Networks": {"shop_prod": {"NetworkID": "gone"}}},
        });
        let summary: ContainerSummary = read(stopped.clone());
        assert_eq!(needs_inspection(&summary), Some("c1"));
        let seen = look(stopped, &DormantPorts::from([("c1".to_owned(), vec![port.clone()])]));
        assert_eq!(seen.exit_code, Some(137));
        assert_eq!(seen.ports, std::slice::from_ref(&port));
        assert!(seen.networks.is_empty(), "the network of that name is another one by now");

        let ours = json!({
            "Id": "c1", "Names": ["/web"], "State": "created", "Status": "Created",
            "Labels": {label::SPEC: r#"{"image":"web:1","ports":["8080:80","81"]}"#},
            "NetworkSettings": {"Networks": {"shop_prod": {"NetworkID": ""}}},
        });
        assert_eq!(needs_inspection(&read(ours.clone())), None, "its spec is in its label");
        let seen = look(ours, &DormantPorts::new());
        assert_eq!(seen.ports, [port]);
        assert_eq!(seen.networks, ["shop_prod"], "it will be attached when it starts");
        assert!(seen.network_ids.is_empty());
    }

    #[test]
    fn words_of_the_engine() {
        assert_eq!(exit_code("Exited (0) 5 minutes ago"), Some(0));
        assert_eq!(exit_code("Restarting (1) 3 seconds ago"), Some(1));
        assert_eq!(exit_code("Up 2 hours (unhealthy)"), None);
        assert_eq!(exit_code("Created"), None);
    }

    #[test]
    fn bindings_of_an_inspection() {
        let map: PortMap = read(json!({
            "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "8081"}],
            "81/tcp": [{"HostIp": "", "HostPort": ""}], "82/udp": null,
        }));
        let ports: Vec<_> = bound(&map).iter().map(|p| (p.host_ip, p.host_port)).collect();
        assert_eq!(ports, [(None, 8080), ("::1".parse().ok(), 8081)]);
    }

    #[test]
    fn images_by_every_name() {
        let summary = |id: &str, tags: &[&str], digests: &[&str]| -> ImageSummary {
            read(json!({
                "Id": id, "ParentId": "", "RepoTags": tags, "RepoDigests": digests, "Created": 0,
                "Size": 0, "SharedSize": 0, "Labels": null, "Containers": 0,
            }))
        };
        let found = images(&[
            summary("sha256:1", &["nginx:1"], &["nginx@sha256:ab"]),
            summary("sha256:2", &["<none>:<none>"], &["<none>@<none>"]),
        ]);
        for name in ["nginx:1", "docker.io/library/nginx:1", "nginx@sha256:ab", "sha256:1"] {
            assert_eq!(found.get(name).map(String::as_str), Some("sha256:1"), "{name}");
        }
        assert_eq!(found.get("sha256:2").map(String::as_str), Some("sha256:2"));
        assert!(!found.keys().any(|name| name.contains(NAMELESS)));
    }

    #[test]
    fn subnets() {
        let found: Vec<_> = networks().into_iter().filter_map(network).collect();
        assert_eq!(found[0].subnets, ["10.90.0.0/24".parse().unwrap()]);
        assert!(found[1].subnets.is_empty());
    }
}
