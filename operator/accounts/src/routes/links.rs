//! `users/NAME/sso`: which logins at the provider of identities are a user's.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Identity, VaultError};
use serde::Deserialize;
use serde_json::Value;

use super::others::{person, within_reach};
use super::{GROUP, body, document, refusal};
use crate::directory::Person;
use crate::oidc::Link;
use crate::sessions::Method;
use crate::sign_in::SignIn;

const KIND: &str = "SingleSignOnLink";

/// The longest issuer and subject. OpenID Connect Core allows a subject 255 letters.
const LONGEST_ISSUER: usize = 1_000;
const LONGEST_SUBJECT: usize = 255;

impl SignIn {
    /// What is behind the gate, below the prefix of `operations.hades.dev`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/users/{user}/sso", get(list).post(create).delete(remove))
            .with_state(Arc::clone(self))
    }

    fn link_list(&self, person: &Person) -> Result<Value, VaultError> {
        let links = self.links.of_user(&person.uid)?;
        let items = links.iter().map(|link| document::link(&link.value)).collect();
        Ok(document::list(KIND, items))
    }

    /// Ends the sessions that somebody began by the provider.
    async fn end_provided(&self, person: &Person) -> Result<(), VaultError> {
        let stays = |how: &Method| matches!(how, Method::Password);
        let _turn = self.accounts.inner.changes.lock().await;
        let sessions = &self.accounts.inner.sessions;
        sessions.remove_all(&person.uid, |entry| stays(&entry.how)).await.map(|_| ())
    }
}

async fn list(
    State(sign_in): State<Arc<SignIn>>,
    Path(user): Path<String>,
) -> Result<Response, StatusError> {
    let person = person(&sign_in.accounts, &user)?;
    let links = sign_in.link_list(&person).map_err(refusal::vault)?;
    Ok(document::answer(StatusCode::OK, &links))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    subject: String,
    issuer: Option<String>,
}

async fn create(
    State(sign_in): State<Arc<SignIn>>,
    Extension(caller): Extension<Identity>,
    Path(user): Path<String>,
    request: Request,
) -> Result<Response, StatusError> {
    let (parts, body) = request.into_parts();
    let person = within_reach(&sign_in.accounts, &caller, &parts.headers, &user)?;
    if person.robot {
        return Err(refusal::invalid(KIND, &user, "metadata.name", "a robot doesn't log in"));
    }
    let (_, wanted) = body::read::<Wanted>(&parts.headers, body, KIND).await?;
    let Wanted { subject, issuer } = wanted;
    let configured = sign_in.provider.as_ref().map(|provider| provider.settings.issuer.clone());
    let bounded = |text: &str, longest| (1..=longest).contains(&text.len());
    let issuer = issuer.or(configured).filter(|issuer| bounded(issuer, LONGEST_ISSUER));
    let issuer = issuer.ok_or_else(|| {
        refusal::invalid(KIND, &user, "spec.issuer", "name the issuer of the provider")
    })?;
    if !bounded(&subject, LONGEST_SUBJECT) {
        let words = "write what the claim \"sub\" is, at most 255 letters";
        return Err(refusal::invalid(KIND, &user, "spec.subject", words));
    }
    let link = Link {
        issuer,
        subject,
        user: person.name.clone(),
        uid: person.uid.clone(),
        since: sign_in.accounts.now(),
    };
    keep(&sign_in, &link).await?;
    tracing::info!(user, by = caller.name, subject = link.subject, "a login was linked");
    Ok(document::answer(StatusCode::CREATED, &document::link(&link)))
}

/// Keeps a link, unless its subject is another user who still is there.
async fn keep(sign_in: &SignIn, link: &Link) -> Result<(), StatusError> {
    let _turn = sign_in.linking.lock().await;
    let before = sign_in.links.of(&link.issuer, &link.subject).map_err(refusal::vault)?;
    let kept = match before {
        None => sign_in.links.create(link).await,
        Some(mut before) => {
            let Link { user, uid, .. } = &before.value;
            if sign_in.accounts.inner.directory.same(user, uid).is_some() {
                let words = format!("this login is linked with the user {user:?}: unlink it first");
                return Err(StatusError::conflict(GROUP, "sso", &link.user, words));
            }
            before.value = link.clone();
            sign_in.links.update(&before).await
        }
    };
    kept.map_err(refusal::vault)
}

/// Which of many is meant. Not saying it must not mean all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    subject: Option<String>,
    #[serde(default)]
    all: bool,
}

async fn remove(
    State(sign_in): State<Arc<SignIn>>,
    Extension(caller): Extension<Identity>,
    Path(user): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, StatusError> {
    const INSTEAD: &str = "say ?subject=SUBJECT or ?all=true";
    let person = person(&sign_in.accounts, &user)?;
    let Query(which) = which.map_err(|rejection| refusal::query(&rejection, INSTEAD))?;
    let subject = match which {
        Which { subject: Some(subject), all: false } => Some(subject),
        Which { subject: None, all: true } => None,
        _ => return Err(StatusError::bad_request(INSTEAD)),
    };
    let turn = sign_in.linking.lock().await;
    let mut links = sign_in.links.of_user(&person.uid).map_err(refusal::vault)?;
    links.retain(|link| subject.as_ref().is_none_or(|subject| *subject == link.value.subject));
    for link in &links {
        sign_in.links.remove(link).await.map_err(refusal::vault)?;
    }
    drop(turn);
    if let (Some(subject), true) = (&subject, links.is_empty()) {
        return Err(StatusError::not_found(GROUP, "sso", subject));
    }
    sign_in.end_provided(&person).await.map_err(refusal::vault)?;
    tracing::info!(user, by = caller.name, count = links.len(), "logins were unlinked");
    Ok(document::success("unlinked; sessions that began by single sign-on ended"))
}
