//! The gate that every request passes: who asks, in whose name, and whether that
//! one may.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tracing::debug;

use super::Connection;
use super::path::{self, ResourcePath};
use crate::audit::Trail;
use crate::authn::{Identity, Impersonation, Mask};
use crate::authz::{self, Attributes, Decision, Target};
use crate::state::State;
use crate::wire::status::StatusError;

/// Lets a request pass whose caller is known and may do what it asks.
pub(super) async fn gate(
    Extract(state): Extract<Arc<State>>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&state, &mut request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            state.metrics.request("other", "", error.code());
            error.into_response()
        }
    }
}

fn admit(state: &State, request: &mut Request) -> Result<(), StatusError> {
    let impersonation = Impersonation::read(request.headers());
    let known = request.extensions().get::<Identity>();
    // Most requests: one of this process, who stays who it is.
    if matches!(impersonation, Ok(None)) && known.is_some_and(authz::is_administrator) {
        return Ok(());
    }
    let caller = match known {
        Some(identity) => identity.clone(),
        None => {
            one_proof(request)?;
            let identity = state.authenticate(request)?;
            let identity = identity.ok_or_else(|| StatusError::unauthorized("Unauthorized"))?;
            if let Some(connection) = request.extensions().get::<Connection>() {
                connection.mark_known();
            }
            identity
        }
    };
    tell(request, |trail| trail.note_caller(&caller));
    // Whoever is not logged in hears of nothing else.
    let identity = match impersonation? {
        None => caller,
        Some(impersonation) => {
            let identity = impersonate(state, &caller, impersonation)?;
            tell(request, |trail| trail.note_mask(&identity));
            identity
        }
    };
    let reason = authorize(state, &identity, request)?;
    tell(request, |trail| trail.note_reason(reason));
    request.extensions_mut().insert(identity);
    Ok(())
}

/// Refuses more than one proof: somebody in between may have looked at another.
fn one_proof(request: &Request) -> Result<(), StatusError> {
    match request.headers().get_all(header::AUTHORIZATION).iter().count() {
        0 | 1 => Ok(()),
        _ => Err(StatusError::unauthorized("Unauthorized")),
    }
}

/// Tells the one who records the request.
fn tell(request: &Request, note: impl FnOnce(&Trail)) {
    if let Some(trail) = request.extensions().get::<Trail>() {
        note(trail);
    }
}

fn impersonate(
    state: &State,
    caller: &Identity,
    wanted: Impersonation,
) -> Result<Identity, StatusError> {
    for mask in wanted.masks() {
        let Mask { group, resource, subresource, namespace, name } = mask;
        let target = Target::Resource { group, resource, subresource, namespace, name };
        check(state, caller, &Attributes { verb: "impersonate", target })?;
    }
    let mut identity = wanted.identity();
    identity.scope.clone_from(&caller.scope);
    debug!(caller = caller.name, user = identity.name, "a request in the name of somebody else");
    Ok(identity)
}

/// Why the request may be done, if it may.
fn authorize(
    state: &State,
    identity: &Identity,
    request: &Request,
) -> Result<&'static str, StatusError> {
    let path = request.uri().path();
    let Some(found) = path::parse(path) else {
        let verb = request.method().as_str().to_ascii_lowercase();
        return check(state, identity, &Attributes { verb: &verb, target: Target::Path(path) });
    };
    let verb = verb(request.method(), request.uri().query().unwrap_or_default(), &found);
    check(state, identity, &Attributes { verb, target: target(&found) })
}

fn check(
    state: &State,
    identity: &Identity,
    attributes: &Attributes<'_>,
) -> Result<&'static str, StatusError> {
    match state.rights.decide(identity, attributes) {
        Decision::Allowed(reason) => Ok(reason),
        Decision::Refused(reason) => Err(authz::forbidden(identity, attributes, reason)),
    }
}

fn target(path: &ResourcePath) -> Target<'_> {
    let name = path.name.as_deref().unwrap_or_default();
    // A namespace is inside of itself.
    let namespace = match path.namespace.as_deref() {
        None if path.group.is_empty() && path.plural == "namespaces" => name,
        namespace => namespace.unwrap_or_default(),
    };
    Target::Resource {
        group: &path.group,
        resource: &path.plural,
        subresource: path.subresource.as_deref().unwrap_or_default(),
        namespace,
        name,
    }
}

/// The verb that the caller needs the right to.
fn verb(method: &Method, query: &str, path: &ResourcePath) -> &'static str {
    let named = path.name.is_some();
    // Whatever may turn out to be a watch needs the right to watch.
    let watches = query.split('&').any(|part| {
        let key = part.split('=').next().unwrap_or_default();
        percent_decode_str(key).eq(b"watch".iter().copied())
    });
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ if watches => "watch",
        _ if named => "get",
        _ => "list",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use super::*;
    use crate::http::Limits;
    use crate::{ApiServer, Credential, ServerConfig};

    #[test]
    fn what_may_turn_out_to_be_a_watch_needs_the_right_to_watch() {
        let path = path::parse("/api/v1/namespaces/shop/configmaps").unwrap();
        for (query, expected) in [
            ("", "list"),
            ("watch=true", "watch"),
            ("limit=1&%77atch=1", "watch"),
            ("watchful=1", "list"),
        ] {
            assert_eq!(verb(&Method::GET, query, &path), expected, "{query}");
        }
    }

    #[tokio::test]
    async fn a_good_token_makes_its_connection_known() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(directory.path(), Vec::new());
        config.credentials = vec![Credential::of_token("good", Identity::administrator("admin"))];
        let server = ApiServer::open(config).await.unwrap();
        for (token, code, known) in [("bad", 401, false), ("good", 200, true)] {
            let connection = Connection::new(CancellationToken::new(), Arc::<Limits>::default());
            let request = Request::builder()
                .uri("/version")
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .extension(connection.clone());
            let response = server.router().oneshot(request.body(Body::empty()).unwrap()).await;
            assert_eq!((response.unwrap().status().as_u16(), connection.is_known()), (code, known));
        }
    }
}
