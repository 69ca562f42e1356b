//! What users do about themselves: `selfpassword`, `selftokens`, `selftotp`,
//! `selfsessions`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, request};
use axum::response::Response;
use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Identity, Peer};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::body::Sent;
use super::{GROUP, body, document, refusal};
use crate::accounts::Accounts;
use crate::directory::{CREDENTIAL, Person};
use crate::login::LoginError;
use crate::origin::Origin;
use crate::tokens::TokenSpec;

/// Somebody who asks about himself.
struct Caller {
    person: Arc<Person>,
    /// Such as `session/ID`.
    credential: String,
}

impl Caller {
    /// The user behind a request.
    ///
    /// # Errors
    /// 403 where it isn't the user who asks, by a credential of his own.
    fn of(
        accounts: &Accounts,
        identity: &Identity,
        headers: &HeaderMap,
        resource: &str,
    ) -> Result<Self, StatusError> {
        // The gate lets an administrator act in somebody's name; but a token that
        // he made so would have rights that he need not have.
        if headers.contains_key("impersonate-user") {
            let why = "this is for users themselves: nobody does it in the name of somebody else";
            return Err(refusal::forbidden(resource, "", why));
        }
        let person = identity
            .uid
            .as_deref()
            .and_then(|uid| accounts.inner.directory.same(&identity.name, uid));
        let credential = identity.extra.get(CREDENTIAL).and_then(|values| values.first()).cloned();
        match person.zip(credential) {
            Some((person, credential)) => Ok(Self { person, credential }),
            None => {
                let why = "this is for those who logged in as a User; administrators use \
                           users/NAME/… instead";
                Err(refusal::forbidden(resource, "", why))
            }
        }
    }

    /// The session by which he asks.
    fn session(&self) -> Option<&str> {
        self.credential.strip_prefix("session/")
    }

    fn is_token(&self, name: &str) -> bool {
        self.credential.strip_prefix("token/") == Some(name)
    }

    /// The session, for what gives access: a token that leaked must not make
    /// another one.
    ///
    /// # Errors
    /// 403 where he shows an API token.
    fn needs_session(&self, resource: &str) -> Result<&str, StatusError> {
        self.session().ok_or_else(|| {
            refusal::forbidden(resource, "", "an API token can't do this: log in (hadesctl login)")
        })
    }
}

fn origin(parts: &request::Parts) -> Origin {
    Origin::of(parts.extensions.get::<Peer>(), &parts.headers)
}

/// What a password is changed by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordChange {
    current_password: Sent,
    new_password: Sent,
}

pub(super) async fn change_password(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&accounts, &identity, &parts.headers, "selfpassword")?;
    let session = caller.needs_session("selfpassword")?;
    let (_, change) = body::read::<PasswordChange>(&parts.headers, body, "PasswordChange").await?;
    let name = &caller.person.name;
    let field = "spec.currentPassword";
    let confirmed = accounts.confirm(name, &change.current_password.0, &origin(&parts)).await;
    confirmed.map_err(|error| refusal::confirmation(error, "PasswordChange", field))?;
    let changed =
        accounts.set_password(&caller.person, &change.new_password.0, Some(session)).await;
    changed.map_err(refusal::password)?;
    Ok(document::success("the password was changed, and all other sessions ended"))
}

pub(super) async fn list_tokens(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selftokens")?;
    Ok(document::answer(StatusCode::OK, &accounts.token_list(&caller.person)))
}

pub(super) async fn show_token(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selftokens")?;
    let held = accounts.tokens_of(&caller.person).into_iter().find(|held| held.entry.name == name);
    let held = held.ok_or_else(|| StatusError::not_found(GROUP, "selftokens", &name))?;
    Ok(document::answer(StatusCode::OK, &document::held_token(&held, accounts.now())))
}

pub(super) async fn create_token(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&accounts, &identity, &parts.headers, "selftokens")?;
    caller.needs_session("selftokens")?;
    let (name, spec) = body::read::<TokenSpec>(&parts.headers, body, "Token").await?;
    accounts.answer_new_token(&caller.person, &name, spec).await
}

pub(super) async fn revoke_token(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selftokens")?;
    // A token may end itself, and nothing else.
    if !caller.is_token(&name) {
        caller.needs_session("selftokens")?;
    }
    let revoked = accounts.revoke_tokens(&caller.person, Some(&name)).await;
    match revoked.map_err(refusal::vault)? {
        0 => Err(StatusError::not_found(GROUP, "selftokens", &name)),
        _ => Ok(document::success("the token was revoked")),
    }
}

pub(super) async fn show_factor(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selftotp")?;
    accounts.answer_factor(&caller.person)
}

/// What a second factor is set up or removed by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FactorChange {
    current_password: Option<Sent>,
    code: Option<Sent>,
}

pub(super) async fn set_up_factor(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&accounts, &identity, &parts.headers, "selftotp")?;
    caller.needs_session("selftotp")?;
    let (_, change) = body::read::<FactorChange>(&parts.headers, body, "SecondFactor").await?;
    let (person, inner) = (&caller.person, &*accounts.inner);
    match change {
        FactorChange { current_password: Some(Sent(password)), code: None } => {
            let confirmed = accounts.confirm(&person.name, &password, &origin(&parts)).await;
            confirmed.map_err(|error| {
                refusal::confirmation(error, "SecondFactor", "spec.currentPassword")
            })?;
            let enrolment = inner.factors.enrol(person, accounts.now()).await;
            let enrolment = enrolment.map_err(refusal::factor)?;
            let document = document::enrolment(&person.name, &enrolment);
            Ok(document::answer(StatusCode::CREATED, &document))
        }
        FactorChange { current_password: None, code: Some(Sent(code)) } => {
            let codes = inner.factors.confirm(person, code.expose_secret(), accounts.now()).await;
            let codes = codes.map_err(refusal::factor)?;
            inner.statuses.second_factor(&person.name, true);
            inner.wake.notify_one();
            tracing::info!(user = person.name, "a second factor was set up");
            let document = document::recovery(&person.name, &codes);
            Ok(document::answer(StatusCode::CREATED, &document))
        }
        _ => Err(either()),
    }
}

fn either() -> StatusError {
    refusal::invalid("SecondFactor", "", "spec", "write either currentPassword or code")
}

pub(super) async fn remove_factor(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&accounts, &identity, &parts.headers, "selftotp")?;
    caller.needs_session("selftotp")?;
    let (_, change) = body::read::<FactorChange>(&parts.headers, body, "SecondFactor").await?;
    let (person, from) = (&caller.person, origin(&parts));
    let refused = |field: &'static str| {
        move |error: LoginError| refusal::confirmation(error, "SecondFactor", field)
    };
    match change {
        FactorChange { current_password: Some(Sent(password)), code: None } => {
            let confirmed = accounts.confirm(&person.name, &password, &from).await;
            confirmed.map_err(refused("spec.currentPassword"))?;
        }
        FactorChange { current_password: None, code: Some(Sent(code)) } => {
            let confirmed = accounts.confirm_code(person, &code, &from).await;
            confirmed.map_err(refused("spec.code"))?;
        }
        _ => return Err(either()),
    }
    accounts.remove_factor(person).await
}

pub(super) async fn list_sessions(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selfsessions")?;
    let list = accounts.session_list(&caller.person, caller.session());
    Ok(document::answer(StatusCode::OK, &list))
}

pub(super) async fn show_session(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selfsessions")?;
    let held = accounts.sessions_of(&caller.person).into_iter().find(|held| held.entry.id == id);
    let held = held.ok_or_else(|| StatusError::not_found(GROUP, "selfsessions", &id))?;
    Ok(document::answer(StatusCode::OK, &document::session(&held, caller.session())))
}

pub(super) async fn end_sessions(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selfsessions")?;
    let own = caller.needs_session("selfsessions")?;
    let ended = accounts.end_sessions_of(&caller.person, |id| id != own).await;
    let ended = ended.map_err(refusal::vault)?;
    Ok(document::success(&format!("{ended} other sessions ended")))
}

pub(super) async fn end_session(
    State(accounts): State<Accounts>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let caller = Caller::of(&accounts, &identity, &headers, "selfsessions")?;
    caller.needs_session("selfsessions")?;
    let ended = accounts.end_sessions_of(&caller.person, |one| one == id).await;
    match ended.map_err(refusal::vault)? {
        0 => Err(StatusError::not_found(GROUP, "selfsessions", &id)),
        _ => Ok(document::success("the session ended")),
    }
}
