//! A server that one isn't logged in to yet.

use http::{Request, StatusCode, header};
use kube::client::{Body, ClientBuilder};
use kube::config::AuthInfo;
use kube::core::Status;
use kube::{Client, Config};
use secrecy::SecretString;

use crate::authority::Authority;
use crate::error::Failure;
use crate::{Credential, Error, ServerUrl, Session, Warnings};

/// How long to try for a connection (seconds).
const CONNECT_SECONDS: u64 = 10;

/// The largest answer to a login: a small document.
const MAX_ANSWER: usize = 64 << 10;

/// A server that one isn't logged in to yet.
#[derive(Clone)]
pub struct Anonymous {
    client: Client,
    server: String,
    authority: Option<Authority>,
}

/// An answer, whatever it says.
pub(crate) struct Answer {
    pub code: StatusCode,
    pub body: Vec<u8>,
}

impl Anonymous {
    /// A server that shows a certificate of this authority; of one that the system
    /// trusts where there is none. Nothing is sent yet.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(server: &ServerUrl, authority: Option<Authority>) -> Result<Self, Error> {
        let config = config(server, authority.as_ref())?;
        let server = server.to_string();
        let client = ClientBuilder::try_from(config)
            .map_err(|error| Error::of_call(&server, Credential::None, error))?
            .build();
        Ok(Self { client, server, authority })
    }

    /// The authority that its certificate has to be of, where it isn't the system's.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Whether the server is there and its certificate is good.
    ///
    /// # Errors
    /// [`Error::Unreachable`], with [`Failure::UnknownCa`] where the authority isn't
    /// the right one.
    pub async fn probe(&self) -> Result<(), Error> {
        let request = Request::get("/version").body(Body::empty());
        let request = request.map_err(|error| self.protocol(error))?;
        // Whatever it answers, it is it.
        self.client.send(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<Answer, Error> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body.into_bytes()))
            .map_err(|error| self.protocol(error))?;
        let response = self.client.send(request).await.map_err(|error| self.error(error))?;
        let code = response.status();
        let body = response.into_body().collect_bytes().await.map_err(|error| self.error(error))?;
        if body.len() > MAX_ANSWER {
            return Err(self.protocol("it is too long"));
        }
        Ok(Answer { code, body: body.to_vec() })
    }

    /// What the server says in place of what was asked for.
    pub(crate) fn refusal(&self, answer: &Answer) -> Error {
        match serde_json::from_slice::<Status>(&answer.body) {
            Ok(status) if !status.message.is_empty() => Error::Api(Box::new(status)),
            _ if answer.code == StatusCode::NOT_FOUND => {
                self.protocol("it knows no logins: is this a Hades server, and not too old?")
            }
            // Somebody in between, while the server starts anew.
            _ if answer.code.is_server_error() => {
                let message = format!("the server at {} says {}", self.server, answer.code);
                Error::Api(Box::new(Status::failure(&message, "").with_code(answer.code.as_u16())))
            }
            _ => self.protocol(format!("it says {}", answer.code)),
        }
    }

    pub(crate) fn protocol(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Protocol { server: self.server.clone(), source: source.into() }
    }

    fn error(&self, error: kube::Error) -> Error {
        Error::of_call(&self.server, Credential::None, error)
    }
}

/// Without the client.
impl std::fmt::Debug for Anonymous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anonymous").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A session by a token that is in no kubeconfig yet.
///
/// # Errors
/// When no client can be made.
pub fn session(
    server: &ServerUrl,
    authority: Option<&Authority>,
    token: SecretString,
    warnings: Warnings,
) -> Result<Session, Error> {
    let mut config = config(server, authority)?;
    config.auth_info = AuthInfo { token: Some(token), ..AuthInfo::default() };
    Session::of_config(config, warnings)
}

fn config(server: &ServerUrl, authority: Option<&Authority>) -> Result<Config, Error> {
    // See `Session::of_config`.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let uri = server.to_string().parse().map_err(|error: http::uri::InvalidUri| {
        let failure = Failure::Other(error.to_string());
        Error::Unreachable { server: server.to_string(), failure }
    })?;
    let mut config = Config::new(uri);
    config.connect_timeout = Some(std::time::Duration::from_secs(CONNECT_SECONDS));
    // The library waits as long as the server says, which is a quarter of an hour after
    // wrong passwords: somebody sits there, and is told so.
    config.default_retry = false;
    config.root_cert = authority.map(|authority| authority.der().to_vec());
    Ok(config)
}
