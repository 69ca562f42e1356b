//! `POST /auth/device` and `POST /auth/device/token`, in the forms and words of
//! RFC 8628 and RFC 6749.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use hades_apiserver::Peer;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::grants::{Approval, BeginError, INTERVAL, LIFETIME, Poll};
use crate::forms::{Form, FormError};
use crate::origin::Origin;
use crate::sessions::{Method, Session, SessionError};
use crate::sign_in::SignIn;

/// The one client there is. It has no secret (RFC 6749, 2.1).
const CLIENT: &str = "hadesctl";

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// When to try again after too many logins were begun, in seconds.
const LATER: i64 = 60;

/// The longest name of a machine (RFC 1035 allows a label 63).
const MAX_HOST: usize = 64;

/// Begins a login.
pub(crate) async fn authorize(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = match read(&parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let from = Origin::of(parts.extensions.get::<Peer>(), &parts.headers);
    let page = sign_in.device_page(&parts.headers, &parts.uri);
    let codes = match sign_in.grants.begin(from, host(form.text("host_name"))) {
        Ok(codes) => codes,
        Err(BeginError::Full) => return later(),
        Err(error) => return failed(&error),
    };
    let complete = format!("{page}?user_code={}", codes.user_code);
    answer(
        StatusCode::OK,
        &json!({
            "device_code": codes.device_code.expose_secret(),
            "user_code": codes.user_code,
            "verification_uri": page,
            "verification_uri_complete": complete,
            "expires_in": LIFETIME,
            "interval": INTERVAL,
        }),
    )
}

/// Tells a client how its login stands, and gives it its session.
pub(crate) async fn token(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = match read(&parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    if form.text("grant_type") != GRANT_TYPE {
        return refused("unsupported_grant_type", "grant_type must be that of RFC 8628");
    }
    let from = Origin::of(parts.extensions.get::<Peer>(), &parts.headers);
    let approval = match sign_in.grants.poll(form.text("device_code")) {
        Poll::Approved(approval) => approval,
        Poll::Pending => return refused("authorization_pending", "nobody has confirmed it yet"),
        Poll::SlowDown => return refused("slow_down", "ask less often: 5 s more between two"),
        Poll::Refused => return refused("access_denied", "somebody refused it"),
        Poll::Expired => return refused("expired_token", "it took too long; begin again"),
        Poll::Invalid => return refused("invalid_grant", "the device code is used up or none"),
    };
    match let_in(&sign_in, approval, &from).await {
        Ok(Some(session)) => {
            let left = session.expires.as_second() - sign_in.accounts.now().as_second();
            answer(
                StatusCode::OK,
                &json!({
                    "access_token": session.token.expose_secret(),
                    "token_type": "Bearer",
                    "expires_in": left,
                    "user": session.user,
                }),
            )
        }
        Ok(None) | Err(SessionError::KeptOut(_)) => {
            refused("access_denied", "whoever confirmed it is logged out or kept out by now")
        }
        Err(SessionError::Unrecorded(error)) => {
            let document = json!({"error": "server_error", "error_description": error.message()});
            answer(StatusCode::SERVICE_UNAVAILABLE, &document)
        }
        Err(error) => failed(&error),
    }
}

/// The session of a client. `None` where the one who confirmed it is logged out, or
/// another user by now: a session that was ended must leave no other behind.
async fn let_in(
    sign_in: &SignIn,
    approval: Approval,
    from: &Origin,
) -> Result<Option<Session>, SessionError> {
    let Approval { user, uid, groups, session, until } = approval;
    let accounts = &sign_in.accounts;
    let inner = &*accounts.inner;
    // No password changes in between.
    let _turn = inner.changes.lock().await;
    let now = accounts.now();
    let mut sessions = inner.session_table.of(&uid).into_iter();
    if !sessions.any(|held| held.entry.id == session && !held.entry.is_over(held.used(), now)) {
        return Ok(None);
    }
    let Some(person) = inner.directory.same(&user, &uid) else { return Ok(None) };
    let how = Method::Device { groups, until: Some(until) };
    accounts.begin_session(&person, how, from).await.map(Some)
}

/// The form of a request of the client.
async fn read(parts: &request::Parts, body: Body) -> Result<Form, Response> {
    // Browsers have nothing to ask here: pages of other sites could.
    if parts.headers.contains_key(header::ORIGIN) {
        return Err(refused("invalid_request", "this is for programs, not for pages"));
    }
    let form = Form::read(&parts.headers, body).await.map_err(unreadable)?;
    match form.text("client_id") {
        CLIENT => Ok(form),
        _ => Err(refused("invalid_client", "client_id must be hadesctl")),
    }
}

/// What a client says its machine is called; nothing where it is no name.
fn host(text: &str) -> Option<String> {
    let is_name = (1..=MAX_HOST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name.then(|| text.to_owned())
}

fn answer(code: StatusCode, document: &Value) -> Response {
    let mut response = (code, document.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error as RFC 6749, 5.2 has it.
fn refused(error: &str, description: &str) -> Response {
    let document = json!({"error": error, "error_description": description});
    answer(StatusCode::BAD_REQUEST, &document)
}

fn unreadable(error: FormError) -> Response {
    let document = json!({"error": "invalid_request", "error_description": error.to_string()});
    answer(error.code(), &document)
}

fn later() -> Response {
    let document = json!({"error": "temporarily_unavailable",
        "error_description": "too many logins from this network are under way"});
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, &document);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(LATER));
    response
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a device login failed");
    let document = json!({"error": "server_error",
        "error_description": "the server can't log anybody in now; its log says why"});
    answer(StatusCode::INTERNAL_SERVER_ERROR, &document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines_are_names() {
        assert_eq!(host("build-1.example.com").as_deref(), Some("build-1.example.com"));
        for bad in ["", "a b", "<b>", "ü", "a\nb", &"a".repeat(65)] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
