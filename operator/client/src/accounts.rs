//! What somebody logs in with: passwords, API tokens, second factors, sessions; one's
//! own, and as an administrator those of others.

use http::Method;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Session};

const API_VERSION: &str = "operations.hades.dev/v1alpha1";
const PREFIX: &str = "/apis/operations.hades.dev/v1alpha1";

/// Letters that are left as they are in a part of a path (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// One's own.
    Own,
    /// That of another user, by name.
    Of(&'a str),
}

impl Whose<'_> {
    fn path(self, what: &str) -> String {
        match self {
            Self::Own => format!("{PREFIX}/self{what}"),
            Self::Of(user) => format!("{PREFIX}/users/{}/{what}", segment(user)),
        }
    }
}

fn document(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind, "spec": spec})
}

/// Changes one's own password. All other sessions end.
///
/// # Errors
/// When the current password is wrong, or the new one too weak.
pub async fn change_password(
    session: &Session,
    current: &SecretString,
    new: &SecretString,
) -> Result<(), Error> {
    let spec = json!({
        "currentPassword": current.expose_secret(), "newPassword": new.expose_secret(),
    });
    let body = document("PasswordChange", spec);
    session.call::<Value>(Method::POST, &Whose::Own.path("password"), Some(&body)).await.map(drop)
}

/// Sets the password of somebody else. All his sessions end.
///
/// # Errors
/// When there is no such user, or the caller may not be him.
pub async fn set_password(session: &Session, user: &str, new: &SecretString) -> Result<(), Error> {
    let body = document("PasswordChange", json!({"newPassword": new.expose_secret()}));
    let path = Whose::Of(user).path("password");
    session.call::<Value>(Method::POST, &path, Some(&body)).await.map(drop)
}

/// What an API token is good for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenSpec {
    /// Projects; all, and what is in none, where it is empty.
    pub projects: Vec<String>,
    /// Verbs, `read` for those that change nothing; all where it is empty.
    pub verbs: Vec<String>,
    /// Seconds; the server's default where it is absent, for ever where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

/// An API token, which is itself shown once, when it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    /// Its name and when it was made.
    pub metadata: Named,
    /// What it is good for.
    #[serde(default)]
    pub spec: TokenSpec,
    /// How it stands.
    pub status: TokenStatus,
}

/// Name and beginning of something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Name.
    pub name: String,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Timestamp>,
}

/// How an API token stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenStatus {
    /// Whose it is.
    pub user: String,
    /// Whether it is past its time.
    #[serde(default)]
    pub expired: bool,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<Timestamp>,
    /// When it was last used, to a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<Timestamp>,
    /// The token itself, in the answer that made it.
    #[serde(default, skip_serializing)]
    pub token: Option<SecretString>,
}

/// Makes an API token; `status.token` holds it, this once.
///
/// # Errors
/// When there is one of that name, or it may not be made.
pub async fn create_token(
    session: &Session,
    whose: Whose<'_>,
    name: &str,
    spec: &TokenSpec,
) -> Result<Token, Error> {
    let mut body = document("Token", json!(spec));
    body["metadata"] = json!({"name": name});
    session.call(Method::POST, &whose.path("tokens"), Some(&body)).await
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// The API tokens, by name.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn tokens(session: &Session, whose: Whose<'_>) -> Result<Vec<Token>, Error> {
    let list: Items<Token> = session.call(Method::GET, &whose.path("tokens"), None).await?;
    Ok(list.items)
}

/// Revokes an API token at once.
///
/// # Errors
/// When there is none of that name, or the server refuses.
pub async fn revoke_token(session: &Session, whose: Whose<'_>, name: &str) -> Result<(), Error> {
    let path = match whose {
        Whose::Own => format!("{}/{}", whose.path("tokens"), segment(name)),
        Whose::Of(_) => format!("{}?token={}", whose.path("tokens"), segment(name)),
    };
    session.call::<Value>(Method::DELETE, &path, None).await.map(drop)
}

/// How a second factor stands, and what its set-up shows.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Factor {
    /// Whether logins need it.
    pub enabled: bool,
    /// Since when.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// How many recovery codes are unused.
    #[serde(default)]
    pub recovery_codes_left: Option<u32>,
    /// What an authenticator is set up with.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// The same as `otpauth://` URL.
    #[serde(default)]
    pub url: Option<SecretString>,
    /// Codes for when the authenticator is lost.
    #[serde(default)]
    pub recovery_codes: Vec<SecretString>,
}

#[derive(Deserialize)]
struct FactorDocument {
    status: Factor,
}

/// By what somebody who is logged in shows once more who he is.
#[derive(Debug)]
pub enum Proof {
    /// By the password.
    Password(SecretString),
    /// By a code of the second factor, or a recovery code.
    Code(SecretString),
}

impl Proof {
    fn body(&self) -> Value {
        let spec = match self {
            Self::Password(password) => json!({"currentPassword": password.expose_secret()}),
            Self::Code(code) => json!({"code": code.expose_secret()}),
        };
        document("SecondFactor", spec)
    }
}

/// How a second factor stands.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn factor(session: &Session, whose: Whose<'_>) -> Result<Factor, Error> {
    let answer: FactorDocument = session.call(Method::GET, &whose.path("totp"), None).await?;
    Ok(answer.status)
}

/// Begins the set-up of one's own second factor by the password, and ends it by a
/// code.
///
/// # Errors
/// When the proof is wrong, or there is a second factor already.
pub async fn set_up_factor(session: &Session, proof: &Proof) -> Result<Factor, Error> {
    let path = Whose::Own.path("totp");
    let answer: FactorDocument = session.call(Method::POST, &path, Some(&proof.body())).await?;
    Ok(answer.status)
}

/// Removes one's own second factor.
///
/// # Errors
/// When the proof is wrong.
pub async fn remove_factor(session: &Session, proof: &Proof) -> Result<(), Error> {
    let path = Whose::Own.path("totp");
    session.call::<Value>(Method::DELETE, &path, Some(&proof.body())).await.map(drop)
}

/// Removes the second factor of somebody else.
///
/// # Errors
/// When there is no such user, or the caller may not be him.
pub async fn reset_factor(session: &Session, user: &str) -> Result<(), Error> {
    let path = Whose::Of(user).path("totp");
    session.call::<Value>(Method::DELETE, &path, None).await.map(drop)
}

/// A login that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// Its id and when it began.
    pub metadata: Named,
    /// How it stands.
    pub status: SessionStatus,
}

/// How a login stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// Whose it is.
    pub user: String,
    /// How: `password`, `device`, `sso`.
    pub method: String,
    /// When it ends at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<Timestamp>,
    /// When it was last used, to a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<Timestamp>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the client said of itself.
    #[serde(default)]
    pub user_agent: String,
    /// Whether it is the one that asks.
    #[serde(default)]
    pub current: bool,
}

impl SessionStatus {
    /// By what somebody logged in, in words.
    pub fn how(&self) -> &str {
        match self.method.as_str() {
            "password" => "a password",
            "device" => "a browser",
            "sso" => "single sign-on",
            other => other,
        }
    }
}

/// The sessions, the one that began last at the end.
///
/// # Errors
/// When the server refuses or doesn't answer.
pub async fn sessions(session: &Session, whose: Whose<'_>) -> Result<Vec<SessionEntry>, Error> {
    let path = whose.path("sessions");
    let mut list: Items<SessionEntry> = session.call(Method::GET, &path, None).await?;
    list.items.sort_by(|one, other| {
        let key =
            |entry: &SessionEntry| (entry.metadata.creation_timestamp, entry.metadata.name.clone());
        key(one).cmp(&key(other))
    });
    Ok(list.items)
}

/// Ends a session at once.
///
/// # Errors
/// When there is none of that id, or the server refuses.
pub async fn end_session(session: &Session, whose: Whose<'_>, id: &str) -> Result<(), Error> {
    let path = match whose {
        Whose::Own => format!("{}/{}", whose.path("sessions"), segment(id)),
        Whose::Of(_) => format!("{}?session={}", whose.path("sessions"), segment(id)),
    };
    session.call::<Value>(Method::DELETE, &path, None).await.map(drop)
}

/// Ends all of one's own sessions but the one that asks. Says how many, in the words of
/// the server.
///
/// # Errors
/// When the server refuses, as it does to API tokens.
pub async fn end_other_sessions(session: &Session) -> Result<String, Error> {
    let path = Whose::Own.path("sessions");
    let answer: Value = session.call(Method::DELETE, &path, None).await?;
    Ok(answer["message"].as_str().unwrap_or("other sessions ended").to_owned())
}

/// One's own session of that id.
///
/// # Errors
/// When there is none, or the server doesn't answer.
pub async fn own_session(session: &Session, id: &str) -> Result<SessionEntry, Error> {
    let path = format!("{}/{}", Whose::Own.path("sessions"), segment(id));
    session.call(Method::GET, &path, None).await
}

/// One's own API token of that name.
///
/// # Errors
/// When there is none, or the server doesn't answer.
pub async fn own_token(session: &Session, name: &str) -> Result<Token, Error> {
    let path = format!("{}/{}", Whose::Own.path("tokens"), segment(name));
    session.call(Method::GET, &path, None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(Whose::Own.path("tokens"), format!("{PREFIX}/selftokens"));
        assert_eq!(Whose::Of("ci.bot").path("totp"), format!("{PREFIX}/users/ci.bot/totp"));
        // What is no name of a user goes nowhere else.
        assert_eq!(
            Whose::Of("../x?y").path("password"),
            format!("{PREFIX}/users/..%2Fx%3Fy/password")
        );
    }

    #[test]
    fn tokens_are_read_and_never_printed() {
        let token: Token = serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "Token", "metadata": {"name": "ci"},
            "spec": {"projects": ["shop"], "verbs": []},
            "status": {"user": "bot", "expired": false, "token": "hdt_s3cret"},
        }))
        .unwrap();
        assert_eq!(token.status.token.as_ref().unwrap().expose_secret(), "hdt_s3cret");
        let printed = format!("{token:?}{}", serde_json::to_string(&token).unwrap());
        assert!(!printed.contains("s3cret"), "{printed}");
    }
}
