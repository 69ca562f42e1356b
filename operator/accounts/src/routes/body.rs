//! Bodies of requests: small JSON documents with a `spec`.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use hades_apiserver::wire::status::StatusError;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::API_VERSION;

/// The largest body.
pub(super) const MAX_BODY: usize = 16 << 10;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A secret as it is sent: read, and printed by nothing.
#[derive(Debug)]
pub(super) struct Sent(pub SecretString);

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}

/// A document as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<Spec> {
    api_version: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

/// The name and the spec of a document of a kind.
///
/// # Errors
/// 400, 413 and 415 where it is none. What it holds is in no error: there may be a
/// password in it.
pub(super) async fn read<Spec: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    kind: &str,
) -> Result<(String, Spec), StatusError> {
    // `kubectl create --raw` says no type.
    if let Some(form) = headers.get(header::CONTENT_TYPE) {
        let form = form.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        if !form.trim().eq_ignore_ascii_case("application/json") {
            return Err(StatusError::unsupported_media_type(&["application/json"]));
        }
    }
    let reading = tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BODY)).await;
    let bytes = reading
        .map_err(|_| StatusError::request_timeout("the body took too long to arrive"))?
        .map_err(|_| StatusError::too_large(format!("the limit is {MAX_BODY} bytes")))?;
    let document: Document<Spec> =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(kind, &error))?;
    let Document { api_version, kind: found, metadata, spec } = document;
    if api_version.is_some_and(|found| found != API_VERSION)
        || found.is_some_and(|found| found != kind)
    {
        let words = format!("the body is no {kind} of {API_VERSION}");
        return Err(StatusError::bad_request(words));
    }
    Ok((metadata.name, spec))
}

fn unreadable(kind: &str, error: &serde_json::Error) -> StatusError {
    let (line, column) = (error.line(), error.column());
    StatusError::bad_request(format!(
        "the body can't be read as a {kind}: look at line {line}, column {column} (the fields are \
         in docs/api.md)"
    ))
}
