//! Requests to registries.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::challenge::{Challenge, token_url};
use crate::credentials::Credentials;
use crate::error::RegistryError;
use crate::name::{ImageName, Prefix, api_host, is_loopback, leads_here};

/// How long a request may take, from connecting to the last byte.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A registry that only knows where images are sends on to there.
const MOST_REDIRECTS: usize = 5;
/// Longest answer that is read; the longest manifest that registries keep.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;
/// Characters of an error that are shown.
const WORDS_SHOWN: usize = 1000;
/// Tags asked for at once.
const TAGS_A_PAGE: usize = 1000;
/// Pages of tags that are read: more tags than a repository has.
const MOST_PAGES: usize = 100;
/// How long a token is good for when the registry doesn't say: the specification's
/// number.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long before its end a token isn't used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Tokens kept before all are forgotten.
const TOKENS_KEPT: usize = 1024;
/// A registry that says `Retry-After: 10000000` is asked again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Kinds of manifests that are understood. A list of several platforms is asked
/// for first: its digest is the one by which hosts of any platform pull.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What a registry makes of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginAnswer {
    /// It takes them.
    Accepted,
    /// It asks nobody who they are.
    NotNeeded,
}

/// Asks registries. Cheap to share; keeps tokens while they are good.
pub struct Registries {
    http: reqwest::Client,
    tokens: Mutex<HashMap<TokenKey, Token>>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registries").finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    registry: String,
    scope: Option<String>,
    /// [`Credentials::identity`]; none for nobody's.
    who: Option<String>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

/// A question to a registry.
struct Question<'a> {
    registry: &'a str,
    method: Method,
    url: Url,
    scope: Option<String>,
    accept: &'static str,
    credentials: Option<&'a Credentials>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Registries {
    /// Speaks to nobody yet.
    ///
    /// # Errors
    /// When the machine's root certificates can't be read.
    pub fn new() -> Result<Self, RegistryError> {
        // The HTTP library brings no cryptography of its own. An error only says
        // that another part of the program installed one before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("hades/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .redirect(redirect::Policy::custom(follow))
            .referer(false)
            .build()
            .map_err(|error| RegistryError::Unexpected {
                registry: "any".to_owned(),
                words: format!("the HTTP client can't be made: {}", innermost(&error)),
            })?;
        Ok(Self { http, tokens: Mutex::default() })
    }

    /// The digest that a tag stands for now. That of a list of several platforms is
    /// the list's: hosts of any platform pull by it.
    ///
    /// # Errors
    /// By what to do about it.
    pub async fn digest(
        &self,
        image: &ImageName,
        credentials: Option<&Credentials>,
    ) -> Result<String, RegistryError> {
        let reference = image.digest.as_deref().unwrap_or_else(|| image.tag());
        let path = format!("{}/manifests/{reference}", image.repository);
        let mut question = question(image, &path, credentials)?;
        question.accept = MANIFESTS;
        question.method = Method::HEAD;
        let what = || format!("image {}:{}", image.repository, image.tag());
        let answer = self.ask(&question).await?;
        if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
            let answer = refused(&question, &what(), answer).await?;
            if let Some(digest) = header(answer.headers(), &CONTENT_DIGEST)
                && digest.contains(':')
            {
                return Ok(digest.to_owned());
            }
        }
        // Some registries know no HEAD or tell no digest with it; then it is the hash
        // of the manifest.
        question.method = Method::GET;
        let answer = refused(&question, &what(), self.ask(&question).await?).await?;
        let bytes = body(&question, answer).await?;
        let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        Ok(format!("sha256:{hex}"))
    }

    /// All tags of an image's repository, in the registry's order.
    ///
    /// # Errors
    /// By what to do about it.
    pub async fn tags(
        &self,
        image: &ImageName,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<String>, RegistryError> {
        let path = format!("{}/tags/list?n={TAGS_A_PAGE}", image.repository);
        let mut question = question(image, &path, credentials)?;
        let mut tags = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.ask(&question).await?;
            let what = format!("repository {}", image.repository);
            let answer = refused(&question, &what, answer).await?;
            let next = header(answer.headers(), &LINK).and_then(next_page).map(str::to_owned);
            let bytes = body(&question, answer).await?;
            let page: Tags = serde_json::from_slice(&bytes)
                .map_err(|_| unexpected(&question, "its list of tags isn't one"))?;
            tags.extend(page.tags.unwrap_or_default());
            let Some(next) = next else { return Ok(tags) };
            let url = question.url.join(&next);
            // A page elsewhere would get the credentials.
            match url {
                Ok(url) if url.origin() == question.url.origin() => question.url = url,
                _ => return Err(unexpected(&question, "its next page of tags is elsewhere")),
            }
        }
        Err(unexpected(&question, "its list of tags doesn't end"))
    }

    /// Whether a registry takes credentials.
    ///
    /// # Errors
    /// [`RegistryError::Unauthorized`] when it doesn't.
    pub async fn log_in(
        &self,
        prefix: &Prefix,
        credentials: &Credentials,
    ) -> Result<LoginAnswer, RegistryError> {
        let url = address(&prefix.registry, "")?;
        let question = |credentials| Question {
            registry: &prefix.registry,
            method: Method::GET,
            url: url.clone(),
            scope: None,
            accept: "application/json",
            credentials,
        };
        let anonymous = question(None);
        let answer = self.send(&anonymous, None).await?;
        if answer.status().is_success() {
            return Ok(LoginAnswer::NotNeeded);
        }
        let known = question(Some(credentials));
        let answer = self.answer_challenge(&known, answer).await?;
        refused(&known, "API", answer).await?;
        Ok(LoginAnswer::Accepted)
    }

    /// Asks, with a token that is known, and answers a challenge once.
    async fn ask(&self, question: &Question<'_>) -> Result<Response, RegistryError> {
        let known = self.known_token(question);
        let answer = self.send(question, known).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.answer_challenge(question, answer).await
    }

    async fn answer_challenge(
        &self,
        question: &Question<'_>,
        answer: Response,
    ) -> Result<Response, RegistryError> {
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenge = Challenge::parse(headers.filter_map(|value| value.to_str().ok()));
        if answer.url().origin() != question.url.origin() {
            return self.answer_elsewhere(question, challenge, answer).await;
        }
        let authorization = match (challenge, question.credentials) {
            (None, _) | (Some(Challenge::Basic), None) => return Ok(answer),
            (Some(_), Some(Credentials::Token(token))) => bearer(question, token.expose_secret())?,
            (Some(Challenge::Basic), Some(Credentials::Basic { username, password })) => {
                let header = basic(question, username, password)?;
                self.keep_token(question, &header, REQUEST_LIMIT * 10);
                header
            }
            (Some(Challenge::Bearer { realm, service, .. }), who) => {
                let (header, life) =
                    self.fetch_token(question, &realm, service.as_deref(), who).await?;
                self.keep_token(question, &header, life.saturating_sub(TOKEN_MARGIN));
                header
            }
        };
        self.send(question, Some(authorization)).await
    }

    /// Answers whom the registry has sent on to. The credentials are the registry's,
    /// so that only what is there for everybody is to be had.
    async fn answer_elsewhere(
        &self,
        question: &Question<'_>,
        challenge: Option<Challenge>,
        answer: Response,
    ) -> Result<Response, RegistryError> {
        let Some(Challenge::Bearer { realm, service, scope }) = challenge else {
            return Ok(answer);
        };
        let asked = Question {
            registry: question.registry,
            method: question.method.clone(),
            url: answer.url().clone(),
            // It has a name of its own for the repository.
            scope: scope.or_else(|| question.scope.clone()),
            accept: question.accept,
            credentials: None,
        };
        let (authorization, _) = self.fetch_token(&asked, &realm, service.as_deref(), None).await?;
        self.send(&asked, Some(authorization)).await
    }

    async fn fetch_token(
        &self,
        question: &Question<'_>,
        realm: &str,
        service: Option<&str>,
        who: Option<&Credentials>,
    ) -> Result<(HeaderValue, Duration), RegistryError> {
        let url = token_url(question.registry, realm, service, question.scope.as_deref())?;
        let authorization = match who {
            Some(Credentials::Basic { username, password }) => {
                Some(basic(question, username, password)?)
            }
            _ => None,
        };
        let asked = Question {
            registry: question.registry,
            method: Method::GET,
            url,
            scope: None,
            accept: "application/json",
            credentials: question.credentials,
        };
        let answer = self.send(&asked, authorization).await?;
        let answer = refused(&asked, "token", answer).await?;
        let bytes = body(&asked, answer).await?;
        let token: TokenAnswer = serde_json::from_slice(&bytes)
            .map_err(|_| unexpected(question, "its token isn't one"))?;
        let life = token.expires_in.map_or(TOKEN_LIFE, Duration::from_secs);
        let text = token.token.or(token.access_token).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| unexpected(question, "its token is empty"))?;
        Ok((bearer(question, &text)?, life))
    }

    fn key(question: &Question<'_>) -> TokenKey {
        TokenKey {
            registry: question.registry.to_owned(),
            scope: question.scope.clone(),
            who: question.credentials.map(Credentials::identity),
        }
    }

    fn known_token(&self, question: &Question<'_>) -> Option<HeaderValue> {
        if let Some(Credentials::Token(token)) = question.credentials {
            return bearer(question, token.expose_secret()).ok();
        }
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(&Self::key(question))?;
        (token.until > Instant::now()).then(|| token.header.clone())
    }

    fn keep_token(&self, question: &Question<'_>, header: &HeaderValue, life: Duration) {
        // What is asked without a scope is a test of the credentials themselves.
        if question.scope.is_none() {
            return;
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS_KEPT {
            tokens.clear();
        }
        // A life that no clock can hold is no life at all.
        if let Some(until) = Instant::now().checked_add(life.min(LONGEST_RETRY_AFTER)) {
            tokens.insert(Self::key(question), Token { header: header.clone(), until });
        }
    }

    async fn send(
        &self,
        question: &Question<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let mut request = self
            .http
            .request(question.method.clone(), question.url.clone())
            .header(ACCEPT, question.accept);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| match error.is_redirect() {
            true => unexpected(question, &innermost(&error)),
            false => unreachable(question, &error),
        })
    }
}

/// Redirects: few, and to where no name of an image could lead. The HTTP library
/// leaves credentials out that were for another host.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    // What an API sends on to that isn't logged in to is a page for people.
    if attempt.previous().first().is_some_and(|url| url.path() == "/v2/") {
        return attempt.stop();
    }
    match redirection(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(words) => attempt.error(words),
    }
}

/// Whether it may go on from where it has been; why not.
fn redirection(previous: &[Url], next: &Url) -> Result<(), &'static str> {
    if previous.len() > MOST_REDIRECTS {
        return Err("it sends from one address to the next without end");
    }
    // Who is not here has nothing to say about what is.
    let stays_here = leads_here(next) && previous.iter().all(leads_here);
    match next.scheme() {
        "http" | "https" if stays_here => Ok(()),
        _ if leads_here(next) => Err("it sends on to this machine itself"),
        "https" => Ok(()),
        _ => Err("it sends on to an address that is not https"),
    }
}

fn question<'a>(
    image: &'a ImageName,
    path: &str,
    credentials: Option<&'a Credentials>,
) -> Result<Question<'a>, RegistryError> {
    Ok(Question {
        registry: &image.registry,
        method: Method::GET,
        url: address(&image.registry, path)?,
        scope: Some(format!("repository:{}:pull", image.repository)),
        accept: "application/json",
        credentials,
    })
}

/// Where the API of a registry is. Plain HTTP is spoken with this machine alone.
fn address(registry: &str, path: &str) -> Result<Url, RegistryError> {
    let scheme = if is_loopback(registry) { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{}/v2/{path}", api_host(registry))).map_err(|_| {
        RegistryError::Unexpected {
            registry: registry.to_owned(),
            words: "its name is no host".to_owned(),
        }
    })
}

/// An answer that isn't a refusal.
async fn refused(
    question: &Question<'_>,
    what: &str,
    answer: Response,
) -> Result<Response, RegistryError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let registry = question.registry.to_owned();
    let retry_after = retry_after(answer.headers());
    let words = words(question, answer).await;
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Unauthorized {
            registry,
            anonymous: question.credentials.is_none(),
            words,
        },
        StatusCode::NOT_FOUND => RegistryError::NotFound { registry, what: what.to_owned() },
        StatusCode::TOO_MANY_REQUESTS => RegistryError::RateLimited { registry, retry_after },
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            RegistryError::Unreachable { registry, words, retry_after }
        }
        _ => RegistryError::Unexpected { registry, words },
    })
}

/// What an answer that is a refusal says, cut to what people read.
async fn words(question: &Question<'_>, answer: Response) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        errors: Vec<Problem>,
        #[serde(default)]
        details: Option<String>,
    }
    #[derive(Deserialize)]
    struct Problem {
        #[serde(default)]
        message: String,
    }
    let status = answer.status();
    let bytes = body(question, answer).await.unwrap_or_default();
    let refusal = serde_json::from_slice::<Refusal>(&bytes).ok();
    let said = refusal.and_then(|refusal| {
        let first = refusal.errors.into_iter().map(|problem| problem.message).next();
        first.or(refusal.details).filter(|words| !words.is_empty())
    });
    let said = said.map(|words| shorten(&words)).unwrap_or_default();
    match said.is_empty() {
        true => format!("HTTP status {status}"),
        false => format!("{said} (HTTP status {})", status.as_u16()),
    }
}

/// As much of a text as is shown. No word is cut in two: it may be a value of a Secret,
/// whose half nobody would know again and hide.
fn shorten(text: &str) -> String {
    let mut words: String =
        text.chars().filter(|character| !character.is_control()).take(WORDS_SHOWN + 1).collect();
    if words.chars().count() > WORDS_SHOWN {
        let end = words.rfind(char::is_whitespace).unwrap_or_default();
        words.truncate(end);
        words.push('…');
    }
    words
}

/// The body, up to a bound.
async fn body(question: &Question<'_>, mut answer: Response) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > ANSWER_LIMIT => {
                return Err(unexpected(question, "its answer is longer than 4 MiB"));
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(unreachable(question, &error)),
        }
    }
}

fn unexpected(question: &Question<'_>, words: &str) -> RegistryError {
    RegistryError::Unexpected { registry: question.registry.to_owned(), words: words.to_owned() }
}

fn unreachable(question: &Question<'_>, error: &reqwest::Error) -> RegistryError {
    let words = match error.is_timeout() {
        true => format!("no answer within {} s", REQUEST_LIMIT.as_secs()),
        false => innermost(error),
    };
    RegistryError::Unreachable { registry: question.registry.to_owned(), words, retry_after: None }
}

/// The cause at the bottom, which names no URL.
fn innermost(error: &reqwest::Error) -> String {
    let Some(mut cause) = error.source() else { return "the request failed".to_owned() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After` in seconds; a date is taken for none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = header(headers, &RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// The address of the next page out of a `Link` header (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (url, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(url)
    })
}

fn bearer(question: &Question<'_>, token: &str) -> Result<HeaderValue, RegistryError> {
    sensitive(question, &format!("Bearer {token}"))
}

fn basic(
    question: &Question<'_>,
    username: &str,
    password: &SecretString,
) -> Result<HeaderValue, RegistryError> {
    use base64::Engine as _;
    let pair = format!("{username}:{}", password.expose_secret());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    sensitive(question, &format!("Basic {encoded}"))
}

fn sensitive(question: &Question<'_>, text: &str) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| unexpected(question, "its token holds what no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_pages() {
        let link = r#"</v2/a/tags/list?last=b&n=2>; rel="next""#;
        assert_eq!(next_page(link), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next_page(r#"<x>; rel="prev", <y>; rel=next"#), Some("y"));
        assert_eq!(next_page("nothing"), None);
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        let url = |registry| address(registry, "a/tags/list").unwrap().to_string();
        assert_eq!(url("127.0.0.1:5000"), "http://127.0.0.1:5000/v2/a/tags/list");
        assert_eq!(url("example.com:5000"), "https://example.com:5000/v2/a/tags/list");
        assert_eq!(url("docker.io"), "https://registry-1.docker.io/v2/a/tags/list");
        assert!(address("a b", "").is_err());
    }

    #[test]
    fn no_word_of_an_answer_is_cut_in_two() {
        let begin = "x".repeat(WORDS_SHOWN - 4);
        assert_eq!(shorten(&format!("{begin} hunter22")), format!("{begin}…"));
        assert_eq!(shorten("denied\u{7}"), "denied");
    }

    #[test]
    fn where_registries_may_send_on_to() {
        let url = |text: &str| Url::parse(text).unwrap();
        let check = |from: &str, to: &str| redirection(&[url(from)], &url(to));
        let (there, here) = ("https://registry.k8s.io/v2/a/manifests/1", "http://127.0.0.1:5000/");
        for (from, to) in [
            (there, "https://europe-west1-docker.pkg.dev/v2/x/a/manifests/1"),
            (here, "http://localhost:5001/"),
            (here, "https://example.com/"),
        ] {
            assert_eq!(check(from, to), Ok(()), "{from} {to}");
        }
        for (from, to) in [
            (there, "http://example.com/"),
            (there, "https://127.0.0.1:6443/"),
            (there, "http://localhost/"),
            (there, "https://[::ffff:127.0.0.1]/"),
            (there, "file:///etc/passwd"),
        ] {
            assert!(check(from, to).is_err(), "{from} {to}");
        }
        assert!(redirection(&vec![url(there); MOST_REDIRECTS], &url(there)).is_ok());
        assert!(redirection(&vec![url(there); MOST_REDIRECTS + 1], &url(there)).is_err());
    }
}
