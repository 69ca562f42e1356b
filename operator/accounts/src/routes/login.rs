//! `POST /auth/login` and `POST /auth/logout`.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hades_apiserver::Peer;
use hades_apiserver::wire::status::StatusError;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::body::Sent;
use super::{body, document, refusal};
use crate::accounts::Accounts;
use crate::authenticator::bearer;
use crate::origin::Origin;

/// What somebody says of himself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: Sent,
    code: Option<Sent>,
}

pub(super) async fn log_in(State(accounts): State<Accounts>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let from = Origin::of(parts.extensions.get::<Peer>(), &parts.headers);
    let login = match body::read::<Login>(&parts.headers, body, "Login").await {
        Ok((_, login)) => login,
        Err(error) => return error.into_response(),
    };
    let Login { user, password, code } = login;
    // An empty field of a form is no code.
    let code = code.map(|Sent(code)| code).filter(|code| !code.expose_secret().trim().is_empty());
    match accounts.log_in(&user, &password.0, code.as_ref(), &from).await {
        Ok(session) => document::answer(StatusCode::CREATED, &document::new_session(&session)),
        Err(error) => refusal::unkept(refusal::login(error)),
    }
}

pub(super) async fn log_out(State(accounts): State<Accounts>, request: Request) -> Response {
    let Some(token) = bearer(request.headers()) else {
        return StatusError::unauthorized("Unauthorized").into_response();
    };
    match accounts.end_session(token).await {
        Ok(true) => document::success("logged out"),
        Ok(false) => StatusError::unauthorized("Unauthorized").into_response(),
        Err(error) => refusal::vault(error).into_response(),
    }
}
