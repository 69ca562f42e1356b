//! A certificate and its key in two files, read again when they change, as they
//! do whenever somebody renews them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hades_controllers::error_chain;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_util::sync::CancellationToken;

/// How often to look at the files. They are small, so they are read whole: times
/// of files say little where they come from archives or mounts.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why a certificate can't be used. Holds no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is no {what} in PEM", path.display())]
    Pem { path: PathBuf, what: &'static str, source: pem::Error },
    #[error("certificate and key don't fit or can't be used")]
    Unusable(#[from] rustls::Error),
}

/// What the files held.
#[derive(Clone, PartialEq, Eq)]
struct Texts {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate as it is now; clones share it.
#[derive(Clone)]
pub(crate) struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<Arc<ServerConfig>>>,
    /// What was read last, good or not.
    seen: Texts,
    /// Whether the files could not be read at the last look.
    lost: bool,
}

impl Certificates {
    /// Reads both files.
    pub(crate) fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let seen = read(chain, key)?;
        let config = Arc::new(config(&seen, chain, key)?);
        let (chain, key) = (chain.to_owned(), key.to_owned());
        Ok(Self { chain, key, current: Arc::new(RwLock::new(config)), seen, lost: false })
    }

    /// For the next connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files until `shutdown`.
    pub(crate) async fn keep_current(mut self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let (chain, key) = (self.chain.clone(), self.key.clone());
            // A file system that hangs must not hold up anything else.
            let Ok(texts) = tokio::task::spawn_blocking(move || read(&chain, &key)).await else {
                return;
            };
            match self.refresh(texts) {
                Ok(false) => {}
                Ok(true) => tracing::info!("the public certificate was read again"),
                // Half written, or wrong: the one that was good stays in use.
                Err(error) => tracing::warn!(
                    error = error_chain(&error),
                    "the public certificate can't be read again; the former one stays in use"
                ),
            }
        }
    }

    /// Takes what is in the files now. Whether there was something new; an error is
    /// told once for what is in the files, and once while they can't be read.
    fn refresh(
        &mut self,
        texts: Result<Texts, CertificateError>,
    ) -> Result<bool, CertificateError> {
        let was_lost = std::mem::replace(&mut self.lost, texts.is_err());
        let texts = match texts {
            Ok(texts) => texts,
            Err(_) if was_lost => return Ok(false),
            Err(error) => return Err(error),
        };
        if texts == self.seen {
            return Ok(false);
        }
        let config = config(&texts, &self.chain, &self.key);
        self.seen = texts;
        let config = Arc::new(config?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }
}

fn read(chain: &Path, key: &Path) -> Result<Texts, CertificateError> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|source| CertificateError::File { path: path.to_owned(), source })
    };
    Ok(Texts { chain: read(chain)?, key: read(key)? })
}

fn config(texts: &Texts, chain: &Path, key: &Path) -> Result<ServerConfig, CertificateError> {
    let unreadable = |path: &Path, what| {
        let path = path.to_owned();
        move |source| CertificateError::Pem { path, what, source }
    };
    let certificates = CertificateDer::pem_slice_iter(&texts.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable(chain, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(unreadable(key, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["hooks.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        let (first, second) = (pair(), pair());
        std::fs::write(&chain, &first.0).unwrap();
        std::fs::write(&key, &first.1).unwrap();
        let mut certificates = Certificates::load(&chain, &key).unwrap();
        let look = |certificates: &mut Certificates| certificates.refresh(read(&chain, &key));
        let before = certificates.current();
        assert!(!look(&mut certificates).unwrap());
        // The certificate is renewed, its key not yet.
        std::fs::write(&chain, &second.0).unwrap();
        assert!(matches!(look(&mut certificates), Err(CertificateError::Unusable(_))));
        assert!(!look(&mut certificates).unwrap(), "told once");
        assert!(Arc::ptr_eq(&before, &certificates.current()));
        std::fs::write(&key, &second.1).unwrap();
        assert!(look(&mut certificates).unwrap());
        assert!(!Arc::ptr_eq(&before, &certificates.current()));
        std::fs::write(&key, "nonsense").unwrap();
        let error = look(&mut certificates).unwrap_err();
        assert!(error.to_string().contains("key.pem is no private key"), "{error}");
        std::fs::remove_file(&chain).unwrap();
        let error = look(&mut certificates).unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
        assert!(!look(&mut certificates).unwrap(), "told once");
        std::fs::write(&chain, &second.0).unwrap();
        assert!(!look(&mut certificates).unwrap(), "nothing new");
        std::fs::remove_file(&chain).unwrap();
        assert!(look(&mut certificates).is_err(), "gone again");
    }
}
