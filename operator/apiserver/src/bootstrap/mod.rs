//! What an installation needs before its server can start: a lock on the data
//! directory, an id, keys, certificates, and a kubeconfig for the administrator.
//! Everything is made once and kept.

mod certificates;
mod directory;
mod kubeconfig;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use directory::{DirectoryError, check as check_directory, check_owner};
pub use kubeconfig::CONTEXT;

use crate::authn::{Credential, Identity, digest_hex};
use crate::serve::{ServerTls, TlsError};
use crate::{private_file, random};

const ID_FILE: &str = "installation-id";
/// The file in a data directory that is locked.
pub const LOCK_FILE: &str = "lock";
const DIGEST_FILE: &str = "admin.token.sha256";
const KUBECONFIG: &str = "admin.kubeconfig";

/// Name of the administrator whose kubeconfig is made.
pub const ADMINISTRATOR: &str = "admin";

/// Why an installation can't be prepared.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Another process holds the data directory.
    #[error(
        "{directory} is in use by another hades{holder}; stop that one first, or choose \
             another data directory"
    )]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// ` (process N)`, or empty where it is not known.
        holder: String,
    },
    /// A file can't be read or written.
    #[error("the file {path} can't be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A certificate can't be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The record of the certificate can't be written.
    #[error("the record of the certificate could not be made")]
    Record(#[source] serde_json::Error),
    /// Certificate and key don't work.
    #[error(
        "the server's certificate can't be used; remove server.crt from the data directory to have \
         it made anew"
    )]
    Tls(#[from] TlsError),
}

/// A prepared installation. Holds the lock on the data directory until dropped.
#[derive(Debug)]
pub struct Installation {
    /// Marks everything that this installation makes elsewhere; a UUID.
    pub id: String,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Certificate and key of the server.
    pub tls: ServerTls,
    /// The certificate authority as PEM, for other kubeconfigs.
    pub ca: String,
    /// What the server must accept for the kubeconfig to work.
    pub credentials: Vec<Credential>,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    names: Vec<String>,
    _lock: DirectoryLock,
}

impl Installation {
    /// Makes the server's own certificate anew where less than 60 days are left, and
    /// has it shown from the next connection on. Whether it was made anew.
    ///
    /// # Errors
    /// When it can't be made, read or written; the former one stays.
    pub fn renew(&self, now: Timestamp) -> Result<bool, BootstrapError> {
        let before = private_file::read(&self.data_dir.join(certificates::CERTIFICATE));
        let made = certificates::load_or_make(&self.data_dir, &self.id, &self.names, now)?;
        self.tls.renew(&made.chain, &made.key)?;
        Ok(before.ok().flatten().as_ref() != Some(&made.chain))
    }
}

/// Prepares `data_dir` for a server that is reached at `url` and under the given
/// names and addresses; `localhost`, `127.0.0.1` and `::1` are always among
/// them.
///
/// # Errors
/// When the directory is in use, or a file in it can't be read or written.
pub fn prepare(
    data_dir: &Path,
    names: &[String],
    url: &str,
) -> Result<Installation, BootstrapError> {
    prepare_locked(DirectoryLock::make(data_dir)?, data_dir, names, url)
}

/// Prepares a directory whose lock was taken already, as by whoever looks first what
/// is in it.
///
/// # Errors
/// When a file in it can't be read or written.
pub fn prepare_locked(
    lock: DirectoryLock,
    data_dir: &Path,
    names: &[String],
    url: &str,
) -> Result<Installation, BootstrapError> {
    let id = installation_id(&data_dir.join(ID_FILE))?;
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    all.extend(names.iter().cloned());
    all.sort();
    all.dedup();
    let certificates = certificates::load_or_make(data_dir, &id, &all, Timestamp::now())?;
    let credential = admin(data_dir, url, &certificates.ca)?;
    Ok(Installation {
        id,
        tls: ServerTls::from_pem(&certificates.chain, &certificates.key)?,
        ca: certificates.ca,
        credentials: vec![credential],
        kubeconfig: data_dir.join(KUBECONFIG),
        data_dir: data_dir.to_owned(),
        names: all,
        _lock: lock,
    })
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> BootstrapError + '_ {
    move |source| BootstrapError::File { path: path.to_owned(), source }
}

/// Keeps everybody else from working in a data directory until it is dropped.
#[derive(Debug)]
pub struct DirectoryLock(#[allow(dead_code, reason = "it is held, not read")] File);

impl DirectoryLock {
    /// Makes the directory, for its owner alone, if it isn't there, and takes its lock.
    ///
    /// # Errors
    /// [`BootstrapError::InUse`] when a server has it.
    pub fn make(data_dir: &Path) -> Result<Self, BootstrapError> {
        private_file::make_directory(data_dir).map_err(file_error(data_dir))?;
        Self::take(data_dir)
    }

    /// Takes the lock of a directory that is there.
    ///
    /// # Errors
    /// [`BootstrapError::InUse`] when a server has it.
    pub fn take(data_dir: &Path) -> Result<Self, BootstrapError> {
        loop {
            let file = lock(data_dir)?;
            // Whoever had it may have removed the file meanwhile, and a lock of a file
            // without a name keeps nobody out.
            if is_at(&file, &data_dir.join(LOCK_FILE)) {
                return Ok(Self(file));
            }
        }
    }

    /// Gives it back, and removes its file: for a directory that is to be as it was
    /// before.
    pub fn remove(self, data_dir: &Path) {
        // Held until then. A file that stays is no harm.
        let _ = std::fs::remove_file(data_dir.join(LOCK_FILE));
    }
}

/// Whether a path leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Takes the lock that two servers of one directory would fight for.
fn lock(data_dir: &Path) -> Result<File, BootstrapError> {
    let path = data_dir.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(file_error(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let holder = match holder.trim() {
                "" => String::new(),
                process => format!(" (process {process})"),
            };
            return Err(BootstrapError::InUse { directory: data_dir.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(BootstrapError::File { path, source }),
    }
    file.set_len(0).map_err(file_error(&path))?;
    writeln!(file, "{}", std::process::id()).map_err(file_error(&path))?;
    Ok(file)
}

fn installation_id(path: &Path) -> Result<String, BootstrapError> {
    if let Some(id) = private_file::read(path).map_err(file_error(path))? {
        let id = id.trim();
        if !id.is_empty() {
            return Ok(id.to_owned());
        }
    }
    let id = random::uuid().map_err(file_error(path))?;
    private_file::write(path, format!("{id}\n").as_bytes()).map_err(file_error(path))?;
    Ok(id)
}

/// The administrator's token: in the clear in the kubeconfig, as a digest for
/// the server. A lost kubeconfig gets a new token, and the old one ends.
fn admin(data_dir: &Path, url: &str, ca: &str) -> Result<Credential, BootstrapError> {
    let (config_path, digest_path) = (data_dir.join(KUBECONFIG), data_dir.join(DIGEST_FILE));
    let text = private_file::read(&config_path).map_err(file_error(&config_path))?;
    let digest = private_file::read(&digest_path).map_err(file_error(&digest_path))?;
    let known = text
        .as_deref()
        .and_then(kubeconfig::token)
        .filter(|token| digest.as_deref().is_some_and(|digest| digest.trim() == digest_hex(token)));
    let token = match known {
        Some(token) => token,
        None => {
            let token = random::hex(&random::bytes::<32>().map_err(file_error(&config_path))?);
            let line = format!("{}\n", digest_hex(&token));
            private_file::write(&digest_path, line.as_bytes()).map_err(file_error(&digest_path))?;
            token
        }
    };
    let wanted = kubeconfig::write(url, ca, &token);
    if text.as_deref() != Some(&wanted) {
        private_file::write(&config_path, wanted.as_bytes()).map_err(file_error(&config_path))?;
    }
    Ok(Credential::of_token(&token, Identity::administrator(ADMINISTRATOR)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const URL: &str = "https://127.0.0.1:7443";

    #[test]
    fn a_lock_whose_file_was_removed_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let held = DirectoryLock::take(directory.path()).unwrap();
        let path = directory.path().join(LOCK_FILE);
        // As whoever comes in between has it open.
        let late = File::open(&path).unwrap();
        assert!(is_at(&late, &path));
        held.remove(directory.path());
        assert!(!is_at(&late, &path));
        let next = DirectoryLock::take(directory.path()).unwrap();
        assert!(!is_at(&late, &path));
        let error = DirectoryLock::take(directory.path()).unwrap_err();
        assert!(matches!(error, BootstrapError::InUse { .. }), "{error}");
        drop(next);
    }

    #[test]
    fn a_second_start_keeps_everything() {
        let directory = tempfile::tempdir().unwrap();
        let first = prepare(directory.path(), &["hades.example".to_owned()], URL).unwrap();
        let config = std::fs::read_to_string(&first.kubeconfig).unwrap();
        let (id, ca) = (first.id.clone(), first.ca.clone());
        drop(first);
        let second = prepare(directory.path(), &["hades.example".to_owned()], URL).unwrap();
        assert_eq!((second.id.clone(), second.ca.clone()), (id, ca));
        assert_eq!(std::fs::read_to_string(&second.kubeconfig).unwrap(), config);
    }

    #[test]
    fn every_file_is_for_its_owner_alone_and_the_token_is_in_one() {
        let directory = tempfile::tempdir().unwrap();
        let installation = prepare(directory.path(), &[], URL).unwrap();
        let token =
            kubeconfig::token(&std::fs::read_to_string(&installation.kubeconfig).unwrap()).unwrap();
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.path());
            let holds = std::fs::read_to_string(entry.path()).unwrap().contains(&token);
            assert_eq!(holds, entry.path() == installation.kubeconfig);
        }
    }

    #[test]
    fn a_directory_in_use_is_refused_with_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let _first = prepare(directory.path(), &[], URL).unwrap();
        let error = prepare(directory.path(), &[], URL).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }

    #[test]
    fn the_certificate_is_renewed_while_the_server_runs() {
        let directory = tempfile::tempdir().unwrap();
        let installation = prepare(directory.path(), &[], URL).unwrap();
        let read = || std::fs::read_to_string(directory.path().join("server.crt")).unwrap();
        let first = read();
        let now = Timestamp::now();
        assert!(!installation.renew(now).unwrap());
        assert_eq!(read(), first);
        let later = now + jiff::SignedDuration::from_hours(24 * 310);
        assert!(installation.renew(later).unwrap());
        assert_ne!(read(), first);
        assert!(!installation.renew(later).unwrap());
    }

    #[test]
    fn a_new_address_keeps_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let read = |installation: Installation| {
            kubeconfig::token(&std::fs::read_to_string(installation.kubeconfig).unwrap())
        };
        let before = read(prepare(directory.path(), &[], URL).unwrap());
        let after = read(prepare(directory.path(), &[], "https://10.0.0.1:7443").unwrap());
        assert_eq!(before, after);
    }
}
