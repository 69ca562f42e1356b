//! git's smart protocol over HTTP: a client with timeouts, a size limit, few
//! redirects, and errors that say what is wrong.
//!
//! libgit2's own transport would bring OpenSSL, and a transport of ours can be
//! registered with it only by `unsafe` code; the protocol is small (see
//! [`super::smart`]) and this leaves every error a typed one.

use std::error::Error as _;
use std::io::{self, Read};
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{StatusCode, Url, redirect};
use rustls::crypto::ring;
use secrecy::{ExposeSecret, SecretString};

use super::FetchError;
use super::budget::Budget;
use super::credentials::HttpCredentials;
use super::transport::{Body, Exchange, Stop, Transport, shorten};
use super::url::{RemoteUrl, is_loopback};

/// Forges answer by the name's beginning, so it must be git's.
const USER_AGENT: &str = concat!("git/2.0 (hades ", env!("CARGO_PKG_VERSION"), ")");
/// Repositories move and forges add `.git`: one or two redirects are usual.
const MAX_REDIRECTS: usize = 5;
/// A host that takes longer to accept a connection is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A repository over HTTP.
pub(super) struct Http {
    client: Client,
    /// The repository, after redirects.
    base: Url,
    credentials: Option<HttpCredentials>,
    exchange: Exchange,
}

impl Http {
    pub(super) fn new(
        url: &Url,
        credentials: Option<&HttpCredentials>,
        extra_ca: Option<&[u8]>,
        budget: Budget,
    ) -> Result<Self, FetchError> {
        let mut base = url.clone();
        let username = url.username().to_owned();
        // Fails only for URLs without a host, which http ones have.
        let _ = base.set_username("");
        let credentials = credentials.cloned().or_else(|| {
            (!username.is_empty())
                .then(|| HttpCredentials::Basic { username, password: SecretString::default() })
        });
        let exchange = Exchange::new(RemoteUrl::Http(base.clone()).shown(), budget);
        Ok(Http { client: client(extra_ca, exchange.budget())?, base, credentials, exchange })
    }

    fn endpoint(&self, tail: &str) -> Result<Url, FetchError> {
        let base = self.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{tail}"))
            .map_err(|_| FetchError::Invalid("the repository's url can't be read".to_owned()))
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, FetchError> {
        let Some(left) = self.exchange.budget().left() else {
            return Err(self.exchange.timed_out());
        };
        let request = request.timeout(left);
        let request = match &self.credentials {
            None => request,
            Some(HttpCredentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password.expose_secret()))
            }
            Some(HttpCredentials::Bearer(token)) => request.bearer_auth(token.expose_secret()),
        };
        let response = request.send().map_err(|error| match reason(&error) {
            None => self.exchange.timed_out(),
            Some(reason) => self.exchange.unreachable(reason),
        })?;
        let url = self.exchange.shown().to_owned();
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(FetchError::AuthenticationRequired { url })
            }
            status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => {
                let hint = match self.credentials {
                    None => "",
                    Some(_) => ", as forges do when the credentials may not read it, too",
                };
                let reason = format!("the server answers {status}{hint}");
                Err(FetchError::NotFound { url, reason })
            }
            status => Err(self.exchange.unreachable(format!("the server answers {status}"))),
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
            url: self.exchange.shown().to_owned(),
            reason: format!("the server answers with {}, not with git's protocol", shorten(sent)),
        })
    }

    fn body(&self, response: Response) -> Body<'_> {
        Body { source: Box::new(Answer(response)), exchange: &self.exchange, ends: true }
    }
}

impl Transport for Http {
    /// `info/refs`. Redirects are followed here, and all later requests go where they
    /// led.
    fn advertisement(&mut self) -> Result<Body<'_>, FetchError> {
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

    fn upload_pack(&mut self, request: Vec<u8>, v2: bool) -> Result<Body<'_>, FetchError> {
        let url = self.endpoint("git-upload-pack")?;
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .body(request);
        if v2 {
            request = request.header("Git-Protocol", "version=2");
        }
        let response = self.send(request)?;
        self.expect_type(&response, "application/x-git-upload-pack-result")?;
        Ok(self.body(response))
    }
}

fn client(extra_ca: Option<&[u8]>, budget: &Budget) -> Result<Client, FetchError> {
    // reqwest brings no cryptography of its own. An error only says that another part
    // of the program installed one before.
    let _ = ring::default_provider().install_default();
    let timeout = budget.left().unwrap_or(CONNECT_TIMEOUT);
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .redirect(redirect::Policy::custom(follow))
        .referer(false);
    if let Some(pem) = extra_ca {
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
    builder.build().map_err(|error| FetchError::Invalid(format!("TLS: {}", innermost(&error))))
}

/// An answer whose errors are told in our words.
struct Answer(Response);

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
                None => error,
                Some(inner) => io::Error::other(match reason(inner) {
                    None => Stop::TimedOut,
                    Some(reason) => Stop::Failed(reason),
                }),
            }
        })
    }
}

/// Why a request failed. None when the time was over.
fn reason(error: &reqwest::Error) -> Option<String> {
    if error.is_timeout() && !error.is_connect() {
        return None;
    }
    let cause = innermost(error);
    let host = error.url().and_then(Url::host_str).unwrap_or("the host");
    Some(if error.is_dns() {
        format!("the host name {host} doesn't resolve ({cause})")
    } else if error.is_timeout() {
        format!("{host} accepts no connection")
    } else if cause.contains("certificate") {
        format!("TLS: {cause}; if {host} has a certificate of an own CA, add that CA's certificate")
    } else {
        cause
    })
}

/// Redirects: few, never from https to http, and none that leads to this machine
/// from elsewhere.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    match redirection(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(reason) => attempt.error(reason),
    }
}

/// Whether it may go on from where it has been; why not.
fn redirection(previous: &[Url], next: &Url) -> Result<(), &'static str> {
    if previous.len() > MAX_REDIRECTS {
        return Err("too many redirects");
    }
    let stays_here = is_loopback(next) && previous.iter().all(is_loopback);
    match next.scheme() {
        "http" | "https" if stays_here => Ok(()),
        "https" if is_loopback(next) => Err("the server redirects to Hades's own machine"),
        "https" => Ok(()),
        _ => Err("the server redirects to an address that is not https"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_redirects_neither_to_plain_http_nor_to_this_machine() {
        let url = |text: &str| Url::parse(text).unwrap();
        let check = |from: &str, to: &str| redirection(&[url(from)], &url(to));
        let (there, here) = ("https://git.example.com/a", "http://127.0.0.1:8080/a");
        for (from, to) in [
            (there, "https://git.example.org/a.git"),
            (here, "http://localhost:8081/a"),
            (here, "https://127.0.0.1/a"),
            (here, there),
        ] {
            assert_eq!(check(from, to), Ok(()), "{from} {to}");
        }
        for (from, to) in [
            (there, "https://127.0.0.1:6443/a"),
            (there, "https://localhost./a"),
            (there, "https://[::1]/a"),
            (there, here),
            (there, "http://git.example.com/a"),
            (here, "http://git.example.com/a"),
        ] {
            assert!(check(from, to).is_err(), "{from} {to}");
        }
        assert!(redirection(&[url(here), url(there)], &url("https://localhost/a")).is_err());
    }
}
