//! Hosts that do what actions say, and refuse what an engine would refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hades_api::PortMapping;
use hades_plan::{
    Action, ActionId, ContainerHealth, ContainerSpec, ContainerState, Desired, HostSnapshot,
    HostView, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Operation, Plan,
    PublishedPort, Reason, plan,
};

#[derive(Debug, Clone, Default)]
pub struct Simulator {
    pub hosts: BTreeMap<String, HostSnapshot>,
    /// Containers are checked.
    pub checked: bool,
    /// Images whose containers fail their checks.
    pub sick: BTreeSet<String>,
    next_id: u32,
}

impl Simulator {
    /// Hosts with nothing but an image `web:1`, `web:2`, `job:1`.
    pub fn new(hosts: &[&str]) -> Self {
        let images = ["web:1", "web:2", "job:1"];
        let images = images.iter().map(|name| ((*name).to_owned(), format!("sha256:{name}")));
        let snapshot = HostSnapshot { images: images.collect(), ..HostSnapshot::default() };
        let hosts = hosts.iter().map(|host| ((*host).to_owned(), snapshot.clone())).collect();
        Self { hosts, checked: false, sick: BTreeSet::new(), next_id: 0 }
    }

    pub fn observe(&self) -> Observed {
        let view = |snapshot: &HostSnapshot| HostView::Snapshot(Arc::new(snapshot.clone()));
        let hosts = self.hosts.iter().map(|(name, snapshot)| (name.clone(), view(snapshot)));
        Observed { hosts: hosts.collect(), ..Observed::default() }
    }

    pub fn id(&mut self) -> String {
        self.next_id += 1;
        format!("id{:04}", self.next_id)
    }

    pub fn host(&mut self, name: &str) -> &mut HostSnapshot {
        self.hosts.get_mut(name).unwrap()
    }

    /// The only container of a service; panics when there are several.
    pub fn container(&mut self, service: &str) -> &mut ObservedContainer {
        let of_service = |container: &&mut ObservedContainer| {
            container.labels.get("hades.dev/service").is_some_and(|found| found == service)
        };
        let mut found: Vec<_> = self
            .hosts
            .values_mut()
            .flat_map(|host| &mut host.containers)
            .filter(of_service)
            .collect();
        assert_eq!(found.len(), 1, "containers of {service}");
        found.remove(0)
    }

    /// What time does: containers that were being removed are gone, and those
    /// that run have run for a minute more. Checks find those healthy whose image
    /// isn't among `sick`.
    pub fn settle(&mut self) {
        self.pass_time(60);
    }

    pub fn pass_time(&mut self, seconds: u64) {
        for host in self.hosts.values_mut() {
            host.containers.retain(|found| found.state != ContainerState::Removing);
            for found in &mut host.containers {
                found.health = match found.state {
                    ContainerState::Running if self.checked => {
                        match self.sick.contains(&found.image) {
                            true => ContainerHealth::Unhealthy,
                            false => ContainerHealth::Healthy,
                        }
                    }
                    _ => ContainerHealth::None,
                };
                if let Some(uptime) = &mut found.uptime_seconds {
                    *uptime += seconds;
                }
            }
        }
    }

    /// Carries plans out until there is nothing left to do; answers all of them.
    pub fn converge(&mut self, desired: &Desired) -> Vec<Plan> {
        let mut plans = Vec::new();
        while plans.len() < 20 {
            let plan = plan(desired, &self.observe());
            let empty = plan.actions.is_empty();
            let waits = plan.look_again_seconds.is_some();
            self.apply(&plan);
            plans.push(plan);
            self.pass_time(1);
            if empty && !waits {
                break;
            }
        }
        plans
    }

    /// Carries the whole plan out in its order.
    pub fn apply(&mut self, plan: &Plan) {
        for action in &plan.actions {
            self.act(action).unwrap_or_else(|refusal| panic!("{}: {refusal}", action.id));
        }
    }

    /// Carries `count` actions out, at each step one of those that are ready,
    /// chosen by `choice`.
    pub fn apply_some(&mut self, plan: &Plan, count: usize, mut choice: usize) {
        let mut done: BTreeSet<&ActionId> = BTreeSet::new();
        for _ in 0..count.min(plan.actions.len()) {
            let ready: Vec<&Action> = plan
                .actions
                .iter()
                .filter(|action| !done.contains(&action.id))
                .filter(|action| action.needs.iter().all(|need| done.contains(need)))
                .collect();
            let action = ready[choice % ready.len()];
            choice = choice.wrapping_mul(31).wrapping_add(7);
            self.act(action).unwrap_or_else(|refusal| panic!("{}: {refusal}", action.id));
            done.insert(&action.id);
        }
    }

    pub fn act(&mut self, action: &Action) -> Result<(), String> {
        let new_id = self.id();
        let host = self.hosts.get_mut(&action.target.host).ok_or("no such host")?;
        let name = &action.target.name;
        match &action.operation {
            Operation::PullImage => {
                host.images.insert(name.clone(), format!("sha256:{name}"));
                host.images.insert(format!("sha256:{name}"), format!("sha256:{name}"));
            }
            Operation::RemoveImage { id, .. } => {
                if host.containers.iter().any(|found| found.image_id == *id) {
                    return Err("a container uses the image".into());
                }
                host.images.retain(|_, found| found != id);
            }
            Operation::CreateNetwork { subnet, labels } => {
                let subnet = (*subnet).into();
                let taken = host.networks.iter().flat_map(|network| &network.subnets);
                if taken.into_iter().any(|taken: &ipnet::IpNet| overlap(taken, &subnet)) {
                    return Err("the subnet overlaps with another".into());
                }
                host.networks.push(ObservedNetwork {
                    id: new_id,
                    name: name.clone(),
                    labels: labels.clone(),
                    subnets: vec![subnet],
                });
            }
            Operation::RemoveNetwork { id } => {
                let network = host.networks.iter().find(|network| network.id == *id);
                let network = network.ok_or("no such network")?;
                let attached = |found: &&ObservedContainer| {
                    found.state.is_live() && found.is_attached_to(network)
                };
                if let Some(found) = host.containers.iter().find(attached) {
                    return Err(format!("{} is attached", found.name));
                }
                host.networks.retain(|network| network.id != *id);
            }
            Operation::CreateVolume { labels } => {
                host.volumes.push(ObservedVolume { name: name.clone(), labels: labels.clone() })
            }
            Operation::RemoveVolume => host.volumes.retain(|volume| volume.name != *name),
            Operation::CreateContainer { spec, image_id, network, labels, replaces: _ } => {
                let image = host.images.get(image_id.as_ref().unwrap_or(&spec.image)).cloned();
                let found = ObservedContainer {
                    id: new_id.clone(),
                    name: name.clone(),
                    labels: labels.clone(),
                    image: spec.image.clone(),
                    image_id: image.ok_or("no such image")?,
                    ports: spec.ports.iter().filter_map(published).collect(),
                    ..ObservedContainer::default()
                };
                create(host, found, spec)?;
                if !spec.confinement.host_network {
                    connect(host, &new_id, network)?;
                }
                start(host, &new_id)?;
            }
            Operation::StartContainer { id, .. } => start(host, id)?,
            Operation::StopContainer { id, .. } => {
                let found = container(host, id)?;
                found.state = ContainerState::Exited;
                found.exit_code = Some(143);
                found.uptime_seconds = None;
                // The status remembers it.
                if let Reason::RolloutFailed { why } = &action.reason {
                    found.health_message = Some(why.clone());
                }
            }
            Operation::UnpauseContainer { id } => {
                let found = container(host, id)?;
                if found.state != ContainerState::Paused {
                    return Err("it isn't paused".into());
                }
                found.state = ContainerState::Running;
            }
            Operation::ConnectNetwork { id, network, .. } => connect(host, id, network)?,
            Operation::RemoveContainer { id, .. } => {
                container(host, id)?;
                host.containers.retain(|found| found.id != *id);
            }
        }
        Ok(())
    }
}

fn container<'a>(
    host: &'a mut HostSnapshot,
    id: &str,
) -> Result<&'a mut ObservedContainer, String> {
    host.containers.iter_mut().find(|found| found.id == id).ok_or("no such container".into())
}

fn create(
    host: &mut HostSnapshot,
    new: ObservedContainer,
    spec: &ContainerSpec,
) -> Result<(), String> {
    if host.containers.iter().any(|found| found.name == new.name) {
        return Err("the name is taken".into());
    }
    for mount in spec.mounts.iter().filter(|mount| !mount.bind) {
        if !host.volumes.iter().any(|volume| volume.name == mount.source) {
            return Err(format!("no volume {}", mount.source));
        }
        if mount.read_only {
            continue;
        }
        // What Hades promises rather than what an engine checks.
        let writes = |found: &&ObservedContainer| {
            let label = found.labels.get("hades.dev/spec");
            let other = label.and_then(|json| serde_json::from_str::<ContainerSpec>(json).ok());
            let same_service = found.labels.get("hades.dev/service")
                == new.labels.get("hades.dev/service")
                && found.labels.get("hades.dev/replica") == new.labels.get("hades.dev/replica")
                && found.labels.get("hades.dev/installation")
                    == new.labels.get("hades.dev/installation");
            found.state.is_live()
                && same_service
                && other.is_some_and(|other| {
                    other.mounts.iter().any(|one| one.source == mount.source && !one.read_only)
                })
        };
        if let Some(other) = host.containers.iter().find(writes) {
            return Err(format!("{} writes to {} still", other.name, mount.source));
        }
    }
    host.containers.push(new);
    Ok(())
}

fn connect(host: &mut HostSnapshot, id: &str, network: &str) -> Result<(), String> {
    let named: Vec<String> = host
        .networks
        .iter()
        .filter(|found| found.name == network)
        .map(|found| found.id.clone())
        .collect();
    let [network_id] = named.as_slice() else {
        return Err(format!("{} networks are named {network}", named.len()));
    };
    let found = container(host, id)?;
    if found.state == ContainerState::Paused {
        return Err("it is paused".into());
    }
    let others =
        std::mem::take(&mut found.networks).into_iter().zip(std::mem::take(&mut found.network_ids));
    let (names, ids): (Vec<_>, Vec<_>) = others.filter(|(name, _)| name != network).unzip();
    (found.networks, found.network_ids) = (names, ids);
    found.networks.push(network.to_owned());
    found.network_ids.push(network_id.clone());
    Ok(())
}

fn start(host: &mut HostSnapshot, id: &str) -> Result<(), String> {
    let found = container(host, id)?;
    // Ports that the manifest leaves to the engine are picked anew.
    let label = found.labels.get("hades.dev/spec");
    if let Some(spec) = label.and_then(|json| serde_json::from_str::<ContainerSpec>(json).ok()) {
        found.ports = spec.ports.iter().filter_map(published).collect();
    }
    let found = found.clone();
    let holder =
        host.containers.iter().filter(|other| other.id != id && other.state.is_live()).find(
            |other| other.ports.iter().any(|port| found.ports.iter().any(|own| collide(own, port))),
        );
    if let Some(holder) = holder {
        return Err(format!("{} has its port", holder.name));
    }
    let networks = &host.networks;
    if !found.network_ids.iter().all(|id| networks.iter().any(|network| network.id == *id)) {
        return Err("a network of its is gone".into());
    }
    let found = container(host, id)?;
    found.state = ContainerState::Running;
    found.uptime_seconds = Some(0);
    found.health_message = None;
    Ok(())
}

fn overlap(a: &ipnet::IpNet, b: &ipnet::IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

pub fn published(port: &PortMapping) -> Option<PublishedPort> {
    Some(PublishedPort {
        host_ip: port.host_ip,
        host_port: port.host_port?,
        container_port: port.container_port,
        protocol: port.protocol,
    })
}

fn collide(a: &PublishedPort, b: &PublishedPort) -> bool {
    a.host_port == b.host_port && a.protocol == b.protocol
}
