//! The identity of an installation: an age key that opens the keys in the store.
//!
//! It lies in a file of the form that `age-keygen` writes, as it is or as an age file
//! that a passphrase opens. The first identity in the file is the one that is sealed
//! for; others, which are there while a rotation is under way, only open.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use age::{scrypt, x25519};
use rustix::fs::Access;

use super::SealError;
use crate::private_file;

/// The age identity inside the data directory.
pub const IDENTITY_FILE: &str = "identity.age";

/// What an age file starts with.
const AGE_FILE: &[u8] = b"age-encryption.org/";
/// What an armored age file starts with.
const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Work that a guess of the passphrase costs, as a power of two: about a quarter of a
/// second and 64 MB. age itself takes four times as much, more than a small server has.
const WORK_FACTOR: u8 = if cfg!(test) { 4 } else { 16 };
/// What a file that somebody else made may cost: 4 GB.
const MOST_WORK: u8 = 22;

/// More is no file of identities.
const LARGEST: u64 = 1 << 20;

/// Where the identity of an installation comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentitySource {
    /// Where it lies.
    pub place: IdentityPlace,
    /// The file with the passphrase that opens it.
    pub passphrase_file: Option<PathBuf>,
}

/// Where an identity lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdentityPlace {
    /// `identity.age` in the data directory.
    #[default]
    DataDirectory,
    /// Another file.
    File(PathBuf),
    /// A file that a manager of services made for this run: nothing is ever written
    /// there, and who else may read it is that manager's business.
    Credential(PathBuf),
}

/// The file of identities of one installation.
#[derive(Clone, Debug)]
pub(super) struct IdentityFile {
    pub path: PathBuf,
    pub is_credential: bool,
    passphrase_file: Option<PathBuf>,
}

/// What a file of identities holds: at least one.
pub(super) struct Identities {
    pub all: Vec<x25519::Identity>,
    /// A passphrase was needed.
    pub is_protected: bool,
}

impl IdentityFile {
    /// The file of a data directory by its source.
    pub fn of(directory: &Path, source: &IdentitySource) -> Self {
        let IdentitySource { place, passphrase_file } = source;
        let (path, is_credential) = match place {
            IdentityPlace::DataDirectory => (directory.join(IDENTITY_FILE), false),
            IdentityPlace::File(path) => (path.clone(), false),
            IdentityPlace::Credential(path) => (path.clone(), true),
        };
        Self { path, is_credential, passphrase_file: passphrase_file.clone() }
    }

    /// Whether what is written is protected by a passphrase.
    pub fn wants_passphrase(&self) -> bool {
        self.passphrase_file.is_some()
    }

    /// Whether the file can be replaced.
    pub fn can_be_written(&self) -> bool {
        let path = self.target();
        let folder = private_file::folder(&path);
        !self.is_credential && rustix::fs::access(folder, Access::WRITE_OK).is_ok()
    }

    /// The file itself, where the path is a link to it.
    fn target(&self) -> PathBuf {
        std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    /// Reads the file; `None` when there is none.
    pub fn read(&self) -> Result<Option<Identities>, SealError> {
        let mode = if self.is_credential { 0o007 } else { 0o077 };
        let Some(bytes) = read_private(&self.path, mode, self.is_credential)? else {
            return Ok(None);
        };
        let is_protected = bytes.starts_with(AGE_FILE) || bytes.starts_with(ARMORED);
        let all = if is_protected {
            parse(&self.path, &self.unlock(&bytes)?)?
        } else {
            parse(&self.path, &bytes)?
        };
        Ok(Some(Identities { all, is_protected }))
    }

    /// Writes identities, the first of which is sealed for. After a crash either the
    /// old or the new content is there.
    pub fn write(&self, identities: &[x25519::Identity]) -> Result<(), SealError> {
        let text = text(identities);
        let path = self.target();
        let written = if self.passphrase_file.is_some() {
            let mut recipient = scrypt::Recipient::new(self.passphrase()?);
            recipient.set_work_factor(WORK_FACTOR);
            let sealed = age::encrypt(&recipient, text.expose_secret().as_bytes())
                .map_err(|error| SealError::encrypt(&error))?;
            private_file::write(&path, &sealed)
        } else {
            private_file::write(&path, text.expose_secret().as_bytes())
        };
        written.map_err(|source| SealError::File { path: self.path.clone(), source })
    }

    fn unlock(&self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let Some(file) = &self.passphrase_file else {
            return Err(SealError::NoPassphrase(self.path.clone()));
        };
        let mut identity = scrypt::Identity::new(self.passphrase()?);
        identity.set_max_work_factor(MOST_WORK);
        age::decrypt(&identity, sealed).map_err(|_| SealError::WrongPassphrase {
            identity: self.path.clone(),
            passphrase: file.clone(),
        })
    }

    fn passphrase(&self) -> Result<SecretString, SealError> {
        let path = self.passphrase_file.clone().unwrap_or_default();
        let failed = |source| SealError::File { path: path.clone(), source };
        // A credential of systemd may be open to a group that only seems to be one.
        let bytes = read_private(&path, 0o007, true)?
            .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let text = String::from_utf8(bytes).ok();
        let text = text.as_deref().map(|text| text.trim_end_matches(['\r', '\n']));
        match text {
            Some(text) if !text.is_empty() => Ok(SecretString::from(text.to_owned())),
            _ => Err(SealError::EmptyPassphrase(path)),
        }
    }
}

/// Reads a file that none of the bits of `forbidden` may open to others; `None` when
/// there is none.
fn read_private(path: &Path, forbidden: u32, foreign: bool) -> Result<Option<Vec<u8>>, SealError> {
    let failed = |source| SealError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    let me = rustix::process::geteuid().as_raw();
    judge(path, &metadata, forbidden, (!foreign).then_some(me))?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn judge(
    path: &Path,
    metadata: &Metadata,
    forbidden: u32,
    me: Option<u32>,
) -> Result<(), SealError> {
    let (path, mode, owner) = (path.to_owned(), metadata.mode() & 0o7777, metadata.uid());
    if mode & forbidden != 0 {
        return Err(SealError::OpenToOthers { path, mode });
    }
    match me {
        // Root reads everything anyway.
        Some(me) if owner != me && owner != 0 => Err(SealError::Foreign { path, owner, me }),
        _ => Ok(()),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<x25519::Identity>, SealError> {
    let unreadable = |line| SealError::IdentityUnreadable { path: path.to_owned(), line };
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable(1))?;
    let mut identities = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity = x25519::Identity::from_str(line);
        identities.push(identity.map_err(|_| unreadable(index + 1))?);
    }
    if identities.is_empty() {
        return Err(SealError::NoIdentity(path.to_owned()));
    }
    Ok(identities)
}

/// The form that `age-keygen` writes.
fn text(identities: &[x25519::Identity]) -> SecretString {
    let mut text = String::new();
    for (index, identity) in identities.iter().enumerate() {
        text.push_str(if index == 0 {
            "# Opens the Secrets of this installation. Keep a copy elsewhere, and keep it secret.\n"
        } else {
            "# Of before: needed until everything is sealed for the first one.\n"
        });
        text.push_str(&format!("# public key: {}\n", identity.to_public()));
        text.push_str(identity.to_string().expose_secret());
        text.push('\n');
    }
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(directory: &Path, passphrase_file: Option<&str>) -> IdentityFile {
        let passphrase_file = passphrase_file.map(|text| {
            let path = directory.join("passphrase");
            std::fs::write(&path, text).unwrap();
            close(&path);
            path
        });
        let source = IdentitySource { passphrase_file, ..IdentitySource::default() };
        IdentityFile::of(directory, &source)
    }

    fn close(path: &Path) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn recipients(identities: &[x25519::Identity]) -> Vec<String> {
        identities.iter().map(|identity| identity.to_public().to_string()).collect()
    }

    fn some() -> Vec<x25519::Identity> {
        vec![x25519::Identity::generate(), x25519::Identity::generate()]
    }

    #[test]
    fn identities_keep_their_order_in_the_form_of_age() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(directory.path(), None);
        assert!(file.read().unwrap().is_none());
        let written = some();
        file.write(&written).unwrap();
        let read = file.read().unwrap().unwrap();
        assert_eq!(recipients(&read.all), recipients(&written));
        assert!(!read.is_protected);
        let text = std::fs::read_to_string(&file.path).unwrap();
        assert!(text.contains("\n# public key: age1") && text.contains("\nAGE-SECRET-KEY-1"));
    }

    #[test]
    fn a_passphrase_protects_the_file_and_must_be_the_right_one() {
        let directory = tempfile::tempdir().unwrap();
        let protected = file(directory.path(), Some("correct horse\n"));
        let written = some();
        protected.write(&written).unwrap();
        let bytes = std::fs::read(&protected.path).unwrap();
        assert!(bytes.starts_with(AGE_FILE), "the age program opens it, too");
        let read = protected.read().unwrap().unwrap();
        assert_eq!(recipients(&read.all), recipients(&written));
        assert!(read.is_protected);
        let error = file(directory.path(), None).read().err().unwrap();
        assert!(error.to_string().contains("--identity-passphrase-file"), "{error}");
        for (wrong, expected) in [("wrong horse", "does not open"), ("\n", "holds no passphrase")] {
            let error = file(directory.path(), Some(wrong)).read().err().unwrap().to_string();
            assert!(error.contains(expected) && !error.contains("horse"), "{error}");
        }
        std::fs::remove_file(directory.path().join("passphrase")).unwrap();
        assert!(matches!(protected.read().err().unwrap(), SealError::File { .. }));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_credentials_are_the_managers() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = file(directory.path(), None);
        file.write(&some()).unwrap();
        let set = |mode| {
            std::fs::set_permissions(&file.path, PermissionsExt::from_mode(mode)).unwrap();
        };
        for mode in [0o644, 0o640, 0o604, 0o620] {
            set(mode);
            let error = file.read().err().unwrap();
            let expected = SealError::OpenToOthers { path: file.path.clone(), mode };
            assert_eq!(error.to_string(), expected.to_string());
            assert!(error.to_string().contains("identity rotate"), "{error}");
        }
        set(0o440);
        file.is_credential = true;
        assert!(file.read().unwrap().is_some());
        set_mode(&file.path, 0o444);
        assert!(matches!(file.read().err().unwrap(), SealError::OpenToOthers { .. }));
        set_mode(&file.path, 0o600);
        let metadata = std::fs::metadata(&file.path).unwrap();
        let error = judge(&file.path, &metadata, 0o077, Some(metadata.uid() + 1));
        // Root's own file is nobody else's.
        assert_eq!(error.is_err(), metadata.uid() != 0);
        // To root: the server couldn't read what root is given.
        let error = SealError::Foreign { path: file.path.clone(), owner: 999, me: 0 }.to_string();
        assert!(error.contains("run it as that user: sudo -u '#999' hades …; or, if"), "{error}");
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_of_something_else_is_named_with_its_line_and_never_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(directory.path(), None);
        for (content, expected) in [
            (&b"# a comment\nAGE-SECRET-KEY-1MANGLED\n"[..], "line 2 of"),
            (b"hunter2", "line 1 of"),
            (b"\xff\xfe", "line 1 of"),
            (b"# nothing\n\n", "holds no identity"),
            (b"", "holds no identity"),
        ] {
            std::fs::write(&file.path, content).unwrap();
            close(&file.path);
            let error = file.read().err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("MANGLED") && !error.contains("hunter2"), "{error}");
        }
    }
}
