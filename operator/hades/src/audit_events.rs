//! `auditevents` of `operations.hades.dev`: who did what, the newest first, as
//! lines of JSON; and whether the log is whole.

use axum::body::Body;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hades_apiserver::Announced;
use hades_apiserver::audit::{Auditor, Query};
use hades_apiserver::wire::status::StatusError;
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde_json::json;

use crate::operations::API_VERSION;

/// The routes, below the prefix of the group.
pub(crate) fn router(auditor: Auditor) -> Router {
    Router::new()
        .route("/auditevents", get(of_all))
        .route("/auditevents/verify", get(verify))
        .route("/namespaces/{namespace}/auditevents", get(of_one))
        .with_state(auditor)
}

/// What the routes serve, for discovery.
pub(crate) fn announced(group: &str, version: &str) -> Announced {
    Announced {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: "auditevents".to_owned(),
        subresource: String::new(),
        kind: "AuditEvent".to_owned(),
        // Also without a namespace, for the whole installation.
        namespaced: true,
        verbs: &["get", "list"],
    }
}

type Pairs = Vec<(String, String)>;

async fn of_all(State(auditor): State<Auditor>, Parameters(pairs): Parameters<Pairs>) -> Response {
    answer(&auditor, pairs, None).await
}

async fn of_one(
    State(auditor): State<Auditor>,
    Path(namespace): Path<String>,
    Parameters(pairs): Parameters<Pairs>,
) -> Response {
    answer(&auditor, pairs, Some(namespace)).await
}

async fn answer(auditor: &Auditor, pairs: Pairs, namespace: Option<String>) -> Response {
    let query = match read(pairs, namespace, Timestamp::now()) {
        Ok(query) => query,
        Err(error) => return error.into_response(),
    };
    match auditor.read(query).await {
        Ok(lines) => {
            let kind = (header::CONTENT_TYPE, "application/x-ndjson");
            ([kind], Body::from_stream(lines)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn verify(State(auditor): State<Auditor>) -> Response {
    match auditor.verify().await {
        Ok(report) => {
            let mut answer = json!(report);
            answer["apiVersion"] = json!(API_VERSION);
            answer["kind"] = json!("AuditReport");
            Json(answer).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// Which records are asked for. In a namespace nothing of another is.
fn read(pairs: Pairs, namespace: Option<String>, now: Timestamp) -> Result<Query, StatusError> {
    let mut query = Query { namespace, ..Query::default() };
    for (key, value) in pairs {
        match key.as_str() {
            "user" => query.user = Some(value),
            "verb" => query.verb = Some(value),
            "resource" => query.resource = Some(value),
            "project" | "namespace" if query.namespace.is_none() => query.namespace = Some(value),
            "since" => query.since = Some(moment("since", &value, now)?),
            "until" => query.until = Some(moment("until", &value, now)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=10_000).contains(limit));
                let wrong = || StatusError::bad_request("limit: write a number from 1 to 10000");
                query.limit = Some(limit.ok_or_else(wrong)?);
            }
            other => {
                let message = format!(
                    "auditevents has no parameter {other:?}; there are user, verb, resource, \
                     project (for all projects only), since, until and limit"
                );
                return Err(StatusError::bad_request(message));
            }
        }
    }
    Ok(query)
}

/// A time of day, or how long ago.
fn moment(key: &str, text: &str, now: Timestamp) -> Result<Timestamp, StatusError> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let span = text.parse::<Span>().ok();
    let span =
        span.and_then(|span| span.abs().to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let moment = span.and_then(|span| now.checked_sub(span).ok());
    moment.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        StatusError::bad_request(format!(
            "{key}: {shown:?} is no time: write 2026-03-01T10:00:00Z, or how long ago: 90m, 2h, 7d"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_are_given_to_those_who_may_see_them() {
        use axum::http::Request;
        use hades_apiserver::audit::AuditEvent;
        use hades_apiserver::{ApiServer, Identity, ServerConfig};
        use tower::ServiceExt;
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path(), Vec::new());
        let server = ApiServer::open(config).await.unwrap();
        let routes = router(server.audit());
        let server = server.with_routes("/apis/operations.hades.dev/v1alpha1", routes);
        for namespace in ["shop", "blog", "shop"] {
            let event = AuditEvent::new("delete", "/x").about("", "secrets", namespace, "db");
            server.audit().record(event);
        }
        let ask = async |who: Identity, path: &str| {
            let uri = format!("/apis/operations.hades.dev/v1alpha1{path}");
            let request = Request::builder().uri(uri).extension(who).body(Body::empty());
            let response = server.router().oneshot(request.unwrap()).await.unwrap();
            let code = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            (code, String::from_utf8(bytes.to_vec()).unwrap())
        };
        let root = || Identity::administrator("root");
        let count = async |path: &str| ask(root(), path).await.1.lines().count();
        assert_eq!(count("/auditevents").await, 3);
        assert_eq!(count("/auditevents?limit=2").await, 2);
        assert_eq!(count("/auditevents?project=blog").await, 1);
        assert_eq!(count("/namespaces/shop/auditevents").await, 2);
        assert_eq!(count("/namespaces/shop/auditevents?verb=create").await, 0);
        let (_, report) = ask(root(), "/auditevents/verify").await;
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["records"], &report["problems"]), (&json!(3), &json!([])));
        let jane = || Identity::of_user("jane", vec!["system:authenticated".to_owned()]);
        for path in ["/auditevents", "/namespaces/shop/auditevents", "/auditevents/verify"] {
            assert_eq!(ask(jane(), path).await.0, 403, "{path}");
        }
        assert_eq!(ask(root(), "/namespaces/shop/auditevents?project=blog").await.0, 400);
    }

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn parameters() {
        let now: Timestamp = "2026-03-08T10:00:00Z".parse().unwrap();
        let wanted = pairs(&[
            ("user", "ann"),
            ("verb", "delete"),
            ("resource", "secrets"),
            ("project", "shop"),
            ("since", "7d"),
            ("until", "2026-03-07T00:00:00Z"),
            ("limit", "5"),
        ]);
        let query = read(wanted, None, now).unwrap();
        assert_eq!(query.since, Some("2026-03-01T10:00:00Z".parse().unwrap()));
        assert_eq!(query.until, Some("2026-03-07T00:00:00Z".parse().unwrap()));
        assert_eq!((query.namespace.as_deref(), query.limit), (Some("shop"), Some(5)));
        let shop = || Some("shop".to_owned());
        assert_eq!(read(Vec::new(), shop(), now).unwrap().namespace, shop());
        for (pair, namespace) in [
            (("since", "soon"), None),
            (("limit", "0"), None),
            (("limit", "100000"), None),
            (("usr", "x"), None),
            (("project", "other"), shop()),
            (("namespace", "other"), shop()),
        ] {
            let error = read(pairs(&[pair]), namespace, now).unwrap_err();
            assert_eq!(error.code(), 400, "{pair:?}");
        }
    }
}
