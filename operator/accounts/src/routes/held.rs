//! What both the users and their administrators do with what a user holds.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use hades_apiserver::VaultError;
use hades_apiserver::wire::status::StatusError;
use serde_json::Value;

use super::{document, refusal};
use crate::accounts::Accounts;
use crate::directory::Person;
use crate::ledger::Held;
use crate::sessions::SessionEntry;
use crate::tokens::{TokenEntry, TokenSpec};

impl Accounts {
    /// The tokens of a user, by name; those that expired lately, too.
    pub(super) fn tokens_of(&self, person: &Person) -> Vec<Arc<Held<TokenEntry>>> {
        let mut tokens = self.inner.token_table.of(&person.uid);
        tokens.sort_by(|a, b| a.entry.name.cmp(&b.entry.name));
        tokens
    }

    /// The sessions of a user that go on, the newest first.
    pub(super) fn sessions_of(&self, person: &Person) -> Vec<Arc<Held<SessionEntry>>> {
        let now = self.now();
        let mut sessions = self.inner.session_table.of(&person.uid);
        sessions.retain(|held| !held.entry.is_over(held.used(), now));
        sessions.sort_by_key(|held| std::cmp::Reverse(held.entry.started));
        sessions
    }

    pub(super) fn token_list(&self, person: &Person) -> Value {
        let (tokens, now) = (self.tokens_of(person), self.now());
        let items = tokens.iter().map(|held| document::held_token(held, now)).collect();
        document::list("Token", items)
    }

    pub(super) fn session_list(&self, person: &Person, current: Option<&str>) -> Value {
        let sessions = self.sessions_of(person);
        let items = sessions.iter().map(|held| document::session(held, current)).collect();
        document::list("Session", items)
    }

    pub(super) async fn answer_new_token(
        &self,
        person: &Person,
        name: &str,
        spec: TokenSpec,
    ) -> Result<Response, StatusError> {
        let new = self.create_token(person, name, spec).await;
        let new = new.map_err(|error| refusal::token(error, name))?;
        let document = document::token(&new.entry, 0, self.now());
        Ok(document::answer(StatusCode::CREATED, &document::show(document, &new.token)))
    }

    pub(super) fn answer_factor(&self, person: &Person) -> Result<Response, StatusError> {
        let state = self.inner.factors.state(person).map_err(refusal::vault)?;
        Ok(document::answer(StatusCode::OK, &document::factor(&person.name, state)))
    }

    pub(super) async fn remove_factor(&self, person: &Person) -> Result<Response, StatusError> {
        let inner = &*self.inner;
        let removed = inner.factors.remove(&person.name, &person.uid).await;
        removed.map_err(refusal::vault)?;
        inner.statuses.second_factor(&person.name, false);
        inner.wake.notify_one();
        tracing::info!(user = person.name, "the second factor was removed");
        Ok(document::success("logins need no second factor any more"))
    }

    /// Revokes one token of a user, or all; how many there were.
    pub(super) async fn revoke_tokens(
        &self,
        person: &Person,
        name: Option<&str>,
    ) -> Result<usize, VaultError> {
        let stays = |entry: &TokenEntry| name.is_some_and(|name| name != entry.name);
        let revoked = self.inner.tokens.remove_all(&person.uid, stays).await?;
        tracing::info!(user = person.name, revoked, "tokens were revoked");
        Ok(revoked)
    }

    /// Ends those sessions of a user that are meant; how many there were.
    pub(crate) async fn end_sessions_of(
        &self,
        person: &Person,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<usize, VaultError> {
        let _turn = self.inner.changes.lock().await;
        let ended = self.inner.sessions.remove_all(&person.uid, |entry| !is_meant(&entry.id)).await;
        if let Ok(ended) = ended {
            tracing::info!(user = person.name, ended, "sessions were ended");
        }
        ended
    }
}
