//! Refusals: errors in the words of the API.

use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Cause, CauseReason, VaultError};
use serde_json::json;

use super::{GROUP, document};
use crate::login::LoginError;
use crate::passwords::PasswordError;
use crate::second_factor::FactorError;
use crate::tokens::TokenError;

/// When to try again after the server was busy, in seconds.
const SOON: u32 = 1;

/// One field that can't be as it is: 422.
pub(super) fn invalid(
    kind: &str,
    name: &str,
    field: &str,
    message: impl Into<String>,
) -> StatusError {
    let cause = Cause::new(field, CauseReason::FieldValueInvalid, message);
    StatusError::invalid(GROUP, kind, name, vec![cause])
}

/// 403 with the reason.
pub(super) fn forbidden(resource: &str, name: &str, why: &str) -> StatusError {
    StatusError::forbidden(GROUP, resource, name, why)
}

/// A query that isn't as it must be, and what to say instead.
pub(super) fn query(rejection: &QueryRejection, instead: &str) -> StatusError {
    StatusError::bad_request(format!("{}: {instead}", rejection.body_text()))
}

/// Something in the server doesn't work.
pub(super) fn failed(error: &dyn std::fmt::Display) -> StatusError {
    tracing::error!(%error, "a request about users failed");
    StatusError::internal(error)
}

/// The vault can't be read or written.
pub(super) fn vault(error: VaultError) -> StatusError {
    match error {
        VaultError::Changed => StatusError::conflict(
            GROUP,
            "users",
            "",
            "somebody changed the same at this moment; try again",
        ),
        VaultError::Read(error) => error.into(),
        error => failed(&error),
    }
}

/// Somebody isn't let in.
pub(super) fn login(error: LoginError) -> Response {
    match error {
        LoginError::Wrong => StatusError::unauthorized(error.to_string()).into_response(),
        LoginError::CodeNeeded => code_needed(&error.to_string()),
        error => unavailable(error).into_response(),
    }
}

/// What isn't the fault of what was sent.
fn unavailable(error: LoginError) -> StatusError {
    match error {
        LoginError::Throttled(wait) => {
            StatusError::too_many_requests(wait.to_string(), wait.seconds)
        }
        LoginError::Busy => StatusError::too_many_requests(error.to_string(), SOON),
        LoginError::Unavailable(error) => error,
        error => failed(&error),
    }
}

/// 401 that tells clients what to ask for.
fn code_needed(message: &str) -> Response {
    let mut status = StatusError::unauthorized(message).to_value();
    status["details"] = json!({"causes": [
        {"reason": "FieldValueRequired", "field": "spec.code", "message": message},
    ]});
    document::answer(StatusCode::UNAUTHORIZED, &status)
}

/// Somebody who is logged in doesn't show once more who he is.
pub(super) fn confirmation(error: LoginError, kind: &str, field: &str) -> StatusError {
    match error {
        LoginError::Wrong => invalid(kind, "", field, "is wrong"),
        LoginError::CodeNeeded => invalid(kind, "", "spec.code", error.to_string()),
        error => unavailable(error),
    }
}

/// A password can't be changed.
pub(super) fn password(error: PasswordError) -> StatusError {
    match error {
        PasswordError::Weak(_) | PasswordError::Robot(_) => {
            invalid("PasswordChange", "", "spec.newPassword", error.to_string())
        }
        PasswordError::Busy => StatusError::too_many_requests(error.to_string(), SOON),
        PasswordError::Vault(error) => vault(error),
        PasswordError::Hash(_) => failed(&error),
    }
}

/// A token can't be made.
pub(super) fn token(error: TokenError, name: &str) -> StatusError {
    match error {
        TokenError::Invalid { field, message } => invalid("Token", name, field, message),
        TokenError::Exists(_) => StatusError::already_exists(GROUP, "tokens", name),
        TokenError::TooMany | TokenError::KeptOut(_) => {
            forbidden("tokens", name, &error.to_string())
        }
        TokenError::Vault(error) => vault(error),
        TokenError::Random(_) => failed(&error),
    }
}

/// A second factor can't be set up.
pub(super) fn factor(error: FactorError) -> StatusError {
    match error {
        FactorError::Enrolled => {
            StatusError::conflict(GROUP, "selftotp", "", FactorError::Enrolled)
        }
        FactorError::NotBegun | FactorError::Wrong => {
            invalid("SecondFactor", "", "spec.code", error.to_string())
        }
        FactorError::Vault(error) => vault(error),
        error => failed(&error),
    }
}

/// Adds what a browser must know of an answer that holds secrets or is about them.
pub(super) fn unkept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
