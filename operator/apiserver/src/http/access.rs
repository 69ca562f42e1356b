//! The gate that every request passes: who asks, in whose name, and whether that
//! one may.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, Method, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::debug;

use super::Connection;
use super::path::{self, ResourcePath};
use crate::audit::Trail;
use crate::authn::{Identity, Impersonation, Mask};
use crate::authz::{self, Attributes, Decision, Target};
use crate::state::State;
use crate::wire::selector::FieldSelector;
use crate::wire::status::StatusError;
use crate::write::{flag, parameter};

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
    within_rate(request, &caller)?;
    // Whoever is not logged in hears of nothing else.
    let identity = match impersonation? {
        None => caller,
        Some(impersonation) => {
            let identity = impersonate(state, &caller, impersonation)?;
            tell(request, |trail| trail.note_mask(&identity));
            identity
        }
    };
    let decision = authorize(state, &identity, request)?;
    tell(request, |trail| trail.note_decision(decision));
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

/// Refuses somebody who asks too often, whatever he asks and in whose name.
fn within_rate(request: &Request, caller: &Identity) -> Result<(), StatusError> {
    let connection = request.extensions().get::<Connection>();
    connection.map_or(Ok(()), |connection| connection.limits.within_rate(caller))
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

/// What decided that the request may be done, if it may.
fn authorize(
    state: &State,
    identity: &Identity,
    request: &mut Request,
) -> Result<Decision, StatusError> {
    let path = request.uri().path();
    let Some(found) = path::parse(path).map_err(|path::Malformed| StatusError::no_such_path())?
    else {
        let verb = request.method().as_str().to_ascii_lowercase();
        return check(state, identity, &Attributes { verb: &verb, target: Target::Path(path) });
    };
    let query = super::query(request.uri());
    let verb = verb(request.method(), upgrades(request.headers()), &query, &found);
    tell(request, |trail| trail.note_verb(verb));
    let selected = match verb {
        "list" | "watch" if found.name.is_none() => selected_name(&query),
        _ => None,
    };
    let target = target(&found, selected.as_deref());
    let decision = check(state, identity, &Attributes { verb, target })?;
    request.extensions_mut().insert(Judged(verb));
    Ok(decision)
}

/// The verb that the rights of a request were judged by. Whoever answers it may do
/// nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged(pub &'static str);

fn check(
    state: &State,
    identity: &Identity,
    attributes: &Attributes<'_>,
) -> Result<Decision, StatusError> {
    let started = Instant::now();
    let decision = state.rights.decide(identity, attributes);
    state.metrics.authorized(started.elapsed());
    match decision {
        Decision::Allowed(_) => Ok(decision),
        Decision::Refused(reason) => Err(authz::forbidden(identity, attributes, &reason)),
    }
}

/// A list of the one object that a field selector names is judged as a look at it.
fn selected_name(query: &[(String, String)]) -> Option<String> {
    let selector = FieldSelector::parse(parameter(query, "fieldSelector")?).ok()?;
    selector.exact("metadata.name").map(str::to_owned)
}

fn target<'a>(path: &'a ResourcePath, selected: Option<&'a str>) -> Target<'a> {
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
        name: selected.unwrap_or(name),
    }
}

/// Whether a request wants its connection for something else.
pub(crate) fn upgrades(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// The verb that the caller needs the right to.
pub(crate) fn verb(
    method: &Method,
    upgrades: bool,
    query: &[(String, String)],
    path: &ResourcePath,
) -> &'static str {
    let named = path.name.is_some();
    match *method {
        Method::POST | Method::CONNECT => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        // A connection to a running thing: who has a console does as he likes.
        Method::GET if upgrades => "create",
        Method::GET if flag(query, "watch") => "watch",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD => "list",
        _ => "other",
    }
}

/// A request that came over a socket, and is judged again while it lasts: its login
/// may end meanwhile, or the right to it.
pub(crate) struct Standing {
    state: Arc<State>,
    parts: request::Parts,
}

impl Standing {
    /// `None` for a request of this process.
    pub fn of(state: &Arc<State>, parts: &request::Parts) -> Option<Self> {
        parts.extensions.get::<Connection>()?;
        let mut parts = parts.clone();
        // Who asks is found out anew. It is one request, so it counts once.
        parts.extensions.remove::<Identity>();
        parts.extensions.remove::<Connection>();
        Some(Self { state: Arc::clone(state), parts })
    }

    /// Judges the request as if it came now.
    ///
    /// # Errors
    /// What the gate would answer: 401 or 403.
    pub fn check(&self) -> Result<(), StatusError> {
        admit(&self.state, &mut Request::from_parts(self.parts.clone(), Body::empty()))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use futures::StreamExt;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use super::*;
    use crate::http::Limits;
    use crate::{ApiServer, Credential, ServerConfig};

    #[test]
    fn a_request_is_judged_by_what_it_will_be() {
        let cases = [
            ("GET", "/api/v1/namespaces/shop/configmaps", "", "list", ""),
            ("GET", "/api/v1/namespaces/shop/configmaps?watch=true", "", "watch", ""),
            ("GET", "/api/v1/namespaces/shop/configmaps?limit=1&%77atch=1", "", "watch", ""),
            ("GET", "/api/v1/namespaces/shop/configmaps?watch=0&watch=1", "", "list", ""),
            ("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Da", "", "list", "a"),
            ("GET", "/api/v1/configmaps?fieldSelector=metadata.name!%3Da", "", "list", ""),
            (
                "DELETE",
                "/api/v1/configmaps?fieldSelector=metadata.name%3Da",
                "",
                "deletecollection",
                "",
            ),
            ("GET", "/api/v1/namespaces/shop/configmaps/a", "", "get", "a"),
            ("HEAD", "/api/v1/namespaces/shop/configmaps/a", "", "get", "a"),
            ("GET", "/apis/a.b/v1/namespaces/shop/barns/a/exec", "websocket", "create", "a"),
            ("CONNECT", "/apis/a.b/v1/namespaces/shop/barns/a/exec", "", "create", "a"),
            ("POST", "/api/v1/namespaces/shop/serviceaccounts/a/token", "", "create", "a"),
            ("PUT", "/api/v1/namespaces/shop/configmaps/a", "", "update", "a"),
            ("OPTIONS", "/api/v1/namespaces/shop/configmaps/a", "", "other", "a"),
        ];
        for (method, uri, upgrade, expected, expected_name) in cases {
            let mut request = Request::builder().method(method).uri(uri);
            if !upgrade.is_empty() {
                request = request.header(header::UPGRADE, upgrade);
            }
            let request = request.body(Body::empty()).unwrap();
            let found = path::parse(request.uri().path()).unwrap().unwrap();
            let query = crate::http::query(request.uri());
            let verb = verb(request.method(), !upgrade.is_empty(), &query, &found);
            let selected = selected_name(&query).filter(|_| verb == "list");
            let Target::Resource { name, .. } = target(&found, selected.as_deref()) else {
                panic!("{uri}");
            };
            assert_eq!((verb, name), (expected, expected_name), "{method} {uri}");
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

    /// A server, and a way to ask it over a connection as jane.
    struct Bed {
        server: ApiServer,
        limits: Arc<Limits>,
        _directory: tempfile::TempDir,
    }

    const JANES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/janes";

    impl Bed {
        async fn new(limits: Limits) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut config = ServerConfig::new(directory.path(), Vec::new());
            let person = |name: &str| Identity::of_user(name, vec!["system:authenticated".into()]);
            config.credentials = vec![
                Credential::of_token("janes", person("jane")),
                Credential::of_token("bobs", person("bob")),
                Credential::of_token("roots", Identity::administrator("root")),
            ];
            config.first_objects = vec![serde_json::json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": "janes"},
                "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": "jane"}],
            })];
            let server = ApiServer::open(config).await.unwrap();
            Self { server, limits: Arc::new(limits), _directory: directory }
        }

        async fn send(
            &self,
            token: &str,
            method: &str,
            path: &str,
            body: Body,
            headers: &[(&str, &str)],
        ) -> Response {
            let connection = Connection::new(CancellationToken::new(), Arc::clone(&self.limits));
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header("content-type", "application/json")
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .extension(connection);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            self.server.router().oneshot(request.body(body).unwrap()).await.unwrap()
        }

        /// Takes away all that jane may do.
        async fn dismiss(server: &ApiServer) {
            let request = Request::builder()
                .method("DELETE")
                .uri(JANES)
                .extension(Identity::administrator("root"))
                .body(Body::empty());
            assert_eq!(server.router().oneshot(request.unwrap()).await.unwrap().status(), 200);
        }
    }

    #[tokio::test]
    async fn a_watch_ends_with_the_right_to_it() {
        let bed = Bed::new(Limits::distrustful()).await;
        let path = "/api/v1/namespaces/default/configmaps";
        let watch = format!("{path}?watch=true");
        let mut lines = bed
            .send("janes", "GET", &watch, Body::empty(), &[])
            .await
            .into_body()
            .into_data_stream();
        let more = std::time::Duration::from_millis(200);
        let body = Body::from(r#"{"metadata":{"name":"c"}}"#);
        assert!(tokio::time::timeout(more, lines.next()).await.is_err(), "it goes on");
        assert_eq!(bed.send("roots", "POST", path, body, &[]).await.status(), 201);
        let line = lines.next().await.unwrap().unwrap();
        assert!(line.starts_with(br#"{"type":"ADDED""#), "{line:?}");
        Bed::dismiss(&bed.server).await;
        let long = std::time::Duration::from_secs(20);
        let line = tokio::time::timeout(long, lines.next()).await.expect("it goes on");
        let line: serde_json::Value = serde_json::from_slice(&line.unwrap().unwrap()).unwrap();
        assert_eq!((&line["type"], &line["object"]["code"]), (&"ERROR".into(), &403.into()));
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn a_right_that_ends_while_the_body_is_on_its_way_is_gone() {
        let path = "/api/v1/namespaces/default/configmaps";
        for (limits, code) in [(Limits::distrustful(), 403), (Limits::default(), 201)] {
            let bed = Bed::new(limits).await;
            let server = bed.server.clone();
            let body = Body::from_stream(futures::stream::once(async move {
                Bed::dismiss(&server).await;
                Ok::<_, std::io::Error>(bytes::Bytes::from(r#"{"metadata":{"name":"c"}}"#))
            }));
            // A quick body was judged just now.
            assert_eq!(bed.send("janes", "POST", path, body, &[]).await.status().as_u16(), code);
        }
    }

    #[tokio::test]
    async fn requests_of_one_user_are_counted_before_they_are_judged_and_whatever_the_mask() {
        let bed = Bed::new(Limits::frugal(6.0)).await;
        let path = "/api/v1/namespaces/default/configmaps";
        let code = async |token: &str, headers: &[(&str, &str)]| {
            bed.send(token, "GET", path, Body::empty(), headers).await.status().as_u16()
        };
        for index in 0..6 {
            let mask = format!("somebody-{index}");
            assert_eq!(code("janes", &[("impersonate-user", &mask)]).await, 403, "{index}");
            assert_eq!(code("bobs", &[]).await, 403, "{index}");
        }
        assert_eq!(code("janes", &[("impersonate-user", "another")]).await, 429);
        let refused = bed.send("bobs", "GET", path, Body::empty(), &[]).await;
        assert_eq!(refused.status().as_u16(), 429, "though he may do nothing");
        assert!(refused.headers().contains_key("retry-after"));
        for _ in 0..10 {
            assert_eq!(code("roots", &[]).await, 200, "but those who may do everything");
        }
    }
}
