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
    Surroundings,
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
        let turn = Arc::clone(&self.0.turn).lock_owned().await;
        let backups = self.clone();
        let gathered = tokio::task::spawn_blocking(move || backups.gather(turn)).await;
        let gathered =
            gathered.unwrap_or_else(|error| Err(BackupError::Write(io::Error::other(error))));
        let gathered = match gathered {
            Ok(gathered) => gathered,
            Err(error) => {
                ended(None);
                return Err(error);
            }
        };
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        tokio::task::spawn_blocking(move || {
            let mut chunks = Chunks { sender: sender.clone(), chunk: BytesMut::new() };
            match gathered.write(&recipients, &mut chunks) {
                Ok(written) => ended(Some(&written.sha256)),
                Err(error) => {
                    ended(None);
                    let words = hades_controllers::error_chain(&error);
                    tracing::warn!(error = words, "a backup broke off");
                    // Nobody may be listening any more, which is why it failed.
                    let _ = sender.blocking_send(Err(io::Error::other(words)));
                }
            }
        });
        Ok(futures::stream::poll_fn(move |context| receiver.poll_recv(context)))
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
