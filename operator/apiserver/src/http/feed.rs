//! Long bodies: made on blocking threads while earlier parts are sent.
//!
//! A reader that stops reading must not hold a snapshot of the store, which makes
//! the file grow. So the parts are not made when the body is polled, which such a
//! reader never does, but by a task of its own that gives up after a while.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::seats::Seats;
use crate::wire::status::StatusError;

/// Size of one part: large enough that the work for each part doesn't count, and
/// small enough for a few hundred of them.
pub(crate) const CHUNK: usize = 128 << 10;

/// How long a reader may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For one part.
    part: Duration,
    /// For all of them.
    total: Duration,
}

/// In all as long as kube-apiserver gives to any request that is no watch.
const PATIENCE: Patience =
    Patience { part: Duration::from_secs(30), total: Duration::from_secs(60) };

/// Something that is made part by part.
pub(crate) trait Source: Send + 'static {
    /// Appends about [`CHUNK`] bytes; whether there is more. May block.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, StatusError>;
}

/// The parts on their way.
#[derive(Debug)]
pub(crate) struct Feed {
    first: Option<Bytes>,
    rest: Option<mpsc::Receiver<Part>>,
}

#[derive(Debug)]
enum Part {
    More(Bytes),
    Last(Bytes),
    Failed(StatusError),
}

/// Runs blocking work of a request off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StatusError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StatusError::internal("a task of the request ended early"))
}

async fn fill<S: Source>(mut source: S) -> Result<(S, Bytes, bool), StatusError> {
    blocking(move || {
        let mut part = Vec::with_capacity(CHUNK + CHUNK / 8);
        let more = source.fill(&mut part)?;
        Ok((source, Bytes::from(part), more))
    })
    .await?
}

impl Feed {
    /// Makes the first part. What is longer needs one of the seats, where they are
    /// given.
    ///
    /// # Errors
    /// Those of the source, and 429 when no seat gets free.
    pub async fn open<S: Source>(
        source: S,
        seats: Option<&Seats>,
        shutdown: &CancellationToken,
    ) -> Result<Self, StatusError> {
        let (source, first, more) = fill(source).await?;
        let first = Some(first);
        if !more {
            return Ok(Self { first, rest: None });
        }
        let seat = match seats {
            Some(seats) => Some(seats.list().await?),
            None => None,
        };
        // One part waits while the next one is made and the one before is sent.
        let (sender, rest) = mpsc::channel(1);
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = produce(source, sender, PATIENCE) => drop(seat),
                () = shutdown.cancelled() => {}
            }
        });
        Ok(Self { first, rest: Some(rest) })
    }

    /// The whole body, where it has one part.
    pub fn whole(&mut self) -> Option<Bytes> {
        if self.rest.is_none() { self.first.take() } else { None }
    }

    /// The next part, or `None` behind the last one. An error is the end, too.
    pub async fn next(&mut self) -> Option<Result<Bytes, StatusError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let part = self.rest.as_mut()?.recv().await;
        match part {
            Some(Part::More(part)) => Some(Ok(part)),
            Some(Part::Last(part)) => {
                self.rest = None;
                Some(Ok(part))
            }
            Some(Part::Failed(error)) => {
                self.rest = None;
                Some(Err(error))
            }
            None => {
                self.rest = None;
                Some(Err(StatusError::timeout(
                    "the answer broke off: the client read too slowly, or the server is stopping",
                )))
            }
        }
    }
}

async fn produce<S: Source>(mut source: S, sender: mpsc::Sender<Part>, patience: Patience) {
    let end = Instant::now() + patience.total;
    loop {
        let (part, more) = match fill(source).await {
            Ok((again, part, true)) => (Part::More(part), Some(again)),
            Ok((_, part, false)) => (Part::Last(part), None),
            Err(error) => {
                tracing::error!(%error, "a list could not be read to its end");
                (Part::Failed(error), None)
            }
        };
        let pause = end.min(Instant::now() + patience.part);
        match timeout_at(pause, sender.send(part)).await {
            Ok(Ok(())) => {}
            // The client hung up.
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::debug!("a client read too slowly and was cut off");
                return;
            }
        }
        match more {
            Some(again) => source = again,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers {
        next: u8,
        end: u8,
        fails: bool,
    }

    impl Source for Numbers {
        fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, StatusError> {
            if self.fails && self.next + 1 == self.end {
                return Err(StatusError::internal("no more"));
            }
            out.push(self.next);
            self.next += 1;
            Ok(self.next < self.end)
        }
    }

    async fn open(end: u8, fails: bool) -> Feed {
        let token = CancellationToken::new();
        Feed::open(Numbers { next: 0, end, fails }, None, &token).await.unwrap()
    }

    #[tokio::test]
    async fn parts_come_in_order_and_end() {
        let mut feed = open(20, false).await;
        assert_eq!(feed.whole(), None);
        for expected in 0..20 {
            assert_eq!(feed.next().await.unwrap().unwrap().as_ref(), [expected]);
        }
        assert!(feed.next().await.is_none());
        assert_eq!(open(1, false).await.whole().unwrap().as_ref(), [0]);
    }

    #[tokio::test]
    async fn a_reader_that_stops_reading_holds_no_source() {
        let (dropped, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        struct Endless(#[allow(dead_code)] tokio::sync::mpsc::Sender<()>);
        impl Source for Endless {
            fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, StatusError> {
                out.push(1);
                Ok(true)
            }
        }
        let (sender, receiver) = mpsc::channel(1);
        let short = Duration::from_millis(1);
        let patience = Patience { part: short, total: Duration::from_secs(60) };
        produce(Endless(dropped), sender, patience).await;
        assert_eq!(gone.recv().await, None);
        let mut feed = Feed { first: None, rest: Some(receiver) };
        assert!(feed.next().await.unwrap().is_ok());
        assert_eq!(feed.next().await.unwrap().unwrap_err().code(), 504);
    }

    #[tokio::test]
    async fn what_breaks_off_ends_with_an_error() {
        let mut feed = open(3, true).await;
        assert!(feed.next().await.unwrap().is_ok());
        assert!(feed.next().await.unwrap().is_ok());
        assert_eq!(feed.next().await.unwrap().unwrap_err().code(), 500);
        assert!(feed.next().await.is_none());
        let token = CancellationToken::new();
        let source = Numbers { next: 0, end: 100, fails: false };
        let mut feed = Feed::open(source, None, &token).await.unwrap();
        token.cancel();
        let error = loop {
            match feed.next().await.expect("an error before the end") {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), 504, "a body without its end must not look whole");
    }
}
