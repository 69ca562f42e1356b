//! Registration: makes a webhook in a forge, or makes the one that is there what
//! it should be. The credentials of the forge don't leave the server.

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::forge_api::{Api, Call, PAGE, Place, Wanted, authorization, complaint};

/// A forge that takes longer doesn't answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest answer that is read. A page of hooks has some 50 KB.
const LONGEST: usize = 2 << 20;

/// Pages that are looked through for the hook. Forges allow 20 to 100 hooks.
const PAGES: usize = 10;

/// Why a webhook isn't registered. Holds neither the token of the forge nor that
/// of the webhook.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistrationError {
    #[error("the HTTP client can't be set up: {0}")]
    Client(String),
    #[error("{host} doesn't answer: {why}")]
    Unreachable { host: String, why: String },
    #[error(
        "{host} doesn't accept the token ({code}{complaint}); it needs the right to webhooks of \
         the repository: in GitHub `Webhooks: read and write` (classic: `admin:repo_hook`), in \
         GitLab scope `api` with role Maintainer, in Gitea and Forgejo `write:repository`"
    )]
    Refused { host: String, code: u16, complaint: String },
    #[error(
        "{host} finds no repository {repository} with this token, or doesn't show its webhooks"
    )]
    NotFound { host: String, repository: String },
    #[error("{host} answered {code}{complaint}")]
    Answer { host: String, code: u16, complaint: String },
    #[error("{host} answered something that is no list of webhooks")]
    Nonsense { host: String },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Updated,
}

/// Makes or updates the webhook with the URL of `wanted`.
pub(super) async fn register(
    place: &Place,
    wanted: &Wanted<'_>,
    token: &SecretString,
    extra_ca: Option<&[u8]>,
) -> Result<Outcome, RegistrationError> {
    let client = client(extra_ca)?;
    let forge = Forge { client, place, token, hide: wanted.token };
    for page in 1..=PAGES {
        let call = place.list(page);
        let answer = forge.call(&call).await?;
        let nonsense = || RegistrationError::Nonsense { host: host(&call.url) };
        let (id, count) = place.find(&answer, wanted.url).ok_or_else(nonsense)?;
        if let Some(id) = id {
            forge.call(&place.update(id, wanted)).await?;
            return Ok(Outcome::Updated);
        }
        if count < PAGE {
            break;
        }
    }
    forge.call(&place.create(wanted)).await?;
    Ok(Outcome::Created)
}

fn client(extra_ca: Option<&[u8]>) -> Result<Client, RegistrationError> {
    let unusable = |error: reqwest::Error| RegistrationError::Client(innermost(&error));
    // reqwest brings no cryptography of its own. An error only says that another
    // part of the program installed one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("hades/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // The token is for this address and no other.
        .redirect(redirect::Policy::none())
        .referer(false);
    if let Some(pem) = extra_ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(unusable)?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(unusable)
}

struct Forge<'a> {
    client: Client,
    place: &'a Place,
    token: &'a SecretString,
    /// The token of the webhook, in case that a forge repeats it.
    hide: &'a str,
}

impl Forge<'_> {
    async fn call(&self, call: &Call) -> Result<Value, RegistrationError> {
        let host = host(&call.url);
        let unreachable = |error: reqwest::Error| RegistrationError::Unreachable {
            host: host.clone(),
            why: innermost(&error.without_url()),
        };
        let (header, value) = authorization(self.place.api, self.token.expose_secret());
        let mut request = self
            .client
            .request(call.method.clone(), &call.url)
            .header("accept", "application/json")
            .header(header, value);
        if self.place.api == Api::Github {
            request = request.header("x-github-api-version", "2022-11-28");
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut text = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if text.len() + part.len() > LONGEST {
                return Err(RegistrationError::Nonsense { host });
            }
            text.extend_from_slice(&part);
        }
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        Err(self.failure(host, status, &answer))
    }

    fn failure(&self, host: String, status: StatusCode, answer: &Value) -> RegistrationError {
        let code = status.as_u16();
        let complaint = complaint(answer)
            .map(|text| text.replace(self.hide, "…").replace(self.token.expose_secret(), "…"))
            .map(|text| format!(": {text}"))
            .unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RegistrationError::Refused { host, code, complaint }
            }
            StatusCode::NOT_FOUND => {
                RegistrationError::NotFound { host, repository: self.place.repository.clone() }
            }
            _ => RegistrationError::Answer { host, code, complaint },
        }
    }
}

fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// The innermost error says what is wrong; those around it only where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

#[cfg(test)]
mod tests;
