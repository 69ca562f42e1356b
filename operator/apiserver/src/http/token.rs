//! `serviceaccounts/NAME/token`: what `kubectl create token` asks.

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequestSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Ask, body_form, decode_body_strict, respond, stored};
use crate::admission::{Cause, CauseReason};
use crate::authn::service_account::{Bound, ISSUER, Order};
use crate::state::wire_time;
use crate::store::{Key, Meta};
use crate::wire::status::StatusError;
use crate::write::{WriteKind, drop_nulls};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";

/// Seconds that a token lasts where nothing is said, at least, and at most.
const USUAL: i64 = 60 * 60;
const SHORTEST: i64 = 10 * 60;
const LONGEST: i64 = 365 * 24 * 60 * 60;

/// Kubernetes reads no longer durations.
const MAX_DURATION: i64 = 1 << 32;

/// Makes a token.
pub(super) fn create(ask: &Ask, body: &Bytes) -> Result<Response, StatusError> {
    let decoded = decode_body_strict(body_form(ask.content_type())?, body)?;
    let options = ask.write_options(WriteKind::Create)?;
    let mut request = decoded.value;
    check_type(&mut request)?;
    drop_nulls(&mut request);
    let spec = if request["spec"].is_null() { json!({}) } else { request["spec"].take() };
    let mut spec = TokenRequestSpec::deserialize(spec)
        .map_err(|problem| StatusError::bad_request(format!("spec: {problem}")))?;
    let causes = duration_causes(spec.expiration_seconds);
    if !causes.is_empty() {
        return Err(StatusError::invalid(GROUP, KIND, ask.name(), causes));
    }
    if ask.caller.scope.is_some() {
        let why = "a limited token makes no token that may do more than it: log in, or use one \
                   without limits";
        return Err(StatusError::forbidden("", "serviceaccounts/token", ask.name(), why));
    }
    let account = Meta::read(&stored(ask)?.object).map_err(StatusError::internal)?;
    let now = (ask.state.clock)().as_second();
    let wanted = spec.expiration_seconds.unwrap_or(USUAL);
    let lasts = wanted.min(LONGEST);
    let audiences = match spec.audiences.take() {
        Some(audiences) if !audiences.is_empty() => audiences,
        _ => vec![ISSUER.to_owned()],
    };
    spec.audiences = Some(audiences.clone());
    let expires = now + lasts;
    let mut token = ask.state.service_accounts.issue(Order {
        namespace: account.namespace.clone(),
        secret: spec.bound_object_ref.as_ref().map(|bound| secret(ask, bound)).transpose()?,
        account: Bound { name: account.name.clone(), uid: account.uid },
        audiences,
        issued: now,
        expires,
    })?;
    if options.dry_run {
        token.clear();
    }
    let expiry = Timestamp::from_second(expires).map_err(StatusError::internal)?;
    spec.expiration_seconds = Some(lasts);
    let answer = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": KIND,
        "metadata": {
            "name": account.name, "namespace": account.namespace,
            "creationTimestamp": ask.state.now(),
        },
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": wire_time(expiry)},
    });
    let mut response = respond::json(StatusCode::CREATED, &answer);
    if lasts < wanted {
        respond::warn(
            &mut response,
            &[format!("requested expiration of {wanted} seconds shortened to {lasts} seconds")],
        );
    }
    Ok(response)
}

/// As for every body: where it says what it is, it must be that.
fn check_type(request: &mut Value) -> Result<(), StatusError> {
    if request.is_null() {
        *request = Value::Object(Map::new());
    }
    if !request.is_object() {
        return Err(StatusError::bad_request("the body must be a single object"));
    }
    let given = |field: &str| request[field].as_str().unwrap_or_default();
    let (api_version, kind) = (given("apiVersion"), given("kind"));
    let is_right = |text: &str, right: &str| text.is_empty() || text == right;
    if is_right(api_version, "authentication.k8s.io/v1") && is_right(kind, KIND) {
        return Ok(());
    }
    Err(StatusError::bad_request(format!(
        "the body is a {kind:?} of {api_version:?}, not a {KIND:?} of \"{GROUP}/v1\""
    )))
}

fn duration_causes(seconds: Option<i64>) -> Vec<Cause> {
    let wrong = match seconds {
        Some(seconds) if seconds < SHORTEST => "may not specify a duration less than 10 minutes",
        Some(seconds) if seconds > MAX_DURATION => {
            "may not specify a duration larger than 2^32 seconds"
        }
        _ => return Vec::new(),
    };
    let message = format!("Invalid value: {}: {wrong}", seconds.unwrap_or_default());
    vec![Cause::new("spec.expirationSeconds", CauseReason::FieldValueInvalid, message)]
}

/// The Secret that a token is bound to.
fn secret(ask: &Ask, bound: &BoundObjectReference) -> Result<Bound, StatusError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (api_version, kind) = (text(&bound.api_version), text(&bound.kind));
    if (api_version.as_str(), kind.as_str()) != ("v1", "Secret") {
        return Err(StatusError::bad_request(format!(
            "cannot bind token to object of type {api_version}, Kind={kind}"
        )));
    }
    let (name, wanted) = (text(&bound.name), text(&bound.uid));
    let namespace = ask.path.namespace.as_deref().unwrap_or_default();
    let key = Key::new(&"/secrets".into(), namespace, &name);
    let row = ask.state.store.get(&key)?;
    let row = row.ok_or_else(|| StatusError::not_found("", "secrets", &name))?;
    let uid = Meta::read(&row.object).map_err(StatusError::internal)?.uid;
    if !wanted.is_empty() && wanted != uid {
        let message = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The \
             object might have been deleted and then recreated"
        );
        return Err(StatusError::conflict("", "secrets", &name, message));
    }
    Ok(Bound { name, uid })
}
