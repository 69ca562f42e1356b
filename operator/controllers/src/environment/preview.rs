//! The plan that a change would lead to, without carrying it out.

use std::collections::BTreeMap;

use hades_api::{Environment, EnvironmentTemplate, HadesProject};
use hades_plan::{Plan, SpecError, SpecErrorKind};
use kube::{Api, ResourceExt};
use serde::{Deserialize, Serialize};

use super::gather;
use crate::Context;
use crate::driver::ReconcileError;
use crate::redaction::{Before, redact};

/// A plan, or why there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReply {
    /// What would be done.
    pub plan: Option<Plan>,
    /// What keeps it from being planned.
    pub errors: Vec<SpecError>,
}

/// Objects that go before the stored ones in a preview.
#[derive(Debug, Clone, Default)]
pub struct Instead {
    /// The environment itself.
    pub environment: Option<Environment>,
    /// Templates of its project by name.
    pub templates: BTreeMap<String, EnvironmentTemplate>,
    /// Its project.
    pub project: Option<HadesProject>,
}

impl Instead {
    fn is_empty(&self) -> bool {
        let Self { environment, templates, project } = self;
        environment.is_none() && templates.is_empty() && project.is_none()
    }
}

/// Plans an environment as it is stored, or as `instead` has it. Changes
/// nothing. None when there is no such environment.
///
/// Values of the project's Secrets are hidden, but not in what comes out of `instead`:
/// its author knows it, and could try which of his guesses are hidden.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn preview(
    context: &Context,
    project: &str,
    name: &str,
    instead: Instead,
) -> Result<Option<PlanReply>, ReconcileError> {
    let is_stored = instead.is_empty();
    let Instead { environment, templates, project: of_project } = instead;
    let api: Api<Environment> = Api::namespaced(context.client.clone(), project);
    let stored = api
        .get_opt(name)
        .await
        .map_err(ReconcileError::api(format!("read Environment {project}/{name}")))?;
    let Some(environment) = overlay(stored, environment, project) else { return Ok(None) };
    let of_project = match of_project {
        Some(of_project) => Some(of_project),
        None => gather::project(context, project).await?,
    };
    let of_project = of_project.map(|project| project.spec).unwrap_or_default();
    let gathered = match gather::template(context, &environment, &templates).await? {
        Ok(template) => gather::gather_with(context, &environment, template, of_project).await?,
        Err(fault) => Err(vec![fault]),
    };
    let redactor = context.redactor(project);
    let mut reply = match gathered {
        Ok(mut gathered) => {
            // Before it is joined with what was asked for.
            redact(&redactor, &mut gathered.observed);
            PlanReply {
                plan: Some(hades_plan::plan(&gathered.desired, &gathered.observed)),
                errors: Vec::new(),
            }
        }
        Err(faults) => PlanReply { plan: None, errors: faults.into_iter().map(error).collect() },
    };
    match is_stored {
        true => redact(&redactor, &mut reply),
        false => redact(&redactor, &mut Before(&mut reply)),
    }
    Ok(Some(reply))
}

/// The spec of `instead` over what is stored: identity, status and annotations
/// that the manifest doesn't set stay.
fn overlay(
    stored: Option<Environment>,
    instead: Option<Environment>,
    project: &str,
) -> Option<Environment> {
    match (stored, instead) {
        (stored, None) => stored,
        (None, Some(mut new)) => {
            new.metadata.namespace = Some(project.to_owned());
            Some(new)
        }
        (Some(mut stored), Some(new)) => {
            stored.annotations_mut().extend(new.annotations().clone());
            stored.spec = new.spec;
            Some(stored)
        }
    }
}

fn error(fault: gather::Fault) -> SpecError {
    use hades_api::reason;
    let kind = match fault.reason {
        reason::HOST_NOT_FOUND => SpecErrorKind::HostNotFound,
        reason::SECRET_NOT_FOUND => SpecErrorKind::SecretNotFound,
        reason::POLICY_VIOLATION => SpecErrorKind::PolicyViolation,
        _ => SpecErrorKind::Invalid,
    };
    SpecError { kind, field: fault.field, message: fault.message }
}
