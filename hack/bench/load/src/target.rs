//! The server that is asked, from its kubeconfig.

use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connection::{Connection, Protocol};

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kubeconfig can't be used: {0}")]
    Kubeconfig(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("a request can't be made: {0}")]
    Request(#[from] http::Error),
    #[error("a connection broke: {0}")]
    Connection(#[from] hyper::Error),
    #[error("{method} {path}: {status} {text}")]
    Refused { method: Method, path: String, status: u16, text: String },
    #[error("{0}")]
    Unexpected(String),
}

/// Where the server listens, and what proves who asks.
pub struct Target {
    address: String,
    name: ServerName<'static>,
    authorization: HeaderValue,
    tls: TlsConnector,
    protocol: Protocol,
}

impl Target {
    /// Reads the kubeconfig that `hades serve` wrote, which is JSON.
    pub fn read(path: &Path, protocol: Protocol) -> Result<Self, LoadError> {
        let wrong = |what: &str| LoadError::Kubeconfig(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path)?;
        let config: Value =
            serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
        let text = |pointer: &str| {
            config.pointer(pointer).and_then(Value::as_str).ok_or_else(|| wrong(pointer))
        };
        let address = text("/clusters/0/cluster/server")?
            .strip_prefix("https://")
            .ok_or_else(|| wrong("no https:// address"))?
            .trim_end_matches('/')
            .to_owned();
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| wrong(&error.to_string()))?;
        let authority = BASE64
            .decode(text("/clusters/0/cluster/certificate-authority-data")?)
            .map_err(|error| wrong(&error.to_string()))?;
        let token = text("/users/0/user/token")?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|error| wrong(&error.to_string()))?;
        authorization.set_sensitive(true);
        Ok(Self { address, name, authorization, tls: connector(&authority, protocol)?, protocol })
    }

    /// A new connection, after its handshakes.
    pub async fn connect(&self) -> Result<Connection, LoadError> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(self.name.clone(), stream).await?;
        Ok(self.protocol.handshake(stream).await?)
    }

    /// A request with the headers that every client sends.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&'static str>,
        body: bytes::Bytes,
    ) -> Result<Request<Full<bytes::Bytes>>, LoadError> {
        let uri = match self.protocol {
            Protocol::Http1 => path.to_owned(),
            Protocol::Http2 => format!("https://{}{path}", self.address),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::USER_AGENT, "bench/1.0");
        if self.protocol == Protocol::Http1 {
            request = request.header(header::HOST, &self.address);
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        Ok(request.body(Full::new(body))?)
    }
}

fn connector(authority: &[u8], protocol: Protocol) -> Result<TlsConnector, LoadError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        let certificate = certificate.map_err(|error| LoadError::Kubeconfig(error.to_string()))?;
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.alpn().to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
