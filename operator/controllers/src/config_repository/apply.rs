//! Apply: projects first, then, when their namespaces are there, the rest.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use hades_api::overriding::Override;
use hades_api::reason;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::check::{Object, parameters};
use super::record::Problem;
use super::{Desk, overrides};
use crate::driver::ReconcileError;

/// Writes that are under way at the same time.
const CONCURRENCY: usize = 8;

/// What came of it.
pub(super) enum Applied {
    /// Every object is written.
    All,
    /// The projects are written, their namespaces aren't there yet.
    WaitForNamespaces,
    /// The server refused what it had accepted as a try.
    Refused(Problem),
}

/// Writes all objects. Those that are as they should be cost no write.
pub(super) async fn apply(desk: &Desk<'_>, objects: &[Object]) -> Result<Applied, ReconcileError> {
    let (projects, rest): (Vec<&Object>, Vec<&Object>) =
        objects.iter().partition(|object| object.is_project());
    if let Some(problem) = write(desk, &projects).await? {
        return Ok(Applied::Refused(problem));
    }
    let namespaces: BTreeSet<&str> =
        rest.iter().filter_map(|object| object.namespace.as_deref()).collect();
    let api: Api<Namespace> = Api::all(desk.context.client.clone());
    for namespace in namespaces {
        let found = api
            .get_metadata_opt(namespace)
            .await
            .map_err(ReconcileError::api(format!("read namespace {namespace}")))?;
        if found.is_some() {
            continue;
        }
        if !projects.iter().any(|project| project.name == namespace) {
            let message = format!(
                "there is no project {namespace}: add a HadesProject of that name to the repository"
            );
            return Ok(Applied::Refused(Problem::new(reason::APPLY_FAILED, message)));
        }
        return Ok(Applied::WaitForNamespaces);
    }
    Ok(match write(desk, &rest).await? {
        Some(problem) => Applied::Refused(problem),
        None => Applied::All,
    })
}

async fn write(desk: &Desk<'_>, objects: &[&Object]) -> Result<Option<Problem>, ReconcileError> {
    let writes: Vec<_> = objects
        .iter()
        // Until then a hand edit goes before git.
        .filter(|object| !matches!(object.overridden, Some(Override::Active(_))))
        .map(|object| write_one(desk, object))
        .collect();
    let mut writes = stream::iter(writes).buffered(CONCURRENCY);
    let mut refusals = Vec::new();
    let mut forbidden = false;
    while let Some((object, answer)) = writes.next().await {
        match answer {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code < 500 => {
                forbidden |= desk.account.lacks_right(&status);
                refusals.push(format!("{} {}: {}", object.kind_name, object.name, status.message));
            }
            Err(error) => {
                let action = format!("apply {} {}", object.kind_name, object.name);
                return Err(ReconcileError::api(action)(error));
            }
        }
    }
    let refusals = (!refusals.is_empty()).then(|| refusals.join("; "));
    Ok(refusals.map(|words| match forbidden {
        true => Problem::forbidden(desk.account, &words),
        false => Problem::new(reason::APPLY_FAILED, words),
    }))
}

async fn write_one<'a>(
    desk: &Desk<'_>,
    object: &'a Object,
) -> (&'a Object, Result<DynamicObject, kube::Error>) {
    let api = object.kind.api(&desk.account.client, object.namespace.as_deref());
    let parameters = parameters(desk.repository);
    let written = api.patch(&object.name, &parameters, &Patch::Apply(&object.value)).await;
    let adopted = match written {
        Ok(written) if is_applied_by_hand(&written) => adopt(&api, object).await,
        other => other,
    };
    let freed = match adopted {
        Ok(applied) if object.overridden.is_some() => {
            overrides::end(&api, desk.repository, &applied).await
        }
        other => other,
    };
    (object, freed)
}

/// Field manager of `hadesctl apply`.
const BY_HAND: &str = "hadesctl";

fn is_applied_by_hand(object: &DynamicObject) -> bool {
    object.managed_fields().iter().any(|entry| {
        entry.manager.as_deref() == Some(BY_HAND) && entry.operation.as_deref() == Some("Apply")
    })
}

/// An object that was applied by hand and now comes from git: the hand gives its
/// fields up, or they would stay when they leave git.
async fn adopt(api: &Api<DynamicObject>, object: &Object) -> Result<DynamicObject, kube::Error> {
    let nothing = json!({
        "apiVersion": object.api_version,
        "kind": object.kind_name,
        "metadata": {"name": object.name, "namespace": object.namespace},
    });
    api.patch(&object.name, &PatchParams::apply(BY_HAND), &Patch::Apply(&nothing)).await
}
