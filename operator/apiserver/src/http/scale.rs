//! `/scale` of any resource that has one.

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::view::View;
use super::{Ask, body_form, decode_body_strict, read_patch, respond, stored};
use crate::registry::scale;
use crate::wire::status::StatusError;
use crate::write::{self, Outcome, WriteKind};

pub(super) fn get(ask: &Ask) -> Result<Response, StatusError> {
    shown(ask, stored(ask)?.object, &[])
}

pub(super) async fn update(ask: &Ask, body: &Bytes) -> Result<Response, StatusError> {
    let decoded = decode_body_strict(body_form(ask.content_type())?, body)?;
    let options = ask.write_options(WriteKind::Update)?;
    let (call, duplicates) = (ask.call(&options), decoded.duplicates);
    let outcome = write::replace_scale(call, ask.name(), decoded.value, &duplicates).await?;
    answer(ask, outcome)
}

pub(super) async fn patch(ask: &Ask, body: Bytes) -> Result<Response, StatusError> {
    let (patch, duplicates, options) = read_patch(ask, body)?;
    let call = ask.call(&options);
    let outcome = write::patch_scale(call, ask.name(), patch, &duplicates).await?;
    answer(ask, outcome)
}

fn answer(ask: &Ask, outcome: Outcome) -> Result<Response, StatusError> {
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
