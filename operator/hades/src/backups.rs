//! Makes backups of the server that runs, for whoever asks: one at a time.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use hades_apiserver::ApiServer;
use hades_apiserver::audit::AuditEvent;
use hades_backup::{
    BackupError, Destination, DestinationError, Gathered, Recipient, S3Settings, Stored,
    Surroundings, Written,
};
use jiff::Timestamp;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};

/// Bytes that are handed on at a time, and how often they may wait.
const CHUNK: usize = 64 << 10;
const QUEUE: usize = 4;

/// The program that makes them.
pub(crate) const PROGRAM: &str = concat!("hades ", env!("CARGO_PKG_VERSION"));

/// What the audit log has of a backup: its digest, or that it failed.
pub(crate) fn audited(event: AuditEvent, sha256: Option<&str>) -> AuditEvent {
    match sha256 {
        Some(sha256) => event.answered(200, "", "").note("hades.dev/sha256", sha256),
        None => event.answered(500, "InternalError", ""),
    }
}

/// What backups are made of; clones share it.
#[derive(Clone)]
pub(crate) struct Backups(Arc<Inner>);

struct Inner {
    server: ApiServer,
    data_dir: PathBuf,
    audit_dir: PathBuf,
    recipients: Vec<Recipient>,
    turn: Arc<Mutex<()>>,
}

impl Backups {
    /// Backups of a server, for these recipients where none are named.
    pub(crate) fn new(
        server: ApiServer,
        data_dir: PathBuf,
        audit_dir: PathBuf,
        recipients: Vec<Recipient>,
    ) -> Self {
        Self(Arc::new(Inner { server, data_dir, audit_dir, recipients, turn: Arc::default() }))
    }

    /// Those who can open what is made: who is named, or those of the server.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn recipients(&self, named: Vec<Recipient>) -> Result<Vec<Recipient>, BackupError> {
        let recipients = if named.is_empty() { self.0.recipients.clone() } else { named };
        if recipients.is_empty() { Err(BackupError::NoRecipient) } else { Ok(recipients) }
    }

    /// Blocks, for as long as the copy of the store takes. The next one begins when it
    /// is done.
    fn gather(&self, turn: OwnedMutexGuard<()>) -> Result<Gathered, BackupError> {
        let Inner { server, data_dir, audit_dir, .. } = &*self.0;
        let surroundings = Surroundings {
            data_dir: data_dir.clone(),
            audit_dir: audit_dir.clone(),
            program: PROGRAM.to_owned(),
            time: Timestamp::now(),
        };
        let gathered = hades_backup::gather(&surroundings, |path| server.copy_store(path));
        drop(turn);
        gathered
    }

    /// The bytes of a backup. A stream that ends with an error is none. `ended` learns
    /// the digest of one that was sent to its end.
    ///
    /// # Errors
    /// When it can't be begun.
    pub(crate) async fn stream<E: FnOnce(Option<&str>) + Send + 'static>(
        &self,
        recipients: Vec<Recipient>,
        ended: E,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + use<E>, BackupError> {
        let ended = Ended(Some(ended));
        let turn = Arc::clone(&self.0.turn).lock_owned().await;
        let backups = self.clone();
        let gathered = tokio::task::spawn_blocking(move || backups.gather(turn)).await;
        let gathered =
            gathered.unwrap_or_else(|error| Err(BackupError::Write(io::Error::other(error))));
        let gathered = gathered?;
        Ok(hand_on(ended, move |chunks| gathered.write(&recipients, chunks)))
    }

    /// Makes a backup at a destination, and removes those that are too many.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) async fn store(
        &self,
        destination: &Destination,
        settings: &S3Settings,
        keep: usize,
    ) -> Result<Stored, DestinationError> {
        let recipients = self.recipients(Vec::new())?;
        let turn = Arc::clone(&self.0.turn).lock_owned().await;
        let backups = self.clone();
        destination.store(settings, recipients, keep, move || backups.gather(turn)).await
    }
}

/// What learns how a backup ended: that it failed where nobody says anything else, as
/// when it panicked.
struct Ended<E: FnOnce(Option<&str>)>(Option<E>);

impl<E: FnOnce(Option<&str>)> Ended<E> {
    fn well(mut self, sha256: &str) {
        if let Some(ended) = self.0.take() {
            ended(Some(sha256));
        }
    }
}

impl<E: FnOnce(Option<&str>)> Drop for Ended<E> {
    fn drop(&mut self) {
        if let Some(ended) = self.0.take() {
            ended(None);
        }
    }
}

/// The bytes that `write` writes in a thread of its own. They end with an error unless
/// it says that they are all.
fn hand_on<E: FnOnce(Option<&str>) + Send + 'static>(
    ended: Ended<E>,
    write: impl FnOnce(&mut Chunks) -> Result<Written, BackupError> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let writing = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut chunks = Chunks { sender, chunk: BytesMut::new() };
        let written = write(&mut chunks).map_err(|error| {
            let words = hades_controllers::error_chain(&error);
            tracing::warn!(error = words, "a backup broke off");
            io::Error::other(words)
        })?;
        ended.well(&written.sha256);
        Ok(())
    });
    futures::stream::unfold((receiver, Some(writing)), |(mut receiver, writing)| async move {
        if let Some(chunk) = receiver.recv().await {
            return Some((chunk, (receiver, writing)));
        }
        let error = match writing?.await {
            Ok(outcome) => outcome.err()?,
            // It panicked, or the server ends.
            Err(error) => io::Error::other(error),
        };
        Some((Err(error), (receiver, None)))
    })
}

/// Hands on what is written, in chunks.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: BytesMut,
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = self.chunk.split().freeze();
        self.sender.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    /// What came, whether it ended well, and what was recorded.
    async fn sent(
        write: impl FnOnce(&mut Chunks) -> Result<Written, BackupError> + Send + 'static,
    ) -> (Vec<u8>, bool, Option<String>) {
        let (sender, recorded) = std::sync::mpsc::channel();
        let ended = move |sha256: Option<&str>| sender.send(sha256.map(str::to_owned)).unwrap();
        let items: Vec<_> = hand_on(Ended(Some(ended)), write).collect().await;
        let well = items.iter().all(Result::is_ok);
        let bytes = items.into_iter().flatten().flatten().collect();
        let record = recorded.recv().unwrap();
        assert!(recorded.recv().is_err(), "one record");
        (bytes, well, record)
    }

    #[tokio::test]
    async fn what_does_not_end_well_ends_with_an_error() {
        let whole = sent(|chunks| {
            chunks.write_all(b"whole").and_then(|()| chunks.flush()).unwrap();
            Ok(Written { size: 5, sha256: "00".to_owned() })
        });
        assert_eq!(whole.await, (b"whole".to_vec(), true, Some("00".to_owned())));
        let broken = sent(|chunks| {
            chunks.write_all(b"half").and_then(|()| chunks.flush()).unwrap();
            Err(BackupError::Restless)
        });
        assert_eq!(broken.await, (b"half".to_vec(), false, None));
        let panicked = sent(|chunks| {
            chunks.write_all(b"half").and_then(|()| chunks.flush()).unwrap();
            panic!("a bug");
        });
        assert_eq!(panicked.await, (b"half".to_vec(), false, None));
    }
}
