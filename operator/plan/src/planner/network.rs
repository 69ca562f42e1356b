//! The environment's network on each host.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use hades_api::Drift;

use super::draft::{self, Draft};
use super::scope::{Found, Host, Scope};
use super::{resource, subnet};
use crate::action::{ActionId, Operation, Reason, TargetKind};
use crate::desired::HostSettings;
use crate::observed::{ContainerState, ObservedNetwork};
use crate::plan::WaitCause;

/// The network of the environment on a host that containers are to run on.
#[derive(Debug)]
pub(super) struct HostNetwork<'a> {
    /// The one that is there and stays.
    pub(super) kept: Option<&'a ObservedNetwork>,
    /// Others of ours that have its name, from a race of long ago.
    pub(super) doubles: Vec<&'a ObservedNetwork>,
    /// What makes it, when it isn't there; or why nothing can.
    missing: Result<Option<ipnet::Ipv4Net>, WaitCause>,
}

impl HostNetwork<'_> {
    /// Why nothing can be attached to it.
    pub(super) fn blocked(&self) -> Option<&WaitCause> {
        self.missing.as_ref().err()
    }

    /// Whether a container is attached to the one that stays.
    pub(super) fn holds(&self, found: &Found<'_>) -> bool {
        self.kept.is_some_and(|kept| found.container.is_attached_to(kept))
    }

    /// Whether a container is attached to one that goes.
    pub(super) fn doubles_hold(&self, found: &Found<'_>) -> bool {
        !self.holds(found)
            && self.doubles.iter().any(|double| found.container.is_attached_to(double))
    }

    /// What must be done before something can be made on it.
    pub(super) fn made_by(&self, scope: &Scope<'_>, host: &str) -> Vec<ActionId> {
        match self.missing {
            Ok(Some(subnet)) => {
                let target = draft::target(host, TargetKind::Network, &scope.network);
                let operation = Operation::CreateNetwork { subnet, labels: BTreeMap::new() };
                vec![draft::id(&target, &operation)]
            }
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// What must be done before its name is the name of one network only.
    pub(super) fn unambiguous_by(&self, host: &str) -> Vec<ActionId> {
        let removal =
            |double: &&ObservedNetwork| draft::remove_network_id(host, &double.name, &double.id);
        self.doubles.iter().map(removal).collect()
    }
}

/// Looks at the networks of all hosts that containers are to run on.
pub(super) fn survey<'a>(scope: &Scope<'a>) -> BTreeMap<&'a str, HostNetwork<'a>> {
    used_hosts(scope)
        .into_iter()
        .filter_map(|name| {
            let host = scope.hosts.get(name)?;
            Some((name, survey_host(scope, host, scope.desired.hosts.get(name))))
        })
        .collect()
}

/// Hosts with a container that is to be on the network.
fn used_hosts<'a>(scope: &Scope<'a>) -> BTreeSet<&'a str> {
    let containers = scope.desired.containers.iter();
    let on_it = containers.filter(|container| !container.spec.confinement.host_network);
    on_it.map(|container| container.host.as_str()).collect()
}

fn survey_host<'a>(
    scope: &Scope<'a>,
    host: &Host<'a>,
    settings: Option<&HostSettings>,
) -> HostNetwork<'a> {
    let named = host.networks.iter().copied().filter(|network| network.name == scope.network);
    let (mut owned, foreign): (Vec<_>, Vec<_>) =
        named.partition(|network| scope.owns(&network.labels));
    // What has something attached is the harder one to part with, the more so
    // if that something isn't ours.
    owned.sort_by_key(|network| {
        let attached = |owned: bool| {
            let is = |found: &&Found<'_>| {
                found.owned == owned && found.container.is_attached_to(network)
            };
            Reverse(host.containers.iter().filter(is).count())
        };
        (attached(false), attached(true), network.id.as_str())
    });
    let mut owned = owned.into_iter();
    let kept = owned.next();
    let missing = match (kept, foreign.first(), settings) {
        (Some(_), _, _) => Ok(None),
        (None, Some(taken), _) => Err(WaitCause::NameTaken {
            kind: TargetKind::Network.to_string(),
            name: taken.name.clone(),
        }),
        (None, None, Some(settings)) => {
            subnet::free(settings, host.snapshot, &scope.desired.environment).map(Some).ok_or_else(
                || WaitCause::SubnetPoolExhausted { pool: settings.subnet_pool.to_string() },
            )
        }
        (None, None, None) => Err(WaitCause::SubnetPoolExhausted { pool: String::new() }),
    };
    HostNetwork { kept, doubles: owned.collect(), missing }
}

/// Makes the networks that aren't there.
pub(super) fn create<'a>(
    scope: &Scope<'a>,
    networks: &BTreeMap<&'a str, HostNetwork<'a>>,
    draft: &mut Draft,
) {
    for name in used_hosts(scope) {
        let target = draft::target(name, TargetKind::Network, &scope.network);
        if let Some(message) = scope.unreachable.get(name) {
            resource::unreachable(target, message, draft);
            continue;
        }
        let Some(network) = networks.get(name) else {
            continue;
        };
        match (&network.missing, network.kept) {
            (Ok(None), kept) => {
                let mut state = resource::present(target);
                state.id = kept.map(|kept| kept.id.clone());
                draft.resources.push(state);
            }
            (Ok(Some(subnet)), _) => {
                let operation =
                    Operation::CreateNetwork { subnet: *subnet, labels: scope.labels() };
                draft.resources.push(resource::absent(target.clone(), None));
                draft.act(target, operation, Reason::Absent, Vec::new());
            }
            (Err(cause), _) => {
                draft.resources.push(resource::absent(target.clone(), Some(cause)));
                draft.wait(target, cause.clone());
            }
        }
    }
}

/// Removes our networks that nothing is to be attached to, behind the removal
/// of our containers that still are.
pub(super) fn remove<'a>(
    scope: &Scope<'a>,
    networks: &BTreeMap<&'a str, HostNetwork<'a>>,
    draft: &mut Draft,
) {
    for (name, host) in &scope.hosts {
        let kept = networks.get(name).and_then(|network| network.kept);
        for network in host.networks.iter().filter(|network| scope.owns(&network.labels)) {
            if kept.is_some_and(|kept| kept.id == network.id) {
                continue;
            }
            remove_one(scope, (name, host), network, kept, draft);
        }
    }
    if scope.desired.deleting {
        for (name, message) in &scope.unreachable {
            let target = draft::target(name, TargetKind::Network, &scope.network);
            resource::unreachable(target, message, draft);
        }
    }
}

fn remove_one(
    scope: &Scope<'_>,
    (name, host): (&str, &Host<'_>),
    network: &ObservedNetwork,
    kept: Option<&ObservedNetwork>,
    draft: &mut Draft,
) {
    let target = draft::target(name, TargetKind::Network, &network.name);
    let (mut needs, mut staying, mut leaving) = (Vec::new(), Vec::new(), false);
    for found in host.containers.iter().filter(|found| found.container.is_attached_to(network)) {
        let removal = draft::remove_container_id(name, &found.container.name);
        if found.owned && draft.actions.contains_key(&removal) {
            needs.push(removal);
        } else if found.owned && found.container.state == ContainerState::Removing {
            leaving = true;
        } else if found.container.state.is_live() {
            staying.push(found.container.name.clone());
        }
    }
    let mut state = resource::present(target.clone());
    state.drift = Drift::OutOfSync;
    state.id = Some(network.id.clone());
    let cause = match (leaving, staying.is_empty()) {
        (true, _) => Some(WaitCause::RemovalInProgress),
        (false, false) => Some(WaitCause::InUse { by: staying }),
        (false, true) => None,
    };
    if let Some(cause) = cause {
        state.message = Some(crate::render::cause(&cause));
        let removal = draft::remove_network_id(name, &network.name, &network.id);
        draft.withheld.insert(removal, cause.clone());
        draft.wait(target, cause);
    } else {
        let reason = match (scope.desired.deleting, kept) {
            (true, _) => Reason::EnvironmentDeleted,
            (false, Some(kept)) if kept.name == network.name => {
                Reason::Superseded { by: format!("{} ({})", kept.name, kept.id) }
            }
            (false, _) => Reason::NotDesired,
        };
        state.message = Some(crate::render::reason(&reason));
        draft.act(target, Operation::RemoveNetwork { id: network.id.clone() }, reason, needs);
    }
    // A double has the name of the one that stays, and a name is listed once.
    if kept.is_none_or(|kept| kept.name != network.name) {
        draft.resources.push(state);
    }
}
