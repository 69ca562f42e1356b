//! API tokens: named, limited, expiring keys for programs.

use hades_apiserver::{Scope, VaultError};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bearer::{Digest, Form};
use crate::directory::Person;
use crate::ledger::Entry;
use crate::random;
use crate::sessions::later;
use secrecy::SecretString;

/// A user has at most so many.
pub const MOST: usize = 100;

/// How long a token is good if nothing is said.
pub const USUAL_LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How long a person's token is good at most. A robot's may be good for ever.
pub const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);

/// The shortest, in seconds.
const SHORTEST_LIFETIME: i64 = 60;

/// As many projects or verbs may be named.
const MOST_LIMITS: usize = 100;

/// The verbs that requests have.
const VERBS: [&str; 9] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "impersonate",
];

/// Stands for the verbs that change nothing.
const READ: &str = "read";
const READS: [&str; 3] = ["get", "list", "watch"];

/// What somebody wants of a new token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TokenSpec {
    /// Projects that it may be used in; none named: all, and what is in none.
    pub projects: Vec<String>,
    /// Verbs that it may be used for, `read` for `get`, `list` and `watch`; none
    /// named: all.
    pub verbs: Vec<String>,
    /// Seconds that it is good for; absent: 90 days. 0, for robots: for ever.
    pub expiration_seconds: Option<i64>,
}

/// What is kept of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenEntry {
    pub name: String,
    pub user: String,
    uid: String,
    digest: String,
    pub created: Timestamp,
    #[serde(default)]
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub projects: Vec<String>,
    #[serde(default)]
    pub verbs: Vec<String>,
    #[serde(default)]
    pub used: Option<Timestamp>,
}

impl Entry for TokenEntry {
    fn record(&self) -> String {
        format!("{}.{}", self.uid, self.name)
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn digest(&self) -> Option<Digest> {
        random::unhex(&self.digest)
    }

    fn used(&self) -> i64 {
        self.used.map_or(0, Timestamp::as_second)
    }

    fn used_at(self, seconds: i64) -> Self {
        Self { used: Timestamp::from_second(seconds).ok(), ..self }
    }
}

impl TokenEntry {
    /// What it leaves of its owner's rights.
    pub fn scope(&self) -> Option<Scope> {
        if self.projects.is_empty() && self.verbs.is_empty() {
            return None;
        }
        Some(Scope { namespaces: self.projects.clone(), verbs: self.verbs.clone() })
    }

    /// Whether it is past its time.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// A token that was just made.
#[derive(Debug)]
pub(crate) struct NewToken {
    pub entry: TokenEntry,
    pub token: SecretString,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A field of the request can't be as it is.
    #[error("{field}: {message}")]
    Invalid {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// There is one of that name.
    #[error("there is a token {0:?} already")]
    Exists(String),
    /// There are too many.
    #[error("a user has at most {MOST} tokens; revoke one that isn't needed")]
    TooMany,
    /// No such user, or one that is disabled.
    #[error("there is no user {0:?} who may have tokens")]
    KeptOut(String),
    /// The vault can't be written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
}

fn invalid(field: &'static str, message: impl Into<String>) -> TokenError {
    TokenError::Invalid { field, message: message.into() }
}

/// Makes a token as somebody wants it.
///
/// # Errors
/// What of it can't be.
pub(crate) fn make(
    person: &Person,
    name: &str,
    spec: TokenSpec,
    now: Timestamp,
) -> Result<NewToken, TokenError> {
    let TokenSpec { projects, verbs, expiration_seconds } = spec;
    check_name("metadata.name", name)?;
    if projects.len() > MOST_LIMITS || verbs.len() > MOST_LIMITS {
        return Err(invalid("spec", format!("at most {MOST_LIMITS} projects and verbs")));
    }
    for project in &projects {
        check_name("spec.projects", project)?;
    }
    let expires = expiry(person, expiration_seconds, now)?;
    let verbs = meant(verbs)?;
    let (token, digest) = Form::Token.make()?;
    let entry = TokenEntry {
        name: name.to_owned(),
        user: person.name.clone(),
        uid: person.uid.clone(),
        digest: random::hex(&digest),
        created: now,
        expires,
        projects,
        verbs,
        used: None,
    };
    Ok(NewToken { entry, token })
}

/// A DNS label, as names of projects are.
fn check_name(field: &'static str, name: &str) -> Result<(), TokenError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    Err(invalid(field, "write lower-case letters, digits and '-' between them, at most 63"))
}

fn expiry(
    person: &Person,
    seconds: Option<i64>,
    now: Timestamp,
) -> Result<Option<Timestamp>, TokenError> {
    let field = "spec.expirationSeconds";
    let lifetime = match seconds {
        None => USUAL_LIFETIME,
        Some(0) if person.robot => return Ok(None),
        Some(seconds) if seconds < SHORTEST_LIFETIME => {
            let words = format!("at least {SHORTEST_LIFETIME}; 0, for ever, is for robots");
            return Err(invalid(field, words));
        }
        Some(seconds) => SignedDuration::from_secs(seconds),
    };
    if lifetime > LONGEST_LIFETIME && !person.robot {
        let most = LONGEST_LIFETIME.as_secs();
        return Err(invalid(field, format!("at most {most}, a year, unless the user is a robot")));
    }
    Ok(Some(later(now, lifetime)))
}

/// The verbs that were meant, each once.
fn meant(verbs: Vec<String>) -> Result<Vec<String>, TokenError> {
    let mut meant: Vec<String> = Vec::new();
    for verb in verbs {
        let these: &[&str] = match verb.as_str() {
            READ => &READS,
            known => match VERBS.iter().position(|one| *one == known) {
                Some(index) => &VERBS[index..=index],
                None => {
                    let words = format!("a verb is one of {READ}, {}", VERBS.join(", "));
                    return Err(invalid("spec.verbs", words));
                }
            },
        };
        for verb in these {
            if !meant.iter().any(|one| one == verb) {
                meant.push((*verb).to_owned());
            }
        }
    }
    Ok(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(robot: bool, name: &str, spec: TokenSpec) -> Result<TokenEntry, String> {
        let person = Person { name: "jane".into(), uid: "1".into(), robot, ..Person::default() };
        make(&person, name, spec, Timestamp::UNIX_EPOCH)
            .map(|new| new.entry)
            .map_err(|error| error.to_string())
    }

    fn spec(projects: &[&str], verbs: &[&str], expiration_seconds: Option<i64>) -> TokenSpec {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        TokenSpec { projects: owned(projects), verbs: owned(verbs), expiration_seconds }
    }

    #[test]
    fn limits_are_understood() {
        let entry = made(false, "ci", spec(&["shop"], &["read", "get", "create"], None)).unwrap();
        let scope = entry.scope().unwrap();
        assert_eq!(scope.namespaces, ["shop"]);
        assert_eq!(scope.verbs, ["get", "list", "watch", "create"]);
        assert_eq!(entry.expires.unwrap().as_second(), 90 * 24 * 3600);
        assert!(!entry.is_over(Timestamp::from_second(90 * 24 * 3600 - 1).unwrap()));
        assert!(entry.is_over(Timestamp::from_second(90 * 24 * 3600).unwrap()));
        assert_eq!(made(false, "ci", TokenSpec::default()).unwrap().scope(), None);
    }

    #[test]
    fn what_is_good_for_ever_is_for_robots() {
        let year = 365 * 24 * 3600;
        assert!(made(false, "ci", spec(&[], &[], Some(year))).is_ok());
        for seconds in [0, -1, 59, year + 1, i64::MIN] {
            let error = made(false, "ci", spec(&[], &[], Some(seconds))).unwrap_err();
            assert!(error.starts_with("spec.expirationSeconds: at "), "{error}");
        }
        assert!(made(true, "ci", spec(&[], &[], Some(i64::MAX))).is_ok());
        assert_eq!(made(true, "ci", spec(&[], &[], Some(0))).unwrap().expires, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for name in ["", "A", "a.b", "-a", "a-", "a/b", &"a".repeat(64)] {
            assert!(made(false, name, TokenSpec::default()).is_err(), "{name}");
            let error = made(false, "ci", spec(&[name], &[], None)).unwrap_err();
            assert!(error.starts_with("spec.projects"), "{error}");
        }
        let error = made(false, "ci", spec(&[], &["*"], None)).unwrap_err();
        assert!(error.starts_with("spec.verbs: a verb is one of read, get"), "{error}");
        assert!(made(false, "ci", spec(&vec!["a"; 101], &[], None)).is_err());
    }
}
