//! `configrepositories/webhook` of `operations.hades.dev`: how a webhook stands,
//! and registering it in a forge.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hades_apiserver::Announced;
use hades_apiserver::wire::status::StatusError;
use hades_controllers::hook::{self, Report};
use hades_controllers::{Context, ReconcileError, error_chain};
use serde::Serialize;

/// What the handlers know.
#[derive(Clone)]
struct Known {
    context: Arc<Context>,
    /// What forges reach, if that was said.
    public_url: Option<Arc<str>>,
    /// Where this server is, for want of something better.
    own_url: Arc<str>,
}

/// The route, below the prefix of the operations.
pub(crate) fn router(context: Arc<Context>, public_url: Option<&str>, own_url: &str) -> Router {
    let known = Known { context, public_url: public_url.map(Arc::from), own_url: own_url.into() };
    Router::new()
        .route(
            "/namespaces/{namespace}/configrepositories/{name}/webhook",
            get(describe).post(register),
        )
        .with_state(known)
}

/// For discovery.
pub(crate) fn announced(group: &str, version: &str) -> Announced {
    Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "configrepositories".to_owned(),
        subresource: "webhook".to_owned(),
        kind: "WebhookReport".to_owned(),
        namespaced: true,
        verbs: &["create", "get"],
    }
}

#[derive(Serialize)]
struct Described {
    url: String,
    public: bool,
    #[serde(flatten)]
    report: Report,
}

async fn describe(
    State(known): State<Known>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let base = known.public_url.as_ref().unwrap_or(&known.own_url);
    let url = format!("{base}{}", hook::path(&namespace, &name));
    match hook::report(&known.context, &namespace, &name).await {
        Ok(Some(report)) => {
            Json(Described { url, public: known.public_url.is_some(), report }).into_response()
        }
        Ok(None) => not_found(&name),
        Err(error) => failed(&error),
    }
}

async fn register(
    State(known): State<Known>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let Some(base) = &known.public_url else {
        let message = "hades serve has no --public-url, so no forge could deliver to it";
        return StatusError::bad_request(message).into_response();
    };
    let url = format!("{base}{}", hook::path(&namespace, &name));
    match hook::register_webhook(&known.context, &namespace, &name, url).await {
        Ok(Some(Ok(registered))) => Json(registered).into_response(),
        Ok(Some(Err(why))) => StatusError::bad_request(why.to_string()).into_response(),
        Ok(None) => not_found(&name),
        Err(error) => failed(&error),
    }
}

fn not_found(name: &str) -> Response {
    StatusError::not_found("hades.dev", "configrepositories", name).into_response()
}

fn failed(error: &ReconcileError) -> Response {
    StatusError::internal(error_chain(error)).into_response()
}
