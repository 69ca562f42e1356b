//! The certificates that the server shows.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why certificates can't be used. Holds no key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is no PEM of what is expected.
    #[error("the {0} can't be read: {1}")]
    Pem(&'static str, String),
    /// The text holds no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// Certificate and key don't fit, or TLS can't be set up.
    #[error("TLS can't be set up")]
    Setup(#[from] rustls::Error),
}

/// The server's own certificate, and one that it was given for the names that the
/// world knows it by. Clones share them; both can be replaced while the server
/// runs, and count from the next connection on.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<rustls::ServerConfig>,
    shown: Arc<Shown>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

/// What is shown to whom.
struct Shown {
    own: RwLock<Arc<CertifiedKey>>,
    given: RwLock<Option<Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    /// The given certificate to those who ask for a name that it is for. All others
    /// have a kubeconfig that trusts the installation's own authority.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let given = self.given.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(given), Some(name)) = (given, hello.server_name())
            && is_for(&given, name)
        {
            return Some(given);
        }
        Some(Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn is_for(certificate: &CertifiedKey, name: &str) -> bool {
    let parsed =
        certificate.end_entity_cert().ok().and_then(|one| ParsedCertificate::try_from(one).ok());
    match (parsed, ServerName::try_from(name)) {
        (Some(parsed), Ok(name)) => rustls::client::verify_server_name(&parsed, &name).is_ok(),
        _ => false,
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn certified(chain: &str, key: &str) -> Result<Arc<CertifiedKey>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem("certificate", error.to_string()))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| TlsError::Pem("key of the certificate", error.to_string()))?;
    Ok(Arc::new(CertifiedKey::from_der(certificates, key, &provider())?))
}

impl ServerTls {
    /// The server's own certificate chain and its key.
    ///
    /// # Errors
    /// When they can't be read or don't fit.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, TlsError> {
        let own = RwLock::new(certified(chain, key)?);
        let shown = Arc::new(Shown { own, given: RwLock::default() });
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), shown })
    }

    /// Replaces the server's own certificate.
    ///
    /// # Errors
    /// As [`ServerTls::from_pem`]; the former one stays then.
    pub fn renew(&self, chain: &str, key: &str) -> Result<(), TlsError> {
        let own = certified(chain, key)?;
        *self.shown.own.write().unwrap_or_else(PoisonError::into_inner) = own;
        Ok(())
    }

    /// Shows another certificate to those who ask for one of its names.
    ///
    /// # Errors
    /// As [`ServerTls::from_pem`]; the former one stays then.
    pub fn show(&self, chain: &str, key: &str) -> Result<(), TlsError> {
        let given = certified(chain, key)?;
        *self.shown.given.write().unwrap_or_else(PoisonError::into_inner) = Some(given);
        Ok(())
    }

    /// How a listener speaks TLS. What it shows is looked up at each connection, so that
    /// it needs no other one when a certificate is replaced.
    #[must_use]
    pub fn config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }
}
