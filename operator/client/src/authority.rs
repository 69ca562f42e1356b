//! Which certificate authority a server is trusted by: that of the system, or one
//! that a person named or agreed to.

use std::fmt::Write as _;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::error::Failure;
use crate::{Error, ServerUrl};

/// How long a server may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(10);

/// Letters of base64 in a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// Certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    certificates: Vec<Vec<u8>>,
}

impl Authority {
    /// Out of PEM text; none where there is no certificate in it.
    pub fn of_pem(text: &[u8]) -> Option<Self> {
        let certificates: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<Vec<_>, _>>()
            .ok()?
            .into_iter()
            .map(|certificate| certificate.to_vec())
            .collect();
        (!certificates.is_empty()).then_some(Self { certificates })
    }

    /// Out of a file.
    ///
    /// # Errors
    /// [`Error::ReadFile`] and [`Error::NoCertificate`].
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read(path)
            .map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
        Self::of_pem(&text).ok_or_else(|| Error::NoCertificate { path: path.to_owned() })
    }

    pub(crate) fn of_der(certificates: Vec<Vec<u8>>) -> Self {
        Self { certificates }
    }

    pub(crate) fn der(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// As PEM text.
    pub fn pem(&self) -> String {
        let mut text = String::new();
        for certificate in &self.certificates {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            let encoded = STANDARD.encode(certificate);
            for line in encoded.as_bytes().chunks(PEM_LINE) {
                text.push_str(&String::from_utf8_lossy(line));
                text.push('\n');
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        text
    }

    /// SHA-256 of the first certificate, as `openssl x509 -fingerprint -sha256`
    /// writes it.
    pub fn fingerprint(&self) -> String {
        let first = self.certificates.first().map(Vec::as_slice).unwrap_or_default();
        let mut text = String::new();
        for byte in Sha256::digest(first) {
            let colon = if text.is_empty() { "" } else { ":" };
            let _ = write!(text, "{colon}{byte:02X}");
        }
        text
    }
}

/// The authority at the end of the chain that a server shows, whether it is to be
/// trusted or not: somebody has to compare its fingerprint. Nothing is sent but
/// the beginning of a TLS connection.
///
/// # Errors
/// [`Error::Unreachable`].
pub async fn shown_by(server: &ServerUrl) -> Result<Authority, Error> {
    let unreachable = |failure| Error::Unreachable { server: server.to_string(), failure };
    let address = server.clone();
    let look = tokio::task::spawn_blocking(move || look(&address)).await;
    let chain = match look {
        Ok(Ok(chain)) => chain,
        Ok(Err(error)) => return Err(unreachable(Failure::of(&error))),
        Err(error) => return Err(unreachable(Failure::Other(error.to_string()))),
    };
    match chain.into_iter().next_back() {
        Some(last) => Ok(Authority::of_der(vec![last])),
        None => Err(unreachable(Failure::Certificate("it shows none".to_owned()))),
    }
}

fn look(server: &ServerUrl) -> std::io::Result<Vec<Vec<u8>>> {
    use std::io::Error;
    let mut last = Error::other("the host has no address");
    let addresses = (server.host(), server.port())
        .to_socket_addrs()
        .map_err(|error| Error::other(format!("dns error: {error}")))?;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return shown_on(server, stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn shown_on(server: &ServerUrl, mut stream: TcpStream) -> std::io::Result<Vec<Vec<u8>>> {
    use std::io::Error;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unjudged(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(server.host().to_owned()).map_err(Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let chain = connection.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|certificate| certificate.to_vec()).collect())
}

/// Takes every certificate, for a connection on which nothing is said.
#[derive(Debug)]
struct Unjudged(Arc<CryptoProvider>);

impl ServerCertVerifier for Unjudged {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_again() {
        let authority = Authority::of_der(vec![vec![7; 100], vec![8; 3]]);
        let pem = authority.pem();
        assert!(pem.lines().all(|line| line.len() <= PEM_LINE), "{pem}");
        assert_eq!(Authority::of_pem(pem.as_bytes()), Some(authority));
        assert_eq!(Authority::of_pem(b"nothing of the kind"), None);
    }

    #[test]
    fn fingerprints_are_those_of_openssl() {
        let authority = Authority::of_der(vec![b"abc".to_vec()]);
        let fingerprint = authority.fingerprint();
        assert!(fingerprint.starts_with("BA:78:16:BF:8F:01:CF:EA:"), "{fingerprint}");
        assert_eq!(fingerprint.len(), 95);
    }
}
