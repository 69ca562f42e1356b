//! TLS to an engine, with certificates out of memory.

use std::sync::Arc;

use hades_api::reason;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

/// Settings for connections to one engine.
///
/// # Errors
/// Which of the three can't be used, and why; nothing of what they hold.
pub(crate) fn config(
    ca: &str,
    certificate: &str,
    key: &SecretString,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for found in certificates(ca, "ca.crt")? {
        roots.add(found).map_err(|error| format!("ca.crt holds no usable certificate: {error}"))?;
    }
    let chain = certificates(certificate, "tls.crt")?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| "tls.key is not a private key in PEM format".to_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("tls.crt and tls.key can't be used together: {error}"))?;
    Ok(Arc::new(config))
}

fn certificates(pem: &str, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{name} holds no certificate in PEM format")),
    }
}

/// Reason and words for an error of TLS.
pub(crate) fn explain(error: &rustls::Error) -> (&'static str, String) {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            reason::HOST_IDENTITY_CHANGED,
            format!(
                "the engine's certificate is not for this address ({error}); make one with the \
                 address among its subject alternative names"
            ),
        ),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => (
            reason::HOST_IDENTITY_CHANGED,
            format!("the engine's certificate has expired ({error}); renew it"),
        ),
        Error::InvalidCertificate(_) => (
            reason::HOST_IDENTITY_CHANGED,
            format!(
                "the engine's certificate is not signed by ca.crt of the host's Secret \
                 ({error}); put the CA there that signed it, if it was you who changed it"
            ),
        ),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
            | AlertDescription::DecryptError,
        ) => (
            reason::ACCESS_DENIED,
            format!(
                "the engine refuses tls.crt of the host's Secret ({error}); it must be signed by \
                 the engine's --tlscacert, be in date and allow client authentication"
            ),
        ),
        Error::InvalidMessage(_) => (
            reason::HOST_UNREACHABLE,
            "what answers there speaks no TLS; start the engine with --tlsverify, --tlscacert, \
             --tlscert and --tlskey"
                .to_owned(),
        ),
        other => (reason::HOST_UNREACHABLE, format!("TLS failed: {other}")),
    }
}
