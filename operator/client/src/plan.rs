//! What would change: plans of environments.

use hades_plan::{Plan, SpecError};
use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Address, Error, Session};

/// The server's answer: a plan, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// The plan; absent when the manifests can't be carried out.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// What is wrong with the manifests.
    #[serde(default)]
    pub errors: Vec<SpecError>,
}

/// What Hades would do to an environment now.
///
/// # Errors
/// When the environment isn't there, or the server refuses or doesn't answer.
pub async fn current(session: &Session, address: &Address) -> Result<PlanReport, Error> {
    let request = Request::get(path(address)).body(vec![]);
    call(session, request).await
}

/// What Hades would do if `objects` (Environments and EnvironmentTemplates)
/// took the place of the stored ones. Nothing is written.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn preview(
    session: &Session,
    address: &Address,
    objects: &[Value],
) -> Result<PlanReport, Error> {
    let body = serde_json::to_vec(&json!({"objects": objects}))
        .map_err(|error| session.protocol(error))?;
    let request = Request::post(path(address))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body);
    call(session, request).await
}

async fn call(
    session: &Session,
    request: Result<Request<Vec<u8>>, http::Error>,
) -> Result<PlanReport, Error> {
    let request = request.map_err(|error| session.protocol(error))?;
    session.client().request(request).await.map_err(|error| session.error(error))
}

fn path(address: &Address) -> String {
    operations(address, "plan")
}

/// Path of one of the operations on an environment. Parts of an address are
/// DNS labels, so nothing in them needs quoting.
pub(crate) fn operations(address: &Address, operation: &str) -> String {
    format!(
        "/apis/operations.hades.dev/v1alpha1/namespaces/{}/environments/{}/{operation}",
        address.project, address.environment
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_answer_without_a_plan() {
        let report: PlanReport = serde_json::from_value(json!({
            "plan": null,
            "errors": [{"kind": "HostNotFound", "field": "spec.defaults.host", "message": "no such host"}],
        }))
        .unwrap();
        assert!(report.plan.is_none());
        assert_eq!(report.errors[0].to_string(), "spec.defaults.host: no such host");
    }
}
