//! What holds for every environment and every state of its hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hades_api::PortMapping;
use hades_plan::observed::is_owned;
use hades_plan::{
    ContainerState, Desired, HostView, Observed, ObservedContainer, ObservedNetwork,
    ObservedVolume, Operation, Plan, WaitCause, plan,
};
use proptest::prelude::*;

use crate::fixture::{INSTALLATION, desired, shown};
use crate::simulator::{Simulator, published};

/// Passes within which everything that can be reached is.
const PASSES: usize = 10;

const HOSTS: [&str; 2] = ["local", "other"];
const SERVICES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
struct Service {
    image: usize,
    host: usize,
    replicas: u32,
    /// A fixed port makes it one replica.
    port: Option<u16>,
    level: u8,
    mount: usize,
    policy: usize,
}

type Services = BTreeMap<&'static str, Service>;

fn services() -> impl Strategy<Value = Services> {
    let service = (
        0..4usize,
        0..2usize,
        0..3u32,
        prop::option::weighted(0.4, 8080..8083u16),
        0..2u8,
        0..3usize,
        0..4usize,
    )
        .prop_map(|(image, host, replicas, port, level, mount, policy)| Service {
            image,
            host,
            replicas: if port.is_some() { replicas.min(1) } else { replicas },
            port,
            level,
            mount,
            policy,
        });
    prop::collection::btree_map(prop::sample::select(SERVICES.to_vec()), service, 0..=3)
}

/// What was, and what is to be: of each service often the same.
fn before_and_after() -> impl Strategy<Value = (Services, Services)> {
    let same = prop::collection::vec(prop::bool::weighted(0.7), SERVICES.len());
    (services(), services(), same).prop_map(|(before, mut after, same)| {
        for (name, _) in SERVICES.iter().zip(same).filter(|(_, same)| *same) {
            match before.get(name) {
                Some(service) => after.insert(name, service.clone()),
                None => after.remove(name),
            };
        }
        (before, after)
    })
}

fn yaml(services: &Services) -> String {
    let mut text = String::from("{defaults: {host: local}, services: {");
    let (mut taken, mut volumes) = (BTreeSet::new(), String::new());
    for (name, service) in services {
        let Service { image, host, replicas, port, level, mount, policy } = service;
        let image = ["web:1", "web:2", "job:1", "new:1"][*image];
        let policy = ["always", "unless-stopped", "on-failure", "'no'"][*policy];
        text += &format!(
            "{name}: {{image: '{image}', host: {}, replicas: {replicas}, restart: {policy}, env: {{LEVEL: {level}}}",
            HOSTS[*host]
        );
        if let Some(port) = port.filter(|port| taken.insert((*host, *port))) {
            text += &format!(", ports: ['{port}:80']");
        }
        if *mount > 0 {
            let mode = ["", "rw", "ro"][*mount];
            text += &format!(", volumes: ['{name}-data:/data:{mode}']");
            volumes += &format!("{name}-data: {{}}, ");
        }
        text += "}, ";
    }
    text + &format!("}}, volumes: {{{volumes}}}}}")
}

/// What people and accidents do to a host.
#[derive(Debug, Clone)]
enum Mess {
    State(usize, usize),
    Remove(usize),
    Detach(usize),
    Copy(usize),
    RenameCopy(usize),
    Relabel(usize),
    PickPort(usize, u16),
    RemoveImages(usize),
    RemoveNetworks(usize),
    DoubleNetwork(usize, bool),
    ExtraOwned(usize),
    ExtraNetwork(usize),
    ForeignName(usize),
    ForeignPort(usize, u16),
    ForeignNetwork(usize),
    ForeignVolume(usize),
    ForeignGuest(usize),
}

fn mess() -> impl Strategy<Value = Mess> {
    let n = 0..16usize;
    prop_oneof![
        4 => (n.clone(), 0..7usize).prop_map(|(index, state)| Mess::State(index, state)),
        2 => n.clone().prop_map(Mess::Remove),
        2 => n.clone().prop_map(Mess::Detach),
        2 => n.clone().prop_map(Mess::Copy),
        1 => n.clone().prop_map(Mess::RenameCopy),
        1 => n.clone().prop_map(Mess::Relabel),
        2 => (n.clone(), 8080..8083u16).prop_map(|(index, port)| Mess::PickPort(index, port)),
        1 => n.clone().prop_map(Mess::RemoveImages),
        1 => n.clone().prop_map(Mess::RemoveNetworks),
        2 => (n.clone(), any::<bool>()).prop_map(|(index, used)| Mess::DoubleNetwork(index, used)),
        1 => n.clone().prop_map(Mess::ExtraOwned),
        1 => n.clone().prop_map(Mess::ExtraNetwork),
        1 => n.clone().prop_map(Mess::ForeignName),
        1 => (n.clone(), 8080..8083u16).prop_map(|(index, port)| Mess::ForeignPort(index, port)),
        1 => n.clone().prop_map(Mess::ForeignNetwork),
        1 => n.clone().prop_map(Mess::ForeignVolume),
        1 => n.prop_map(Mess::ForeignGuest),
    ]
}

const STATES: [ContainerState; 7] = [
    ContainerState::Created,
    ContainerState::Running,
    ContainerState::Paused,
    ContainerState::Restarting,
    ContainerState::Removing,
    ContainerState::Exited,
    ContainerState::Dead,
];

fn owned_labels(service: Option<&str>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("hades.dev/installation".to_owned(), INSTALLATION.to_owned()),
        ("hades.dev/project".to_owned(), "shop".to_owned()),
        ("hades.dev/environment".to_owned(), "production".to_owned()),
    ]);
    labels.extend(service.map(|name| ("hades.dev/service".to_owned(), name.to_owned())));
    labels
}

/// Messes a host up. What holds in every engine still holds: no two containers
/// have one name, none that lives shares a port with another.
fn mess_up(simulator: &mut Simulator, mess: &Mess, wanted: &Desired) {
    let new_id = simulator.id();
    let host_of = |index: usize| HOSTS[index % HOSTS.len()];
    // A container of ours, wherever it is.
    let place = |simulator: &Simulator, index: usize| -> Option<(String, usize)> {
        let all: Vec<(String, usize)> = simulator
            .hosts
            .iter()
            .flat_map(|(name, host)| (0..host.containers.len()).map(move |at| (name.clone(), at)))
            .filter(|(name, at)| owned(&simulator.hosts[name].containers[*at].labels))
            .collect();
        all.get(index % all.len().max(1)).cloned()
    };
    let ours = |simulator: &Simulator, index: usize| place(simulator, index);
    match mess {
        Mess::State(index, state) => {
            let Some((host, at)) = ours(simulator, *index) else {
                return;
            };
            let containers = &mut simulator.host(&host).containers;
            let is_rival = |(index, other): (usize, &ObservedContainer)| {
                index != at
                    && other.state.is_live()
                    && other.ports.iter().any(|port| containers[at].ports.contains(port))
            };
            if STATES[*state].is_live() && containers.iter().enumerate().any(is_rival) {
                return;
            }
            let found = &mut containers[at];
            found.state = STATES[*state];
            found.exit_code = Some((*index % 2) as i64);
        }
        Mess::Remove(index) => {
            let Some((host, at)) = ours(simulator, *index) else {
                return;
            };
            simulator.host(&host).containers.remove(at);
        }
        Mess::Detach(index) => {
            let Some((host, at)) = ours(simulator, *index) else {
                return;
            };
            let found = &mut simulator.host(&host).containers[at];
            found.networks.clear();
            found.network_ids.clear();
        }
        Mess::Copy(index) | Mess::RenameCopy(index) => {
            let Some((host, at)) = ours(simulator, *index) else {
                return;
            };
            let mut copy = simulator.hosts[&host].containers[at].clone();
            copy.name = format!("copy-{new_id}");
            copy.id = new_id;
            if !copy.ports.is_empty() {
                copy.state = ContainerState::Exited;
            }
            let containers = &mut simulator.host(&host).containers;
            if matches!(mess, Mess::RenameCopy(_)) {
                containers.remove(at);
            }
            containers.push(copy);
        }
        Mess::Relabel(index) => {
            let Some((host, at)) = ours(simulator, *index) else {
                return;
            };
            let labels = &mut simulator.host(&host).containers[at].labels;
            labels.insert("hades.dev/spec-hash".into(), "nonsense".into());
            labels.insert("hades.dev/spec".into(), "nonsense".into());
        }
        // As an engine does where the manifest leaves the port to it.
        Mess::PickPort(index, port) => {
            let Some((host, at)) = ours(simulator, *index) else { return };
            let port = PortMapping::parse(&format!("{port}:80")).unwrap();
            let ports: Vec<_> = published(&port).into_iter().collect();
            let containers = &mut simulator.host(&host).containers;
            if containers[at].ports.is_empty()
                && containers.iter().all(|found| found.ports != ports)
            {
                containers[at].ports = ports;
            }
        }
        Mess::RemoveImages(index) => simulator.host(host_of(*index)).images.clear(),
        Mess::RemoveNetworks(index) => {
            let host = simulator.host(host_of(*index));
            let in_use = |network: &ObservedNetwork| {
                host.containers
                    .iter()
                    .any(|found| found.state.is_live() && found.is_attached_to(network))
            };
            let kept: Vec<ObservedNetwork> =
                host.networks.iter().filter(|network| in_use(network)).cloned().collect();
            host.networks = kept;
        }
        Mess::DoubleNetwork(index, used) => {
            let host = simulator.host(host_of(*index));
            let Some(network) = host.networks.first().cloned() else {
                return;
            };
            if *used && let Some(found) = host.containers.first_mut() {
                found.networks = vec![network.name.clone()];
                found.network_ids = vec![new_id.clone()];
            }
            host.networks.push(ObservedNetwork { id: new_id, subnets: vec![], ..network });
        }
        Mess::ExtraOwned(index) => {
            let service = [Some("gone"), Some("a"), None][*index % 3];
            simulator.host(host_of(*index)).containers.push(ObservedContainer {
                name: format!("extra-{new_id}"),
                id: new_id,
                labels: owned_labels(service),
                state: STATES[*index % 7],
                ..ObservedContainer::default()
            });
        }
        Mess::ExtraNetwork(index) => {
            simulator.host(host_of(*index)).networks.push(ObservedNetwork {
                name: format!("extra-{new_id}"),
                id: new_id,
                labels: owned_labels(None),
                subnets: vec![],
            })
        }
        Mess::ForeignName(index) => {
            let Some(name) = wanted.containers.get(*index).map(|found| found.name.clone()) else {
                return;
            };
            let host = simulator.host(&wanted.containers[*index].host);
            if host.containers.iter().all(|found| found.name != name) {
                host.containers.push(ObservedContainer { id: new_id, name, ..Default::default() });
            }
        }
        Mess::ForeignPort(index, port) => {
            let port = PortMapping::parse(&format!("{port}:80")).unwrap();
            let ports: Vec<_> = published(&port).into_iter().collect();
            let host = simulator.host(host_of(*index));
            if host.containers.iter().all(|found| found.ports != ports) {
                host.containers.push(ObservedContainer {
                    name: format!("foreign-{new_id}"),
                    id: new_id,
                    state: ContainerState::Running,
                    ports,
                    ..ObservedContainer::default()
                });
            }
        }
        Mess::ForeignNetwork(index) => {
            let host = simulator.host(host_of(*index));
            if host.networks.is_empty() {
                let name = "shop_production".to_owned();
                host.networks.push(ObservedNetwork { id: new_id, name, ..Default::default() });
            }
        }
        Mess::ForeignVolume(index) => {
            let Some(volume) = wanted.volumes.get(*index) else {
                return;
            };
            let host = simulator.host(&volume.host);
            if host.volumes.iter().all(|found| found.name != volume.name) {
                let name = volume.name.clone();
                host.volumes.push(ObservedVolume { name, ..ObservedVolume::default() });
            }
        }
        Mess::ForeignGuest(index) => {
            let host = simulator.host(host_of(*index));
            let Some(network) = host.networks.first() else {
                return;
            };
            let guest = ObservedContainer {
                name: format!("guest-{new_id}"),
                id: new_id,
                state: ContainerState::Running,
                networks: vec![network.name.clone()],
                network_ids: vec![network.id.clone()],
                ..ObservedContainer::default()
            };
            host.containers.push(guest);
        }
    }
}

fn owned(labels: &BTreeMap<String, String>) -> bool {
    is_owned(labels, INSTALLATION, "shop", "production")
}

/// The things on all hosts that aren't ours.
fn foreign(simulator: &Simulator) -> String {
    let mut text = String::new();
    for host in simulator.hosts.values() {
        let containers = host.containers.iter().filter(|found| !owned(&found.labels));
        let networks = host.networks.iter().filter(|found| !owned(&found.labels));
        let volumes = host.volumes.iter().filter(|found| !owned(&found.labels));
        text += &format!(
            "{:?} {:?} {:?}",
            Vec::from_iter(containers),
            Vec::from_iter(networks),
            Vec::from_iter(volumes)
        );
    }
    text
}

/// Holds for each plan by itself.
fn check_plan(plan: &Plan, simulator: &Simulator) -> Result<(), TestCaseError> {
    let mut done = BTreeSet::new();
    for action in &plan.actions {
        prop_assert!(action.needs.iter().all(|need| done.contains(need)), "{}", shown(plan));
        prop_assert!(done.insert(action.id.clone()), "twice: {}", action.id);
        let host = &simulator.hosts[&action.target.host];
        let is_ours = match &action.operation {
            Operation::StartContainer { id, .. }
            | Operation::StopContainer { id, .. }
            | Operation::UnpauseContainer { id }
            | Operation::ConnectNetwork { id, .. }
            | Operation::RemoveContainer { id, .. } => {
                let found = host.containers.iter().find(|found| found.id == *id);
                found.is_some_and(|found| owned(&found.labels))
            }
            Operation::RemoveNetwork { id } => {
                let found = host.networks.iter().find(|found| found.id == *id);
                found.is_some_and(|found| owned(&found.labels))
            }
            Operation::RemoveVolume => false,
            Operation::CreateNetwork { labels, .. }
            | Operation::CreateVolume { labels }
            | Operation::CreateContainer { labels, .. } => owned(labels),
            Operation::PullImage => true,
            Operation::RemoveImage { .. } => false,
        };
        prop_assert!(is_ours, "{} isn't ours to touch", action.id);
    }
    let mut listed = BTreeSet::new();
    for found in &plan.resources {
        let target = &found.target;
        let key = (target.host.clone(), target.kind, target.name.clone());
        prop_assert!(listed.insert(key), "listed twice: {target:?}");
    }
    Ok(())
}

/// Everything is as it should be, or waits for what Hades has no say in.
fn check_end(plan: &Plan, desired: &Desired, strangers: bool) -> Result<(), TestCaseError> {
    prop_assert!(plan.actions.is_empty(), "never done: {}", shown(plan));
    for waiting in &plan.waiting {
        let may = match waiting.cause {
            WaitCause::ContainerFailing { .. }
            | WaitCause::RolloutFailed { .. }
            | WaitCause::ReplacementNotRunning { .. } => true,
            WaitCause::NameTaken { .. } | WaitCause::PortTaken { .. } | WaitCause::InUse { .. } => {
                strangers
            }
            _ => false,
        };
        // Something of ours that can't go as it fails may hold what others need.
        let failing = plan.waiting.iter().any(|other| {
            matches!(
                other.cause,
                WaitCause::ContainerFailing { .. } | WaitCause::RolloutFailed { .. }
            )
        });
        prop_assert!(may || failing, "waits for nothing: {}", shown(plan));
    }
    if plan.waiting.is_empty() {
        for container in &desired.containers {
            let found = plan.resources.iter().filter(|found| {
                found.target.service.as_deref() == Some(&container.service)
                    && found.target.host == container.host
                    && found.drift == hades_api::Drift::InSync
            });
            let replicas =
                desired.containers.iter().filter(|other| other.service == container.service);
            prop_assert_eq!(found.count(), replicas.count());
        }
    }
    Ok(())
}

fn passes(
    desired: &Desired,
    simulator: &mut Simulator,
    interruptions: &[(usize, usize)],
) -> Result<(), TestCaseError> {
    let before = foreign(simulator);
    // Killed in the middle again and again, each time elsewhere.
    for (count, choice) in interruptions {
        let plan = plan(desired, &simulator.observe());
        check_plan(&plan, simulator)?;
        simulator.apply_some(&plan, *count, *choice);
        simulator.settle();
    }
    for pass in 0..PASSES {
        let plan = plan(desired, &simulator.observe());
        check_plan(&plan, simulator)?;
        simulator.apply_some(&plan, usize::MAX, pass);
        simulator.settle();
    }
    prop_assert_eq!(before, foreign(simulator), "strangers were touched");
    Ok(())
}

fn reversed(observed: &Observed) -> Observed {
    let reverse = |view: &HostView| match view {
        HostView::Snapshot(snapshot) => {
            let mut snapshot = (**snapshot).clone();
            snapshot.containers.reverse();
            snapshot.networks.reverse();
            snapshot.volumes.reverse();
            HostView::Snapshot(Arc::new(snapshot))
        }
        unreachable => unreachable.clone(),
    };
    Observed {
        hosts: observed.hosts.iter().map(|(name, view)| (name.clone(), reverse(view))).collect(),
        full_disks: observed.full_disks.clone(),
    }
}

fn interruptions() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..8usize, 0..100usize), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Applied to a clean host, in any order that the needs allow, a plan
    /// leaves nothing to do; a change needs as many passes as replicas of one
    /// service have to wait for each other.
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        (before, after) in before_and_after(), choice in 0..100usize
    ) {
        let mut simulator = Simulator::new(&HOSTS);
        for (services, passes) in [(&before, 1), (&after, PASSES)] {
            let desired = desired(&yaml(services));
            let mut plans = Vec::new();
            for _ in 0..passes {
                let plan = plan(&desired, &simulator.observe());
                check_plan(&plan, &simulator)?;
                simulator.apply_some(&plan, usize::MAX, choice);
                plans.push(shown(&plan));
                simulator.settle();
            }
            let last = plan(&desired, &simulator.observe());
            prop_assert!(last.is_empty(), "{}\nthen\n{}", plans.join("\nthen\n"), shown(&last));
        }
    }

    /// From any state a few passes reach what is desired.
    #[test]
    fn every_state_converges(
        (before, after) in before_and_after(),
        half in 0..12usize,
        messes in prop::collection::vec(mess(), 0..6),
        interruptions in interruptions(),
    ) {
        let (before, after) = (desired(&yaml(&before)), desired(&yaml(&after)));
        let mut simulator = Simulator::new(&HOSTS);
        simulator.apply_some(&plan(&before, &simulator.observe()), half, half);
        for mess in &messes {
            mess_up(&mut simulator, mess, &after);
        }
        let strangers = messes.iter().any(|mess| matches!(
            mess,
            Mess::ForeignName(_) | Mess::ForeignPort(..) | Mess::ForeignNetwork(_)
                | Mess::ForeignVolume(_) | Mess::ForeignGuest(_) | Mess::PickPort(..)
        ));
        passes(&after, &mut simulator, &interruptions)?;
        let end = plan(&after, &simulator.observe());
        check_end(&end, &after, strangers)?;
    }

    /// The order in which an engine lists things means nothing.
    #[test]
    fn the_order_of_the_input_does_not_matter(
        (before, after) in before_and_after(), messes in prop::collection::vec(mess(), 0..6)
    ) {
        let (before, mut after) = (desired(&yaml(&before)), desired(&yaml(&after)));
        let mut simulator = Simulator::new(&HOSTS);
        simulator.apply(&plan(&before, &simulator.observe()));
        for mess in &messes {
            mess_up(&mut simulator, mess, &after);
        }
        let observed = simulator.observe();
        let first = plan(&after, &observed);
        after.containers.reverse();
        after.volumes.reverse();
        prop_assert_eq!(&first, &plan(&after, &reversed(&observed)));
        prop_assert_eq!(&first, &plan(&after, &observed));
    }

    /// A running container that is as described is never touched, and one that
    /// can be brought back is never made anew.
    #[test]
    fn the_smallest_step_is_chosen(services in services(), index in 0..8usize, state in 0..3usize) {
        let desired = desired(&yaml(&services));
        let mut simulator = Simulator::new(&HOSTS);
        simulator.apply(&plan(&desired, &simulator.observe()));
        let all: Vec<_> = simulator.hosts.values_mut().flat_map(|host| &mut host.containers).collect();
        let count = all.len();
        let Some(found) = all.into_iter().nth(index % count.max(1)) else { return Ok(()) };
        found.state = [ContainerState::Created, ContainerState::Paused, ContainerState::Running][state];
        if state == 2 {
            found.networks.clear();
        }
        let id = found.id.clone();
        let plan = plan(&desired, &simulator.observe());
        prop_assert_eq!(plan.actions.len(), 1, "{}", shown(&plan));
        let touched = match &plan.actions[0].operation {
            Operation::StartContainer { id, .. } => (0, id),
            Operation::UnpauseContainer { id } => (1, id),
            Operation::ConnectNetwork { id, .. } => (2, id),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(touched, (state, &id));
    }
}
