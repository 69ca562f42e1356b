//! One connection, over HTTP/1.1 or HTTP/2.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::target::LoadError;

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As most small clients speak it.
    Http1,
    /// As kubectl speaks it.
    Http2,
}

/// The sending half of a connection; its task runs beside it.
pub enum Connection {
    /// HTTP/1.1.
    Http1(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2.
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Protocol {
    /// Its name in the TLS handshake.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    /// Begins the conversation.
    pub async fn handshake(self, stream: TlsStream<TcpStream>) -> Result<Connection, hyper::Error> {
        let io = TokioIo::new(stream);
        // How a connection ends shows in the requests on it.
        Ok(match self {
            Self::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::task::spawn_local(connection);
                Connection::Http1(sender)
            }
            Self::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(8 << 20)
                    .handshake(io)
                    .await?;
                tokio::task::spawn_local(connection);
                Connection::Http2(sender)
            }
        })
    }
}

impl Connection {
    /// Sends a request; the answer's head. Anything but success is an error.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, LoadError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        Err(LoadError::Refused { method, path, status, text })
    }

    /// Sends a request and reads the answer to its end; its length.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<usize, LoadError> {
        let mut body = self.send(request).await?.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }
}
