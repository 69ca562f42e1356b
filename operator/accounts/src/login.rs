//! Login: who somebody is, by a password and a second factor.

use std::sync::Arc;

use hades_apiserver::wire::status::StatusError;
use secrecy::{ExposeSecret, SecretString};

use crate::accounts::Accounts;
use crate::audit::{self, Refused};
use crate::directory::Person;
use crate::origin::Origin;
use crate::passwords::{PasswordError, PasswordRecord};
use crate::second_factor::FactorError;
use crate::sessions::{Method, Session, SessionError};
use crate::throttle::{Throttled, Try};

/// Why somebody isn't let in. None of these tells whether there is such a user:
/// [`LoginError::CodeNeeded`] is told only to whoever knows the password.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, a wrong password, a wrong code, a user who may not log in.
    #[error("the name, the password or the code is wrong")]
    Wrong,
    /// The password is right; the user has a second factor.
    #[error("a code of the second factor is needed")]
    CodeNeeded,
    /// Too many failures.
    #[error(transparent)]
    Throttled(#[from] Throttled),
    /// Too many log in at this moment.
    #[error("too many passwords are being checked at this moment; try again in a second")]
    Busy,
    /// Nobody is let in now, in the words of the server.
    #[error("{0}")]
    Unavailable(StatusError),
    /// The server can't tell.
    #[error("the server can't check logins now: {0}")]
    Failed(String),
}

impl From<PasswordError> for LoginError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<FactorError> for LoginError {
    fn from(error: FactorError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SessionError> for LoginError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::KeptOut(_) => Self::Wrong,
            SessionError::Unrecorded(error) => Self::Unavailable(error),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl Accounts {
    /// Logs somebody in.
    ///
    /// # Errors
    /// When he isn't let in. All that is wrong with what he said takes the same
    /// time and is said in the same words.
    pub async fn log_in(
        &self,
        name: &str,
        password: &SecretString,
        code: Option<&SecretString>,
        from: &Origin,
    ) -> Result<Session, LoginError> {
        let (person, record) = self.prove(name, password, code, from).await?;
        let session = self.begin_by_password(&person, &record, from).await;
        if let Err(LoginError::Wrong) = &session {
            self.note_refused(name, from, "kept out, or the password was just changed");
        }
        session
    }

    async fn begin_by_password(
        &self,
        person: &Person,
        record: &PasswordRecord,
        from: &Origin,
    ) -> Result<Session, LoginError> {
        let _turn = self.inner.changes.lock().await;
        // The password may have been changed while its hash was computed.
        let stored = self.inner.passwords.of(person).map_err(PasswordError::from)?;
        if !stored.is_some_and(|stored| stored.value.is_same(record)) {
            return Err(LoginError::Wrong);
        }
        Ok(self.begin_session(person, Method::Password, from).await?)
    }

    fn note_refused(&self, name: &str, from: &Origin, why: &str) {
        let person = self.person(name);
        let user = person.as_ref().map(|person| &*person.name);
        let refused = Refused { user, method: "password", why, subject: None };
        audit::not_logged_in(&self.inner.server, &refused, from);
    }

    /// Whether a user shows who he is once more, for changes of what he logs in
    /// with. Throttled as logins are.
    ///
    /// # Errors
    /// As [`Accounts::log_in`].
    pub async fn confirm(
        &self,
        name: &str,
        password: &SecretString,
        from: &Origin,
    ) -> Result<Arc<Person>, LoginError> {
        let attempt = self.inner.throttle.begin(name, from)?;
        let person = self.inner.directory.get(name).filter(|person| person.may_log_in());
        let record = match self.inner.passwords.check(person.as_deref(), password).await {
            Ok(record) => record,
            Err(error) => {
                attempt.take_back();
                return Err(error.into());
            }
        };
        match person.filter(|_| record.is_some()) {
            Some(person) => {
                attempt.succeeded();
                Ok(person)
            }
            None => {
                attempt.failed()?;
                Err(LoginError::Wrong)
            }
        }
    }

    /// Whether a user shows a code of his second factor, which is then used up.
    /// Throttled as logins are.
    ///
    /// # Errors
    /// As [`Accounts::log_in`].
    pub async fn confirm_code(
        &self,
        person: &Person,
        code: &SecretString,
        from: &Origin,
    ) -> Result<(), LoginError> {
        let attempt = self.inner.throttle.begin(&person.name, from)?;
        if self.inner.factors.use_code(person, code.expose_secret(), self.now()).await? {
            attempt.succeeded();
            return Ok(());
        }
        attempt.failed()?;
        Err(LoginError::Wrong)
    }

    async fn prove(
        &self,
        name: &str,
        password: &SecretString,
        code: Option<&SecretString>,
        from: &Origin,
    ) -> Result<(Arc<Person>, PasswordRecord), LoginError> {
        let inner = &*self.inner;
        let attempt = inner.throttle.begin(name, from)?;
        let person = inner.directory.get(name).filter(|person| person.may_log_in());
        let record = match inner.passwords.check(person.as_deref(), password).await {
            Ok(record) => record,
            Err(error) => {
                attempt.take_back();
                return Err(error.into());
            }
        };
        let Some((person, record)) = person.zip(record) else {
            return Err(self.refused(attempt, name, from, "password"));
        };
        if inner.factors.state(&person).map_err(FactorError::from)?.is_some() {
            let Some(code) = code else {
                // Not a failure, and nothing that is forgiven: whoever knows the
                // password must not get more tries at codes by it.
                attempt.take_back();
                self.note_refused(name, from, "the password is right, a code is needed");
                return Err(LoginError::CodeNeeded);
            };
            if !inner.factors.use_code(&person, code.expose_secret(), self.now()).await? {
                return Err(self.refused(attempt, name, from, "code"));
            }
        }
        attempt.succeeded();
        let proven = record.value.clone();
        inner.passwords.renew(record, password).await?;
        Ok((person, proven))
    }

    /// Names stay out of the log: somebody may have typed his password there.
    fn refused(&self, attempt: Try<'_>, name: &str, from: &Origin, wrong: &str) -> LoginError {
        let address = from.address.map(|address| address.to_string()).unwrap_or_default();
        tracing::debug!(address, wrong, "a login failed");
        self.note_refused(name, from, "");
        attempt.failed().map_or_else(LoginError::from, |()| LoginError::Wrong)
    }
}
