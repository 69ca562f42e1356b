//! Connections whose peer reads no more.
//!
//! A peer that takes nothing for long, though it is there, would keep its
//! connection, the answers on it and what they hold for ever: TCP itself waits
//! without end, and a body that is not polled knows no time. So writing gives up.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the peer of a connection may leave what it was sent unread. An
/// extension of requests that came over a socket, for routes that have the
/// connection to themselves from then on, as WebSockets have it.
#[derive(Clone, Debug)]
pub struct Unread(Arc<AtomicU64>);

impl Unread {
    pub(crate) fn new(patience: Duration) -> Self {
        let unread = Self(Arc::default());
        unread.allow(patience);
        unread
    }

    /// Changes it, for writes that begin to wait from now on.
    pub fn allow(&self, patience: Duration) {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.0.store(milliseconds, Ordering::Relaxed);
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A stream whose writes fail when the peer takes nothing for a while.
pub(crate) struct Impatient<S> {
    inner: S,
    unread: Unread,
    /// Set where a write waits.
    until: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Impatient<S> {
    pub fn new(inner: S, unread: Unread) -> Self {
        let until = Box::pin(tokio::time::sleep(unread.patience()));
        Self { inner, unread, until, waiting: false }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.until.as_mut().reset(Instant::now() + self.unread.patience());
        }
        self.until.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(context);
        self.judge(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Impatient::new(near, Unread::new(Duration::from_millis(20)));
        near.write_all(&[0; 64]).await.unwrap();
        let error = near.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // What was sent can be read, and then there is room again.
        far.read_exact(&mut [0; 64]).await.unwrap();
        near.write_all(&[1; 32]).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_may_take_longer_is_waited_for() {
        let (near, mut far) = tokio::io::duplex(1);
        let unread = Unread::new(Duration::from_millis(10));
        let mut near = Impatient::new(near, unread.clone());
        unread.allow(Duration::from_secs(600));
        let write = near.write_all(&[7; 2]);
        tokio::pin!(write);
        let early = tokio::time::timeout(Duration::from_millis(50), write.as_mut()).await;
        assert!(early.is_err(), "nothing was read, and nothing is given up: {early:?}");
        let mut taken = [0; 2];
        let (read, written) = tokio::join!(far.read_exact(&mut taken), write);
        assert!(read.is_ok() && written.is_ok(), "{read:?}, {written:?}");
    }

    #[tokio::test]
    async fn a_peer_that_pauses_is_not() {
        let (near, mut far) = tokio::io::duplex(1);
        let mut near = Impatient::new(near, Unread::new(Duration::from_secs(60)));
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        for byte in 0..50 {
            near.write_all(&[byte]).await.unwrap();
        }
        drop(near);
        assert_eq!(reader.await.unwrap().len(), 50);
    }
}
