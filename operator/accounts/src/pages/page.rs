//! Page: the frame of all pages, and the headers that go with them.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::html::Text;

/// The one stylesheet.
const STYLE: &str = include_str!("page.css");

/// What a page may do: show text with this stylesheet, and send forms here.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    )
});

/// A gate.
const SIGN: &str = "<svg viewBox=\"0 0 32 32\" width=\"32\" height=\"32\" aria-hidden=\"true\" \
    focusable=\"false\"><path d=\"M4 29V14a12 12 0 0 1 24 0v15h-6V14a6 6 0 0 0-12 0v15z\"/>\
    <path d=\"M14 29v-9a2 2 0 0 1 4 0v9z\" opacity=\".55\"/></svg>";

/// A page.
pub(super) struct Page<'a> {
    pub title: &'a str,
    /// HTML that goes below the title.
    pub body: String,
}

impl Page<'_> {
    fn html(&self) -> String {
        let Self { title, body } = self;
        let title = Text(title);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"robots\" content=\"noindex\">\n\
             <title>{title} · Hades</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <p class=\"brand\">{SIGN}<span>Hades</span></p>\n<h1>{title}</h1>\n{body}\n</main>\n\
             </body>\n</html>\n"
        )
    }

    /// The answer that shows it.
    pub fn answer(&self, code: StatusCode, cookies: &[String]) -> Response {
        let mut response = (code, self.html()).into_response();
        let form = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, form);
        guarded(response, cookies)
    }
}

/// The answer that sends a browser to a path of this server, or to the provider.
pub(super) fn redirect(to: &str, cookies: &[String]) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // What can't be a header leads nowhere.
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    guarded(response, cookies)
}

/// An answer with the headers that all of these have.
fn guarded(mut response: Response, cookies: &[String]) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        // Not `no-referrer`: forms would be sent without their origin.
        (header::REFERRER_POLICY, "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// A page that says what went wrong and where to begin again.
pub(super) fn problem(code: StatusCode, title: &str, words: &str, again: &str) -> Response {
    let body = format!(
        "<p class=\"alert\" role=\"alert\">{}</p>\n<p><a class=\"button\" href=\"{}\">Start again</a></p>",
        Text(words),
        Text(again)
    );
    Page { title, body }.answer(code, &[])
}

/// A page for what the server can't do now. Its log says why.
pub(super) fn failed(error: &dyn std::fmt::Display, again: &str) -> Response {
    tracing::error!(%error, "a page about a login failed");
    let words = "Something in the server doesn't work. Its log says what.";
    problem(StatusCode::INTERNAL_SERVER_ERROR, "That didn't work", words, again)
}
