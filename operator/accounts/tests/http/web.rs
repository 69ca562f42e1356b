//! A browser in front of the pages, which keeps cookies and says which site it is at.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use hades_accounts::{ProviderSettings, SignIn, SignInSettings};
use hades_apiserver::Peer;
use serde_json::Value;
use tower::ServiceExt;

use crate::bed::{Bed, PASSWORD};

/// Where the server is, as browsers know it.
pub const HOST: &str = "hades.example:7443";
pub const ORIGIN: &str = "https://hades.example:7443";

/// A server with pages.
pub struct Web {
    pub bed: Bed,
}

/// What a browser is shown.
#[derive(Debug)]
pub struct Shown {
    pub code: u16,
    pub text: String,
    pub headers: HeaderMap,
}

impl Shown {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Where it sends the browser.
    #[track_caller]
    pub fn location(&self) -> &str {
        assert_eq!(self.code, 303, "{}", self.text);
        self.header("location")
    }

    #[track_caller]
    pub fn expect(self, code: u16, words: &str) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        assert!(self.text.contains(words), "{words:?} isn't in {}", self.text);
        self
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.text.split_once(&start).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Web {
    pub async fn new() -> Self {
        Self::with(Bed::new().await, SignInSettings::default())
    }

    pub async fn with_provider(provider: ProviderSettings) -> Self {
        Self::with(Bed::new().await, Self::settings(provider))
    }

    pub fn settings(provider: ProviderSettings) -> SignInSettings {
        SignInSettings { external_url: Some(ORIGIN.to_owned()), provider: Some(provider) }
    }

    pub fn with(mut bed: Bed, settings: SignInSettings) -> Self {
        let sign_in = SignIn::new(&bed.accounts, settings).unwrap();
        bed.server.authenticate_with(sign_in.authenticator());
        let server = bed.server.clone().public_routes(sign_in.public_router());
        let server = server.with_routes(crate::bed::OPERATIONS, sign_in.router());
        bed.router = server.router();
        Self { bed }
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser { web: self, cookies: BTreeMap::new(), address: "192.0.2.1".to_owned() }
    }

    /// A browser in which somebody is logged in.
    pub async fn logged_in(&self, user: &str) -> Browser<'_> {
        let mut browser = self.browser();
        browser.log_in(user).await.location();
        browser
    }

    /// A request as it is.
    pub async fn send(
        &self,
        address: &str,
        request: axum::http::request::Builder,
        body: String,
    ) -> Shown {
        let mut request: Request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Peer(format!("{address}:4711").parse().unwrap()));
        let response = self.bed.router.clone().oneshot(request).await.unwrap();
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Shown { code, text: String::from_utf8_lossy(&bytes).into_owned(), headers }
    }

    /// A form that a program sends.
    pub async fn program(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", HOST)
            .header("content-type", FORM);
        self.send("198.51.100.7", request, form(fields)).await
    }
}

pub const FORM: &str = "application/x-www-form-urlencoded";

pub fn form(fields: &[(&str, &str)]) -> String {
    let mut text = openidconnect::url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields).finish()
}

/// A browser.
#[derive(Clone)]
pub struct Browser<'a> {
    web: &'a Web,
    pub cookies: BTreeMap<String, String>,
    pub address: String,
}

impl Browser<'_> {
    /// Opens an address that somebody typed.
    pub async fn open(&mut self, path: &str) -> Shown {
        self.send("GET", path, &[("sec-fetch-site", "none")], String::new()).await
    }

    /// Follows a link or a redirect of another site.
    pub async fn follow(&mut self, path: &str) -> Shown {
        self.send("GET", path, &[("sec-fetch-site", "cross-site")], String::new()).await
    }

    /// Sends a form of a page of the server.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let own = [("sec-fetch-site", "same-origin"), ("origin", ORIGIN), ("content-type", FORM)];
        self.send("POST", path, &own, form(fields)).await
    }

    /// A request with the cookies of this browser.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Shown {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        // As HTTP/2 allows: each in a header of its own.
        for (name, value) in &self.cookies {
            request = request.header("cookie", format!("{name}={value}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let shown = self.web.send(&self.address, request, body).await;
        for cookie in shown.headers.get_all("set-cookie") {
            self.keep(cookie.to_str().unwrap());
        }
        shown
    }

    #[track_caller]
    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        // What a browser refuses for the prefix.
        assert!(name.starts_with("__Host-"), "{cookie}");
        for needed in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.split("; ").any(|one| one == needed), "{cookie}");
        }
        assert!(!attributes.contains("Domain"), "{cookie}");
        match attributes.contains("Max-Age=0") {
            true => self.cookies.remove(name),
            false => self.cookies.insert(name.to_owned(), value.to_owned()),
        };
    }

    /// The token in the cookie of the session.
    pub fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-hades").map(String::as_str)
    }

    /// Fills the login page.
    pub async fn log_in(&mut self, user: &str) -> Shown {
        self.log_in_with(user, PASSWORD, "", "").await
    }

    pub async fn log_in_with(
        &mut self,
        user: &str,
        password: &str,
        code: &str,
        next: &str,
    ) -> Shown {
        let page = self.open(&format!("/login?{}", form(&[("next", next)]))).await;
        let (stamp, next) = (page.field("stamp"), page.field("next"));
        let fields = [
            ("stamp", &*stamp),
            ("user", user),
            ("password", password),
            ("code", code),
            ("next", &next),
        ];
        self.post("/login", &fields).await
    }

    /// Whom the API takes a request with these headers for.
    pub async fn who(&mut self, headers: &[(&str, &str)]) -> (u16, String) {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let shown = self.send("POST", path, &headers, "{}".to_owned()).await;
        let name = match shown.code {
            201 => shown.json()["status"]["userInfo"]["username"].as_str().unwrap().to_owned(),
            _ => String::new(),
        };
        (shown.code, name)
    }
}

/// What [`Browser::who`] of a page of the server sends.
pub const OWN: [(&str, &str); 1] = [("sec-fetch-site", "same-origin")];
