//! Browser: the one in front of a page, known by its cookies, and whether a form
//! is one that it was shown.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hades_apiserver::Peer;

use super::page;
use crate::cookies::{self, BROWSER, SESSION};
use crate::forms::Form;
use crate::origin::Origin;
use crate::random;
use crate::sessions::SessionInfo;
use crate::sign_in::SignIn;
use crate::site::{self, Site};
use crate::stamps::Stamps;

/// Length of a browser's name: more than 128 bits.
const NAME: usize = 22;

/// The field of a form that shows that it comes from a page of this server.
pub(super) const STAMP: &str = "stamp";

/// A browser.
pub(super) struct Browser {
    /// A random text that it carries in a cookie.
    pub name: String,
    /// Sets that cookie, where it is new.
    pub cookies: Vec<String>,
    /// Who is logged in.
    pub session: Option<SessionInfo>,
}

impl Browser {
    /// The browser of a request, by its cookies.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn of(sign_in: &SignIn, headers: &HeaderMap) -> Result<Self, getrandom::Error> {
        let token = cookies::read(headers, SESSION);
        let session = token.and_then(|token| sign_in.accounts.session(token));
        let is_name = |name: &&str| {
            name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if let Some(name) = cookies::read(headers, BROWSER).filter(is_name) {
            return Ok(Self { name: name.to_owned(), cookies: Vec::new(), session });
        }
        let name = random::text::<NAME>()?;
        let cookie = cookies::set(BROWSER, &name);
        Ok(Self { name, cookies: vec![cookie], session })
    }

    /// What a form for this purpose carries that only this browser can send.
    pub fn stamp(&self, stamps: &Stamps, purpose: &str) -> String {
        stamps.make(purpose, &self.tie())
    }

    /// A form for one session is none for the next.
    fn tie(&self) -> [&str; 2] {
        let session = self.session.as_ref().map(|session| session.id.as_str());
        [&self.name, session.unwrap_or_default()]
    }
}

/// A form that a browser sent from a page of this server.
pub(super) struct Posted {
    pub browser: Browser,
    pub form: Form,
    pub from: Origin,
    pub headers: HeaderMap,
}

impl Posted {
    /// Reads a form for a purpose.
    ///
    /// # Errors
    /// A page that says why it doesn't count: another site sent it, or the page it
    /// comes from isn't this browser's.
    pub async fn read(
        sign_in: &SignIn,
        request: Request,
        purpose: &str,
        again: &str,
    ) -> Result<Self, Response> {
        let title = "That didn't work";
        let external = sign_in.external_url.as_deref();
        if site::of(request.headers(), request.uri(), external) != Site::Own {
            let words = "This form was sent from another site, so nothing was done. If it wasn't: \
                         a proxy in front of Hades has to pass the header Host on, or hades serve \
                         needs --external-url with the address that you see above.";
            return Err(page::problem(StatusCode::FORBIDDEN, title, words, again));
        }
        let (parts, body) = request.into_parts();
        let form = Form::read(&parts.headers, body).await.map_err(|error| {
            page::problem(error.code(), title, "What was sent is no form of this page.", again)
        })?;
        let browser =
            Browser::of(sign_in, &parts.headers).map_err(|error| page::failed(&error, again))?;
        if !sign_in.stamps.check(form.text(STAMP), purpose, &browser.tie()) {
            let words = "This page was too old, or cookies are off. Nothing was done.";
            return Err(page::problem(StatusCode::FORBIDDEN, title, words, again));
        }
        let from = Origin::of(parts.extensions.get::<Peer>(), &parts.headers);
        Ok(Self { browser, form, from, headers: parts.headers })
    }
}

/// Ends the session that a browser had before it logged in anew. One that another
/// planted there doesn't live on beside it.
pub(super) async fn end_old_session(sign_in: &SignIn, headers: &HeaderMap) {
    if let Some(token) = cookies::read(headers, SESSION)
        && let Err(error) = sign_in.accounts.end_session(token).await
    {
        tracing::warn!(%error, "the session before a login could not be ended");
    }
}
