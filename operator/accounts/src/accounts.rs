//! Accounts: everything there is of users besides their objects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hades_apiserver::{ApiServer, Authenticator, Clock, Identity, Right, StoreError, VaultError};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::audit;
use crate::authenticator::Bearers;
use crate::bearer::Form;
use crate::directory::{Directory, Person};
use crate::first_start::FirstStartError;
use crate::hashing::{Cost, Hashing};
use crate::ledger::{Entry, Ledger, Table};
use crate::origin::Origin;
use crate::passwords::{PasswordError, Passwords};
use crate::second_factor::SecondFactors;
use crate::sessions::{self, Method, Session, SessionEntry, SessionError, SessionInfo};
use crate::status::Statuses;
use crate::throttle::Throttle;
use crate::tokens::{self, NewToken, TokenEntry, TokenError, TokenSpec};
use crate::upkeep;

/// What accounts are made with.
pub struct Settings {
    /// Where the first password is put.
    pub data_dir: PathBuf,
    /// Tells the time.
    pub clock: Clock,
    /// How costly hashes of passwords are.
    pub cost: Cost,
    /// What authenticators call this server.
    pub issuer: String,
    /// How long what may wait is gathered before it is written: when tokens were
    /// used, when users logged in.
    pub gather: Duration,
}

/// When tokens were used is written this long after the first of the uses.
const GATHER: Duration = Duration::from_secs(3);

impl Settings {
    /// The usual ones.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            clock: Arc::new(Timestamp::now),
            cost: Cost::default(),
            issuer: "Hades".to_owned(),
            gather: GATHER,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// Why accounts can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault can't be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The hash for users that there aren't can't be made.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The first user can't be made.
    #[error("the first user can't be made")]
    FirstStart(#[from] FirstStartError),
}

/// Passwords, tokens, sessions and second factors of all users; clones share it.
#[derive(Clone)]
pub struct Accounts {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub server: ApiServer,
    pub settings: Settings,
    pub directory: Arc<Directory>,
    pub sessions: Ledger<SessionEntry>,
    pub tokens: Ledger<TokenEntry>,
    pub token_table: Arc<Table<TokenEntry>>,
    pub session_table: Arc<Table<SessionEntry>>,
    pub passwords: Passwords,
    pub factors: SecondFactors,
    pub throttle: Throttle,
    pub statuses: Statuses,
    /// Wakes the one who writes what was gathered.
    pub wake: Arc<Notify>,
    /// Held while what sessions rest on changes (passwords, links, the sessions that
    /// confirm others) and while one begins, so that none begins by what was taken
    /// away.
    pub changes: Mutex<()>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}

impl Accounts {
    /// Reads what there is, follows the User objects from now on and, at the very
    /// first start, makes the first user. Callers are known once
    /// [`Accounts::authenticator`] is given to the server.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn open(server: &ApiServer, settings: Settings) -> Result<Self, AccountsError> {
        let (token_table, session_table) = (Table::new(), Table::new());
        let (departures, departed) = mpsc::unbounded_channel();
        let ended = Arc::clone(&session_table);
        let directory = Arc::new(Directory::new(departures, move |uid| Table::forget(&ended, uid)));
        server.observe(Arc::clone(&directory) as Arc<_>)?;
        let now = (settings.clock)();
        let is_session = |entry: &SessionEntry| {
            let person = directory.same(&entry.user, entry.uid());
            let used = Entry::used(entry);
            person.is_some_and(|person| person.may_log_in()) && !entry.is_over(used, now)
        };
        let sessions = Ledger::open(server.vault("sessions"), session_table.clone(), is_session);
        let sessions = sessions.await?;
        let is_token = |entry: &TokenEntry| directory.same(&entry.user, entry.uid()).is_some();
        let tokens = Ledger::open(server.vault("tokens"), token_table.clone(), is_token).await?;
        let hashing = Hashing::new(settings.cost);
        let throttle = Throttle::new(Arc::clone(&settings.clock));
        let accounts = Self {
            inner: Arc::new(Inner {
                server: server.clone(),
                directory: Arc::clone(&directory),
                sessions,
                tokens,
                token_table,
                session_table,
                passwords: Passwords::open(server.vault("passwords"), hashing).await?,
                factors: SecondFactors::new(server.vault("totp"), settings.issuer.clone()),
                throttle,
                statuses: Statuses::new(server.client(Identity::controller("accounts"))),
                wake: Arc::default(),
                changes: Mutex::default(),
                settings,
            }),
        };
        accounts.remember_places();
        tokio::spawn(upkeep::run(Arc::downgrade(&accounts.inner), departed));
        accounts.first_start().await?;
        Ok(accounts)
    }

    /// What a user logged in from before a restart still is his.
    fn remember_places(&self) {
        for held in self.inner.session_table.all() {
            let entry = &held.entry;
            let from = Origin { address: entry.address, agent: String::new() };
            self.inner.throttle.know(&entry.user, from.network(), entry.started);
        }
    }

    /// Knows callers by their tokens and sessions; for
    /// [`ApiServer::authenticate_with`].
    #[must_use]
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        Arc::new(self.bearers())
    }

    pub(crate) fn bearers(&self) -> Bearers {
        let inner = &*self.inner;
        Bearers {
            directory: Arc::clone(&inner.directory),
            tokens: Arc::clone(&inner.token_table),
            sessions: Arc::clone(&inner.session_table),
            clock: Arc::clone(&inner.settings.clock),
            wake: Arc::clone(&inner.wake),
        }
    }

    /// The user of this name.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Arc<Person>> {
        self.inner.directory.get(name)
    }

    /// Counts tries to log in, of every kind.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }

    /// The API server that this belongs to.
    #[must_use]
    pub fn server(&self) -> &ApiServer {
        &self.inner.server
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.inner.settings.clock)()
    }

    /// Begins a session of somebody who has shown that he is this user, and not only
    /// one of the same name.
    ///
    /// # Errors
    /// When that user is gone or may not log in, and while logins can't be recorded.
    pub async fn begin_session(
        &self,
        person: &Person,
        how: Method,
        from: &Origin,
    ) -> Result<Session, SessionError> {
        let inner = &*self.inner;
        let (user, uid) = (&*person.name, &*person.uid);
        inner.server.audit().ready().map_err(SessionError::Unrecorded)?;
        let kept_out = || SessionError::KeptOut(user.to_owned());
        let person = inner.directory.same(user, uid).filter(|person| person.may_log_in());
        let person = person.ok_or_else(kept_out)?;
        let now = self.now();
        let (entry, session) = sessions::begin(&person, how, from, now)?;
        for held in sessions::surplus(inner.session_table.of(&person.uid)) {
            inner.sessions.remove(&held).await?;
        }
        let method = entry.how.name();
        inner.sessions.insert(entry).await?;
        // Whoever was kept out since would have a session again when let in.
        let still = inner.directory.same(user, uid);
        if !still.is_some_and(|person| person.may_log_in()) {
            inner.sessions.remove_all(uid, |_| false).await?;
            return Err(kept_out());
        }
        inner.throttle.know(user, from.network(), now);
        inner.statuses.logged_in(user, now);
        inner.wake.notify_one();
        let address = from.address.map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(user, method, address, session = session.id, "logged in");
        audit::logged_in(&inner.server, &person, method, &session.id, from);
        Ok(session)
    }

    /// The session that a token proves, if it does. Counts as a use of it.
    #[must_use]
    pub fn session(&self, token: &str) -> Option<SessionInfo> {
        self.bearers().session(token)
    }

    /// Ends a session by its token. Whether it was one.
    ///
    /// # Errors
    /// When the vault can't be written.
    pub async fn end_session(&self, token: &str) -> Result<bool, VaultError> {
        let digest = Form::Session.read(token);
        let _turn = self.inner.changes.lock().await;
        let Some(held) = digest.and_then(|digest| self.inner.session_table.find(&digest)) else {
            return Ok(false);
        };
        self.inner.sessions.remove(&held).await?;
        tracing::info!(user = held.entry.user, session = held.entry.id, "logged out");
        audit::logged_out(&self.inner.server, &held.entry.user, &held.entry.id);
        Ok(true)
    }

    /// Puts a password in the place of a user's old one, and ends his sessions but
    /// the one of this id.
    ///
    /// # Errors
    /// When it is too weak, the user is a robot, or the vault can't be written.
    pub async fn set_password(
        &self,
        person: &Person,
        password: &SecretString,
        stays: Option<&str>,
    ) -> Result<(), PasswordError> {
        let inner = &*self.inner;
        let record = inner.passwords.prepare(person, password, false, self.now()).await?;
        let turn = inner.changes.lock().await;
        inner.passwords.set(&person.name, record).await?;
        inner.sessions.remove_all(&person.uid, |entry| Some(&*entry.id) == stays).await?;
        drop(turn);
        inner.forget_first_login(&person.name).await;
        tracing::info!(user = person.name, "the password was changed");
        Ok(())
    }

    /// Removes a user's password and ends his sessions. Whether there was one.
    ///
    /// # Errors
    /// When the vault can't be written.
    pub async fn remove_password(&self, person: &Person) -> Result<bool, VaultError> {
        let inner = &*self.inner;
        let _turn = inner.changes.lock().await;
        let removed = inner.passwords.remove(&person.name, &person.uid).await?;
        if removed {
            inner.sessions.remove_all(&person.uid, |_| false).await?;
            inner.forget_first_login(&person.name).await;
            tracing::info!(user = person.name, "the password was removed");
        }
        Ok(removed)
    }

    /// Makes an API token for a user. What limits it is in the spec; what its owner
    /// may do limits it, too.
    ///
    /// # Errors
    /// When it can't be as it is wanted.
    pub(crate) async fn create_token(
        &self,
        person: &Person,
        name: &str,
        spec: TokenSpec,
    ) -> Result<NewToken, TokenError> {
        let inner = &*self.inner;
        if person.disabled {
            return Err(TokenError::KeptOut(person.name.clone()));
        }
        let new = tokens::make(person, name, spec, self.now())?;
        let _turn = inner.changes.lock().await;
        let held = inner.token_table.of(&person.uid);
        // One that expired gives its name away, and its place where there is none.
        let now = self.now();
        let (over, good): (Vec<_>, Vec<_>) = held.iter().partition(|held| held.entry.is_over(now));
        if good.len() >= tokens::MOST {
            return Err(TokenError::TooMany);
        }
        let is_full = held.len() >= tokens::MOST;
        for held in over.into_iter().filter(|held| is_full || held.entry.name == name) {
            inner.tokens.remove(held).await?;
        }
        match inner.tokens.insert(new.entry.clone()).await {
            Ok(()) => {}
            Err(VaultError::Changed) => return Err(TokenError::Exists(name.to_owned())),
            Err(error) => return Err(error.into()),
        }
        // Whoever was deleted since must leave nothing behind.
        if inner.directory.same(&person.name, &person.uid).is_none() {
            inner.tokens.remove_all(&person.uid, |_| false).await?;
            return Err(TokenError::KeptOut(person.name.clone()));
        }
        tracing::info!(user = person.name, token = name, "an API token was made");
        Ok(new)
    }

    /// Whether somebody may do something.
    #[must_use]
    pub fn may(&self, who: &Identity, right: Right<'_>) -> bool {
        self.inner.server.may(who, right)
    }

    /// Writes what was gathered. For the end of the process; until then it happens
    /// by itself.
    pub async fn flush(&self) {
        upkeep::write_out(&self.inner).await;
    }
}

#[cfg(test)]
mod tests {
    use hades_apiserver::ServerConfig;
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn no_session_ends_while_another_begins_by_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path(), hades_api::schema::crds());
        let server = ApiServer::open(config).await.unwrap();
        let mut settings = Settings::new(directory.path());
        settings.cost = Cost { memory: 64, passes: 1, lanes: 1 };
        let accounts = Accounts::open(&server, settings).await.unwrap();
        let person = accounts.person(crate::FIRST_USER).unwrap();
        let begun = accounts.begin_session(&person, Method::Password, &Origin::default()).await;
        let token = begun.unwrap().token;
        // Somebody looks whether it lasts, and begins another by it.
        let turn = accounts.inner.changes.lock().await;
        let soon = Duration::from_millis(300);
        let ends = tokio::time::timeout(soon, accounts.end_session(token.expose_secret())).await;
        assert!(ends.is_err(), "it ended in between");
        let ends = tokio::time::timeout(soon, accounts.end_sessions_of(&person, |_| true)).await;
        assert!(ends.is_err(), "all ended in between");
        drop(turn);
        assert!(accounts.end_session(token.expose_secret()).await.unwrap());
    }
}
