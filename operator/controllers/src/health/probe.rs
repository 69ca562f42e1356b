//! One check of one container, over a connection that its host provides.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hades_api::HttpScheme;
use hades_plan::{Check, Probe};
use hades_provider::{ByteStream, Duplex, ErrorClass, Provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls;

/// The line that is read of an answer has at most so many bytes: `HTTP/1.1 200`
/// and a reason.
const LONGEST_LINE: usize = 1024;

/// How long a host may take to show that it is there, when a check had no answer.
const HOST_LIMIT: Duration = Duration::from_secs(5);

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should.
    Passed,
    /// Why it didn't, for people.
    Failed(String),
    /// The host itself didn't answer, which says nothing of the container.
    Unknown,
}

/// Makes a check.
pub(super) async fn run(
    provider: &Arc<dyn Provider>,
    address: SocketAddr,
    check: &Check,
) -> Outcome {
    match tokio::time::timeout(check.timeout, attempt(provider, address, &check.probe)).await {
        Ok(outcome) => outcome,
        // A way that swallows all packets says nothing of the container.
        Err(_) if !is_there(provider).await => Outcome::Unknown,
        Err(_) => Outcome::Failed(format!(
            "{} had no answer within {}",
            shown(&check.probe),
            seconds(check.timeout)
        )),
    }
}

/// Whether the engine of the host answers.
async fn is_there(provider: &Arc<dyn Provider>) -> bool {
    let answer = tokio::time::timeout(HOST_LIMIT, provider.describe()).await;
    matches!(answer, Ok(Ok(_)))
}

async fn attempt(provider: &Arc<dyn Provider>, address: SocketAddr, probe: &Probe) -> Outcome {
    let connection = match provider.dial(address).await {
        Ok(connection) => connection,
        Err(error) if error.class == ErrorClass::Unreachable => return Outcome::Unknown,
        Err(error) => return Outcome::Failed(format!("{}: {}", shown(probe), error.message)),
    };
    let Probe::Http { path, scheme, headers, port } = probe else { return Outcome::Passed };
    let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    let given = |name: &str| headers.keys().any(|given| given.eq_ignore_ascii_case(name));
    if !given("host") {
        let _ = write!(request, "Host: {}:{port}\r\n", address.ip());
    }
    if !given("user-agent") {
        request.push_str("User-Agent: hades-health-check\r\n");
    }
    for (name, value) in headers.iter().filter(|(n, _)| !n.eq_ignore_ascii_case("connection")) {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    request.push_str("\r\n");
    let answer = match scheme {
        HttpScheme::Http => ask(connection, &request).await,
        HttpScheme::Https => match secured(connection, address, headers.get("Host")).await {
            Ok(connection) => ask(connection, &request).await,
            Err(error) => Err(format!("no TLS: {error}")),
        },
    };
    match answer {
        Ok(status) if (200..400).contains(&status) => Outcome::Passed,
        Ok(status) => Outcome::Failed(format!("{} answered {status}", shown(probe))),
        Err(why) => Outcome::Failed(format!("{}: {why}", shown(probe))),
    }
}

/// Sends a request; answers the status.
async fn ask(mut connection: impl Duplex, request: &str) -> Result<u16, String> {
    connection.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    connection.flush().await.map_err(|error| error.to_string())?;
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
        let read = connection.read_buf(&mut line).await.map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
    }
    if line.is_empty() {
        return Err("the connection was closed without an answer".to_owned());
    }
    let text = String::from_utf8_lossy(&line);
    let mut words = text.split_whitespace();
    let speaks = words.next().is_some_and(|word| word.starts_with("HTTP/"));
    let status = words.next().filter(|_| speaks).and_then(|word| word.parse().ok());
    status.ok_or_else(|| "what answers there doesn't speak HTTP".to_owned())
}

async fn secured(
    connection: ByteStream,
    address: SocketAddr,
    host: Option<&String>,
) -> Result<impl Duplex, String> {
    let named = host.and_then(|host| ServerName::try_from(host.clone()).ok());
    let name = named.unwrap_or_else(|| ServerName::from(address.ip()));
    let config = tls::trusting_all().ok_or("this build of Hades has no TLS")?;
    let connector = TlsConnector::from(config);
    connector.connect(name, connection).await.map_err(|error| error.to_string())
}

fn shown(probe: &Probe) -> String {
    match probe {
        Probe::Http { path, port, .. } => format!("GET {path} on port {port}"),
        Probe::Tcp { port } => format!("a connection to port {port}"),
    }
}

fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use hades_provider::fake::{CallKind, FakeHost, Fault, FaultPlan};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_silent_host_is_no_failed_check() {
        let (host, listener) = (FakeHost::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let provider: Arc<dyn Provider> = Arc::new(host.clone());
        let probe = Probe::Http {
            path: "/".to_owned(),
            scheme: HttpScheme::Http,
            headers: Default::default(),
            port: address.port(),
        };
        let timeout = Duration::from_millis(20);
        let check =
            Check { probe, interval: timeout, timeout, retries: 1, start_period: Duration::ZERO };
        // The connection is accepted, and nobody ever answers.
        let outcome = run(&provider, address, &check).await;
        assert!(matches!(&outcome, Outcome::Failed(why) if why.contains("no answer within 20ms")));
        let silence = Fault::Fail(ErrorClass::Unreachable);
        host.set_faults(FaultPlan::new().next(CallKind::Describe, silence));
        assert_eq!(run(&provider, address, &check).await, Outcome::Unknown);
    }

    async fn answer(text: &'static str) -> Result<u16, String> {
        let (near, mut far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let mut request = vec![0; 4096];
            let _ = far.read(&mut request).await;
            // In pieces, as networks do.
            for piece in text.as_bytes().chunks(5) {
                let _ = far.write_all(piece).await;
            }
        });
        ask(near, "GET / HTTP/1.1\r\n\r\n").await
    }

    #[tokio::test]
    async fn answers_are_read() {
        assert_eq!(answer("HTTP/1.1 204 No Content\r\n\r\n").await, Ok(204));
        assert_eq!(answer("HTTP/1.0 503\n").await, Ok(503));
        assert!(answer("").await.unwrap_err().contains("without an answer"));
        assert!(answer("SSH-2.0-OpenSSH_9.2\r\n").await.unwrap_err().contains("speak HTTP"));
        assert!(answer("HTTP/1.1 none\r\n").await.unwrap_err().contains("speak HTTP"));
    }
}
