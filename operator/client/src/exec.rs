//! Commands in containers, over a WebSocket in Kubernetes's protocol
//! `v5.channel.k8s.io`: each message begins with the number of its channel.

use std::io;
use std::time::Duration;

use futures::stream::{self, SplitSink};
use futures::{Sink, SinkExt, Stream, StreamExt};
use http::Request;
use kube::core::Status;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::error::Failure;
use crate::plan::operations;
use crate::{Address, Error, Session};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// The server gives a sign of life every fifteen seconds. Without any for so long
/// the connection is lost.
const SILENCE: Duration = Duration::from_secs(60);

/// What to run, and how it is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecQuery {
    /// `SERVICE`, `SERVICE/REPLICA` or a container's name.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// It can be written to.
    pub stdin: bool,
    /// User to run as, instead of the container's.
    pub user: Option<String>,
    /// Folder to start in, instead of the container's.
    pub working_dir: Option<String>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why a command that was attached to has no exit status.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It was not begun, or the server couldn't follow it to its end.
    #[error(transparent)]
    Client(#[from] Error),
    /// The server ended the session.
    #[error("the session was ended: {0}")]
    Ended(String),
    /// What it writes can't be passed on.
    #[error("cannot write what the command writes")]
    Output(#[source] io::Error),
}

/// Runs a command until its end; returns its exit status.
///
/// `input` is passed on until its end where `query.stdin` says so, `output` gets
/// what the command writes, `sizes` are those of the terminal, the first one first.
///
/// # Errors
/// See [`ExecError`].
pub async fn run(
    session: &Session,
    address: &Address,
    query: &ExecQuery,
    input: impl Stream<Item = Vec<u8>>,
    mut output: impl FnMut(Origin, &[u8]) -> io::Result<()>,
    sizes: impl Stream<Item = TerminalSize>,
) -> Result<i32, ExecError> {
    let request =
        Request::get(path(address, query)).body(vec![]).map_err(|error| session.protocol(error))?;
    let connection =
        session.client().connect(request).await.map_err(|error| session.error(error))?;
    let (sink, mut stream) = connection.into_stream().split();
    let lost = || -> ExecError {
        let server = session.server().to_owned();
        Error::Unreachable { server, failure: Failure::Broken }.into()
    };
    let listen = async {
        loop {
            let message = match timeout(SILENCE, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(None | Some(Err(_))) | Err(_) => return Err(lost()),
            };
            let bytes = message.into_data();
            match bytes.split_first() {
                Some((&STDOUT, text)) => {
                    output(Origin::Stdout, text).map_err(ExecError::Output)?;
                }
                Some((&STDERR, text)) => {
                    output(Origin::Stderr, text).map_err(ExecError::Output)?;
                }
                Some((&STATUS, status)) => return exit_status(session, status),
                Some(_) | None => {}
            }
        }
    };
    tokio::select! {
        ended = listen => ended,
        never = send(sink, query.stdin.then_some(input), sizes) => match never {},
    }
}

/// Sends input and sizes. Ends never: what can't be sent shows where the answers
/// fail to come.
async fn send<S>(
    mut sink: SplitSink<S, Message>,
    input: Option<impl Stream<Item = Vec<u8>>>,
    sizes: impl Stream<Item = TerminalSize>,
) -> std::convert::Infallible
where
    S: Sink<Message, Error = tungstenite::Error>,
{
    let mut sizes = std::pin::pin!(sizes.fuse());
    let mut open = input.is_some();
    let mut input = std::pin::pin!(stream::iter(input).flatten().fuse());
    loop {
        let message = tokio::select! {
            biased;
            Some(size) = sizes.next() => {
                let size = serde_json::to_vec(&size).unwrap_or_default();
                on_channel(RESIZE, &size)
            }
            piece = input.next(), if open => match piece {
                Some(piece) => on_channel(STDIN, &piece),
                None => {
                    open = false;
                    on_channel(CLOSE, &[STDIN])
                }
            },
            else => std::future::pending().await,
        };
        if sink.send(message).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn on_channel(channel: u8, bytes: &[u8]) -> Message {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    Message::Binary(message.into())
}

/// The exit status in the last words of the server.
fn exit_status(session: &Session, text: &[u8]) -> Result<i32, ExecError> {
    let status: Status = serde_json::from_slice(text).map_err(|error| session.protocol(error))?;
    if status.is_success() {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let code =
        causes.filter(|cause| cause.reason == "ExitCode").find_map(|c| c.message.parse().ok());
    code.ok_or(ExecError::Ended(status.message))
}

fn path(address: &Address, query: &ExecQuery) -> String {
    // Destructured, so that a new part of a query can't be forgotten here.
    let ExecQuery { container, command, tty, stdin, user, working_dir } = query;
    let mut pairs = vec![("container", container.clone())];
    pairs.extend(command.iter().map(|part| ("command", part.clone())));
    let flags = [("stdin", *stdin), ("stdout", true), ("stderr", !tty), ("tty", *tty)];
    pairs
        .extend(flags.into_iter().filter(|(_, set)| *set).map(|(key, _)| (key, "true".to_owned())));
    let texts = [("user", user), ("workingDir", working_dir)];
    pairs.extend(texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))));
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    format!("{}?{}", operations(address, "exec"), pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_command_survives_the_address() {
        let address = Address::environment("shop", "production");
        let query = ExecQuery {
            container: "api/2".to_owned(),
            command: vec!["sh".to_owned(), "-c".to_owned(), "echo a&b=ü".to_owned()],
            tty: true,
            stdin: true,
            ..ExecQuery::default()
        };
        assert_eq!(
            path(&address, &query),
            "/apis/operations.hades.dev/v1alpha1/namespaces/shop/environments/production/exec\
             ?container=api%2F2&command=sh&command=%2Dc&command=echo%20a%26b%3D%C3%BC\
             &stdin=true&stdout=true&tty=true"
        );
    }
}
