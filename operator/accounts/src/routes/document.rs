//! Documents: what is answered.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::API_VERSION;
use crate::ledger::Held;
use crate::oidc::Link;
use crate::second_factor::{Enrolment, FactorState};
use crate::sessions::{IDLE, Session, SessionEntry};
use crate::tokens::TokenEntry;

/// RFC 3339 in UTC with whole seconds, as Kubernetes writes times.
fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn seconds(seconds: i64) -> Option<String> {
    (seconds > 0).then(|| Timestamp::from_second(seconds).ok().map(time)).flatten()
}

/// An answer that nobody on the way keeps.
pub(super) fn answer(code: StatusCode, document: &Value) -> Response {
    let mut response = (code, document.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The `Status` of what went well.
pub(super) fn success(message: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "message": message});
    answer(StatusCode::OK, &status)
}

fn document(kind: &str, metadata: Value, status: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status})
}

/// A list of documents of one kind.
pub(super) fn list(kind: &str, items: Vec<Value>) -> Value {
    json!({"apiVersion": API_VERSION, "kind": format!("{kind}List"), "metadata": {},
        "items": items})
}

/// An API token, without the token.
pub(super) fn token(entry: &TokenEntry, used: i64, now: Timestamp) -> Value {
    let metadata = json!({"name": entry.name, "creationTimestamp": time(entry.created)});
    let mut status = json!({"user": entry.user, "expired": entry.is_over(now)});
    if let Some(expires) = entry.expires {
        status["expirationTimestamp"] = json!(time(expires));
    }
    if let Some(used) = seconds(used) {
        status["lastUsedTime"] = json!(used);
    }
    let mut document = document("Token", metadata, status);
    document["spec"] = json!({"projects": entry.projects, "verbs": entry.verbs});
    document
}

/// The same of one that is good.
pub(super) fn held_token(held: &Held<TokenEntry>, now: Timestamp) -> Value {
    token(&held.entry, held.used(), now)
}

/// Shows a token, this once.
pub(super) fn show(mut document: Value, token: &SecretString) -> Value {
    document["status"]["token"] = json!(token.expose_secret());
    document
}

/// A session that has just begun, with its token.
pub(super) fn new_session(session: &Session) -> Value {
    let metadata = json!({"name": session.id});
    let status = json!({"user": session.user, "expirationTimestamp": time(session.expires),
        "idleSeconds": IDLE.as_secs()});
    show(document("Session", metadata, status), &session.token)
}

/// A session, without its token.
pub(super) fn session(held: &Held<SessionEntry>, current: Option<&str>) -> Value {
    let entry = &held.entry;
    let metadata = json!({"name": entry.id, "creationTimestamp": time(entry.started)});
    let mut status = json!({
        "user": entry.user,
        "method": entry.how.name(),
        "expirationTimestamp": time(entry.expires()),
        "userAgent": entry.agent,
        "current": current == Some(&*entry.id),
    });
    if let Some(address) = entry.address {
        status["address"] = json!(address.to_string());
    }
    if let Some(used) = seconds(held.used()) {
        status["lastUsedTime"] = json!(used);
    }
    document("Session", metadata, status)
}

/// A login at a provider of identities that is a user's.
pub(super) fn link(link: &Link) -> Value {
    let Link { issuer, subject, user, uid: _, since } = link;
    let metadata = json!({"creationTimestamp": time(*since)});
    let mut document = document("SingleSignOnLink", metadata, json!({"user": user}));
    document["spec"] = json!({"issuer": issuer, "subject": subject});
    document
}

/// How a second factor stands.
pub(super) fn factor(user: &str, state: Option<FactorState>) -> Value {
    let status = match state {
        None => json!({"enabled": false}),
        Some(state) => json!({"enabled": true, "since": time(state.since),
            "recoveryCodesLeft": state.recovery_codes}),
    };
    document("SecondFactor", json!({"name": user}), status)
}

/// What an authenticator is set up with.
pub(super) fn enrolment(user: &str, enrolment: &Enrolment) -> Value {
    let status = json!({"enabled": false, "secret": enrolment.secret.expose_secret(),
        "url": enrolment.url.expose_secret()});
    document("SecondFactor", json!({"name": user}), status)
}

/// The recovery codes of a second factor that logins need from now on.
pub(super) fn recovery(user: &str, codes: &[SecretString]) -> Value {
    let codes: Vec<&str> = codes.iter().map(ExposeSecret::expose_secret).collect();
    let status = json!({"enabled": true, "recoveryCodes": codes});
    document("SecondFactor", json!({"name": user}), status)
}
