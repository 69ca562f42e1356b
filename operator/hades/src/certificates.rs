//! A certificate and its key in two files, read again when they change, as they
//! do whenever somebody renews them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hades_apiserver::{ServerTls, TlsError};
use hades_controllers::error_chain;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often to look at the files. They are small, so they are read whole: times
/// of files say little where they come from archives or mounts.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why a certificate can't be used. Holds no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is no text", path.display())]
    NoText { path: PathBuf },
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
    /// Whether they could not be read at the last look.
    lost: bool,
}

impl Files {
    /// Reads both files.
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let seen = read(chain, key)?;
        Ok(Self { chain: chain.to_owned(), key: key.to_owned(), seen, lost: false })
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

    /// Takes what was read from the files. Whether there was something new; that
    /// they can't be read is told once.
    fn changed(
        &mut self,
        texts: Result<Texts, CertificateError>,
    ) -> Result<bool, CertificateError> {
        let was_lost = std::mem::replace(&mut self.lost, texts.is_err());
        let texts = match texts {
            Ok(texts) => texts,
            Err(_) if was_lost => return Ok(false),
            Err(error) => return Err(error),
        };
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
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let (chain, key) = (self.chain.clone(), self.key.clone());
            // A file system that hangs must not hold up anything else.
            let Ok(texts) = tokio::task::spawn_blocking(move || read(&chain, &key)).await else {
                return;
            };
            let outcome = match self.changed(texts) {
                Ok(false) => continue,
                Ok(true) => take(self),
                Err(error) => Err(error),
            };
            // Half written, or wrong: the one that was good stays in use.
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
    tls: ServerTls,
}

impl Certificates {
    /// Reads both files.
    pub(crate) fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let files = Files::read(chain, key)?;
        let (chain, key) = files.texts()?;
        let tls = ServerTls::from_pem(chain, key).map_err(|source| files.unusable(source))?;
        Ok(Self { files, tls })
    }

    /// Shows the certificate as it is at each connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.tls.config())
    }

    /// Looks at the files until `shutdown`.
    pub(crate) async fn keep_current(self, shutdown: CancellationToken) {
        let Self { mut files, tls } = self;
        files.watch("public certificate", &shutdown, |files| renew(&tls, files)).await;
    }

    /// Takes what was read from the files. Whether there was something new.
    #[cfg(test)]
    fn refresh(
        &mut self,
        texts: Result<Texts, CertificateError>,
    ) -> Result<bool, CertificateError> {
        let new = self.files.changed(texts)?;
        if new {
            renew(&self.tls, &self.files)?;
        }
        Ok(new)
    }
}

fn renew(tls: &ServerTls, files: &Files) -> Result<(), CertificateError> {
    let (chain, key) = files.texts()?;
    tls.renew(chain, key).map_err(|source| files.unusable(source))
}

fn read(chain: &Path, key: &Path) -> Result<Texts, CertificateError> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|source| CertificateError::File { path: path.to_owned(), source })
    };
    Ok(Texts { chain: read(chain)?, key: read(key)? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};

    use super::*;

    /// Whether a client that trusts this certificate is content with what is shown.
    async fn shows(certificates: &Certificates, chain: &str) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (here, there) = tokio::io::duplex(64 << 10);
        let acceptor = certificates.acceptor();
        let accepting = tokio::spawn(async move { acceptor.accept(there).await.map(drop) });
        let name = ServerName::try_from("hooks.example.com").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let is_content = connector.connect(name, here).await.is_ok();
        let _ = accepting.await;
        is_content
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["hooks.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        let (first, second) = (pair(), pair());
        std::fs::write(&chain, &first.0).unwrap();
        std::fs::write(&key, &first.1).unwrap();
        let mut certificates = Certificates::load(&chain, &key).unwrap();
        let look = |certificates: &mut Certificates| certificates.refresh(read(&chain, &key));
        assert!(shows(&certificates, &first.0).await);
        assert!(!look(&mut certificates).unwrap());
        // The certificate is renewed, its key not yet.
        std::fs::write(&chain, &second.0).unwrap();
        assert!(matches!(look(&mut certificates), Err(CertificateError::Refused { .. })));
        assert!(!look(&mut certificates).unwrap(), "told once");
        assert!(shows(&certificates, &first.0).await);
        std::fs::write(&key, &second.1).unwrap();
        assert!(look(&mut certificates).unwrap());
        assert!(shows(&certificates, &second.0).await && !shows(&certificates, &first.0).await);
        std::fs::write(&key, "nonsense").unwrap();
        let error = error_chain(&look(&mut certificates).unwrap_err());
        assert!(error.contains("chain.pem and its key can't be used"), "{error}");
        assert!(error.contains("key of the certificate can't be read"), "{error}");
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
