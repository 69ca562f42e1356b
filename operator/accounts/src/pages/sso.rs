//! `/login/oidc/sso`: the way to the provider of identities, and back.
//!
//! Nothing is kept here meanwhile: the state holds what is needed, stamped for the
//! browser that it was given to; nonce and PKCE verifier are made of it again.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, request};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hades_apiserver::Peer;
use secrecy::ExposeSecret;

use super::browser::{Browser, end_old_session};
use super::html::Text;
use super::login::sentence;
use super::page::{self, Page};
use super::{LOGIN, START, next};
use crate::audit::{self, Refused};
use crate::cookies::{self, SESSION};
use crate::forms::{self, Form};
use crate::oidc::{ArrivalError, Provider, ProviderError, Question};
use crate::origin::Origin;
use crate::random;
use crate::sessions::SessionError;
use crate::sign_in::SignIn;
use crate::site;
use crate::stamps::Stamps;

/// How long somebody may take at the provider, in seconds.
const PATIENCE: i64 = 10 * 60;

/// Makes each question another: more than 128 bits.
const SEED: usize = 22;

/// The longest code that is sent on.
const LONGEST_CODE: usize = 4_096;

/// What is remembered between the question and the answer.
#[derive(Debug, PartialEq, Eq)]
struct Trip {
    seed: String,
    /// In seconds since 1970.
    expires: String,
    next: String,
}

impl Trip {
    fn texts<'a>(&'a self, browser: &'a str) -> [&'a str; 4] {
        [browser, &self.seed, &self.expires, &self.next]
    }

    /// What the provider is asked with.
    fn question(&self, stamps: &Stamps, browser: &str) -> Question {
        let texts = self.texts(browser);
        let next = URL_SAFE_NO_PAD.encode(&self.next);
        let stamp = stamps.make("state", &texts);
        Question {
            state: format!("{}.{}.{next}.{stamp}", self.seed, self.expires),
            nonce: stamps.make("nonce", &texts),
            verifier: stamps.make("verifier", &texts),
        }
    }

    /// The trip that a state tells of, if this browser began it and is in time.
    fn read(state: &str, stamps: &Stamps, browser: &str, now: i64) -> Option<Self> {
        let mut parts = state.split('.');
        let mut part = || parts.next();
        let (seed, expires, next, stamp) = (part()?, part()?, part()?, part()?);
        if part().is_some() {
            return None;
        }
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        let trip = Self { seed: seed.to_owned(), expires: expires.to_owned(), next };
        let is_own = stamps.check(stamp, "state", &trip.texts(browser));
        let in_time = trip.expires.parse::<i64>().is_ok_and(|expires| now < expires);
        (is_own && in_time).then_some(trip)
    }
}

fn none() -> Response {
    let words = "This server has no single sign-on.";
    page::problem(StatusCode::NOT_FOUND, "Not found", words, LOGIN)
}

/// Sends a browser to the provider.
pub(crate) async fn start(
    State(sign_in): State<Arc<SignIn>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(provider) = &sign_in.provider else { return none() };
    let query = Form::of_query(uri.query()).unwrap_or_default();
    let next = next::local(query.text("next")).unwrap_or_default();
    if let Some(there) = elsewhere(&sign_in, &query, &headers, &uri, next) {
        return page::redirect(&there, &[]);
    }
    let (browser, seed) = match (Browser::of(&sign_in, &headers), random::text::<SEED>()) {
        (Ok(browser), Ok(seed)) => (browser, seed),
        (Err(error), _) | (_, Err(error)) => return page::failed(&error, LOGIN),
    };
    let expires = (sign_in.accounts.now().as_second() + PATIENCE).to_string();
    let trip = Trip { seed, expires, next: next.to_owned() };
    match provider.start(trip.question(&sign_in.stamps, &browser.name)).await {
        Ok(url) => page::redirect(url.as_str(), &browser.cookies),
        Err(error) => refused(provider, error),
    }
}

/// The provider sends people back to one address of this server, and cookies of
/// another are not seen there: whoever came by another begins at that one.
fn elsewhere(
    sign_in: &SignIn,
    query: &Form,
    headers: &HeaderMap,
    uri: &Uri,
    next: &str,
) -> Option<String> {
    let base = sign_in.external_url.as_deref()?;
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    let is_here = site::host(headers, uri).is_some_and(|here| here.eq_ignore_ascii_case(host));
    // A proxy may show another host for ever.
    if is_here || !query.text("moved").is_empty() {
        return None;
    }
    Some(format!("{base}{START}?{}", forms::query(&[("next", next), ("moved", "1")])))
}

/// Logs somebody in whom the provider sent back.
pub(crate) async fn come_back(State(sign_in): State<Arc<SignIn>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(provider) = &sign_in.provider else { return none() };
    let browser = match Browser::of(&sign_in, &parts.headers) {
        Ok(browser) => browser,
        Err(error) => return page::failed(&error, LOGIN),
    };
    let query = Form::of_query(parts.uri.query()).unwrap_or_default();
    let now = sign_in.accounts.now().as_second();
    let trip = Trip::read(query.text("state"), &sign_in.stamps, &browser.name, now);
    let Some(trip) = trip else {
        let words = "This login was begun in another browser, or too long ago.";
        return page::problem(StatusCode::FORBIDDEN, "That didn't work", words, LOGIN);
    };
    if let Some(words) = not_answered(provider, &query) {
        return page::problem(StatusCode::FORBIDDEN, "That didn't work", &words, LOGIN);
    }
    let question = trip.question(&sign_in.stamps, &browser.name);
    let code = query.text("code").to_owned();
    log_in(&sign_in, provider, &parts, code, &question, &trip).await
}

/// What to tell where the provider sent no code, or somebody else sent it.
fn not_answered(provider: &Provider, query: &Form) -> Option<String> {
    let name = &provider.settings.name;
    // RFC 9207: the answer of another provider.
    let issuer = query.text("iss");
    if !issuer.is_empty() && issuer != provider.settings.issuer {
        return Some(format!("This is no answer of {name}."));
    }
    let error: String = query.text("error").chars().take(60).collect();
    if !error.is_empty() {
        let is_word = error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        return Some(match error.as_str() {
            "access_denied" => format!("{name} didn't let you in."),
            _ if is_word => format!("{name} answered: {error}."),
            _ => format!("{name} answered with an error."),
        });
    }
    let length = query.text("code").len();
    let is_code = (1..=LONGEST_CODE).contains(&length);
    (!is_code).then(|| format!("{name} sent no answer."))
}

async fn log_in(
    sign_in: &SignIn,
    provider: &Provider,
    parts: &request::Parts,
    code: String,
    question: &Question,
    trip: &Trip,
) -> Response {
    let from = Origin::of(parts.extensions.get::<Peer>(), &parts.headers);
    // By network alone: nobody else is slowed down by one that sends made-up codes.
    let network = from.network().map(|network| network.to_string()).unwrap_or_default();
    let guesses = format!("codes of the provider from {network}");
    let attempt = match sign_in.accounts.throttle().begin_guess(&guesses, &from) {
        Ok(attempt) => attempt,
        Err(wait) => {
            let words = format!("Too many logins failed. Try again in {} seconds.", wait.seconds);
            let code = StatusCode::TOO_MANY_REQUESTS;
            return page::problem(code, "Wait a moment", &words, LOGIN);
        }
    };
    let answer = match sign_in.exchanges.acquire().await {
        Ok(_turn) => provider.finish(code, question).await,
        Err(error) => return page::failed(&error, LOGIN),
    };
    let who = match answer {
        Ok(who) => who,
        Err(error) => {
            if !matches!(error, ProviderError::Refused(_) | ProviderError::Token(_)) {
                attempt.take_back();
            }
            if error.is_his() {
                note_refused(sign_in, &from, None, None, &error);
            }
            return refused(provider, error);
        }
    };
    attempt.take_back();
    let subject = Some(&*who.subject);
    let person = match sign_in.arrive(&provider.settings.issuer, &who).await {
        Ok(person) => person,
        Err(error) => {
            note_refused(sign_in, &from, error.user(), subject, &error);
            return no_user(provider, &who.subject, error);
        }
    };
    match sign_in.let_in(provider, &who, &person, &from).await {
        Ok(session) => {
            end_old_session(sign_in, &parts.headers).await;
            let cookie = cookies::set(SESSION, session.token.expose_secret());
            let next = if trip.next.is_empty() { LOGIN } else { &trip.next };
            page::redirect(next, &[cookie])
        }
        Err(error @ SessionError::KeptOut(_)) => {
            let user = &person.name;
            note_refused(sign_in, &from, Some(user), subject, &error);
            let words = format!("The user {user:?} may not log in. Ask an administrator.");
            page::problem(StatusCode::FORBIDDEN, "Not let in", &words, LOGIN)
        }
        Err(SessionError::Unrecorded(error)) => {
            let words = sentence(error.message());
            page::problem(StatusCode::SERVICE_UNAVAILABLE, "That didn't work", &words, LOGIN)
        }
        Err(error) => page::failed(&error, LOGIN),
    }
}

/// Tells the audit log of somebody who isn't let in.
fn note_refused(
    sign_in: &SignIn,
    from: &Origin,
    user: Option<&str>,
    subject: Option<&str>,
    why: &dyn std::fmt::Display,
) {
    let refused = Refused { user, method: "sso", why: &why.to_string(), subject };
    audit::not_logged_in(sign_in.accounts.server(), &refused, from);
}

/// The provider vouches for nobody.
fn refused(provider: &Provider, error: ProviderError) -> Response {
    let name = &provider.settings.name;
    match error {
        ProviderError::Claim(error) => {
            tracing::info!(%error, "a single sign-on was refused");
            let words = format!("{name} knows you, but you aren't let in here: {error}.");
            page::problem(StatusCode::FORBIDDEN, "Not let in", &words, LOGIN)
        }
        error @ (ProviderError::Unreachable(_) | ProviderError::Metadata(_)) => {
            tracing::warn!(%error, "a single sign-on failed");
            let words = format!(
                "{name} can't be reached from this server now. Try again later, or log in with a \
                 password. The server's log says why."
            );
            page::problem(StatusCode::BAD_GATEWAY, "That didn't work", &words, LOGIN)
        }
        error => {
            tracing::warn!(%error, "a single sign-on proved nothing");
            let words = format!(
                "What {name} answered can't be trusted. Try again; if it stays so, the server's log \
                 tells an administrator why."
            );
            page::problem(StatusCode::FORBIDDEN, "That didn't work", &words, LOGIN)
        }
    }
}

/// The provider vouches for somebody who has no user.
fn no_user(provider: &Provider, subject: &str, error: ArrivalError) -> Response {
    let name = &provider.settings.name;
    let words = match error {
        ArrivalError::Taken(user) => {
            tracing::warn!(user, subject, "a single sign-on would take the name of another user");
            format!(
                "There is a user {user:?} here already, who isn't known to be you. If it is you, ask \
                 an administrator to link it with your login at {name}."
            )
        }
        ArrivalError::Gone(user) => format!(
            "Your user {user:?} was deleted. An administrator can make it again and link it with your \
             login at {name}."
        ),
        ArrivalError::Claim(error) => format!("{name} knows you, but: {error}."),
        ArrivalError::Name { user, why } => {
            tracing::warn!(user, why, subject, "the user of a single sign-on can't be made");
            format!("{name} knows you, but {user:?} can't be the name of a user here: {why}.")
        }
        error => return page::failed(&error, LOGIN),
    };
    let body = format!(
        "<p class=\"alert\" role=\"alert\">{}</p>\n\
         <p>The administrator needs:</p>\n\
         <dl><dt>Subject</dt><dd><code>{}</code></dd><dt>Issuer</dt><dd><code>{}</code></dd></dl>\n\
         <p><a class=\"button\" href=\"{LOGIN}\">Log in with a password</a></p>",
        Text(words),
        Text(subject),
        Text(&provider.settings.issuer),
    );
    Page { title: "Not let in", body }.answer(StatusCode::FORBIDDEN, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_for_one_browser_and_ten_minutes() {
        let stamps = Stamps::new().unwrap();
        let trip = Trip { seed: "s".into(), expires: "1000".into(), next: "/x?y=.".into() };
        let question = trip.question(&stamps, "browser");
        let read = |state: &str, browser, now| Trip::read(state, &stamps, browser, now);
        let found = read(&question.state, "browser", 999).unwrap();
        assert_eq!(found, trip);
        let again = found.question(&stamps, "browser");
        assert_eq!((again.nonce, again.verifier.len()), (question.nonce.clone(), 43));
        assert_ne!(question.nonce, question.verifier);
        assert!(!question.state.contains(&question.nonce));
        assert_eq!(read(&question.state, "another", 999), None);
        assert_eq!(read(&question.state, "browser", 1000), None);
        let later = question.state.replace(".1000.", ".9999.");
        for bad in ["", "...", "a.b.c.d", &later, &format!("{}.x", question.state)] {
            assert_eq!(read(bad, "browser", 999), None, "{bad}");
        }
        assert_eq!(Trip::read(&question.state, &Stamps::new().unwrap(), "browser", 999), None);
    }
}
