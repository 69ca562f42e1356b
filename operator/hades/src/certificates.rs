//! A certificate and its key in two files, read again when they change, as they
//! do whenever somebody renews them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hades_apiserver::TlsError;
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
    #[error("{} is no text", path.display())]
    NoText { path: PathBuf },
    #[error("certificate and key don't fit or can't be used")]
    Unusable(#[from] rustls::Error),
    #[error("the certificate {} and its key can't be used", path.display())]
    Refused { path: PathBuf, source: TlsError },
}

/// What the files held.
#[derive(Clone, PartialEq, Eq)]
struct Texts {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// Two files, and what was read from them last, good or not.
#[derive(Clone)]
pub(crate) struct Files {
    chain: PathBuf,
    key: PathBuf,
    seen: Texts,
}

impl Files {
    /// Reads both files.
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let seen = read(chain, key)?;
        Ok(Self { chain: chain.to_owned(), key: key.to_owned(), seen })
    }

    /// Certificate and key as texts.
    pub(crate) fn texts(&self) -> Result<(&str, &str), CertificateError> {
        let no_text = |path: &Path| CertificateError::NoText { path: path.to_owned() };
        let chain = std::str::from_utf8(&self.seen.chain).map_err(|_| no_text(&self.chain))?;
        let key = std::str::from_utf8(&self.seen.key).map_err(|_| no_text(&self.key))?;
        Ok((chain, key))
    }

    /// That they can't be used, and why.
    pub(crate) fn unusable(&self, source: TlsError) -> CertificateError {
        CertificateError::Refused { path: self.chain.clone(), source }
    }

    /// Reads the files again. Whether there was something new.
    fn refresh(&mut self) -> Result<bool, CertificateError> {
        let texts = read(&self.chain, &self.key)?;
        let new = texts != self.seen;
        self.seen = texts;
        Ok(new)
    }

    /// Looks at the files until `shutdown`, and hands over what is new in them. An
    /// error is told once for what is in the files.
    pub(crate) async fn watch(
        &mut self,
        what: &str,
        shutdown: &CancellationToken,
        mut take: impl FnMut(&Self) -> Result<(), CertificateError>,
    ) {
        let mut told = false;
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let outcome = match self.refresh() {
                Ok(false) => continue,
                Ok(true) => take(self),
                Err(_) if told => continue,
                Err(error) => Err(error),
            };
            // Half written, or wrong: the one that was good stays in use.
            told = outcome.is_err();
            match outcome {
                Ok(()) => tracing::info!("the {what} was read again"),
                Err(error) => tracing::warn!(
                    error = error_chain(&error),
                    "the {what} can't be read again; the former one stays in use"
                ),
            }
        }
    }
}

/// A certificate as it is now; clones share it.
#[derive(Clone)]
pub(crate) struct Certificates {
    files: Files,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Certificates {
    /// Reads both files.
    pub(crate) fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let files = Files::read(chain, key)?;
        let current = Arc::new(RwLock::new(Arc::new(config(&files)?)));
        Ok(Self { files, current })
    }

    /// For the next connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files until `shutdown`.
    pub(crate) async fn keep_current(self, shutdown: CancellationToken) {
        let Self { mut files, current } = self;
        files.watch("public certificate", &shutdown, |files| replace(&current, files)).await;
    }

    /// Reads the files again. Whether there was something new.
    #[cfg(test)]
    fn refresh(&mut self) -> Result<bool, CertificateError> {
        let new = self.files.refresh()?;
        if new {
            replace(&self.current, &self.files)?;
        }
        Ok(new)
    }
}

fn replace(current: &RwLock<Arc<ServerConfig>>, files: &Files) -> Result<(), CertificateError> {
    let config = Arc::new(config(files)?);
    *current.write().unwrap_or_else(PoisonError::into_inner) = config;
    Ok(())
}

fn read(chain: &Path, key: &Path) -> Result<Texts, CertificateError> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|source| CertificateError::File { path: path.to_owned(), source })
    };
    Ok(Texts { chain: read(chain)?, key: read(key)? })
}

fn config(files: &Files) -> Result<ServerConfig, CertificateError> {
    let Files { chain, key, seen } = files;
    let unreadable = |path: &Path, what| {
        let path = path.to_owned();
        move |source| CertificateError::Pem { path, what, source }
    };
    let certificates = CertificateDer::pem_slice_iter(&seen.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable(chain, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&seen.key).map_err(unreadable(key, "private key"))?;
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
        let before = certificates.current();
        assert!(!certificates.refresh().unwrap());
        // The certificate is renewed, its key not yet.
        std::fs::write(&chain, &second.0).unwrap();
        assert!(matches!(certificates.refresh(), Err(CertificateError::Unusable(_))));
        assert!(!certificates.refresh().unwrap(), "told once");
        assert!(Arc::ptr_eq(&before, &certificates.current()));
        std::fs::write(&key, &second.1).unwrap();
        assert!(certificates.refresh().unwrap());
        assert!(!Arc::ptr_eq(&before, &certificates.current()));
        std::fs::write(&key, "nonsense").unwrap();
        let error = certificates.refresh().unwrap_err();
        assert!(error.to_string().contains("key.pem is no private key"), "{error}");
        std::fs::remove_file(&chain).unwrap();
        let error = certificates.refresh().unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
    }
}
