//! Inventory: what a repository applied, and what of it may be deleted again.

use std::collections::BTreeSet;

use hades_api::{
    DeletionPolicy, Environment, EnvironmentTemplate, HadesProject, InventoryEntry, label,
};
use hades_plan::merge;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Resource, ResourceExt};

use super::Desk;
use super::check::{Object, owner};
use crate::driver::ReconcileError;

/// Above this part of an inventory a prune looks like an accident.
const LARGE_PERCENT: usize = 30;

/// Entries of objects, sorted.
pub(super) fn of(objects: &[Object]) -> Vec<InventoryEntry> {
    let mut entries: Vec<InventoryEntry> = objects
        .iter()
        .map(|object| InventoryEntry {
            api_version: object.api_version.clone(),
            kind: object.kind_name.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        })
        .collect();
    entries.sort();
    entries
}

/// Both together, sorted.
pub(super) fn union(a: &[InventoryEntry], b: &[InventoryEntry]) -> Vec<InventoryEntry> {
    let all: BTreeSet<&InventoryEntry> = a.iter().chain(b).collect();
    all.into_iter().cloned().collect()
}

/// What was applied and isn't wanted any more. Another version of the same kind
/// is the same object.
pub(super) fn leaving(had: &[InventoryEntry], wanted: &[InventoryEntry]) -> Vec<InventoryEntry> {
    let wanted: BTreeSet<_> = wanted.iter().map(identity).collect();
    had.iter().filter(|entry| !wanted.contains(&identity(entry))).cloned().collect()
}

/// Whether both have an object in common.
pub(super) fn meet(a: &[InventoryEntry], b: &[InventoryEntry]) -> bool {
    let a: BTreeSet<_> = a.iter().map(identity).collect();
    b.iter().any(|entry| a.contains(&identity(entry)))
}

fn identity(entry: &InventoryEntry) -> (&str, &str, Option<&str>, &str) {
    let group = entry.api_version.split_once('/').map_or("", |(group, _)| group);
    (group, &entry.kind, entry.namespace.as_deref(), &entry.name)
}

/// Whether so many of so many look like an accident. One alone never does:
/// of a few objects each is a large part.
fn is_large(leaving: usize, had: usize) -> bool {
    leaving > 1 && leaving * 100 > had * LARGE_PERCENT
}

/// Why a prune needs a person's word, if it does.
pub(super) async fn risk(
    desk: &Desk<'_>,
    had: &[InventoryEntry],
    leaving: &[InventoryEntry],
) -> Result<Option<String>, ReconcileError> {
    let mut risks = Vec::new();
    for entry in leaving {
        if !is_there(desk, entry).await? {
            continue;
        }
        if entry.kind == HadesProject::kind(&()) {
            risks.push(format!("delete project {} with all that is in it", entry.name));
        } else if entry.kind == Environment::kind(&()) && holds_data(desk, entry).await? {
            risks.push(format!("delete the volumes of {}", shown(entry)));
        }
    }
    if risks.is_empty() && is_large(leaving.len(), had.len()) {
        risks.push(format!("delete {} of {} objects", leaving.len(), had.len()));
    }
    Ok((!risks.is_empty()).then(|| risks.join(", ")))
}

async fn is_there(desk: &Desk<'_>, entry: &InventoryEntry) -> Result<bool, ReconcileError> {
    let kind = desk.kinds.get(&desk.context.client, &entry.api_version, &entry.kind).await?;
    let Some(kind) = kind else { return Ok(false) };
    let found = kind
        .api(&desk.account.client, entry.namespace.as_deref())
        .get_metadata_opt(&entry.name)
        .await
        .map_err(ReconcileError::api(format!("read {}", shown(entry))))?;
    Ok(found.is_some_and(|found| found.metadata.deletion_timestamp.is_none()))
}

async fn holds_data(desk: &Desk<'_>, entry: &InventoryEntry) -> Result<bool, ReconcileError> {
    let namespace = entry.namespace.as_deref().unwrap_or_default();
    let api: Api<Environment> = Api::namespaced(desk.account.client.clone(), namespace);
    let found = api
        .get_opt(&entry.name)
        .await
        .map_err(ReconcileError::api(format!("read {}", shown(entry))))?;
    let Some(environment) = found else { return Ok(false) };
    let template = match &environment.spec.template_ref {
        None => None,
        Some(reference) => {
            let templates: Api<EnvironmentTemplate> =
                Api::namespaced(desk.account.client.clone(), namespace);
            let action = format!("read the template of {}", shown(entry));
            templates.get_opt(&reference.name).await.map_err(ReconcileError::api(action))?
        }
    };
    let spec = match &template {
        Some(template) => merge(&template.spec, &environment.spec),
        None => environment.spec,
    };
    Ok(spec.volumes.values().any(|volume| volume.deletion_policy == Some(DeletionPolicy::Delete)))
}

/// What is left of objects that are to go.
#[derive(Default)]
pub(super) struct Pruned {
    /// Not gone yet, or refused: to be kept in the inventory.
    pub(super) left: Vec<InventoryEntry>,
    /// Those that the account may not delete, in words.
    pub(super) refusals: Vec<String>,
}

/// Deletes what left, if it still is this repository's: environments first, and
/// the rest, which they may need for their clean-up, when they are gone.
pub(super) async fn prune(
    desk: &Desk<'_>,
    leaving: &[InventoryEntry],
) -> Result<Pruned, ReconcileError> {
    let (environments, rest): (Vec<_>, Vec<_>) =
        leaving.iter().partition(|entry| entry.kind == Environment::kind(&()));
    let mut pruned = prune_each(desk, &environments).await?;
    if pruned.left.is_empty() {
        pruned = prune_each(desk, &rest).await?;
    } else {
        pruned.left.extend(rest.into_iter().cloned());
    }
    Ok(pruned)
}

async fn prune_each(
    desk: &Desk<'_>,
    leaving: &[&InventoryEntry],
) -> Result<Pruned, ReconcileError> {
    let mut pruned = Pruned::default();
    for &entry in leaving {
        let kind = desk.kinds.get(&desk.context.client, &entry.api_version, &entry.kind).await?;
        // A kind that is served no more has no objects.
        let Some(kind) = kind else { continue };
        let api = kind.api(&desk.account.client, entry.namespace.as_deref());
        let found = api
            .get_metadata_opt(&entry.name)
            .await
            .map_err(ReconcileError::api(format!("read {}", shown(entry))))?;
        let Some(found) = found else { continue };
        if found.labels().get(label::CONFIG_REPOSITORY) != Some(&owner(desk.repository)) {
            // Somebody took it over; it isn't ours to delete.
            continue;
        }
        if found.metadata.deletion_timestamp.is_none() {
            let preconditions = Preconditions { uid: found.uid(), resource_version: None };
            let parameters = DeleteParams::default().preconditions(preconditions);
            match api.delete(&entry.name, &parameters).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                Err(kube::Error::Api(status)) if desk.account.lacks_right(&status) => {
                    pruned.refusals.push(format!("{}: {}", shown(entry), status.message));
                }
                Err(error) => tracing::warn!(object = shown(entry), %error, "prune was refused"),
            }
        }
        pruned.left.push(entry.clone());
    }
    Ok(pruned)
}

/// `Environment shop/production`.
pub(super) fn shown(entry: &InventoryEntry) -> String {
    match &entry.namespace {
        Some(namespace) => format!("{} {namespace}/{}", entry.kind, entry.name),
        None => format!("{} {}", entry.kind, entry.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(api_version: &str, name: &str) -> InventoryEntry {
        InventoryEntry {
            api_version: api_version.to_owned(),
            kind: "Environment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_new_version_is_the_same_object() {
        let had = [entry("hades.dev/v1alpha1", "a"), entry("hades.dev/v1alpha1", "b")];
        let wanted = [entry("hades.dev/v1beta1", "a")];
        assert_eq!(leaving(&had, &wanted), [entry("hades.dev/v1alpha1", "b")]);
    }

    #[test]
    fn what_counts_as_large() {
        assert!(!is_large(1, 2) && !is_large(0, 0) && !is_large(3, 10));
        assert!(is_large(4, 10) && is_large(2, 2));
    }
}
