//! Named volumes. Data is never removed but with its environment, and then only
//! when the manifest says so.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::{DeletionPolicy, Drift, label};

use super::draft::{self, Draft};
use super::resource;
use super::scope::Scope;
use crate::action::{ActionId, Operation, Reason, TargetKind};
use crate::plan::WaitCause;

/// What must be done before a volume can be mounted, or why it can't be, by
/// host and name.
pub(super) type Volumes<'a> = BTreeMap<(&'a str, &'a str), Result<Vec<ActionId>, WaitCause>>;

/// Makes the volumes that aren't there.
pub(super) fn create<'a>(scope: &Scope<'a>, draft: &mut Draft) -> Volumes<'a> {
    let mut volumes = Volumes::new();
    if scope.desired.deleting {
        return volumes;
    }
    for volume in &scope.desired.volumes {
        let key = (volume.host.as_str(), volume.name.as_str());
        let target = draft::target(&volume.host, TargetKind::Volume, &volume.name);
        let Some(host) = scope.hosts.get(volume.host.as_str()) else {
            let message = scope.unreachable.get(volume.host.as_str()).copied().unwrap_or_default();
            resource::unreachable(target, message, draft);
            continue;
        };
        let ready = match host.volume(&volume.name) {
            Some(found) if scope.owns(&found.labels) => {
                draft.resources.push(resource::present(target));
                Ok(Vec::new())
            }
            Some(_) => {
                let cause = WaitCause::NameTaken {
                    kind: TargetKind::Volume.to_string(),
                    name: volume.name.clone(),
                };
                draft.resources.push(resource::absent(target.clone(), Some(&cause)));
                draft.wait(target, cause.clone());
                Err(cause)
            }
            None => {
                draft.resources.push(resource::absent(target.clone(), None));
                let mut labels = scope.labels();
                labels.insert(label::VOLUME.to_owned(), volume.key.clone());
                let operation = Operation::CreateVolume { labels };
                Ok(vec![draft.act(target, operation, Reason::Absent, Vec::new())])
            }
        };
        volumes.insert(key, ready);
    }
    volumes
}

/// Removes volumes with their environment when their policy says so, and points
/// out the ones that stay although nothing names them any more.
pub(super) fn remove(scope: &Scope<'_>, draft: &mut Draft) {
    let policies: BTreeMap<(&str, &str), DeletionPolicy> = scope
        .desired
        .volumes
        .iter()
        .map(|volume| ((volume.host.as_str(), volume.name.as_str()), volume.deletion_policy))
        .collect();
    for (name, host) in &scope.hosts {
        let owned: BTreeMap<&str, &BTreeMap<String, String>> = host
            .snapshot
            .volumes
            .iter()
            .filter(|volume| scope.owns(&volume.labels))
            .map(|volume| (volume.name.as_str(), &volume.labels))
            .collect();
        for (volume, labels) in owned {
            let policy = policies.get(&(*name, volume)).copied();
            let target = draft::target(name, TargetKind::Volume, volume);
            let mut state = resource::present(target.clone());
            match (scope.desired.deleting, policy) {
                (false, Some(_)) => continue,
                (true, Some(DeletionPolicy::Delete)) => {
                    state.drift = Drift::OutOfSync;
                    state.message = Some(crate::render::reason(&Reason::EnvironmentDeleted));
                    let needs = removals_on(name, draft);
                    let reason = Reason::EnvironmentDeleted;
                    draft.act(target, Operation::RemoveVolume, reason, needs);
                }
                (deleting, _) => {
                    let key = labels.get(label::VOLUME).map_or(volume, String::as_str);
                    let why = match deleting {
                        true => "its environment is deleted; deletionPolicy is Retain",
                        false => "no service mounts it there any more",
                    };
                    let message =
                        format!("volume {volume} and its data stay on host {name}: {why}");
                    draft.lint(format!("spec.volumes.{key}"), &message);
                    state.message = Some(message);
                }
            }
            draft.resources.push(state);
        }
    }
}

/// Every removal of a container on a host: a volume is free behind them.
fn removals_on(host: &str, draft: &Draft) -> Vec<ActionId> {
    let removals: BTreeSet<ActionId> = draft
        .actions
        .values()
        .filter(|action| {
            action.target.host == host
                && matches!(action.operation, Operation::RemoveContainer { .. })
        })
        .map(|action| action.id.clone())
        .collect();
    removals.into_iter().collect()
}
