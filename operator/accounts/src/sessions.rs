//! Sessions: what a login gives. They end after [`LIFETIME`], or [`IDLE`] after
//! their last use.

use std::sync::Arc;

use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Identity, VaultError};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::bearer::{Digest, Form};
use crate::directory::Person;
use crate::ledger::{Entry, Held};
use crate::origin::Origin;
use crate::random;

/// A session ends after this time, whatever happens: a working day.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(12);

/// A session that isn't used ends after this time: a lunch break, a meeting.
pub const IDLE: SignedDuration = SignedDuration::from_hours(2);

/// A user has at most so many. One more ends the one that was used least lately.
pub(crate) const MOST: usize = 20;

/// How somebody logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "camelCase")]
pub enum Method {
    /// With a password, and a second factor where there is one.
    Password,
    /// By a code that somebody logged in confirmed (RFC 8628). The groups are
    /// those of that one's session.
    Device {
        /// Groups that only this session has.
        #[serde(default)]
        groups: Vec<String>,
        /// When that one's session ends at the latest, and so does this: nobody has
        /// groups of the provider for longer than a login there gives them.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// By a provider of identities.
    SingleSignOn {
        /// The provider, as people know it.
        provider: String,
        /// Groups that only this session has.
        #[serde(default)]
        groups: Vec<String>,
    },
}

impl Method {
    /// Groups that only this session has.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        match self {
            Self::Password => &[],
            Self::Device { groups, .. } | Self::SingleSignOn { groups, .. } => groups,
        }
    }

    /// As lists of sessions name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Device { .. } => "device",
            Self::SingleSignOn { .. } => "sso",
        }
    }
}

/// What is kept of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionEntry {
    pub id: String,
    pub user: String,
    uid: String,
    digest: String,
    pub started: Timestamp,
    pub used: Timestamp,
    #[serde(flatten)]
    pub how: Method,
    #[serde(default)]
    pub address: Option<std::net::IpAddr>,
    #[serde(default)]
    pub agent: String,
}

impl Entry for SessionEntry {
    fn record(&self) -> String {
        self.id.clone()
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn digest(&self) -> Option<Digest> {
        random::unhex(&self.digest)
    }

    fn used(&self) -> i64 {
        self.used.as_second()
    }

    fn used_at(self, seconds: i64) -> Self {
        let used = Timestamp::from_second(seconds).unwrap_or(self.used);
        Self { used, ..self }
    }
}

/// The token of a session.
pub type SessionToken = SecretString;

/// A session that has just begun.
#[derive(Debug)]
pub struct Session {
    /// What lists call it.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// To be shown with every request. It is nowhere else.
    pub token: SessionToken,
    /// When it ends at the latest.
    pub expires: Timestamp,
}

/// A session that a token proves.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// What lists call it.
    pub id: String,
    /// The caller.
    pub identity: Identity,
    /// When it began.
    pub started: Timestamp,
    /// When it ends at the latest.
    pub expires: Timestamp,
    /// How the user logged in.
    pub how: Method,
}

/// Makes a session of this user that begins now.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn begin(
    person: &Person,
    how: Method,
    from: &Origin,
    now: Timestamp,
) -> Result<(SessionEntry, Session), getrandom::Error> {
    let (token, digest) = Form::Session.make()?;
    let id = random::clear_text::<12>()?;
    let entry = SessionEntry {
        id: id.clone(),
        user: person.name.clone(),
        uid: person.uid.clone(),
        digest: random::hex(&digest),
        started: now,
        used: now,
        how,
        address: from.address,
        agent: from.agent.clone(),
    };
    let session = Session { id, user: person.name.clone(), token, expires: entry.expires() };
    Ok((entry, session))
}

impl SessionEntry {
    /// When it ends at the latest.
    pub fn expires(&self) -> Timestamp {
        let own = later(self.started, LIFETIME);
        match self.how {
            Method::Device { until: Some(until), .. } => own.min(until),
            _ => own,
        }
    }

    /// Whether it is past its time, if it was last used then.
    pub fn is_over(&self, used: i64, now: Timestamp) -> bool {
        now >= self.expires() || now.as_second() - used >= IDLE.as_secs()
    }
}

/// Time does not end here.
pub(crate) fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Those that must end for one more to fit: the least lately used.
pub(crate) fn surplus(mut held: Vec<Arc<Held<SessionEntry>>>) -> Vec<Arc<Held<SessionEntry>>> {
    held.sort_by_key(|held| held.used());
    let count = (held.len() + 1).saturating_sub(MOST);
    held.truncate(count);
    held
}

/// Why no session began.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No user of that name may log in.
    #[error("there is no user {0:?} who may log in")]
    KeptOut(String),
    /// Logins can't be recorded, so there are none.
    #[error("{0}")]
    Unrecorded(StatusError),
    /// The vault can't be written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
}
