//! Cookies: the session of a browser, and what ties its forms to it.
//!
//! Both have the prefix `__Host-` (RFC 6265bis): no other host, no subdomain and no
//! page without TLS can have set them.

use std::fmt::Display;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use hades_apiserver::wire::status::StatusError;
use hades_apiserver::{Authenticator, Identity};

use crate::authenticator::Bearers;
use crate::sessions::LIFETIME;
use crate::site::{self, Site};

/// The token of a session.
pub(crate) const SESSION: &str = "__Host-hades";

/// A random text that ties forms and logins under way to one browser.
pub(crate) const BROWSER: &str = "__Host-hades-browser";

/// Longer ones are none of ours.
const LONGEST: usize = 100;

/// The value of a cookie. `None` where there are two of the name: which one counts
/// must not depend on who reads it.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    let (value, None) = (values.next()?, values.next()) else { return None };
    (!value.is_empty() && value.len() <= LONGEST).then_some(value)
}

/// Sets a cookie for as long as a session may last.
pub(crate) fn set(name: &str, value: impl Display) -> String {
    with_age(name, value, LIFETIME.as_secs())
}

/// Removes a cookie.
pub(crate) fn remove(name: &str) -> String {
    with_age(name, "", 0)
}

fn with_age(name: &str, value: impl Display, age: i64) -> String {
    format!("{name}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Lax")
}

/// Knows callers by the cookie of their session, if their browser says that no other
/// site had it send the request.
pub(crate) struct Cookies {
    pub bearers: Bearers,
    /// The address of this server that it was told.
    pub external_url: Option<String>,
}

impl Authenticator for Cookies {
    fn authenticate(&self, request: &Request) -> Result<Option<Identity>, StatusError> {
        let headers = request.headers();
        // Whoever shows a token wants to be known by that.
        if headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        let Some(token) = read(headers, SESSION) else { return Ok(None) };
        match site::of(headers, request.uri(), self.external_url.as_deref()) {
            Site::Own => Ok(self.bearers.session(token).map(|session| session.identity)),
            Site::Typed if site::only_reads(request) => {
                Ok(self.bearers.session(token).map(|session| session.identity))
            }
            // The session isn't even looked at.
            Site::Typed | Site::Other => {
                Err(StatusError::forbidden("", "", "", OTHER_SITE).saying(OTHER_SITE))
            }
        }
    }

    fn identify(&self, _token: &str) -> Option<Identity> {
        None
    }
}

const OTHER_SITE: &str = "a browser sent this request for another site, or doesn't say for which: \
    the cookie of a session is no proof here; programs show a token instead (a proxy in front of \
    Hades has to pass the header Host on, or hades serve to be told --external-url)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_is_read_and_no_two() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::COOKIE, value.parse().unwrap());
            }
            read(&headers, SESSION).map(str::to_owned)
        };
        assert_eq!(read(&["__Host-hades=a"]).as_deref(), Some("a"));
        assert_eq!(read(&["x=1; __Host-hades=a ; y=2"]).as_deref(), Some("a"));
        assert_eq!(read(&["x=1", "__Host-hades=a"]).as_deref(), Some("a"));
        assert_eq!(read(&["__Host-hades-browser=a; hades=b; __host-hades=c"]), None);
        assert_eq!(read(&["__Host-hades=a; __Host-hades=b"]), None);
        assert_eq!(read(&["__Host-hades=a", "__Host-hades=b"]), None);
        assert_eq!(read(&["__Host-hades="]), None);
        assert_eq!(read(&[&format!("__Host-hades={}", "a".repeat(101))]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn cookies_are_for_this_host_and_no_script() {
        assert_eq!(
            set(SESSION, "t"),
            "__Host-hades=t; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(remove(SESSION).starts_with("__Host-hades=; Path=/; Max-Age=0;"));
    }
}
