//! Commands that people run in a container that is there.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;

use crate::{LogStream, ProviderError};

/// What to run, and how it is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Program and arguments; nothing goes through a shell.
    pub command: Vec<String>,
    /// Give it a terminal. Standard error then comes along with standard output.
    pub tty: bool,
    /// It can be written to.
    pub stdin: bool,
    /// Size that the terminal has at the beginning.
    pub size: Option<TerminalSize>,
    /// User, or `user:group`; that of the container when absent.
    pub user: Option<String>,
    /// Folder to start in; that of the container when absent.
    pub working_dir: Option<String>,
}

/// Size of a terminal in characters, as `v5.channel.k8s.io` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// A command that runs. Dropped, it is no longer listened to, but may run on:
/// see [`ExecControl::hang_up`].
pub struct ExecSession {
    /// What it writes. Ends when the command has ended.
    pub output: LogStream,
    /// What it reads; shut down, it reads the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Everything else that can be done to it.
    pub control: Box<dyn ExecControl>,
}

impl fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSession").finish_non_exhaustive()
    }
}

/// What can be done to a running command besides reading and writing.
#[async_trait]
pub trait ExecControl: Send + Sync {
    /// Gives its terminal another size.
    ///
    /// # Errors
    /// When the place doesn't answer; a command that has ended is no error.
    async fn resize(&self, size: TerminalSize) -> Result<(), ProviderError>;

    /// Exit status, once its output has ended.
    ///
    /// # Errors
    /// When the place doesn't answer, or the command runs on.
    async fn exit_code(&self) -> Result<i64, ProviderError>;

    /// Ends it as the end of a terminal does (SIGHUP), as far as the place can.
    /// Nothing to do is no error, and neither is a command that stays.
    async fn hang_up(&self);
}
