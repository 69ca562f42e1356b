//! Recipients: the public keys that a backup is encrypted to.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::x25519;

/// A recipients file is no longer than this.
const MAX_BYTES: u64 = 1 << 20;

/// A public key of age: `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(pub(crate) x25519::Recipient);

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// Why a recipient isn't one. Never shows what was given: it may be a private key.
#[derive(Debug, thiserror::Error)]
pub enum RecipientError {
    /// It is the private key.
    #[error(
        "that is a private key, which must not be on the server; give the public one, which \
         begins with age1 (`age-keygen -y FILE` prints it)"
    )]
    Private,
    /// It is something else.
    #[error("that is no public key of age, which begins with age1")]
    Form,
    /// A line of a file is none.
    #[error("line {line} of {path} is no recipient")]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1 on.
        line: usize,
        /// What is wrong with it.
        source: Box<RecipientError>,
    },
    /// The file holds none.
    #[error("{0} holds no recipient")]
    Empty(PathBuf),
    /// The file can't be read.
    #[error("the recipients file {path} can't be read")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(RecipientError::Private);
        }
        text.parse().map(Self).map_err(|_| RecipientError::Form)
    }
}

/// Reads a recipients file of age: a key a line, and comments after `#`.
///
/// # Errors
/// When it can't be read or holds something else.
pub fn read_recipients(path: &Path) -> Result<Vec<Recipient>, RecipientError> {
    let failed = |source| RecipientError::File { path: path.to_owned(), source };
    let text = crate::identities::read_text(path, MAX_BYTES).map_err(failed)?;
    let mut recipients = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        recipients.push(line.parse().map_err(|error| RecipientError::Line {
            path: path.to_owned(),
            line: index + 1,
            source: Box::new(error),
        })?);
    }
    if recipients.is_empty() {
        return Err(RecipientError::Empty(path.to_owned()));
    }
    Ok(recipients)
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_private_key_is_refused_and_not_repeated() {
        let key = x25519::Identity::generate();
        let secret = key.to_string();
        let error = secret.expose_secret().parse::<Recipient>().unwrap_err();
        assert!(matches!(error, RecipientError::Private));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, format!("# ours\n\n{}\n", secret.expose_secret())).unwrap();
        let error = read_recipients(&path).unwrap_err().to_string();
        assert!(error.contains("line 3") && !error.contains("AGE-SECRET-KEY-1"), "{error}");
        let public = key.to_public().to_string();
        std::fs::write(&path, format!("# ours\n{public}\n")).unwrap();
        assert_eq!(read_recipients(&path).unwrap()[0].to_string(), public);
        std::fs::write(&path, "# nobody\n").unwrap();
        assert!(matches!(read_recipients(&path), Err(RecipientError::Empty(_))));
    }
}
