//! The group `operations.hades.dev`: what a CRD can't carry. Plans, logs,
//! commands in containers, what containers use, tests of hosts, copies of
//! volumes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use futures::stream::BoxStream;
use hades_api::{Environment, EnvironmentTemplate, HadesProject};
use hades_apiserver::Announced;
use hades_apiserver::wire::status::StatusError;
use hades_controllers::environment::{Instead, LogQuery, logs, preview, stats};
use hades_controllers::volume_copy::{self, VolumeCopy};
use hades_controllers::{Context, ReconcileError, docker_host, error_chain, redact};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exec::{self, Sessions};
use crate::suspended::unless_suspended;
use crate::sync_request;

/// Where the routes are.
pub(crate) const PREFIX: &str = "/apis/operations.hades.dev/v1alpha1";

/// `apiVersion` of what has one.
pub(crate) const API_VERSION: &str = "operations.hades.dev/v1alpha1";

/// The routes, below [`PREFIX`]. Where the server is `suspended`, those that change
/// something on a host are refused.
pub(crate) fn router(context: Arc<Context>, sessions: Arc<Sessions>, suspended: bool) -> Router {
    let exec = unless_suspended(suspended, get(exec::open));
    let copy = unless_suspended(suspended, post(copy_volume));
    let streams = Router::new()
        .route("/namespaces/{namespace}/environments/{name}/exec", exec)
        .with_state(sessions);
    Router::new()
        .route(
            "/namespaces/{namespace}/environments/{name}/plan",
            get(stored_plan).post(previewed_plan),
        )
        .route("/namespaces/{namespace}/environments/{name}/logs", get(stream_logs))
        .route("/namespaces/{namespace}/environments/{name}/stats", get(read_stats))
        .route("/namespaces/{namespace}/environments/{name}/volumecopy", copy)
        .route("/dockerhosts/{name}/test", post(test_host))
        .with_state(context.clone())
        .merge(sync_request::router(context))
        .merge(streams)
}

/// What the routes serve, for discovery.
pub(crate) fn announced() -> Vec<Announced> {
    let (group, version) =
        PREFIX.trim_start_matches("/apis/").split_once('/').unwrap_or((PREFIX, ""));
    let of_environments = |subresource: &str, kind: &str, verbs| Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "environments".to_owned(),
        subresource: subresource.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
        verbs,
    };
    let mut all = vec![
        of_environments("plan", "PlanReply", &["create", "get"]),
        of_environments("logs", "LogLine", &["get"]),
        of_environments("exec", "ExecOptions", &["get"]),
        of_environments("stats", "StatsReply", &["get"]),
        of_environments("volumecopy", "CopyProgress", &["create"]),
        Announced {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: "dockerhosts".to_owned(),
            subresource: "test".to_owned(),
            kind: "HostTest".to_owned(),
            namespaced: false,
            verbs: &["create"],
        },
        crate::webhooks::announced(group, version),
        crate::secrets::announced(group, version),
        crate::self_projects::announced(group, version),
        crate::audit_events::announced(group, version),
        sync_request::announced(group, version),
    ];
    all.extend(hades_accounts::announced());
    all
}

/// Manifests that go before what is stored.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanRequest {
    #[serde(default)]
    objects: Vec<Value>,
}

async fn stored_plan(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    reply(&context, &namespace, &name, PlanRequest::default()).await
}

async fn previewed_plan(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    match serde_json::from_slice(&body) {
        Ok(request) => reply(&context, &namespace, &name, request).await,
        Err(error) => StatusError::bad_request(format!("the body is not a plan request: {error}"))
            .into_response(),
    }
}

async fn reply(context: &Context, namespace: &str, name: &str, request: PlanRequest) -> Response {
    let instead = match overrides(request, namespace, name) {
        Ok(overrides) => overrides,
        Err(error) => return error.into_response(),
    };
    match preview(context, namespace, name, instead).await {
        Ok(Some(reply)) => Json(reply).into_response(),
        Ok(None) => not_found(name),
        Err(error) => failed(&error),
    }
}

fn overrides(request: PlanRequest, namespace: &str, name: &str) -> Result<Instead, StatusError> {
    let mut instead = Instead::default();
    for object in request.objects {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let unreadable = |error: serde_json::Error| {
            StatusError::bad_request(format!("the {kind} in the request can't be read: {error}"))
        };
        let elsewhere = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .is_some_and(|found| found != namespace);
        match kind.as_str() {
            _ if elsewhere => {}
            "Environment" => {
                let found: Environment = serde_json::from_value(object).map_err(unreadable)?;
                if found.name_any() == name {
                    instead.environment = Some(found);
                }
            }
            "EnvironmentTemplate" => {
                let found: EnvironmentTemplate =
                    serde_json::from_value(object).map_err(unreadable)?;
                instead.templates.insert(found.name_any(), found);
            }
            "HadesProject" => {
                let found: HadesProject = serde_json::from_value(object).map_err(unreadable)?;
                if found.name_any() == namespace {
                    instead.project = Some(found);
                }
            }
            _ => {}
        }
    }
    Ok(instead)
}

async fn stream_logs(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let lines = match logs(&context, &namespace, &name, &query).await {
        Ok(Some(lines)) => lines,
        Ok(None) => return not_found(&name),
        Err(error) => return failed(&error),
    };
    json_lines(lines)
}

async fn copy_volume(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let request: VolumeCopy = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let words = format!("the body is not a request for a copy: {error}");
            return StatusError::bad_request(words).into_response();
        }
    };
    match volume_copy::copy(&context, &namespace, &name, &request).await {
        Ok(Some(progress)) => {
            let redactor = context.redactor(&namespace);
            let clear = move |mut progress| {
                redact(&redactor, &mut progress);
                progress
            };
            json_lines(progress.map(clear).boxed())
        }
        Ok(None) => not_found(&name),
        Err(error) => failed(&error),
    }
}

/// A JSON value a line, as they come.
fn json_lines<T: Serialize + 'static>(values: BoxStream<'static, T>) -> Response {
    let body = Body::from_stream(values.map(|value| {
        serde_json::to_vec(&value).map(|mut text| {
            text.push(b'\n');
            Bytes::from(text)
        })
    }));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn read_stats(
    State(context): State<Arc<Context>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    match stats(&context, &namespace, &name).await {
        Ok(Some(mut reply)) => {
            redact(&context.redactor(&namespace), &mut reply);
            Json(reply).into_response()
        }
        Ok(None) => not_found(&name),
        Err(error) => failed(&error),
    }
}

async fn test_host(State(context): State<Arc<Context>>, Path(name): Path<String>) -> Response {
    match docker_host::test(&context, &name).await {
        Ok(Some(found)) => Json(found).into_response(),
        Ok(None) => StatusError::not_found("hades.dev", "dockerhosts", &name).into_response(),
        Err(error) => failed(&error),
    }
}

fn not_found(name: &str) -> Response {
    StatusError::not_found("hades.dev", "environments", name).into_response()
}

fn failed(error: &ReconcileError) -> Response {
    StatusError::internal(error_chain(error)).into_response()
}
