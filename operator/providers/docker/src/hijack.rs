//! The attached stream of a command: `POST /exec/{id}/start`, which turns its
//! connection into a stream of bytes.
//!
//! The client library has this call too, but takes every first byte of a
//! terminal's output up to 2 for the head of a frame, and then waits for as many
//! bytes as the next ones happen to say. Here a terminal's output is passed on
//! as it is, and frames in pieces, so that no more than a piece is ever held.
//! Protocol: <https://docs.docker.com/reference/api/engine/> (stream format of
//! "Attach to a container").

use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, stream};
use hades_provider::{ByteStream, LogChunk, LogStream, ProviderError, refusal};
use hades_ssh::LeftUnread;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::client::{Client, LOOK_LIMIT};
use crate::failure::Failure;
use crate::wire::left_unread;

/// Bytes read at once.
const PIECE: usize = 16 * 1024;
/// Stream type, three zeroes, length.
const HEAD: usize = 8;
/// Stream type of standard error.
const STDERR: u8 = 2;

/// Both directions of a command.
pub(crate) struct Attached {
    pub output: LogStream,
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Starts an exec instance and attaches to it.
pub(crate) async fn start_exec(client: &Client, id: &str, tty: bool) -> Result<Attached, Failure> {
    // Agrees on a version of the API.
    let version = client.docker().await?.client_version();
    let path = format!("/v{}.{}/exec/{id}/start", version.major_version, version.minor_version);
    let attach = async {
        let stream = client.transport().open_stream().await.map_err(Failure::Failed)?;
        upgrade(client, stream, &path, format!("{{\"Detach\":false,\"Tty\":{tty}}}")).await
    };
    let limited = tokio::time::timeout(LOOK_LIMIT, attach).await;
    let upgraded = limited.map_err(|_| Failure::timeout(client.endpoint(), LOOK_LIMIT))??;
    let (read, write) = tokio::io::split(upgraded);
    let output = if tty { plain(read) } else { framed(read) };
    Ok(Attached { output, input: Box::pin(write) })
}

fn io(client: &Client, error: std::io::Error) -> Failure {
    client.failure(&bollard::errors::Error::IOError { err: error })
}

async fn upgrade(
    client: &Client,
    stream: ByteStream,
    path: &str,
    body: String,
) -> Result<TokioIo<hyper::upgrade::Upgraded>, Failure> {
    let lost = |error: hyper::Error| io(client, std::io::Error::other(error));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // Ends with the connection; what goes wrong is told by both halves too.
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(path)
        .header(HOST, "docker")
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| io(client, std::io::Error::other(error)))?;
    let response = sender.send_request(request).await.map_err(lost)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(lost)?.to_bytes();
        return Err(Failure::Refused { status, words: words(&body) });
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(lost)?))
}

/// The engine's words: `{"message": …}`.
fn words(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    let plain = || String::from_utf8_lossy(body).into_owned();
    message.map_or_else(plain, str::to_owned).trim().to_owned()
}

fn broken(error: &std::io::Error) -> ProviderError {
    if LeftUnread::is_cause_of(error) {
        return left_unread();
    }
    refusal::unreachable(format!("the connection to the engine broke off: {error}"))
}

/// Output of a terminal: bytes as they are.
fn plain(read: impl AsyncRead + Send + Unpin + 'static) -> LogStream {
    stream::unfold(Some(read), |read| async move {
        let mut read = read?;
        let mut piece = BytesMut::with_capacity(PIECE);
        match read.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(LogChunk { stderr: false, bytes: piece.freeze() }), Some(read))),
            Err(error) => Some((Err(broken(&error)), None)),
        }
    })
    .boxed()
}

/// Output without a terminal: frames, passed on in pieces.
fn framed(read: impl AsyncRead + Send + Unpin + 'static) -> LogStream {
    let state = Some((read, Frames::default()));
    stream::unfold(state, |state| async move {
        let (mut read, mut frames) = state?;
        loop {
            if let Some(chunk) = frames.next() {
                return Some((Ok(chunk), Some((read, frames))));
            }
            frames.buffer.reserve(PIECE);
            match read.read_buf(&mut frames.buffer).await {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some((Err(broken(&error)), None)),
            }
        }
    })
    .boxed()
}

/// Takes frames apart.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
    stderr: bool,
    /// Bytes of the frame that are still to come.
    left: usize,
}

impl Frames {
    /// A piece of a frame, if there is one.
    fn next(&mut self) -> Option<LogChunk> {
        while self.left == 0 {
            if self.buffer.len() < HEAD {
                return None;
            }
            let mut head = self.buffer.split_to(HEAD);
            self.stderr = head.get_u8() == STDERR;
            head.advance(3);
            self.left = head.get_u32() as usize;
        }
        let length = self.left.min(self.buffer.len());
        if length == 0 {
            return None;
        }
        self.left -= length;
        let bytes = self.buffer.split_to(length).freeze();
        Some(LogChunk { stderr: self.stderr, bytes })
    }
}

#[cfg(test)]
mod tests {
    use hades_provider::ErrorClass;

    use super::*;

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[tokio::test]
    async fn frames_are_passed_on_whatever_pieces_they_come_in() {
        let mut bytes = frame(1, "hello ");
        bytes.extend(frame(1, ""));
        bytes.extend(frame(2, "oh"));
        bytes.extend(frame(1, "world"));
        for size in 1..bytes.len() {
            let mut output = in_pieces(&bytes, size);
            let (mut out, mut err) = (String::new(), String::new());
            while let Some(chunk) = output.next().await {
                let chunk = chunk.unwrap();
                let text = std::str::from_utf8(&chunk.bytes).unwrap().to_owned();
                if chunk.stderr { err.push_str(&text) } else { out.push_str(&text) }
            }
            assert_eq!((out.as_str(), err.as_str()), ("hello world", "oh"), "{size}");
        }
    }

    /// The bytes in pieces of that size.
    fn in_pieces(bytes: &[u8], size: usize) -> LogStream {
        let (mut write, read) = tokio::io::duplex(size);
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await.unwrap();
        });
        framed(read)
    }

    #[tokio::test]
    async fn a_terminal_may_write_any_byte_first() {
        static BYTES: [u8; 9] = [0, 0, 0, 0, 255, 255, 255, 255, 7];
        let found = plain(&BYTES[..]).next().await.unwrap().unwrap();
        assert_eq!(&found.bytes[..], BYTES);
    }

    #[test]
    fn a_host_whose_output_nobody_read_is_reachable() {
        let unread = std::io::Error::new(std::io::ErrorKind::TimedOut, LeftUnread);
        assert_eq!(broken(&unread).class, ErrorClass::Retry);
        let lost = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert_eq!(broken(&lost).class, ErrorClass::Unreachable);
    }

    #[test]
    fn words_of_a_refusal() {
        assert_eq!(words(br#"{"message":"no such exec\n"}"#), "no such exec");
        assert_eq!(words(b"plain"), "plain");
    }
}
