//! The documents by which clients learn what is served.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::respond;
use crate::registry::{Document, ResourceInfo};
use crate::state::State;
use crate::wire::accept::aggregated_discovery;
use crate::wire::discovery::{
    Announced, DiscoveryRoot, announce_groups, announced_group, announced_resources, api_group,
    api_group_list, api_resource_list, api_versions,
};
use crate::wire::openapi;

/// Clients compare the minor version with their own and warn when it is more
/// than one apart.
const KUBERNETES_MINOR: &str = "36";

/// A document whose address carries its hash never changes; a year is as good as
/// for ever.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

fn version() -> Value {
    json!({
        "major": "1",
        "minor": KUBERNETES_MINOR,
        "gitVersion": format!("v1.{KUBERNETES_MINOR}.0+hades.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// The document at a path, or `None` where the path is of another sort.
pub(super) fn document(state: &State, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    let registry = state.registry();
    let (resources, announced) = (registry.infos(), &state.announced);
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let segments: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let value = match segments.as_slice() {
        ["version"] => version(),
        [root @ ("api" | "apis")] => {
            let core = *root == "api";
            if let Some(form) = aggregated_discovery(accept) {
                let root = if core { DiscoveryRoot::Api } else { DiscoveryRoot::Apis };
                let documents = registry.documents();
                let document = documents.aggregated(resources, announced, root, form);
                return Some(kept(document, form.content_type(), headers));
            }
            if core { api_versions(resources) } else { groups(resources, announced) }
        }
        ["api", version] => api_resource_list(resources, "", version)?,
        ["apis", group] => {
            api_group(resources, group).or_else(|| announced_group(announced, group))?
        }
        ["apis", group, version] => api_resource_list(resources, group, version)
            .or_else(|| announced_resources(announced, group, version))?,
        ["openapi", "v2"] => {
            return Some(respond::document(
                StatusCode::OK,
                openapi::V2_CONTENT_TYPE,
                Body::from(openapi::V2_STUB),
            ));
        }
        ["openapi", "v3"] => {
            let index = registry.documents().index(resources);
            return Some(kept(index, "application/json", headers));
        }
        ["openapi", "v3", path @ ..] => {
            let path = path.join("/");
            let document = registry.documents().openapi(resources, &path)?;
            return Some(schema(document, &path, uri, headers));
        }
        _ => return None,
    };
    let mut response = respond::json(StatusCode::OK, &value);
    vary(&mut response);
    Some(response)
}

fn groups(resources: &[ResourceInfo], announced: &[Announced]) -> Value {
    let mut list = api_group_list(resources);
    announce_groups(&mut list, announced);
    list
}

/// An OpenAPI document. Under the address that carries its hash it may be kept
/// for ever; an old address leads to the new one.
fn schema(document: &Document, path: &str, uri: &Uri, headers: &HeaderMap) -> Response {
    let asked =
        uri.query().unwrap_or_default().split('&').find_map(|part| part.strip_prefix("hash="));
    let asked = asked.filter(|hash| !hash.is_empty());
    if asked.is_some_and(|hash| hash != document.hash) {
        let mut response = StatusCode::MOVED_PERMANENTLY.into_response();
        let url = openapi::url(path, &document.hash);
        insert(&mut response, header::LOCATION, &url);
        return response;
    }
    let mut response = kept(document, "application/json", headers);
    if asked.is_some() {
        response.headers_mut().insert(header::CACHE_CONTROL, FOR_EVER);
    }
    response
}

/// A document that clients may keep until its hash changes: 304 for those who
/// have it.
fn kept(document: &Document, content_type: &'static str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", document.hash);
    let mut response = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        respond::document(StatusCode::OK, content_type, Body::from(document.body.clone()))
    };
    insert(&mut response, header::ETAG, &tag);
    vary(&mut response);
    response
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    known.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    })
}

/// The same address answers differently to another Accept header.
fn vary(response: &mut Response) {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
