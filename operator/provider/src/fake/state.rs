//! What is on a fake host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use hades_api::{PortMapping, Protocol, RestartPolicy};
use hades_plan::reference::by_digest;
use hades_plan::{
    ContainerFile, ContainerHealth, ContainerSpec, ContainerState, EnvVar, HostSnapshot,
    ObservedContainer, ObservedNetwork, ObservedVolume, PublishedPort,
};
use ipnet::{IpNet, Ipv4Net};
use secrecy::ExposeSecret;

use crate::engine::{CallError, ContainerDetail, NewContainer};
use crate::{ContainerStats, DiskUsage, LogChunk, image};

use super::fate::Fate;
use super::faults::{Call, FaultPlan};

/// First port that is given to containers that ask for any.
const FIRST_FREE_PORT: u16 = 32_768;

/// All that a fake host knows.
#[derive(Default)]
pub(super) struct State {
    pub containers: BTreeMap<String, Container>,
    pub networks: BTreeMap<String, ObservedNetwork>,
    /// Networks of which the engine thinks that something is attached.
    pub miscounted: BTreeSet<String>,
    pub volumes: BTreeMap<String, ObservedVolume>,
    /// Content of volumes; nothing for those that aren't named.
    pub contents: BTreeMap<String, Bytes>,
    /// Image id by reference as given.
    pub images: BTreeMap<String, String>,
    /// Images that a registry has, and their ids.
    pub registry: BTreeMap<String, String>,
    pub registry_down: bool,
    /// Without this password the registry gives nothing.
    pub registry_password: Option<String>,
    /// What the registry had by digest, and has still when a tag has moved on.
    pub published: BTreeSet<(String, String)>,
    pub disk: Option<DiskUsage>,
    /// Images whose containers end at once, and with what status.
    pub exits_at_once: BTreeMap<String, i64>,
    /// What the engine's own check says of containers of an image.
    pub image_health: BTreeMap<String, ContainerHealth>,
    /// HTTP status that containers of an image answer with; others accept no
    /// connection.
    pub answers: BTreeMap<String, u16>,
    /// What containers of an image write when they are started.
    pub first_words: BTreeMap<String, String>,
    /// Ports held by processes outside of any container.
    pub taken_ports: BTreeSet<(u16, Protocol)>,
    pub calls: Vec<Call>,
    pub faults: FaultPlan,
    pub fate: Fate,
    pub unreachable: bool,
    /// How many more calls find the host unreachable.
    pub unreachable_calls: u64,
    ids: u64,
    numbers: u8,
    free_port: u16,
}

/// A container of a fake host.
pub(super) struct Container {
    pub seen: ObservedContainer,
    pub spec: Option<ContainerSpec>,
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Its files by path.
    pub files: BTreeMap<String, ContainerFile>,
    pub logs: Vec<LogChunk>,
    pub stats: ContainerStats,
    /// When its process was started; none when tests say how long it has run.
    pub started: Option<Instant>,
    /// Its last byte of every address.
    pub number: u8,
}

impl State {
    /// An id as engines give them: 64 hexadecimal digits.
    pub fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("{:064x}", u128::from(self.ids) * 0x9e37_79b9_7f4a_7c15_f39c_0c2b)
    }

    /// Names of the containers that run and may write to a volume.
    pub fn writers(&self, volume: &str) -> Vec<String> {
        let writes = |container: &&Container| {
            let mounts = container.spec.iter().flat_map(|spec| &spec.mounts);
            let mut written = mounts.filter(|mount| !mount.read_only);
            container.seen.state.is_live() && written.any(|mount| mount.source == volume)
        };
        self.containers.values().filter(writes).map(|found| found.seen.name.clone()).collect()
    }

    /// Addresses end in 2 to 250, as engines keep 1 for the gateway.
    pub fn next_number(&mut self) -> u8 {
        self.numbers = if self.numbers < 2 || self.numbers >= 250 { 2 } else { self.numbers + 1 };
        self.numbers
    }

    pub fn snapshot(&self) -> HostSnapshot {
        let mut images = BTreeMap::new();
        for (reference, id) in &self.images {
            for spelling in image::spellings(reference) {
                images.insert(spelling, id.clone());
            }
            images.insert(id.clone(), id.clone());
        }
        HostSnapshot {
            containers: self.containers.values().map(|c| self.observed(c)).collect(),
            networks: self.networks.values().cloned().collect(),
            volumes: self.volumes.values().cloned().collect(),
            images,
        }
    }

    /// As an engine lists it: networks that are no longer there don't count.
    fn observed(&self, container: &Container) -> ObservedContainer {
        let mut seen = container.seen.clone();
        let attached = |id: &String| self.networks.contains_key(id);
        seen.network_ids.retain(attached);
        seen.networks = seen
            .network_ids
            .iter()
            .filter_map(|id| self.networks.get(id).map(|network| network.name.clone()))
            .collect();
        if let Some(started) = container.started {
            seen.uptime_seconds = Some(started.elapsed().as_secs());
        }
        if container.is_live() {
            seen.addresses = self.addresses(container);
            if seen.health == ContainerHealth::None {
                let health = self.of_image(&self.image_health, &seen);
                seen.health = health.copied().unwrap_or_default();
            }
        }
        seen
    }

    fn addresses(&self, container: &Container) -> BTreeMap<String, IpAddr> {
        let attached = container.seen.network_ids.iter().filter_map(|id| self.networks.get(id));
        let given = attached.filter_map(|network| {
            let IpNet::V4(subnet) = network.subnets.first()? else { return None };
            let first = u32::from(subnet.network());
            let address = std::net::Ipv4Addr::from(first + u32::from(container.number));
            Some((network.name.clone(), address.into()))
        });
        given.collect()
    }

    /// What a test said of the image of a container, which may have been made from
    /// the id of that image.
    fn of_image<'s, T>(
        &self,
        said: &'s BTreeMap<String, T>,
        seen: &ObservedContainer,
    ) -> Option<&'s T> {
        let by_id =
            || said.iter().find(|(image, _)| self.images.get(*image) == Some(&seen.image_id));
        said.get(&seen.image).or_else(|| by_id().map(|(_, value)| value))
    }

    /// HTTP status that a container answers with, if it answers.
    pub fn answer_of(&self, container: &Container) -> Option<u16> {
        self.of_image(&self.answers, &container.seen).copied()
    }

    /// The container that runs at an address.
    pub fn at(&self, address: IpAddr) -> Option<&Container> {
        let has = |c: &&Container| {
            c.seen.state == ContainerState::Running
                && self.addresses(c).values().any(|found| *found == address)
        };
        self.containers.values().find(has)
    }

    /// Id of what the registry has by tag or by digest; an image's digest there is
    /// its id.
    pub fn published(&self, reference: &str) -> Option<String> {
        if let Some((repository, digest)) = reference.split_once('@') {
            let known = (repository.to_owned(), digest.to_owned());
            return self.published.contains(&known).then(|| digest.to_owned());
        }
        self.registry.get(reference).cloned()
    }

    /// An image has come from the registry, with its digest.
    pub fn pulled(&mut self, reference: &str, id: &str) {
        self.images.insert(reference.to_owned(), id.to_owned());
        self.images.insert(by_digest(reference, id), id.to_owned());
    }

    /// Tags of the image of that id.
    pub fn image_tags(&self, id: &str) -> Option<Vec<String>> {
        let names: Vec<&String> =
            self.images.iter().filter(|(_, found)| *found == id).map(|(name, _)| name).collect();
        let tags = names.iter().filter(|name| !name.contains('@')).map(|name| (*name).clone());
        (!names.is_empty()).then(|| tags.collect())
    }

    /// Takes a name off an image, the last one with all that is left of it.
    pub fn remove_image(&mut self, reference: &str) -> Result<(), CallError> {
        let id = self.image_id(reference).ok_or(CallError::Absent)?;
        let others = self.image_tags(&id).unwrap_or_default();
        let is_last = reference == id || others.iter().all(|tag| tag == reference);
        if is_last && self.containers.values().any(|container| container.seen.image_id == id) {
            return Err(CallError::InUse("a container uses the image".to_owned()));
        }
        match is_last {
            true => self.images.retain(|_, found| *found != id),
            false => drop(self.images.remove(reference)),
        }
        Ok(())
    }

    /// Id of an image by any spelling of its reference, or by id.
    pub fn image_id(&self, reference: &str) -> Option<String> {
        self.images
            .iter()
            .find(|(known, id)| {
                *id == reference || image::spellings(known).iter().any(|s| s == reference)
            })
            .map(|(_, id)| id.clone())
    }

    /// Id of the container of that name or id.
    pub fn find(&self, id_or_name: &str) -> Option<String> {
        if self.containers.contains_key(id_or_name) {
            return Some(id_or_name.to_owned());
        }
        self.containers.values().find(|c| c.seen.name == id_or_name).map(|c| c.seen.id.clone())
    }

    pub fn container(&mut self, id_or_name: &str) -> Result<&mut Container, CallError> {
        let id = self.find(id_or_name).ok_or(CallError::Absent)?;
        self.containers.get_mut(&id).ok_or(CallError::Absent)
    }

    pub fn network_named(&self, name: &str) -> Option<&ObservedNetwork> {
        self.networks.values().find(|network| network.name == name)
    }

    pub fn detail(&self, id_or_name: &str) -> Option<ContainerDetail> {
        let container = self.containers.get(&self.find(id_or_name)?)?;
        Some(ContainerDetail {
            id: container.seen.id.clone(),
            name: container.seen.name.clone(),
            labels: container.seen.labels.clone(),
            image: container.seen.image.clone(),
            state: container.seen.state,
            stop_grace_seconds: container.spec.as_ref().and_then(|s| s.stop_grace_seconds),
        })
    }

    pub fn create_container(&mut self, new: NewContainer<'_>) -> Result<String, CallError> {
        // Engines look for the image before the name.
        let image_id = self.image_id(new.image).ok_or(CallError::NoImage)?;
        if self.containers.values().any(|c| c.seen.name == new.name) {
            return Err(CallError::NameTaken);
        }
        let (networks, network_ids) = match new.spec.confinement.host_network {
            true => (Vec::new(), Vec::new()),
            false => {
                let network = self.network_named(new.network).ok_or(CallError::NoNetwork)?;
                (vec![new.network.to_owned()], vec![network.id.clone()])
            }
        };
        let env = new.spec.env.iter();
        if let Some((name, _)) = env.clone().find(|(_, v)| plain(v).is_none()) {
            return Err(crate::refusal::bad_input(
                &format!("container {}", new.name),
                &format!("the value of variable {name} is not known"),
            )
            .into());
        }
        for mount in new.spec.mounts.iter().filter(|mount| !mount.bind) {
            let labels = crate::ownership::ownership_part(new.labels);
            let volume = ObservedVolume { name: mount.source.clone(), labels };
            self.volumes.entry(mount.source.clone()).or_insert(volume);
        }
        let id = self.next_id();
        let seen = ObservedContainer {
            id: id.clone(),
            name: new.name.to_owned(),
            labels: new.labels.clone(),
            image: new.image.to_owned(),
            image_id,
            state: ContainerState::Created,
            networks,
            network_ids,
            ports: fixed_ports(&new.spec.ports),
            status: "Created".to_owned(),
            ..ObservedContainer::default()
        };
        let container = Container {
            seen,
            spec: Some(new.spec.clone()),
            aliases: BTreeMap::from([(new.network.to_owned(), new.spec.aliases.clone())]),
            files: BTreeMap::new(),
            logs: Vec::new(),
            stats: ContainerStats::default(),
            started: None,
            number: self.next_number(),
        };
        self.containers.insert(id.clone(), container);
        Ok(id)
    }

    /// Puts files into a container that doesn't run.
    pub fn put_files(
        &mut self,
        id: &str,
        files: &BTreeMap<String, ContainerFile>,
    ) -> Result<(), CallError> {
        let container = self.container(id)?;
        container.files.extend(files.clone());
        Ok(())
    }

    /// Starts, and lets it end again when its image is such; answers whether
    /// anything changed.
    pub fn start_container(&mut self, id: &str) -> Result<bool, CallError> {
        let container = self.container(id)?;
        match container.seen.state {
            ContainerState::Running => return Ok(false),
            ContainerState::Paused | ContainerState::Removing | ContainerState::Dead => {
                let words = format!("cannot start a container that is {}", container.seen.state);
                return Err(CallError::WrongState(words));
            }
            ContainerState::Created | ContainerState::Restarting | ContainerState::Exited => {}
        }
        let id = container.seen.id.clone();
        // What a process says that needs them.
        let files = container.spec.iter().flat_map(|spec| spec.files.keys());
        if let Some(path) = files.clone().find(|path| !container.files.contains_key(*path)) {
            return Err(CallError::CannotRun(format!("{path}: no such file or directory")));
        }
        let wanted = container.spec.as_ref().map_or_else(Vec::new, |spec| spec.ports.clone());
        let restart = container.spec.as_ref().map(|spec| spec.restart).unwrap_or_default();
        let (fixed, image) = (container.seen.ports.clone(), container.seen.image.clone());
        let networks = container.seen.network_ids.clone();
        if networks.iter().any(|network| !self.networks.contains_key(network)) {
            return Err(CallError::NoNetwork);
        }
        if let Some(port) = fixed.iter().find(|port| self.holds(port, &id)) {
            let ip = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
            return Err(CallError::PortTaken(format!(
                "Bind for {ip}:{} failed: port is already allocated",
                port.host_port
            )));
        }
        let any: Vec<_> = wanted.iter().filter(|p| p.host_port.is_none()).cloned().collect();
        let picked: Vec<_> = any.iter().map(|port| self.pick_port(port)).collect();
        let exit = self.exits_at_once.get(&image).copied();
        let words = self.first_words.get(&image).cloned();
        let container = self.container(&id)?;
        container.logs.extend(words.map(|words| LogChunk { stderr: false, bytes: words.into() }));
        match exit {
            None => {
                container.seen.ports.retain(|port| port.host_port < FIRST_FREE_PORT);
                container.seen.ports.extend(picked);
                container.run();
            }
            Some(code) => container.end(code, restart),
        }
        Ok(true)
    }

    /// Whether something that runs, other than container `but`, has the port.
    fn holds(&self, port: &PublishedPort, but: &str) -> bool {
        if self.taken_ports.contains(&(port.host_port, port.protocol)) {
            return true;
        }
        let wanted = mapping(port);
        self.containers
            .values()
            .filter(|c| c.seen.id != but && c.is_live())
            .flat_map(|c| &c.seen.ports)
            .any(|held| mapping(held).collides_with(&wanted))
    }

    fn pick_port(&mut self, wanted: &PortMapping) -> PublishedPort {
        self.free_port = self.free_port.max(FIRST_FREE_PORT - 1) + 1;
        PublishedPort {
            host_ip: wanted.host_ip,
            host_port: self.free_port,
            container_port: wanted.container_port,
            protocol: wanted.protocol,
        }
    }

    pub fn create_network(
        &mut self,
        name: &str,
        subnet: Ipv4Net,
        labels: BTreeMap<String, String>,
    ) -> Result<String, CallError> {
        let overlaps = |net: &IpNet| match net {
            IpNet::V4(net) => net.contains(&subnet) || subnet.contains(net),
            IpNet::V6(_) => false,
        };
        if self.networks.values().any(|network| network.subnets.iter().any(overlaps)) {
            let words = "Pool overlaps with other one on this address space".to_owned();
            return Err(CallError::Overlap(words));
        }
        let id = self.next_id();
        let subnets = vec![IpNet::V4(subnet)];
        let network = ObservedNetwork { id: id.clone(), name: name.to_owned(), labels, subnets };
        self.networks.insert(id.clone(), network);
        Ok(id)
    }

    pub fn connect(
        &mut self,
        network: &str,
        container: &str,
        aliases: &[String],
    ) -> Result<(), CallError> {
        let found = self.networks.get(network).or_else(|| self.network_named(network));
        let (network, name) = match found {
            Some(found) => (found.id.clone(), found.name.clone()),
            None => return Err(CallError::NoNetwork),
        };
        let known: BTreeSet<String> = self.networks.keys().cloned().collect();
        let container = self.container(container)?;
        if container.seen.network_ids.contains(&network) {
            return Err(CallError::AlreadyAttached);
        }
        container.seen.network_ids.retain(|id| known.contains(id));
        container.seen.network_ids.push(network);
        container.aliases.insert(name, aliases.to_vec());
        Ok(())
    }

    /// A live container on a network.
    pub fn attached_to(&self, network: &str) -> Option<&Container> {
        let on_it = |c: &&Container| c.is_live() && c.seen.network_ids.iter().any(|n| n == network);
        self.containers.values().find(on_it)
    }

    pub fn remove_network(&mut self, id: &str) -> Result<ObservedNetwork, CallError> {
        if self.attached_to(id).is_some() || self.miscounted.contains(id) {
            return Err(CallError::InUse(format!("network {id} has active endpoints")));
        }
        self.networks.remove(id).ok_or(CallError::Absent)
    }

    pub fn remove_volume(&mut self, name: &str) -> Result<ObservedVolume, CallError> {
        let uses = |c: &&Container| {
            c.spec.as_ref().is_some_and(|s| s.mounts.iter().any(|m| m.source == name))
        };
        if let Some(container) = self.containers.values().find(uses) {
            return Err(CallError::InUse(format!("volume is in use - [{}]", container.seen.id)));
        }
        self.volumes.remove(name).ok_or(CallError::Absent)
    }
}

impl Container {
    /// Whether it holds its ports and networks.
    pub fn is_live(&self) -> bool {
        matches!(
            self.seen.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        )
    }

    pub fn run(&mut self) {
        self.seen.state = ContainerState::Running;
        self.seen.exit_code = None;
        self.seen.status = "Up Less than a second".to_owned();
        self.started = Some(Instant::now());
    }

    /// Ends by itself; the engine starts it again where it was told to.
    pub fn end(&mut self, code: i64, restart: RestartPolicy) {
        let again = match restart {
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::No => false,
        };
        self.seen.exit_code = Some(code);
        self.started = None;
        self.seen.uptime_seconds = None;
        if again {
            self.seen.state = ContainerState::Restarting;
            self.seen.status = format!("Restarting ({code}) Less than a second ago");
        } else {
            self.seen.state = ContainerState::Exited;
            self.seen.status = format!("Exited ({code}) Less than a second ago");
        }
    }

    /// Is stopped from outside: the engine leaves it so.
    pub fn stop(&mut self, code: i64) {
        if self.is_live() {
            self.end(code, RestartPolicy::No);
        }
    }

    /// Its variables, values of secrets included.
    pub fn env(&self) -> BTreeMap<String, String> {
        let env = self.spec.iter().flat_map(|spec| &spec.env);
        env.filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect()
    }
}

fn plain(value: &EnvVar) -> Option<String> {
    match value {
        EnvVar::Plain(text) => Some(text.clone()),
        EnvVar::Secret { value, .. } => value.as_ref().map(|v| v.expose_secret().to_owned()),
    }
}

fn fixed_ports(ports: &[PortMapping]) -> Vec<PublishedPort> {
    let fixed = ports.iter().filter_map(|port| {
        Some(PublishedPort {
            host_ip: port.host_ip.filter(|ip| !ip.is_unspecified()),
            host_port: port.host_port?,
            container_port: port.container_port,
            protocol: port.protocol,
        })
    });
    fixed.collect()
}

fn mapping(port: &PublishedPort) -> PortMapping {
    PortMapping {
        host_ip: port.host_ip,
        host_port: Some(port.host_port),
        container_port: port.container_port,
        protocol: port.protocol,
    }
}
