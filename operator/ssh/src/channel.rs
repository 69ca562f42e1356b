//! Streams over a channel of the connection.
//!
//! A task per channel takes what comes off the connection, so that the
//! connection goes on for others, and keeps up to [`UNREAD`] for the reader.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::connection::Connection;
use crate::process::Exit;

/// Bytes kept for a reader who is busy.
const UNREAD: usize = 1024 * 1024;

/// RFC 4254, 5.2.
const STDERR: u32 = 1;

/// Why a stream ended that others share a connection with: its output was left
/// unread. The connection itself is as good as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("output was left unread for too long on a connection that is shared")]
pub struct LeftUnread;

impl LeftUnread {
    /// Whether that is what an error of reading means.
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

/// How long output may be left unread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Limited(Duration),
    Endless,
}

struct Piece {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Output of the other side. Ends with its end; a lost connection is an error, and
/// so is output that was not read in time ([`LeftUnread`]).
pub struct Reader {
    pieces: mpsc::UnboundedReceiver<io::Result<Piece>>,
    current: Option<Piece>,
    /// The channel is closed when all who hold this are gone.
    _open: Arc<DropGuard>,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(piece) = &mut self.current {
                let count = piece.bytes.len().min(buf.remaining());
                buf.put_slice(&piece.bytes[..count]);
                piece.bytes.advance(count);
                if piece.bytes.is_empty() {
                    self.current = None;
                }
                return Poll::Ready(Ok(()));
            }
            match ready!(self.pieces.poll_recv(cx)) {
                Some(Ok(piece)) if piece.bytes.is_empty() => {}
                Some(Ok(piece)) => self.current = Some(piece),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Input of the other side. Shutting it down tells the end of the input; output
/// can still be read.
pub struct Writer {
    channel: Pin<Box<dyn AsyncWrite + Send>>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: Arc<DropGuard>,
}

impl Writer {
    /// Nobody would wake who waits for room in a channel that is closed.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::BrokenPipe.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_over(cx)?;
        self.channel.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_over(cx).is_err() {
            return Poll::Ready(Ok(()));
        }
        self.channel.as_mut().poll_shutdown(cx)
    }
}

/// A stream in both directions. Dropping it closes the channel.
pub struct Stream {
    reader: Reader,
    writer: Writer,
}

impl Stream {
    pub(crate) fn new(
        connection: Arc<Connection>,
        channel: Channel<Msg>,
        patience: Patience,
    ) -> Self {
        let Parts { stdin, stdout, .. } = parts(connection, channel, patience);
        Self { reader: stdout, writer: stdin }
    }

    /// The two directions; the channel is closed when both are dropped.
    pub fn into_split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

/// A channel taken apart.
pub(crate) struct Parts {
    pub stdin: Writer,
    pub stdout: Reader,
    pub stderr: Reader,
    pub exit: oneshot::Receiver<Exit>,
    /// What the server said to the request that started a command.
    pub accepted: oneshot::Receiver<bool>,
    pub open: Arc<DropGuard>,
    pub requests: Arc<ChannelWriteHalf<Msg>>,
}

pub(crate) fn parts(
    connection: Arc<Connection>,
    channel: Channel<Msg>,
    patience: Patience,
) -> Parts {
    let (read, write) = channel.split();
    let write = Arc::new(write);
    let unwanted = CancellationToken::new();
    let over = CancellationToken::new();
    let open = Arc::new(unwanted.clone().drop_guard());
    let writer = Writer {
        channel: Box::pin(write.make_writer()),
        over: Box::pin(over.clone().cancelled_owned()),
        _open: open.clone(),
    };
    let reader = || {
        let (kept, pieces) = mpsc::unbounded_channel();
        let output = Output { kept: Some(kept), room: Arc::new(Semaphore::new(UNREAD)), patience };
        (output, Reader { pieces, current: None, _open: open.clone() })
    };
    let (stdout, stdout_reader) = reader();
    let (stderr, stderr_reader) = reader();
    let (told_exit, exit) = oneshot::channel();
    let (told_accepted, accepted) = oneshot::channel();
    let pump = Pump {
        connection,
        read,
        stdout,
        stderr,
        exit: Some(told_exit),
        accepted: Some(told_accepted),
    };
    let requests = write.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = unwanted.cancelled() => {}
            () = pump.run() => {}
        }
        over.cancel();
        let _ = write.close().await;
    });
    Parts {
        stdin: writer,
        stdout: stdout_reader,
        stderr: stderr_reader,
        exit,
        accepted,
        open,
        requests,
    }
}

struct Output {
    kept: Option<mpsc::UnboundedSender<io::Result<Piece>>>,
    room: Arc<Semaphore>,
    patience: Patience,
}

impl Output {
    /// Says whether the channel may go on.
    async fn push(&mut self, bytes: Bytes) -> bool {
        let Some(kept) = &self.kept else { return true };
        if kept.is_closed() {
            self.kept = None;
            return true;
        }
        // A piece is never larger than a packet, 32 KiB.
        let wanted = u32::try_from(bytes.len().min(UNREAD)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(wanted);
        let room = tokio::select! {
            room = room => room.ok(),
            () = kept.closed() => None,
            () = unread(self.patience) => {
                let _ = kept.send(Err(io::Error::new(io::ErrorKind::TimedOut, LeftUnread)));
                return false;
            }
        };
        if let Some(room) = room {
            let _ = kept.send(Ok(Piece { bytes, _room: room }));
        }
        true
    }

    fn fail(&mut self, error: &str) {
        if let Some(kept) = self.kept.take() {
            let error = io::Error::new(io::ErrorKind::ConnectionReset, error.to_owned());
            let _ = kept.send(Err(error));
        }
    }
}

async fn unread(patience: Patience) {
    match patience {
        Patience::Limited(limit) => tokio::time::sleep(limit).await,
        Patience::Endless => std::future::pending().await,
    }
}

struct Pump {
    connection: Arc<Connection>,
    read: ChannelReadHalf,
    stdout: Output,
    stderr: Output,
    exit: Option<oneshot::Sender<Exit>>,
    accepted: Option<oneshot::Sender<bool>>,
}

impl Pump {
    async fn run(mut self) {
        loop {
            let goes_on = match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => self.stdout.push(data).await,
                Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => {
                    self.stderr.push(data).await
                }
                Some(ChannelMsg::Eof) => {
                    self.stdout.kept = None;
                    self.stderr.kept = None;
                    true
                }
                Some(ChannelMsg::Success) => self.accepted(true),
                Some(ChannelMsg::Failure) => self.accepted(false),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.exit(Exit::Status(exit_status))
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.exit(Exit::Signal(signal(&signal_name)))
                }
                Some(ChannelMsg::Close) => return,
                Some(_) => true,
                None => {
                    let lost =
                        format!("the SSH connection to {} was lost", self.connection.address());
                    self.stdout.fail(&lost);
                    self.stderr.fail(&lost);
                    return;
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    fn accepted(&mut self, accepted: bool) -> bool {
        if let Some(told) = self.accepted.take() {
            let _ = told.send(accepted);
        }
        true
    }

    fn exit(&mut self, exit: Exit) -> bool {
        if let Some(told) = self.exit.take() {
            let _ = told.send(exit);
        }
        true
    }
}

fn signal(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
