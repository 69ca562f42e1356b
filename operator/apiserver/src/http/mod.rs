//! HTTP: from a request to a call of `write`, `watch` or a list, and back.
//!
//! One handler serves every resource. What a path means is looked up in the
//! registry; there are no routes of single kinds.

mod access;
mod collection;
mod discovery;
pub(crate) mod feed;
pub(crate) mod filter;
mod leftover;
mod limits;
pub(crate) mod list;
mod panics;
pub(crate) mod path;
mod peer;
mod respond;
mod review;
mod scale;
pub(crate) mod seats;
mod token;
pub(crate) mod view;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{Method, StatusCode, Uri, header, request};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use crate::audit::{self, Subject};
use crate::authn::Identity;
use crate::registry::{Nature, Resource};
use crate::state::State;
use crate::store::{Key, Row};
use crate::watch::{self, Watcher};
use crate::wire::accept::{
    BodyForm, PatchForm, ResponseForm, body_form, decode_body, decode_body_strict, negotiate,
    patch_form,
};
use crate::wire::status::{self, StatusError};
use crate::write::{self, Call, DeleteOptions, Deleted, Outcome, Patch, WriteKind, WriteOptions};
pub(crate) use access::{Standing, upgrades, verb as verb_of};
use filter::Filter;
pub(crate) use limits::{Connection, Limits};
use list::{ListOptions, Page, check_not_newer, version_parameter};
use path::ResourcePath;
pub use peer::{Peer, network};
use view::View;

/// The API and the extra routes, all behind authentication and authorization.
pub(crate) fn router(state: &Arc<State>, routes: Router, public: Router) -> Router {
    routes
        .fallback(handle)
        .layer(middleware::from_fn(limits::take_turns))
        .layer(middleware::from_fn_with_state(Arc::clone(state), access::gate))
        .layer(middleware::from_fn_with_state(Arc::clone(state), audit::follow))
        .with_state(())
        .merge(public)
        .layer(axum::Extension(Shared(Arc::clone(state))))
        .layer(middleware::from_fn(panics::catch))
        .layer(middleware::from_fn(leftover::take))
}

#[derive(Clone)]
struct Shared(Arc<State>);

/// A request whose path named a resource.
struct Ask {
    state: Arc<State>,
    resource: Arc<Resource>,
    caller: Identity,
    path: ResourcePath,
    query: Vec<(String, String)>,
    form: ResponseForm,
    parts: request::Parts,
}

async fn handle(
    axum::Extension(Shared(state)): axum::Extension<Shared>,
    axum::Extension(caller): axum::Extension<Identity>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some((path, resource)) = find(&state, parts.uri.path()) else {
        return without_resource(&state, &parts);
    };
    let judged = parts.extensions.get::<access::Judged>().copied();
    let accept = header_text(&parts, header::ACCEPT);
    let metrics = state.metrics.clone();
    let query = query(&parts.uri);
    let verb = verb(&parts.method, &path, &query);
    let name = format!("{}/{}", resource.info.group, resource.info.plural);
    let deprecation = resource.deprecation().map(str::to_owned);
    let answer = match negotiate(accept) {
        // Asked for as something that it isn't here: an upgrade of a plain look.
        Ok(_) if verb != "other" && judged.is_some_and(|access::Judged(by)| by != verb) => {
            Err(StatusError::bad_request("a connection of this path can't be upgraded"))
        }
        Ok(form) => {
            let ask = Ask { state, resource, caller, path, query, form, parts };
            dispatch(ask, verb, body).await
        }
        Err(error) => Err(error),
    };
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    respond::warn(&mut response, deprecation.as_slice());
    tracing::debug!(verb, resource = name, code = response.status().as_u16(), "request");
    metrics.request(verb, &name, response.status().as_u16());
    response
}

/// The answer to a path that names no resource.
fn without_resource(state: &State, parts: &request::Parts) -> Response {
    if parts.method == Method::GET
        && let Some(document) = discovery::document(state, &parts.uri, &parts.headers)
    {
        return document;
    }
    state.metrics.request("other", "", 404);
    StatusError::no_such_path().into_response()
}

/// The parameters of a request; none where they can't be read.
pub(crate) fn query(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(query)| query).unwrap_or_default()
}

fn find(state: &State, path: &str) -> Option<(ResourcePath, Arc<Resource>)> {
    let path = path::parse(path).ok()?.filter(|path| !path.goes_on)?;
    let registry = state.registry();
    let resource = registry.find(&path.group, &path.version, &path.plural)?;
    // A namespace in the path of a cluster-scoped resource leads nowhere.
    if path.namespace.is_some() && !resource.info.namespaced {
        return None;
    }
    let resource = Arc::clone(resource);
    Some((path, resource))
}

fn header_text(parts: &request::Parts, name: header::HeaderName) -> Option<&str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// The Kubernetes verb of a request as it is served here, where no connection is
/// upgraded; also the label of its metrics. `other` for what no resource has.
fn verb(method: &Method, path: &ResourcePath, query: &[(String, String)]) -> &'static str {
    let named = path.name.is_some();
    match *method {
        Method::POST if named && path.subresource.is_none() => "other",
        Method::PUT | Method::PATCH if !named => "other",
        Method::HEAD | Method::CONNECT => "other",
        _ => access::verb(method, false, query, path),
    }
}

async fn dispatch(ask: Ask, verb: &'static str, body: Body) -> Result<Response, StatusError> {
    let info = &ask.resource.info;
    if matches!(ask.form, ResponseForm::Table(_)) {
        view::include_object(&ask.query)?;
    }
    match ask.path.subresource.as_deref() {
        None => {}
        Some("status") if info.status && matches!(verb, "get" | "update" | "patch") => {}
        Some("scale") if info.scale && matches!(verb, "get" | "update" | "patch") => {}
        Some("token") if info.token && verb == "create" => {}
        Some(_) => return Err(StatusError::no_such_path()),
    }
    if !ask.resource.allows(verb) {
        return Err(StatusError::method_not_allowed(&info.group, &info.plural, verb));
    }
    if info.namespaced && ask.path.namespace.is_none() {
        if ask.path.name.is_some() {
            return Err(StatusError::no_such_path());
        }
        // Nobody deletes from, or creates in, all namespaces at once.
        if matches!(verb, "create" | "deletecollection") {
            let error = StatusError::method_not_allowed(&info.group, &info.plural, verb);
            return Err(error);
        }
    }
    let is_scale = ask.path.subresource.as_deref() == Some("scale");
    match verb {
        "get" if is_scale => scale::get(&ask),
        "get" => get(&ask),
        "list" => list(&ask).await,
        "watch" => watch(&ask).await,
        _ => {
            let begun = Instant::now();
            let held = limits::read_body(&ask.parts, body).await?;
            ask.judge_again(begun)?;
            let body = &held.bytes;
            match verb {
                "create" if ask.path.subresource.is_some() => token::create(&ask, body),
                "create" => create(&ask, body).await,
                "update" if is_scale => scale::update(&ask, body).await,
                "patch" if is_scale => scale::patch(&ask, body.clone()).await,
                "update" => update(&ask, body).await,
                "patch" => patch(&ask, body.clone()).await,
                "delete" => delete(&ask, body).await,
                _ => delete_collection(&ask, body).await,
            }
        }
    }
}

impl Ask {
    fn view(&self) -> View {
        View::new(&self.state, &self.resource, &self.caller, self.form, &self.query)
    }

    fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }

    fn filter(&self) -> Result<Filter, StatusError> {
        let (namespace, name) = (self.path.namespace.as_deref(), self.path.name.as_deref());
        Filter::read(&self.resource, namespace, name, &self.query)
    }

    /// The list, or the page of one, that the query asks for.
    async fn page(&self) -> Result<Page, StatusError> {
        let query = list::Query {
            namespace: self.path.namespace.as_deref(),
            parameters: &self.query,
            options: ListOptions::read(&self.query)?,
        };
        Page::find(&self.state, &self.resource, query).await
    }

    /// Whether the request came over a socket. The controllers of this process are
    /// few, and are not told to come back later.
    fn is_remote(&self) -> bool {
        self.parts.extensions.get::<Connection>().is_some()
    }

    /// Judges the request once more where its body was long on its way.
    fn judge_again(&self, begun: Instant) -> Result<(), StatusError> {
        let connection = self.parts.extensions.get::<Connection>();
        if connection.is_none_or(|connection| begun.elapsed() < connection.limits.judged_for.body) {
            return Ok(());
        }
        Standing::of(&self.state, &self.parts).map_or(Ok(()), |standing| standing.check())
    }

    fn content_type(&self) -> Option<&str> {
        header_text(&self.parts, header::CONTENT_TYPE)
    }

    /// As Kubernetes does: the program's name stands in for a field manager.
    fn write_options(&self, kind: WriteKind) -> Result<WriteOptions, StatusError> {
        let agent = header_text(&self.parts, header::USER_AGENT).unwrap_or_default();
        let agent = agent.split('/').next().filter(|agent| !agent.is_empty());
        WriteOptions::read(&self.query, kind, agent.unwrap_or(&self.caller.name))
    }

    fn call<'a>(&'a self, options: &'a WriteOptions) -> Call<'a> {
        Call {
            state: &self.state,
            resource: &self.resource,
            namespace: self.path.namespace.as_deref(),
            caller: &self.caller,
            options,
        }
    }

    /// What the path of a creation doesn't tell.
    fn subject(&self, created: &[u8]) -> Option<Subject> {
        let meta = crate::store::Meta::read(created).ok()?;
        let (name, uid) = (meta.name.to_string(), meta.uid.to_string());
        Some(Subject { name, uid, version: String::new() })
    }

    fn answer(&self, outcome: Outcome) -> Result<Response, StatusError> {
        let code = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
        let subject = outcome.created.then(|| self.subject(&outcome.object)).flatten();
        let mut response = respond::object(code, &self.view(), outcome.object)?;
        if let Some(subject) = subject {
            response.extensions_mut().insert(subject);
        }
        respond::warn(&mut response, &outcome.warnings);
        Ok(response)
    }
}

fn get(ask: &Ask) -> Result<Response, StatusError> {
    let version = version_parameter(&ask.query)?;
    if version.is_some() {
        check_not_newer(version, ask.state.store.version()?)?;
    }
    let row = stored(ask)?;
    let version = row.version;
    let mut response = respond::object(StatusCode::OK, &ask.view(), row.object)?;
    if ask.resource.nature == Nature::Secret {
        let version = version.to_string();
        response.extensions_mut().insert(Subject { version, ..Subject::default() });
    }
    Ok(response)
}

/// The object that the path names.
fn stored(ask: &Ask) -> Result<Row, StatusError> {
    let namespace = ask.path.namespace.as_deref().unwrap_or_default();
    let key = Key::new(&ask.resource.storage, namespace, ask.name());
    let info = &ask.resource.info;
    let row = ask.state.store.get(&key)?;
    row.ok_or_else(|| StatusError::not_found(&info.group, &info.plural, ask.name()))
}

async fn list(ask: &Ask) -> Result<Response, StatusError> {
    let mut view = ask.view();
    if let ResponseForm::PartialObjectMetadata(version) = view.form {
        view.form = ResponseForm::PartialObjectMetadataList(version);
    }
    let content_type = view.content_type();
    let filter = ask.filter()?;
    let page = ask.page().await?;
    let body = list::body(view, filter, page, ask.is_remote()).await?;
    Ok(respond::document(StatusCode::OK, content_type, body))
}

async fn watch(ask: &Ask) -> Result<Response, StatusError> {
    let mut view = ask.view();
    view.form = match view.form {
        ResponseForm::Yaml => ResponseForm::Json,
        ResponseForm::PartialObjectMetadataList(version) => {
            ResponseForm::PartialObjectMetadata(version)
        }
        form => form,
    };
    let content_type = view.content_type();
    let options = watch::Options::read(&ask.query)?;
    let filter = ask.filter()?;
    let watcher = match ask.parts.extensions.get::<Connection>() {
        Some(connection) => Watcher {
            ends: connection.ends.clone(),
            seat: Some(ask.state.seats.watch(&ask.caller.name)?),
            standing: Standing::of(&ask.state, &ask.parts),
            judged_for: connection.limits.judged_for.watch,
        },
        None => Watcher::of_this_process(ask.state.shutdown.clone()),
    };
    let body = Body::from_stream(watch::stream(view, filter, options, watcher).await?);
    Ok(respond::document(StatusCode::OK, content_type, body))
}

async fn create(ask: &Ask, body: &Bytes) -> Result<Response, StatusError> {
    let decoded = decode_body_strict(body_form(ask.content_type())?, body)?;
    if let Nature::Review(review) = ask.resource.nature {
        ask.write_options(WriteKind::Create)?;
        let question = review::Question {
            resource: &ask.resource,
            review,
            caller: &ask.caller,
            state: &ask.state,
            namespace: ask.path.namespace.as_deref(),
            now: ask.state.now(),
        };
        let answer = question.answer(decoded.value)?;
        return Ok(respond::json(StatusCode::CREATED, &answer));
    }
    let options = ask.write_options(WriteKind::Create)?;
    let outcome = write::create(ask.call(&options), decoded.value, &decoded.duplicates).await?;
    ask.answer(outcome)
}

async fn update(ask: &Ask, body: &Bytes) -> Result<Response, StatusError> {
    let decoded = decode_body_strict(body_form(ask.content_type())?, body)?;
    let options = ask.write_options(WriteKind::Update)?;
    let subresource = ask.path.subresource.as_deref();
    let outcome = write::replace(
        ask.call(&options),
        ask.name(),
        subresource,
        decoded.value,
        &decoded.duplicates,
    )
    .await?;
    ask.answer(outcome)
}

/// The patch in a body, with the keys that it holds twice, and what is asked of
/// the write.
fn read_patch(ask: &Ask, body: Bytes) -> Result<(Patch, Vec<String>, WriteOptions), StatusError> {
    let form = patch_form(ask.content_type())?;
    let kind = if form == PatchForm::Apply { WriteKind::Apply } else { WriteKind::Patch };
    let options = ask.write_options(kind)?;
    let (patch, duplicates) = match form {
        PatchForm::Json => (Patch::Json(body), Vec::new()),
        PatchForm::Merge => {
            let decoded = decode_body_strict(BodyForm::Json, &body)?;
            (Patch::Merge(decoded.value), decoded.duplicates)
        }
        PatchForm::Strategic => {
            let decoded = decode_body_strict(BodyForm::Json, &body)?;
            (Patch::Strategic(decoded.value), decoded.duplicates)
        }
        PatchForm::Apply => {
            // YAML by its name, JSON in practice.
            let json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
            let form = if json { BodyForm::Json } else { BodyForm::Yaml };
            let decoded = decode_body_strict(form, &body)?;
            (Patch::Apply(decoded.value), decoded.duplicates)
        }
    };
    Ok((patch, duplicates, options))
}

async fn patch(ask: &Ask, body: Bytes) -> Result<Response, StatusError> {
    let (patch, duplicates, options) = read_patch(ask, body)?;
    let subresource = ask.path.subresource.as_deref();
    let outcome =
        write::patch(ask.call(&options), ask.name(), subresource, patch, &duplicates).await?;
    ask.answer(outcome)
}

fn delete_options(ask: &Ask, body: &Bytes) -> Result<DeleteOptions, StatusError> {
    let body = if body.is_empty() {
        Value::Null
    } else {
        decode_body(body_form(ask.content_type())?, body)?
    };
    DeleteOptions::read(&ask.query, &body)
}

async fn delete(ask: &Ask, body: &Bytes) -> Result<Response, StatusError> {
    let options = delete_options(ask, body)?;
    let write_options = WriteOptions::default();
    match write::delete(ask.call(&write_options), ask.name(), &options).await? {
        Deleted::Waiting(object) => respond::object(StatusCode::OK, &ask.view(), object),
        Deleted::Gone(object) => {
            let meta = crate::store::Meta::read(&object).map_err(StatusError::internal)?;
            let info = &ask.resource.info;
            let status = status::success(&info.group, &info.plural, &meta.name, &meta.uid);
            Ok(respond::json(StatusCode::OK, &status))
        }
    }
}

async fn delete_collection(ask: &Ask, body: &Bytes) -> Result<Response, StatusError> {
    let options = delete_options(ask, body)?;
    collection::delete(ask, &options).await
}
