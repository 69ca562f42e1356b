//! Engines by TLS with client certificates.

use std::sync::Arc;

use hades_api::reason;
use hades_provider::conformance::Testbed;
use hades_provider::{Credentials, ErrorClass, HostAddress, Provider};
use hades_provider_docker::DockerHost;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::bed::DockerBed;
use crate::engine::PrivateEngine;

/// A certificate authority and what it signed for a server and a client.
struct Certificates {
    ca: String,
    server: (String, String),
    client: (String, String),
}

impl Certificates {
    /// For a server at `address`.
    fn new(address: &str) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let sign = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (certificate.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Self { ca: ca_pem, server: sign(address), client: sign("hades") }
    }

    /// What the client needs.
    fn credentials(&self) -> Credentials {
        let (certificate, key) = self.client.clone();
        Credentials::Tls { ca: self.ca.clone(), certificate, key: key.into() }
    }

    /// A server that takes nobody without a certificate of this authority.
    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let parse = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(parse(&self.ca)).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let (certificate, key) = &self.server;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![parse(certificate)], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// The shared engine, reached by TLS.
async fn by_tls() -> DockerBed {
    let mut bed = DockerBed::shared();
    let certificates = Certificates::new("127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let (acceptor, socket) = (certificates.acceptor(), bed.socket().to_owned());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut engine = UnixStream::connect(&socket).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    let address = HostAddress { endpoint, credentials: certificates.credentials() };
    bed.host = DockerHost::at(&address, bed.installation()).unwrap();
    bed
}

hades_provider::conformance_tests!(by_tls);

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_certificates_lets_in_who_has_the_right_ones() {
    let engine = PrivateEngine::named();
    let address = engine.command("address");
    let certificates = Certificates::new(&address);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let ca = file("ca.pem", &certificates.ca);
    let certificate = file("cert.pem", &certificates.server.0);
    let key = file("key.pem", &certificates.server.1);
    engine.start_with(&format!(
        "--host tcp://{address}:2376 --tlsverify --tlscacert {ca} --tlscert {certificate} --tlskey {key}"
    ));
    let endpoint = format!("tcp://{address}:2376");
    let reach = |credentials: Credentials| {
        DockerHost::at(&HostAddress { endpoint: endpoint.clone(), credentials }, "i").unwrap()
    };
    let host = reach(certificates.credentials());
    assert!(host.describe().await.unwrap().cpus > 0);
    assert!(host.observe().await.unwrap().containers.is_empty());

    let others = Certificates::new(&address);
    let (certificate, key) = others.client.clone();
    let stranger = Credentials::Tls { ca: certificates.ca.clone(), certificate, key: key.into() };
    let error = reach(stranger).describe().await.unwrap_err();
    assert_eq!(
        (error.class, error.reason),
        (ErrorClass::Unreachable, reason::ACCESS_DENIED),
        "{error}"
    );
    assert!(error.message.contains("tls.crt"), "{error}");

    let (certificate, key) = certificates.client.clone();
    let impostor = Credentials::Tls { ca: others.ca, certificate, key: key.into() };
    let error = reach(impostor).describe().await.unwrap_err();
    assert_eq!(
        (error.class, error.reason),
        (ErrorClass::Unreachable, reason::HOST_IDENTITY_CHANGED),
        "{error}"
    );
    assert!(error.message.contains("ca.crt"), "{error}");

    let error = host.dial("127.0.0.1:1".parse().unwrap()).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Terminal, "{error}");
    assert!(error.message.contains("ssh://"), "{error}");
}

#[tokio::test]
async fn ports_without_certificates_are_for_this_machine_only() {
    let error = DockerHost::connect("tcp://10.0.0.1:2376", "i").unwrap_err();
    assert_eq!((error.class, error.reason), (ErrorClass::Terminal, reason::INVALID_ENDPOINT));
    assert!(error.message.contains("spec.tls"), "{error}");
    let nobody = DockerHost::connect("tcp://127.0.0.1:9", "i").unwrap();
    let error = nobody.describe().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(error.message.contains("connection refused"), "{error}");
    let unusable = Credentials::Tls {
        ca: "nonsense".to_owned(),
        certificate: "hunter2".to_owned(),
        key: "hunter3".into(),
    };
    let address = HostAddress { endpoint: "tcp://10.0.0.1:2376".to_owned(), credentials: unusable };
    let error = DockerHost::at(&address, "i").unwrap_err();
    assert_eq!((error.class, error.reason), (ErrorClass::Terminal, reason::INVALID_CREDENTIALS));
    assert!(error.message.contains("ca.crt") && !error.message.contains("hunter"), "{error}");
}
