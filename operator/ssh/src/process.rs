//! Commands.

use std::fmt;
use std::sync::Arc;

use russh::Channel;
use russh::client::Msg;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use crate::channel::{Parts, Patience, parts};
use crate::connection::{Connection, OPEN_LIMIT};
use crate::{Error, Reader, Writer};

/// A command that runs on the server. When all of its parts are dropped, the
/// channel is closed; the server then usually ends it.
pub struct Process {
    /// Its input; shut it down to tell the end.
    pub stdin: Writer,
    /// Its output. Drop what isn't wanted: what is kept must be read.
    pub stdout: Reader,
    /// Its other output.
    pub stderr: Reader,
    /// How it ended.
    pub exit: Exiting,
}

/// The end of a command that may still run.
pub struct Exiting {
    exit: oneshot::Receiver<Exit>,
    address: String,
    _open: Arc<DropGuard>,
}

impl Exiting {
    /// Waits for the end, as long as it takes.
    ///
    /// # Errors
    /// [`Error::Lost`] when the connection ended first.
    pub async fn wait(self) -> Result<Exit, Error> {
        self.exit.await.map_err(|_| Error::Lost { address: self.address })
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself; 0 is success.
    Status(u32),
    /// By a signal (`KILL`, `TERM` …).
    Signal(String),
}

impl Exit {
    /// Whether it ended with status 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

pub(crate) async fn run(
    connection: Arc<Connection>,
    channel: Channel<Msg>,
    command: &str,
    patience: Patience,
) -> Result<Process, Error> {
    let address = connection.address().to_owned();
    let Parts { stdin, stdout, stderr, exit, accepted, open, requests } =
        parts(connection, channel, patience);
    let lost = || Error::Lost { address: address.clone() };
    requests.exec(true, command).await.map_err(|_| lost())?;
    match timeout(OPEN_LIMIT, accepted).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            return Err(Error::Refused {
                address,
                what: "a command".to_owned(),
                reason: "its SSH server lets this key run none; see authorized_keys there"
                    .to_owned(),
            });
        }
        Ok(Err(_)) | Err(_) => return Err(lost()),
    }
    Ok(Process { stdin, stdout, stderr, exit: Exiting { exit, address, _open: open } })
}
