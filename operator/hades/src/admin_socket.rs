//! The admin socket: DATA/admin.sock, for what is done about a server on its own
//! machine. Only the user that it runs as, and root, get an answer.
//!
//! It speaks HTTP/1. Each part of the server that has something to offer there brings
//! its routes below [`PREFIX`]. No request shows a login: whoever may open the socket
//! may read the data directory, too.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hades_apiserver::Identity;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream, unix};
use tokio_util::sync::CancellationToken;

/// Name of the socket in the data directory.
pub(crate) const SOCKET: &str = "admin.sock";

/// What the paths of all routes begin with.
pub(crate) const PREFIX: &str = "/admin";

/// How long to wait when a connection can't be accepted, as the system has no file
/// descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Who asks there, in the audit log and to the API.
pub(crate) fn identity() -> Identity {
    Identity::administrator("system:hades:admin-socket")
}

/// The socket can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {}", path.display())]
pub(crate) struct AdminSocketError {
    path: PathBuf,
    source: io::Error,
}

/// What a route answers that refuses.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    /// Why, for people.
    pub(crate) message: String,
}

impl Refusal {
    /// For this reason, with all that led to it.
    pub(crate) fn new(status: StatusCode, error: &dyn std::error::Error) -> Self {
        Self { status, message: hades_controllers::error_chain(error) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self)).into_response()
    }
}

/// The open socket. Its file is removed when this is dropped.
pub(crate) struct AdminSocket {
    listener: Guarded,
    file: SocketFile,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What stays is put aside by the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl AdminSocket {
    /// Opens it. Only the server that has the lock of the directory may, as the socket of
    /// one that was killed is put aside.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, AdminSocketError> {
        let path = data_dir.join(SOCKET);
        Self::bind(&path).map_err(|source| AdminSocketError { path, source })
    }

    fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        // Before this nobody else got there either: the directory is closed to others.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let owner = std::fs::metadata(path)?.uid();
        Ok(Self { listener: Guarded { listener, owner }, file })
    }

    /// Serves until `shutdown`.
    pub(crate) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { listener, file } = self;
        let serving = axum::serve(listener, router);
        let serving = serving.with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(path = %file.0.display(), %error, "the admin socket failed");
        }
    }
}

/// Accepts connections of the owner and of root; hangs up on all others, whom the
/// permissions keep away already.
struct Guarded {
    listener: UnixListener,
    owner: u32,
}

/// Whether a user may ask.
fn may_ask(uid: u32, owner: u32) -> bool {
    uid == 0 || uid == owner
}

impl Listener for Guarded {
    type Io = UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (UnixStream, unix::SocketAddr) {
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin socket was not accepted");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            };
            match stream.peer_cred() {
                Ok(peer) if may_ask(peer.uid(), self.owner) => return (stream, address),
                Ok(peer) => {
                    tracing::warn!(uid = peer.uid(), "somebody else came to the admin socket");
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody knows who came to the admin socket");
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;
    use crate::admin_client::{AdminClient, AdminClientError};

    #[test]
    fn the_owner_and_root_may_ask() {
        assert!(may_ask(0, 1000) && may_ask(1000, 1000) && may_ask(0, 0));
        assert!(!may_ask(1001, 1000) && !may_ask(1000, 0));
    }

    #[tokio::test]
    async fn it_answers_is_closed_to_others_and_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET);
        // As a server leaves it that was killed.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(AdminClient::connect(directory.path()).await.unwrap().is_none(), "nobody is there");
        let socket = AdminSocket::open(directory.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refusal = || async {
            let message = "not now".to_owned();
            Refusal { status: StatusCode::CONFLICT, message }
        };
        let router = Router::new().route("/admin/no", get(refusal)).fallback(|| async { "" });
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(socket.serve(router, shutdown.clone()));
        let client = AdminClient::connect(directory.path()).await.unwrap().unwrap();
        client.ask(client.get("/admin/yes")).await.unwrap();
        let error = client.ask(client.get("/admin/no")).await.unwrap_err();
        assert!(matches!(&error, AdminClientError::Refused(why) if why == "not now"), "{error}");
        drop(client);
        shutdown.cancel();
        serving.await.unwrap();
        assert!(!path.exists());
    }
}
