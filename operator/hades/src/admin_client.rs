//! Asks the server of a data directory over its admin socket.

use std::io;
use std::path::{Path, PathBuf};

use reqwest::{Client, RequestBuilder, Response};
use tokio::net::UnixStream;

use crate::admin_socket::{Refusal, SOCKET};

/// Any host will do: the socket leads to one server.
const HOST: &str = "http://admin.invalid";

/// Most of a refusal that is read.
const MAX_REFUSAL: usize = 64 << 10;

/// Why the server didn't do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminClientError {
    #[error(
        "cannot use {}; run this as root, or as the user that the server runs as",
        path.display()
    )]
    Socket { path: PathBuf, source: io::Error },
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
    #[error("the server broke off")]
    BrokenOff(#[source] reqwest::Error),
    #[error("{0}")]
    Refused(String),
    #[error("the server answers with status {0}; is it of the same version?")]
    Status(u16),
}

/// A server that answers.
pub(crate) struct AdminClient {
    http: Client,
}

impl AdminClient {
    /// The server of a data directory; `None` where none runs.
    ///
    /// # Errors
    /// When one may run and this user can't ask it.
    pub(crate) async fn connect(data_dir: &Path) -> Result<Option<Self>, AdminClientError> {
        let path = data_dir.join(SOCKET);
        match UnixStream::connect(&path).await {
            Ok(_) => {}
            Err(error) => match error.kind() {
                // A path that is too long for a socket is so for the server, too.
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::InvalidInput => return Ok(None),
                _ => return Err(AdminClientError::Socket { path, source: error }),
            },
        }
        // Several providers of TLS are linked, and the client would not know which to
        // take, though it needs none here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().unix_socket(path.as_path()).build();
        Ok(Some(Self { http: http.map_err(AdminClientError::Client)? }))
    }

    #[cfg(test)]
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{HOST}{path}"))
    }

    /// A request that has something done.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{HOST}{path}"))
    }

    /// Sends a request. The answer is a good one.
    ///
    /// # Errors
    /// When the server refuses, with its words.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Response, AdminClientError> {
        let mut answer = request.send().await.map_err(AdminClientError::BrokenOff)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let mut bytes = Vec::new();
        while bytes.len() < MAX_REFUSAL
            && let Some(chunk) = answer.chunk().await.map_err(AdminClientError::BrokenOff)?
        {
            bytes.extend_from_slice(&chunk);
        }
        match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(Refusal { message, .. }) => Err(AdminClientError::Refused(message)),
            Err(_) => Err(AdminClientError::Status(answer.status().as_u16())),
        }
    }
}
