//! What administrators do about others: `users/NAME/password`, `tokens`, `totp`,
//! `sessions`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hades_apiserver::Identity;
use hades_apiserver::wire::status::StatusError;
use serde::Deserialize;

use super::body::Sent;
use super::{body, document, refusal};
use crate::accounts::Accounts;
use crate::directory::{CREDENTIAL, Person};
use crate::rules;
use crate::tokens::TokenSpec;

pub(super) fn person(accounts: &Accounts, name: &str) -> Result<Arc<Person>, StatusError> {
    let person = accounts.person(name);
    person.ok_or_else(|| StatusError::not_found("hades.dev", "users", name))
}

/// The user, of whom the caller gets what to log in as him with.
///
/// # Errors
/// 403 where the caller may not be that user anyway, or shows less than what he would
/// get.
pub(super) fn within_reach(
    accounts: &Accounts,
    caller: &Identity,
    headers: &HeaderMap,
    name: &str,
) -> Result<Arc<Person>, StatusError> {
    let person = person(accounts, name)?;
    if let Some(why) = shows_less(caller, headers, &person) {
        return Err(refusal::forbidden("users", name, why));
    }
    let missing = rules::missing(&person.name, &person.groups, |right| accounts.may(caller, right));
    match missing {
        None => Ok(person),
        Some(missing) => {
            let (resource, object) = (missing.resource, missing.name);
            let why = format!(
                "User {:?} cannot impersonate resource {resource:?} in API group \"\" at the \
                 cluster scope, which is needed to decide how {name:?} logs in",
                caller.name
            );
            Err(StatusError::forbidden("", resource, object, why))
        }
    }
}

/// Why what a caller shows must not become a password or token of a user: a token that
/// leaked must not become one that may do more or lasts longer.
fn shows_less(caller: &Identity, headers: &HeaderMap, of: &Person) -> Option<&'static str> {
    if caller.scope.is_some() {
        return Some(
            "a limited token makes nothing that may do more than it: log in (hadesctl login)",
        );
    }
    let credential = caller.extra.get(CREDENTIAL).and_then(|values| values.first());
    let is_token = credential.is_some_and(|credential| credential.starts_with("token/"));
    if is_token && caller.uid.as_deref() == Some(&*of.uid) {
        return Some(
            "a token of a user makes nothing for that user that lasts longer: log in (hadesctl login)",
        );
    }
    // What the real caller shows isn't known then.
    headers
        .contains_key("impersonate-user")
        .then_some("nobody decides in the name of somebody else how users log in")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewPassword {
    new_password: Sent,
}

pub(super) async fn set_password(
    State(accounts): State<Accounts>,
    Extension(caller): Extension<Identity>,
    Path(user): Path<String>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let person = within_reach(&accounts, &caller, &parts.headers, &user)?;
    let (_, change) = body::read::<NewPassword>(&parts.headers, body, "PasswordChange").await?;
    let changed = accounts.set_password(&person, &change.new_password.0, None).await;
    changed.map_err(refusal::password)?;
    tracing::info!(user, by = caller.name, "somebody else set the password");
    Ok(document::success("the password was set, and all sessions of the user ended"))
}

pub(super) async fn remove_password(
    State(accounts): State<Accounts>,
    Path(user): Path<String>,
) -> Result<Response, StatusError> {
    let person = person(&accounts, &user)?;
    if !accounts.remove_password(&person).await.map_err(refusal::vault)? {
        return Err(StatusError::not_found("hades.dev", "users", &user)
            .saying(format!("the user {user:?} has no password")));
    }
    Ok(document::success("the password was removed, and all sessions of the user ended"))
}

pub(super) async fn list_tokens(
    State(accounts): State<Accounts>,
    Path(user): Path<String>,
) -> Result<Response, StatusError> {
    let person = person(&accounts, &user)?;
    Ok(document::answer(StatusCode::OK, &accounts.token_list(&person)))
}

pub(super) async fn create_token(
    State(accounts): State<Accounts>,
    Extension(caller): Extension<Identity>,
    Path(user): Path<String>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let person = within_reach(&accounts, &caller, &parts.headers, &user)?;
    let (name, spec) = body::read::<TokenSpec>(&parts.headers, body, "Token").await?;
    let answer = accounts.answer_new_token(&person, &name, spec).await?;
    tracing::info!(user, by = caller.name, token = name, "somebody else made the token");
    Ok(answer)
}

/// Which of many is meant. Not saying it must not mean all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    token: Option<String>,
    session: Option<String>,
    #[serde(default)]
    all: bool,
}

pub(super) async fn revoke_tokens(
    State(accounts): State<Accounts>,
    Path(user): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, StatusError> {
    const INSTEAD: &str = "say ?token=NAME or ?all=true";
    let person = person(&accounts, &user)?;
    let Query(which) = which.map_err(|rejection| refusal::query(&rejection, INSTEAD))?;
    let name = match which {
        Which { token: Some(name), session: None, all: false } => Some(name),
        Which { token: None, session: None, all: true } => None,
        _ => return Err(StatusError::bad_request(INSTEAD)),
    };
    let revoked = accounts.revoke_tokens(&person, name.as_deref()).await.map_err(refusal::vault)?;
    match name {
        Some(name) if revoked == 0 => Err(StatusError::not_found(super::GROUP, "tokens", &name)),
        _ => Ok(document::success(&format!("{revoked} tokens were revoked"))),
    }
}

pub(super) async fn show_factor(
    State(accounts): State<Accounts>,
    Path(user): Path<String>,
) -> Result<Response, StatusError> {
    accounts.answer_factor(&*person(&accounts, &user)?)
}

pub(super) async fn reset_factor(
    State(accounts): State<Accounts>,
    Extension(caller): Extension<Identity>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusError> {
    let person = within_reach(&accounts, &caller, &headers, &user)?;
    accounts.remove_factor(&person).await
}

pub(super) async fn list_sessions(
    State(accounts): State<Accounts>,
    Path(user): Path<String>,
) -> Result<Response, StatusError> {
    let person = person(&accounts, &user)?;
    Ok(document::answer(StatusCode::OK, &accounts.session_list(&person, None)))
}

pub(super) async fn end_sessions(
    State(accounts): State<Accounts>,
    Path(user): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, StatusError> {
    const INSTEAD: &str = "say ?session=ID or ?all=true";
    let person = person(&accounts, &user)?;
    let Query(which) = which.map_err(|rejection| refusal::query(&rejection, INSTEAD))?;
    let id = match which {
        Which { token: None, session: Some(id), all: false } => Some(id),
        Which { token: None, session: None, all: true } => None,
        _ => return Err(StatusError::bad_request(INSTEAD)),
    };
    let is_meant = |one: &str| id.as_deref().is_none_or(|id| id == one);
    let ended = accounts.end_sessions_of(&person, is_meant).await.map_err(refusal::vault)?;
    match id {
        Some(id) if ended == 0 => Err(StatusError::not_found(super::GROUP, "sessions", &id)),
        _ => Ok(document::success(&format!("{ended} sessions ended"))),
    }
}
