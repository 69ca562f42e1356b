//! Logging in and out: by a password, by a browser (RFC 8628), by a token that is
//! there already.

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::anonymous::{Anonymous, Answer};
use crate::{Error, Session};

/// How the CLI calls itself (RFC 8628, `client_id`).
const CLIENT: &str = "hadesctl";

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How long to wait between two questions where the server doesn't say (RFC 8628,
/// 3.2), and how much longer after `slow_down` (3.5).
const INTERVAL: u64 = 5;

/// The longest wait between two questions (seconds).
const MAX_INTERVAL: u64 = 60;

/// How long a person is waited for at most, whatever the server says (seconds).
const MAX_PATIENCE: u64 = 3600;

/// What came of a login.
#[derive(Debug)]
pub struct LoggedIn {
    /// Shows who one is from now on.
    pub token: SecretString,
    /// When it ends at the latest.
    pub until: Option<Timestamp>,
}

/// What a server says to a password.
#[derive(Debug)]
pub enum Answered {
    /// It is right.
    In(LoggedIn),
    /// A code of the second factor belongs to it.
    CodeNeeded,
}

#[derive(Deserialize)]
struct SessionDocument {
    status: SessionStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionStatus {
    token: SecretString,
    expiration_timestamp: Option<Timestamp>,
}

/// Logs in by a name and a password, and a code where one is needed.
///
/// # Errors
/// [`Error::Api`] when the server doesn't let one in; it doesn't say which of the
/// parts is wrong.
pub async fn with_password(
    server: &Anonymous,
    user: &str,
    password: &SecretString,
    code: Option<&SecretString>,
) -> Result<Answered, Error> {
    let mut spec = json!({"user": user, "password": password.expose_secret()});
    if let Some(code) = code {
        spec["code"] = json!(code.expose_secret());
    }
    let body = json!({
        "apiVersion": "operations.hades.dev/v1alpha1", "kind": "Login", "spec": spec,
    });
    let answer = server.post("/auth/login", "application/json", body.to_string()).await?;
    if answer.code.is_success() {
        let document: SessionDocument =
            serde_json::from_slice(&answer.body).map_err(|error| server.protocol(error))?;
        let SessionStatus { token, expiration_timestamp } = document.status;
        return Ok(Answered::In(LoggedIn { token, until: expiration_timestamp }));
    }
    if code.is_none() && needs_code(&answer) {
        return Ok(Answered::CodeNeeded);
    }
    Err(server.refusal(&answer))
}

fn needs_code(answer: &Answer) -> bool {
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let causes = status.pointer("/details/causes").and_then(Value::as_array);
    answer.code == StatusCode::UNAUTHORIZED
        && causes.into_iter().flatten().any(|cause| cause["field"] == "spec.code")
}

/// A login that waits for a person and a browser.
#[derive(Debug, Deserialize)]
pub struct Device {
    device_code: SecretString,
    /// What the person compares, or types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// Seconds until it is too late.
    expires_in: u64,
    /// Seconds between two questions.
    interval: Option<u64>,
}

/// How a login by a browser stands.
#[derive(Debug)]
pub enum Progress {
    /// The person agreed.
    In(LoggedIn),
    /// Nobody did anything yet.
    Pending,
    /// The person said no.
    Denied,
    /// It took too long.
    Expired,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: Option<i64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Device {
    /// Begins. `host` is the name of this machine, so that the person sees in the
    /// browser what he lets in.
    ///
    /// # Errors
    /// When the server refuses or doesn't answer.
    pub async fn begin(server: &Anonymous, host: &str) -> Result<Self, Error> {
        let body = form(&[("client_id", CLIENT), ("host_name", host)]);
        let answer = server.post("/auth/device", FORM, body).await?;
        if !answer.code.is_success() {
            return Err(oauth_refusal(server, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| server.protocol(error))
    }

    /// How long to wait before asking.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.unwrap_or(INTERVAL).clamp(1, MAX_INTERVAL))
    }

    /// How long the person has.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.expires_in.min(MAX_PATIENCE))
    }

    /// Asks half as often from now on, as is due after a question that got no answer
    /// (RFC 8628, 3.5).
    pub fn ask_less(&mut self) {
        self.interval = Some(self.interval.unwrap_or(INTERVAL).saturating_mul(2));
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the server answers something else, or not at all.
    pub async fn ask(&mut self, server: &Anonymous, now: Timestamp) -> Result<Progress, Error> {
        let code = self.device_code.expose_secret();
        let body = form(&[("grant_type", GRANT), ("device_code", code), ("client_id", CLIENT)]);
        let answer = server.post("/auth/device/token", FORM, body).await?;
        if answer.code.is_success() {
            let Granted { access_token, expires_in } =
                serde_json::from_slice(&answer.body).map_err(|error| server.protocol(error))?;
            let until = expires_in.and_then(|seconds| now.as_second().checked_add(seconds));
            let until = until.and_then(|end| Timestamp::from_second(end).ok());
            return Ok(Progress::In(LoggedIn { token: access_token, until }));
        }
        let refused: Option<Refused> = serde_json::from_slice(&answer.body).ok();
        match refused.as_ref().map(|refused| refused.error.as_str()) {
            Some("authorization_pending") => Ok(Progress::Pending),
            Some("slow_down") => {
                self.interval = Some(self.interval.unwrap_or(INTERVAL).saturating_add(INTERVAL));
                Ok(Progress::Pending)
            }
            Some("access_denied") => Ok(Progress::Denied),
            Some("expired_token") => Ok(Progress::Expired),
            _ => Err(oauth_refusal(server, &answer)),
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    pairs.join("&")
}

/// Errors of OAuth (RFC 6749, 5.2) in place of a Status.
fn oauth_refusal(server: &Anonymous, answer: &Answer) -> Error {
    match serde_json::from_slice::<Refused>(&answer.body) {
        Ok(Refused { error, error_description }) if error_description.is_empty() => {
            server.protocol(format!("it says {error}"))
        }
        Ok(Refused { error_description, .. }) => server.protocol(error_description),
        Err(_) => server.refusal(answer),
    }
}

/// Ends the session on the server. Says whether there was one: an API token is none.
///
/// # Errors
/// When the server doesn't answer.
pub async fn end(session: &Session) -> Result<bool, Error> {
    match session.call::<Value>(Method::POST, "/auth/logout", None).await {
        Ok(_) => Ok(true),
        Err(Error::Unauthorized { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form(&[("a", "x y"), ("b", "1&2")]), "a=x%20y&b=1%262");
    }

    #[test]
    fn a_code_is_asked_for_where_one_is_needed() {
        let answer = |code: StatusCode, field: &str| Answer {
            code,
            body: json!({"details": {"causes": [{"field": field}]}}).to_string().into_bytes(),
        };
        assert!(needs_code(&answer(StatusCode::UNAUTHORIZED, "spec.code")));
        assert!(!needs_code(&answer(StatusCode::UNAUTHORIZED, "spec.user")));
        assert!(!needs_code(&answer(StatusCode::OK, "spec.code")));
        assert!(!needs_code(&Answer { code: StatusCode::UNAUTHORIZED, body: vec![] }));
    }

    #[test]
    fn tokens_are_in_no_debug_output() {
        let device: Device = serde_json::from_value(json!({
            "device_code": "s3cret", "user_code": "BDWD-HQPK", "verification_uri": "https://h/d",
            "expires_in": 600,
        }))
        .unwrap();
        assert_eq!(device.interval(), Duration::from_secs(5));
        assert!(!format!("{device:?}").contains("s3cret"));
    }

    #[test]
    fn no_number_of_the_server_is_too_large() {
        let mut device: Device = serde_json::from_value(json!({
            "device_code": "x", "user_code": "x", "verification_uri": "https://h/d",
            "expires_in": u64::MAX, "interval": u64::MAX,
        }))
        .unwrap();
        device.ask_less();
        assert_eq!(device.interval(), Duration::from_secs(60));
        assert!(std::time::Instant::now().checked_add(device.patience()).is_some());
    }
}
