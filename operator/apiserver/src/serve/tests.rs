//! Connections over real sockets: slow ones, silent ones, and those that try to
//! be somebody else.

use std::net::SocketAddr;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::{Credential, Identity, ServerConfig};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

type Pair = (String, String);

fn pair(names: &[&str]) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

struct Bed {
    address: SocketAddr,
    own: Pair,
    tls: ServerTls,
    serving: JoinHandle<io::Result<()>>,
    shutdown: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Bed {
    async fn new(terms: Terms) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(directory.path(), Vec::new());
        let jane = Identity::of_user("jane", vec!["system:authenticated".to_owned()]);
        config.credentials = vec![
            Credential::of_token("good", Identity::administrator("root")),
            Credential::of_token("janes", jane),
        ];
        let server = ApiServer::open(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = pair(&["localhost"]);
        let tls = ServerTls::from_pem(&own.0, &own.1).unwrap();
        let shutdown = CancellationToken::new();
        let (shown, ends) = (tls.clone(), shutdown.clone());
        let serving =
            tokio::spawn(async move { server.serve_on(listener, &shown, ends, terms).await });
        Self { address, own, tls, serving, shutdown, _directory: directory }
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.connect_as("localhost", &self.own, protocol).await.unwrap()
    }

    async fn connect_as(
        &self,
        name: &str,
        trusted: &Pair,
        protocol: &[u8],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.0.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// What the server answers to these bytes, until it hangs up.
    async fn say(&self, text: &str) -> String {
        let mut stream = self.connect(b"http/1.1").await;
        stream.write_all(text.as_bytes()).await.unwrap();
        until_the_end(stream).await
    }

    /// The status line of a request with these headers.
    async fn ask(&self, request: &str, headers: &[&str]) -> String {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let text = format!("{request} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
        self.say(&text).await.lines().next().unwrap_or_default().to_owned()
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

async fn until_the_end(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    // An end without a goodbye of TLS is an end too.
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

fn hasty() -> Terms {
    Terms { patience: SHORT, stranger: SHORT * 3, ..Terms::default() }
}

#[tokio::test]
async fn whoever_is_silent_or_slow_is_hung_up_on() {
    let bed = Bed::new(hasty()).await;
    // Nothing at all, not even a handshake.
    until_the_end(TcpStream::connect(bed.address).await.unwrap()).await;
    // A handshake, and then nothing.
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        until_the_end(bed.connect(protocol).await).await;
    }
    // A head that doesn't end.
    assert!(!bed.say("GET /version HTTP/1.1\r\nHost: h\r\nX-A: ").await.contains("200"));
    // A head that goes on for ever, a byte now and then.
    let (read, mut write) = tokio::io::split(bed.connect(b"http/1.1").await);
    write.write_all(b"GET /version HTTP/1.1\r\nHost: h\r\n").await.unwrap();
    let drip = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() && write.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    until_the_end(read).await;
    drip.abort();
    bed.end().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let limits = Arc::new(Limits::hasty(Duration::from_millis(50)));
    let bed = Bed::new(Terms { limits, ..Terms::default() }).await;
    let answer = bed
        .say(
            "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: h\r\n\
             Authorization: Bearer good\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: 100\r\n\r\n{\"a\":",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    bed.end().await;
}

#[tokio::test]
async fn headers_make_nobody_somebody_else() {
    let bed = Bed::new(Terms::default()).await;
    let list = "GET /api/v1/configmaps";
    let (good, janes) = ("Authorization: Bearer good", "Authorization: Bearer janes");
    let remote =
        ["X-Remote-User: root", "X-Remote-Group: system:masters", "X-Forwarded-User: root"];
    let mask = ["Impersonate-User: root", "Impersonate-Group: system:masters"];
    for (headers, code) in [
        (vec![good], "200"),
        (vec![], "401"),
        (remote.to_vec(), "401"),
        (mask.to_vec(), "401"),
        ([&[janes], remote.as_slice()].concat(), "403"),
        ([&[janes], mask.as_slice()].concat(), "403"),
        (vec![janes, "Impersonate-Uid: 1"], "400"),
        // Two proofs are none, whichever of them somebody in between has looked at.
        (vec![janes, good], "401"),
        (vec![good, janes], "401"),
        (vec![good, good], "401"),
        (vec!["Authorization: Bearer janes, Bearer good"], "401"),
        (vec!["Proxy-Authorization: Bearer good"], "401"),
        (vec![good, "Content-Length: 0", "Content-Length: 5"], "400"),
        (vec![good, "Transfer-Encoding: chunked, identity"], "400"),
    ] {
        let answer = bed.ask(list, &headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{headers:?}: {answer}");
    }
    // A request in the body of another has to prove itself.
    let answer = bed
        .say(
            "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: h\r\n\
             Authorization: Bearer good\r\nContent-Type: application/json\r\n\
             Content-Length: 90\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /api/v1/secrets HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        .await;
    let codes: Vec<&str> =
        answer.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).collect();
    assert!(!codes.iter().any(|code| code.starts_with('2')), "{answer}");
    bed.end().await;
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// CVE-2023-44487: streams that are opened and reset, without end.
#[tokio::test]
async fn streams_that_are_reset_at_once_end_their_connection() {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const GOAWAY: u8 = 7;
    let bed = Bed::new(Terms::default()).await;
    let (mut read, mut write) = tokio::io::split(bed.connect(b"h2").await);
    // GET https /version, in the static table but for the path and the authority.
    let mut head = vec![0x82, 0x87, 0x04, 8];
    head.extend_from_slice(b"/version");
    head.extend_from_slice(&[0x01, 1, b'h']);
    let flood = tokio::spawn(async move {
        let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        start.extend(frame(SETTINGS, 0, 0, &[]));
        let mut sent = write.write_all(&start).await;
        for index in 0..20_000_u32 {
            if sent.is_err() {
                break;
            }
            let stream = index * 2 + 1;
            let mut pair = frame(HEADERS, 0x5, stream, &head);
            pair.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
            sent = write.write_all(&pair).await;
        }
        write
    });
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(LONG, read.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection goes on");
    let goaway = [GOAWAY, 0, 0, 0, 0, 0];
    assert!(answer.windows(6).any(|bytes| bytes == goaway), "no GOAWAY");
    drop(flood.await.unwrap());
    assert!(bed.ask("GET /version", &["Authorization: Bearer good"]).await.contains("200"));
    bed.end().await;
}

#[tokio::test]
async fn certificates_change_while_the_server_runs() {
    let bed = Bed::new(Terms::default()).await;
    let world = pair(&["hades.example.com"]);
    let works =
        async |name: &str, trusted: &Pair| bed.connect_as(name, trusted, b"http/1.1").await.is_ok();
    assert!(works("localhost", &bed.own).await);
    assert!(!works("hades.example.com", &world).await);
    bed.tls.show(&world.0, &world.1).unwrap();
    assert!(works("hades.example.com", &world).await);
    assert!(works("localhost", &bed.own).await, "kubeconfigs trust the own authority");
    let renewed = pair(&["localhost"]);
    bed.tls.renew(&renewed.0, &renewed.1).unwrap();
    assert!(works("localhost", &renewed).await);
    assert!(!works("localhost", &bed.own).await);
    // A key of another certificate, and no certificate at all.
    assert!(bed.tls.show(&world.0, &renewed.1).is_err());
    assert!(matches!(bed.tls.show("", &world.1), Err(TlsError::Empty)));
    assert!(works("hades.example.com", &world).await, "the good one stays");
    bed.end().await;
}

#[tokio::test]
async fn there_are_so_many_places_and_whoever_leaves_makes_one() {
    // All from this machine, which is exempt from the places of a network.
    let terms = Terms { connections: 2, of_network: 1, ..Terms::default() };
    let bed = Bed::new(terms).await;
    let first = bed.connect(b"http/1.1").await;
    let _second = bed.connect(b"http/1.1").await;
    assert!(bed.connect_as("localhost", &bed.own, b"http/1.1").await.is_err());
    drop(first);
    let deadline = std::time::Instant::now() + LONG;
    while bed.connect_as("localhost", &bed.own, b"http/1.1").await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the place stays taken");
    }
    bed.end().await;
}
