//! Transport: requests to the provider, bounded in time and size.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, redirect};

/// How long a connection may take, and a whole answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer. Metadata and keys take some kilobytes.
const LONGEST: usize = 1 << 20;

/// Why there is no answer. Holds nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("{0}")]
    Unreachable(String),
    #[error("its answer is longer than {LONGEST} bytes")]
    TooLong,
}

/// Asks the provider.
pub(crate) struct Transport(Client);

impl Transport {
    /// Trusts the certificates of the system and these.
    ///
    /// # Errors
    /// Where they can't be read.
    pub fn new(extra_ca: Option<&[u8]>) -> Result<Self, String> {
        // reqwest brings no cryptography of its own. An error only says that another
        // part of the program installed one before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("hades/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A provider that sends elsewhere could send codes and secrets there.
            .redirect(redirect::Policy::none())
            .referer(false);
        if let Some(pem) = extra_ca {
            let certificates =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|error| innermost(&error))?;
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map(Self).map_err(|error| innermost(&error))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer, or too long a one.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let unreachable = |error: reqwest::Error| {
            TransportError::Unreachable(match error.is_timeout() {
                true => format!("no answer within {} s", TIMEOUT.as_secs()),
                false => innermost(&error.without_url()),
            })
        };
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let mut response = self.0.execute(request).await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > LONGEST {
                return Err(TransportError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TransportError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// The cause at the bottom, which names no address.
fn innermost(error: &reqwest::Error) -> String {
    let Some(mut cause) = error.source() else { return error.to_string() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
