//! Forms: bodies of the type `application/x-www-form-urlencoded`, as browsers and
//! OAuth clients send them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use openidconnect::url::form_urlencoded;
use secrecy::SecretString;

/// The largest body.
const MAX_BODY: usize = 16 << 10;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most fields.
const MOST: usize = 32;

/// The fields of a form. There may be a password among them, so nothing prints them.
#[derive(Default)]
pub(crate) struct Form(BTreeMap<String, SecretString>);

/// Why a body is no form. What it holds is in none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the body is no application/x-www-form-urlencoded")]
    Type,
    #[error("the body is longer than {MAX_BODY} bytes, or broke off")]
    Length,
    #[error("the body took too long to arrive")]
    Slow,
    /// OAuth forbids it (RFC 6749, 3.1), and in a form of ours it is forged.
    #[error("a field is there twice, or there are more than {MOST}")]
    Fields,
}

impl FormError {
    /// The status of the answer.
    pub fn code(self) -> StatusCode {
        match self {
            Self::Type => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Length => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Fields => StatusCode::BAD_REQUEST,
        }
    }
}

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// Where it is none, too long or too slow.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Self, FormError> {
        let form = headers.get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
        let form = form.unwrap_or_default().split(';').next().unwrap_or_default();
        if !form.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(FormError::Type);
        }
        let reading = tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BODY)).await;
        let bytes = reading.map_err(|_| FormError::Slow)?.map_err(|_| FormError::Length)?;
        Self::parse(&bytes)
    }

    /// Reads the query of an address, which has the same form.
    ///
    /// # Errors
    /// Where a field is there twice.
    pub fn of_query(query: Option<&str>) -> Result<Self, FormError> {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let value = SecretString::from(value.into_owned());
            if fields.len() >= MOST || fields.insert(name.into_owned(), value).is_some() {
                return Err(FormError::Fields);
            }
        }
        Ok(Self(fields))
    }

    /// A field that may be a secret; `None` where it is absent or empty.
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        use secrecy::ExposeSecret;
        self.0.get(name).filter(|value| !value.expose_secret().is_empty())
    }

    /// A field that is no secret; empty where it is absent.
    pub fn text(&self, name: &str) -> &str {
        use secrecy::ExposeSecret;
        self.0.get(name).map(ExposeSecret::expose_secret).unwrap_or_default()
    }
}

/// Writes a query of these fields.
pub(crate) fn query(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(form: &str, body: String) -> Result<Form, FormError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, form.parse().unwrap());
        Form::read(&headers, Body::from(body)).await
    }

    #[tokio::test]
    async fn fields_are_read_and_bounded() {
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let form = read(kind, "user=jane&password=a%26b+c&code=".to_owned()).await.unwrap();
        assert_eq!((form.text("user"), form.text("password")), ("jane", "a&b c"));
        assert!(form.secret("code").is_none() && form.secret("other").is_none());
        assert!(form.secret("password").is_some());
        let refused = |form, body: &str| {
            let body = body.to_owned();
            async move { read(form, body).await.err().unwrap() }
        };
        assert_eq!(refused("application/json", "{}").await, FormError::Type);
        assert_eq!(refused("text/plain", "a=b").await, FormError::Type);
        assert_eq!(refused(kind, "a=1&a=2").await, FormError::Fields);
        assert_eq!(refused(kind, &"a".repeat(MAX_BODY + 1)).await, FormError::Length);
        let many: String = (0..40).map(|number| format!("f{number}=&")).collect();
        assert_eq!(refused(kind, &many).await, FormError::Fields);
    }

    #[test]
    fn queries_read_back() {
        let text = query(&[("next", "/a?b=c&d"), ("x", "ü")]);
        assert_eq!(text, "next=%2Fa%3Fb%3Dc%26d&x=%C3%BC");
        let form = Form::of_query(Some(&text)).unwrap();
        assert_eq!((form.text("next"), form.text("x")), ("/a?b=c&d", "ü"));
        assert!(Form::of_query(None).is_ok());
    }
}
