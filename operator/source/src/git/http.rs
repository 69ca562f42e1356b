//! HTTP for git's smart protocol: a client with timeouts, a size limit, few
//! redirects, and errors that say what is wrong.
//!
//! libgit2's own transport would bring OpenSSL, and a transport of ours can be
//! registered with it only by `unsafe` code; the protocol is small (see
//! [`super::smart`]) and this leaves every error a typed one.

use std::error::Error as _;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{StatusCode, Url, redirect};
use rustls::crypto::ring;
use thiserror::Error;

use super::FetchError;
use super::remote::{Credentials, RemoteOptions, RemoteUrl, is_loopback};

/// Forges answer by the name's beginning, so it must be git's.
const USER_AGENT: &str = concat!("git/2.0 (hades ", env!("CARGO_PKG_VERSION"), ")");
/// Repositories move and forges add `.git`: one or two redirects are usual.
const MAX_REDIRECTS: usize = 5;
/// A host that takes longer to accept a connection is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Much of a server's error text is enough to recognise it.
const MAX_REASON: usize = 200;

/// A conversation with one repository.
pub(super) struct Session {
    client: Client,
    /// The repository, after redirects.
    base: Url,
    /// The repository as it was named, for errors.
    shown: String,
    credentials: Option<Credentials>,
    deadline: Instant,
    timeout: Duration,
    limit: u64,
    received: u64,
}

impl Session {
    pub(super) fn new(url: &Url, options: &RemoteOptions) -> Result<Self, FetchError> {
        // reqwest brings no cryptography of its own. An error only says that
        // another part of the program installed one before.
        let _ = ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .timeout(options.timeout)
            .redirect(redirect::Policy::custom(follow))
            .referer(false);
        if let Some(pem) = &options.extra_ca {
            let unusable = |reason: String| {
                FetchError::Invalid(format!("the additional CA certificates: {reason}"))
            };
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| unusable(innermost(&error)))?;
            if certificates.is_empty() {
                return Err(unusable("no PEM certificate in them".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder
            .build()
            .map_err(|error| FetchError::Invalid(format!("TLS: {}", innermost(&error))))?;
        let mut base = url.clone();
        let username = url.username().to_owned();
        // Fails only for URLs without a host, which http ones have.
        let _ = base.set_username("");
        let credentials = options.credentials.clone().or_else(|| {
            (!username.is_empty()).then_some(Credentials { username, password: String::new() })
        });
        Ok(Session {
            client,
            shown: RemoteUrl::Http(base.clone()).shown(),
            base,
            credentials,
            deadline: Instant::now() + options.timeout,
            timeout: options.timeout,
            limit: options.max_bytes,
            received: 0,
        })
    }

    /// The repository as it was named, without credentials.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks what the repository has (`info/refs`). Redirects are followed here, and
    /// all later requests go where they led.
    pub(super) fn advertisement(&mut self) -> Result<Body<'_>, FetchError> {
        let url = self.endpoint("info/refs?service=git-upload-pack")?;
        let request = self
            .client
            .get(url)
            .header(ACCEPT, "application/x-git-upload-pack-advertisement")
            // Servers that don't know version 2 answer in the older one.
            .header("Git-Protocol", "version=2");
        let response = self.send(request)?;
        let moved = response.url().clone();
        if let Some(path) = moved.path().strip_suffix("/info/refs") {
            let mut base = moved.clone();
            base.set_path(path);
            base.set_query(None);
            if base.host_str() != self.base.host_str()
                || base.port_or_known_default() != self.base.port_or_known_default()
            {
                self.credentials = None;
            }
            self.base = base;
        }
        self.expect_type(&response, "application/x-git-upload-pack-advertisement")?;
        Ok(self.body(response))
    }

    /// Sends a request to `git-upload-pack`.
    pub(super) fn upload_pack(&mut self, body: Vec<u8>, v2: bool) -> Result<Body<'_>, FetchError> {
        let url = self.endpoint("git-upload-pack")?;
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .body(body);
        if v2 {
            request = request.header("Git-Protocol", "version=2");
        }
        let response = self.send(request)?;
        self.expect_type(&response, "application/x-git-upload-pack-result")?;
        Ok(self.body(response))
    }

    fn endpoint(&self, tail: &str) -> Result<Url, FetchError> {
        let base = self.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{tail}"))
            .map_err(|_| FetchError::Invalid("the repository's url can't be read".to_owned()))
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, FetchError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.timed_out());
        }
        let mut request = request.timeout(left);
        if let Some(credentials) = &self.credentials {
            request = request.basic_auth(&credentials.username, Some(&credentials.password));
        }
        let response = request.send().map_err(|error| self.unreachable(&error))?;
        let url = self.shown.clone();
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(FetchError::AuthenticationRequired { url })
            }
            status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => {
                Err(FetchError::NotFound { url, reason: format!("the server answers {status}") })
            }
            status => {
                Err(FetchError::Unreachable { url, reason: format!("the server answers {status}") })
            }
        }
    }

    fn expect_type(&self, response: &Response, wanted: &str) -> Result<(), FetchError> {
        let sent = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("nothing");
        if sent.split(';').next().is_some_and(|kind| kind.trim() == wanted) {
            return Ok(());
        }
        Err(FetchError::NotFound {
            url: self.shown.clone(),
            reason: format!("the server answers with {}, not with git's protocol", shorten(sent)),
        })
    }

    fn body(&mut self, response: Response) -> Body<'_> {
        Body { response, session: self }
    }

    fn timed_out(&self) -> FetchError {
        FetchError::Unreachable {
            url: self.shown.clone(),
            reason: format!("it took longer than {} s", self.timeout.as_secs_f32()),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> FetchError {
        if error.is_timeout() && !error.is_connect() {
            return self.timed_out();
        }
        let cause = innermost(error);
        let host = self.base.host_str().unwrap_or_default();
        let reason = if error.is_dns() {
            format!("the host name {host} doesn't resolve ({cause})")
        } else if error.is_timeout() {
            format!("{host} accepts no connection")
        } else if cause.contains("certificate") {
            format!(
                "TLS: {cause}; if {host} has a certificate of an own CA, add that CA's certificate"
            )
        } else {
            cause
        };
        FetchError::Unreachable { url: self.shown.clone(), reason }
    }

    /// What went wrong while a body was read.
    pub(super) fn broken(&self, error: &io::Error) -> FetchError {
        let inner = error.get_ref();
        match inner.and_then(|inner| inner.downcast_ref::<Stop>()) {
            Some(Stop::TooLarge) => FetchError::TooLarge { limit: self.limit },
            Some(Stop::TimedOut) => self.timed_out(),
            None if error.kind() == io::ErrorKind::InvalidData => {
                FetchError::Corrupt { url: self.shown.clone(), reason: shorten(&error.to_string()) }
            }
            None => match inner.and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
                Some(error) if error.is_timeout() => self.timed_out(),
                Some(error) => self.unreachable(error),
                None => FetchError::Unreachable {
                    url: self.shown.clone(),
                    reason: format!("the connection broke: {error}"),
                },
            },
        }
    }

    /// An answer that makes no sense.
    pub(super) fn nonsense(&self, reason: &str) -> FetchError {
        FetchError::Corrupt { url: self.shown.clone(), reason: shorten(reason) }
    }
}

/// An answer's body, which ends at the deadline and at the size limit.
pub(super) struct Body<'a> {
    response: Response,
    session: &'a mut Session,
}

impl Body<'_> {
    /// The conversation that the body belongs to, for its errors.
    pub(super) fn session(&self) -> &Session {
        self.session
    }
}

/// Why we end a transfer by ourselves.
#[derive(Debug, Error)]
enum Stop {
    #[error("too large")]
    TooLarge,
    #[error("timed out")]
    TimedOut,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.session.deadline {
            return Err(io::Error::other(Stop::TimedOut));
        }
        let length = self.response.read(buffer)?;
        self.session.received += length as u64;
        if self.session.received > self.session.limit {
            return Err(io::Error::other(Stop::TooLarge));
        }
        Ok(length)
    }
}

/// Redirects: few, and never from https to http.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    match attempt.url().scheme() {
        "https" => attempt.follow(),
        "http" if is_loopback(attempt.url()) && attempt.previous().iter().all(is_loopback) => {
            attempt.follow()
        }
        _ => attempt.error("the server redirects to an address that is not https"),
    }
}

/// The innermost cause of an error: the outer ones of HTTP clients only say that
/// something went wrong, and hold the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    shorten(&text.unwrap_or_else(|| "the request failed".to_owned()))
}

/// What a server says, short and without control characters.
pub(super) fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_REASON).collect()
}
