//! Commands that people run in an environment's containers.

use hades_provider::{ExecOptions, ExecSession, ProviderError};

use super::container::{PickError, survey};
use crate::Context;
use crate::driver::ReconcileError;

/// Why a command doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No container to run it in.
    #[error(transparent)]
    Pick(#[from] PickError),
    /// The host refused or doesn't answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The API server doesn't answer.
    #[error(transparent)]
    Api(#[from] ReconcileError),
}

/// Starts a command in a container of an environment. None when there is no such
/// environment. `container` is `SERVICE`, `SERVICE/REPLICA` or a container's name.
///
/// # Errors
/// See [`ExecError`]; without values of the project's Secrets.
pub async fn exec(
    context: &Context,
    project: &str,
    environment: &str,
    container: &str,
    options: &ExecOptions,
) -> Result<Option<ExecSession>, ExecError> {
    let Some(survey) = survey(context, project, environment).await? else { return Ok(None) };
    let found = survey.pick(&format!("{project}/{environment}"), container)?;
    let session = found.provider.exec(&found.seen.id, options).await.map_err(|mut error| {
        context.project_values(project).clear(&mut error);
        error
    })?;
    Ok(Some(session))
}
