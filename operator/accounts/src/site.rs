//! Site: on behalf of which site a browser sends a request.
//!
//! Browsers say it in `Sec-Fetch-Site` (W3C Fetch Metadata), which no script can
//! set; what they sent before that header is `Origin` (RFC 6454).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};

/// Who had the browser send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// A page of this server.
    Own,
    /// The person, by the address bar or a bookmark.
    Typed,
    /// Another site, or nobody says who.
    Other,
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who had the browser send a request. `external` is the address of this server that
/// it was told, such as `https://hades.example.com`: a proxy in front of it may not
/// pass on the host that the browser knows.
pub(crate) fn of(headers: &HeaderMap, uri: &Uri, external: Option<&str>) -> Site {
    let said = said(headers);
    let is_own = |origin| is_own(origin, headers, uri) || is_external(origin, external);
    // Where both are sent, both must agree: a web socket of another site shows at
    // least one of them.
    match (one(headers, &header::ORIGIN), said) {
        (Sent::Twice, _) | (_, Sent::Twice) => Site::Other,
        (Sent::Once(origin), said) if !is_own(origin) => {
            // A page with `Referrer-Policy: no-referrer` sends the origin `null`.
            match (origin, said) {
                ("null", Sent::Once("same-origin")) => Site::Own,
                _ => Site::Other,
            }
        }
        (_, Sent::Once("same-origin")) | (Sent::Once(_), Sent::Never) => Site::Own,
        (_, Sent::Once("none")) => Site::Typed,
        _ => Site::Other,
    }
}

/// Whether the browser says that another site led here. One that says nothing may have
/// been led by anybody.
pub(crate) fn is_led_here(headers: &HeaderMap) -> bool {
    !matches!(said(headers), Sent::Never | Sent::Once("same-origin" | "none"))
}

/// Whether a browser sends a request for a page of another site. Programs say of no
/// site.
pub(crate) fn is_of_other_page(headers: &HeaderMap, uri: &Uri) -> bool {
    let says = headers.contains_key(header::ORIGIN) || headers.contains_key(FETCH_SITE);
    says && of(headers, uri, None) != Site::Own
}

/// Whether a request changes nothing and opens no channel for changes.
pub(crate) fn only_reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.headers().contains_key(header::UPGRADE)
}

enum Sent<'a> {
    Never,
    Once(&'a str),
    Twice,
}

fn said(headers: &HeaderMap) -> Sent<'_> {
    one(headers, &FETCH_SITE)
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Sent<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Sent::Never,
        (Some(value), None) => value.to_str().map_or(Sent::Twice, Sent::Once),
        (Some(_), Some(_)) => Sent::Twice,
    }
}

/// Host and port that a request was sent to, as the client wrote them.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    // HTTP/2 has it in the address.
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str());
    }
    match one(headers, &header::HOST) {
        Sent::Once(host) => Some(host),
        Sent::Never | Sent::Twice => None,
    }
}

fn is_own(origin: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    // This server speaks TLS, and so does a proxy in front of it.
    let place = origin.strip_prefix("https://");
    place.zip(host(headers, uri)).is_some_and(|(place, host)| place.eq_ignore_ascii_case(host))
}

fn is_external(origin: &str, external: Option<&str>) -> bool {
    // Browsers leave the usual port out.
    let external = external.map(|url| url.strip_suffix(":443").unwrap_or(url));
    external.is_some_and(|external| external.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn site(pairs: &[(&str, &str)]) -> Site {
        site_of("hades.example:7443", None, pairs)
    }

    fn site_of(host: &str, external: Option<&str>, pairs: &[(&str, &str)]) -> Site {
        let mut request = Request::builder().uri("/x").header("host", host);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        of(request.headers(), request.uri(), external)
    }

    #[test]
    fn behind_a_proxy_that_keeps_the_host_the_address_that_was_told_counts() {
        let external = Some("https://hades.example.com");
        let origin = |origin: &'static str| [("origin", origin)];
        let own = origin("https://hades.example.com");
        assert_eq!(site_of("10.0.0.1:7443", None, &own), Site::Other);
        assert_eq!(site_of("10.0.0.1:7443", external, &own), Site::Own);
        assert_eq!(
            site_of("10.0.0.1:7443", Some("https://hades.example.com:443"), &own),
            Site::Own
        );
        let both = [own[0], ("sec-fetch-site", "cross-site")];
        assert_eq!(site_of("10.0.0.1:7443", external, &both), Site::Other);
        for other in
            ["https://evil.example", "http://hades.example.com", "https://hades.example.com:7443"]
        {
            assert_eq!(site_of("10.0.0.1:7443", external, &origin(other)), Site::Other, "{other}");
        }
        // The address that the browser uses is own all the same.
        assert_eq!(site_of("h:1", external, &origin("https://h:1")), Site::Own);
    }

    #[test]
    fn only_what_the_browser_vouches_for_is_own() {
        let own = "https://hades.example:7443";
        let fetch = "sec-fetch-site";
        for (pairs, expected) in [
            (&[(fetch, "same-origin")][..], Site::Own),
            (&[(fetch, "same-origin"), ("origin", own)], Site::Own),
            (&[(fetch, "same-origin"), ("origin", "null")], Site::Own),
            (&[("origin", own)], Site::Own),
            (&[(fetch, "none")], Site::Typed),
            (&[], Site::Other),
            (&[(fetch, "same-site")], Site::Other),
            (&[(fetch, "cross-site")], Site::Other),
            (&[(fetch, "cross-site"), ("origin", own)], Site::Other),
            (&[(fetch, "same-origin"), ("origin", "https://evil.example")], Site::Other),
            (&[(fetch, "same-origin"), (fetch, "cross-site")], Site::Other),
            (&[(fetch, "same-origin"), (fetch, "same-origin")], Site::Other),
            (&[(fetch, "same-origin, cross-site")], Site::Other),
            (&[("origin", own), ("origin", "https://evil.example")], Site::Other),
            (&[("origin", "null")], Site::Other),
            (&[("origin", "null"), (fetch, "none")], Site::Other),
            (&[("origin", "https://hades.example")], Site::Other),
            (&[("origin", "http://hades.example:7443")], Site::Other),
            (&[("origin", "https://hades.example:7443.evil.example")], Site::Other),
        ] {
            assert_eq!(site(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_address_of_http_2_names_the_host() {
        let request = Request::builder()
            .uri("https://hades.example:7443/x")
            .header("origin", "https://hades.example:7443");
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(of(request.headers(), request.uri(), None), Site::Own);
    }

    #[test]
    fn an_upgrade_is_no_reading() {
        let request = |method: &str, header: &str| {
            only_reads(
                &Request::builder()
                    .method(method)
                    .header(header, "websocket")
                    .body(Body::empty())
                    .unwrap(),
            )
        };
        assert!(request("GET", "x-other") && request("HEAD", "x-other"));
        assert!(!request("GET", "upgrade") && !request("POST", "x-other"));
        assert!(!request("CONNECT", "x-other"));
    }
}
