//! What other environments of a project take of its quotas.

use std::collections::BTreeMap;

use hades_api::name::EnvironmentName;
use hades_api::{Environment, EnvironmentTemplate, ProjectPolicy, ResourceStatus};
use hades_plan::merge;
use hades_plan::policy::Usage;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::Context;
use crate::driver::ReconcileError;

/// What the others take: those that come before `environment`, which are the older
/// ones, what they ask for or have, whichever is more; the younger ones what they have.
/// So a project that has too much goes on with what it had first, whichever pass comes
/// first, and what is there counts whatever its manifest has come to say. Nothing where
/// the project has no quotas.
pub(super) async fn others(
    context: &Context,
    environment: &Environment,
    policy: &ProjectPolicy,
) -> Result<Usage, ReconcileError> {
    if policy.quotas.is_none() {
        return Ok(Usage::default());
    }
    let project = environment.namespace().unwrap_or_default();
    let environments: Api<Environment> = Api::namespaced(context.client.clone(), &project);
    let environments = environments
        .list(&ListParams::default())
        .await
        .map_err(ReconcileError::api(format!("list environments of {project}")))?;
    let templates: Api<EnvironmentTemplate> = Api::namespaced(context.client.clone(), &project);
    let templates = templates
        .list(&ListParams::default())
        .await
        .map_err(ReconcileError::api(format!("list templates of {project}")))?;
    let templates: BTreeMap<String, EnvironmentTemplate> =
        templates.into_iter().map(|template| (template.name_any(), template)).collect();
    let own = rank(environment);
    let others = environments.into_iter().filter(|other| rank(other) != own);
    Ok(others.fold(Usage::default(), |sum, other| {
        if rank(&other) > own {
            return sum + Usage::there(resources(&other));
        }
        let name = EnvironmentName::new(&project, other.name_any());
        let has = resources(&other);
        let template = other.spec.template_ref.as_ref();
        let template = template.and_then(|reference| templates.get(&reference.name));
        let spec = match template {
            Some(template) => merge(&template.spec, &other.spec),
            None => other.spec.clone(),
        };
        sum + Usage::of_stored(&name, &spec, has)
    }))
}

/// What an environment has by its status.
fn resources(environment: &Environment) -> &[ResourceStatus] {
    let status = environment.status.as_ref();
    status.map_or(&[], |status| status.resources.as_slice())
}

/// Older ones first; one that isn't stored yet, as in a preview, last.
fn rank(environment: &Environment) -> (bool, Option<jiff::Timestamp>, String) {
    let created = environment.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created.is_none(), created, environment.name_any())
}
