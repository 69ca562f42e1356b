//! Authenticator: callers by the tokens and sessions that their requests show.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Authenticator, Clock, Identity};
use tokio::sync::Notify;

use crate::bearer::Form;
use crate::directory::Directory;
use crate::ledger::{Entry, Held, Table};
use crate::sessions::{SessionEntry, SessionInfo};
use crate::tokens::TokenEntry;

/// When something was last used is written at most this often, in seconds.
const SAVED_EVERY: i64 = 60;

/// Knows callers by bearer tokens. Looks into memory only.
pub(crate) struct Bearers {
    pub directory: Arc<Directory>,
    pub tokens: Arc<Table<TokenEntry>>,
    pub sessions: Arc<Table<SessionEntry>>,
    pub clock: Clock,
    /// Wakes the one who writes when things were used.
    pub wake: Arc<Notify>,
}

/// The bearer token of a request. `None` where there are two: which one counts
/// must not depend on who reads it.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Bearers {
    fn used<E>(&self, held: &Held<E>, now: i64) {
        if held.touch(now, SAVED_EVERY) {
            self.wake.notify_one();
        }
    }

    /// The session of a token, if it is good.
    pub fn session(&self, token: &str) -> Option<SessionInfo> {
        let held = self.sessions.find(&Form::Session.read(token)?)?;
        let (entry, now) = (&held.entry, (self.clock)());
        let person = self.directory.same(&entry.user, entry.uid())?;
        if !person.may_log_in() || entry.is_over(held.used(), now) {
            return None;
        }
        self.used(&held, now.as_second());
        Some(SessionInfo {
            id: entry.id.clone(),
            identity: person.identity(entry.how.groups(), format!("session/{}", entry.id)),
            started: entry.started,
            expires: entry.expires(),
            how: entry.how.clone(),
        })
    }

    fn token(&self, token: &str) -> Option<Identity> {
        let held = self.tokens.find(&Form::Token.read(token)?)?;
        let (entry, now) = (&held.entry, (self.clock)());
        let person = self.directory.same(&entry.user, entry.uid())?;
        if person.disabled || entry.is_over(now) {
            return None;
        }
        self.used(&held, now.as_second());
        let identity = person.identity(&[], format!("token/{}", entry.name));
        Some(match entry.scope() {
            Some(scope) => identity.within(scope),
            None => identity,
        })
    }
}

impl Authenticator for Bearers {
    fn authenticate(&self, request: &Request) -> Result<Option<Identity>, StatusError> {
        Ok(bearer(request.headers()).and_then(|token| self.identify(token)))
    }

    fn identify(&self, token: &str) -> Option<Identity> {
        self.token(token).or_else(|| self.session(token).map(|session| session.identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_read_and_no_two() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer a"]).as_deref(), Some("a"));
        assert_eq!(read(&["bearer  a "]).as_deref(), Some("a"));
        assert_eq!(read(&["Basic a"]), None);
        assert_eq!(read(&["Bearer"]), None);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Bearer a", "Bearer b"]), None);
    }
}
