//! `POST /auth/login` and `POST /auth/logout`.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
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
use crate::site;

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
    // A page of any site can have a browser send what counts as a failure of somebody,
    // in the place where he sits; but not of this type, and not without saying so.
    if !parts.headers.contains_key(header::CONTENT_TYPE) {
        return StatusError::unsupported_media_type(&["application/json"]).into_response();
    }
    if site::is_of_other_page(&parts.headers, &parts.uri) {
        let why = "a browser sent this for a page of another site";
        return refusal::forbidden("logins", "", why).saying(why).into_response();
    }
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
