//! Identities: the private keys that open backups.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519;
use jiff::Timestamp;

use crate::Recipient;

/// An identity file is no longer than this.
const MAX_BYTES: u64 = 1 << 20;

/// Private keys. Shows none of them.
pub struct Key(pub(crate) Vec<Box<dyn age::Identity>>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Why an identity file can't be used. Never shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It can't be read.
    #[error("the identity file {path} can't be read")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{0} is no identity file of age, whose keys begin with AGE-SECRET-KEY-1")]
    Form(PathBuf),
    /// It is encrypted itself.
    #[error(
        "{0} is encrypted; open it first: age --decrypt --output key.txt {0}, and remove key.txt \
         afterwards"
    )]
    Encrypted(PathBuf),
    /// A new one can't be written.
    #[error("the identity file {path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Reads a file of at most that many bytes.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads an identity file of age: private keys, and comments after `#`.
///
/// # Errors
/// When it can't be read or holds no key.
pub fn read_identities(path: &Path) -> Result<Key, IdentityError> {
    let text = read_text(path, MAX_BYTES)
        .map_err(|source| IdentityError::File { path: path.to_owned(), source })?;
    if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED") {
        return Err(IdentityError::Encrypted(path.to_owned()));
    }
    let form = || IdentityError::Form(path.to_owned());
    let keys = age::IdentityFile::from_buffer(text.as_bytes())
        .map_err(|_| form())?
        .into_identities()
        .map_err(|_| form())?;
    if keys.is_empty() {
        return Err(form());
    }
    Ok(Key(keys))
}

/// Makes a key and writes it into a new file, for its owner alone. The public half
/// is what backups are encrypted to.
///
/// # Errors
/// When the file is there already or can't be written.
pub fn generate_key(path: &Path, now: Timestamp) -> Result<Recipient, IdentityError> {
    let identity = x25519::Identity::generate();
    let public = identity.to_public();
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        let secret = identity.to_string();
        writeln!(file, "# created: {now:.0}")?;
        writeln!(file, "# public key: {public}")?;
        writeln!(file, "{}", secret.expose_secret())?;
        file.sync_all()
    };
    write().map_err(|source| IdentityError::Write { path: path.to_owned(), source })?;
    Ok(Recipient(public))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.txt");
        let public = generate_key(&path, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_identities(&path).unwrap().0.len(), 1);
        assert_eq!(public.to_string().parse::<Recipient>().unwrap(), public);
        let error = generate_key(&path, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, IdentityError::Write { .. }), "a key is never replaced: {error}");
    }

    #[test]
    fn what_is_no_key_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.txt");
        for (text, word) in [
            ("", "no identity file"),
            ("# nothing\n", "no identity file"),
            ("AGE-SECRET-KEY-1HUNTER2\n", "no identity file"),
            ("age-encryption.org/v1\n", "is encrypted"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_identities(&path).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("HUNTER2"), "{error}");
        }
    }
}
