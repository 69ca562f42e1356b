//! What a command can fail with.

use std::io;
use std::path::PathBuf;

use hades_client::AddressError;
use hades_source::manifest::{ManifestError, ReadError};

/// What a command can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] hades_client::Error),
    /// An argument is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Something that isn't there.
    #[error("{what}")]
    NotFound {
        /// Such as `environment "prod" not found in project shop`.
        what: String,
        /// What there is instead.
        hint: String,
    },
    /// The person may not.
    #[error("{message}")]
    Forbidden {
        /// What the server says.
        message: String,
        /// Which right is missing, and who can give it.
        hint: String,
    },
    /// The arguments make no sense together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// Manifests that can't be applied.
    #[error("{}", manifests_summary(.0.len()))]
    Manifests(Vec<ManifestError>),
    /// A folder or file that can't be read as manifests.
    #[error("cannot read manifests")]
    Read(#[source] ReadError),
    /// The command did what it could, and told what it couldn't.
    #[error("{message}")]
    Incomplete {
        /// In one sentence.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// A file that can't be written or read.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// `write`, `read` …
        verb: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something that can't be put into YAML or JSON.
    #[error("cannot print the result")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Standard output is closed.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The async runtime doesn't start.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

fn manifests_summary(count: usize) -> String {
    match count {
        1 => "1 error in the manifests, nothing was done".to_owned(),
        _ => format!("{count} errors in the manifests, nothing was done"),
    }
}

impl Error {
    /// The arguments make no sense together.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// The command did what it could, and told what it couldn't.
    pub fn incomplete(message: impl Into<String>) -> Self {
        Self::Incomplete { message: message.into(), hint: None }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Address(error) => Some(error.hint()),
            Self::NotFound { hint, .. }
            | Self::Forbidden { hint, .. }
            | Self::Usage { hint, .. } => Some(hint.clone()),
            Self::Incomplete { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    /// Exit status, where it isn't that of the command.
    pub fn exit_code(&self) -> Option<u8> {
        let usage = match self {
            Self::Usage { .. } | Self::Address(_) => true,
            Self::Client(error) => error.is_called_wrongly(),
            _ => false,
        };
        usage.then_some(2)
    }

    /// Whether whoever read our output has gone away.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
