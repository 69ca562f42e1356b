//! `/scale` of any resource that has one.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::view::View;
use super::{Ask, body_form, decode_body_strict, read_body, read_patch, respond, stored};
use crate::registry::scale;
use crate::wire::status::StatusError;
use crate::write;

/// Answers GET, PUT and PATCH.
pub(super) async fn answer(ask: &Ask, verb: &str, body: Body) -> Result<Response, StatusError> {
    if verb == "get" {
        return shown(ask, stored(ask)?.object, &[]);
    }
    let body = read_body(body).await?;
    let options = ask.write_options()?;
    let call = ask.call(&options);
    let outcome = if verb == "update" {
        let decoded = decode_body_strict(body_form(ask.content_type())?, &body)?;
        write::replace_scale(call, ask.name(), decoded.value, &decoded.duplicates).await?
    } else {
        let (patch, duplicates) = read_patch(ask, body)?;
        write::patch_scale(call, ask.name(), patch, &duplicates).await?
    };
    shown(ask, outcome.object, &outcome.warnings)
}

/// The scale of a stored object.
fn shown(ask: &Ask, object: Bytes, warnings: &[String]) -> Result<Response, StatusError> {
    let object = ask.resource.shown(object).map_err(StatusError::internal)?;
    let object: Value = serde_json::from_slice(&object).map_err(StatusError::internal)?;
    let scale_object = write::scale_of(&ask.resource, &object)?.to_string();
    let view = View::new(&ask.state, scale(), &ask.caller, ask.form, &ask.query);
    let mut response = respond::object(StatusCode::OK, &view, Bytes::from(scale_object))?;
    respond::warn(&mut response, warnings);
    Ok(response)
}
