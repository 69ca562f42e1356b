//! The documents by which clients learn what is served.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::respond;
use crate::registry::ResourceInfo;
use crate::state::State;
use crate::wire::accept::aggregated_discovery;
use crate::wire::discovery::{
    DiscoveryRoot, aggregated, api_group, api_group_list, api_resource_list, api_versions,
};
use crate::wire::openapi;

/// Clients compare the minor version with their own and warn when it is more
/// than one apart.
const KUBERNETES_MINOR: &str = "36";

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

/// The document at `path`, or `None` where the path is of another sort.
pub(super) fn document(state: &State, path: &str, accept: Option<&str>) -> Option<Response> {
    let registry = state.registry();
    let resources = registry.infos();
    let ok = |value: &Value| respond::json(StatusCode::OK, value);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let value = match segments.as_slice() {
        ["version"] => version(),
        ["api"] => match aggregated_discovery(accept) {
            Some(form) => {
                let list = aggregated(resources, DiscoveryRoot::Api, form);
                return Some(respond::document(
                    StatusCode::OK,
                    form.content_type(),
                    Body::from(list.to_string()),
                ));
            }
            None => api_versions(resources),
        },
        ["apis"] => match aggregated_discovery(accept) {
            Some(form) => {
                let list = aggregated(resources, DiscoveryRoot::Apis, form);
                return Some(respond::document(
                    StatusCode::OK,
                    form.content_type(),
                    Body::from(list.to_string()),
                ));
            }
            None => api_group_list(resources),
        },
        ["api", version] => api_resource_list(resources, "", version)?,
        ["apis", group] => api_group(resources, group)?,
        ["apis", group, version] => api_resource_list(resources, group, version)?,
        ["openapi", "v2"] => {
            return Some(respond::document(
                StatusCode::OK,
                openapi::V2_CONTENT_TYPE,
                Body::from(openapi::V2_STUB),
            ));
        }
        ["openapi", "v3"] => {
            return Some(ok(registry.openapi_index()));
        }
        ["openapi", "v3", "api", version] => return schema(resources, "", version),
        ["openapi", "v3", "apis", group, version] => return schema(resources, group, version),
        _ => return None,
    };
    Some(ok(&value))
}

/// An OpenAPI document; its address carries its hash, so that it may be kept.
fn schema(resources: &[ResourceInfo], group: &str, version: &str) -> Option<Response> {
    let document = openapi::document(resources, group, version)?;
    let hash = openapi::hash(&document);
    let mut response = respond::json(StatusCode::OK, &document);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        headers.insert(header::ETAG, tag);
    }
    Some(response)
}
