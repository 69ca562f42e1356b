//! Learning the key of a server.

use tokio::time::timeout;

use crate::connection::{CONNECT_LIMIT, Checker, Unconnected, connect};
use crate::{Error, HostKey};

/// The key that a server shows to one who knows none: its ed25519 key if it has
/// one. Nothing proves that it is the server's, so a person must compare it
/// before it is pinned.
///
/// # Errors
/// [`Error::Unreachable`] when no SSH server answers.
pub async fn scan(host: &str, port: u16) -> Result<HostKey, Error> {
    let address =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let algorithms = russh::Preferred::DEFAULT.key.into_owned();
    let refuse_all = Checker { accepted: Vec::new() };
    let reason = match timeout(CONNECT_LIMIT, connect(host, port, algorithms, refuse_all)).await {
        Ok(Err(Unconnected::HostKey(found))) => return Ok(found),
        Ok(Err(other)) => other.reason(),
        // It can't be: every key is refused.
        Ok(Ok(_)) => "it showed no key".to_owned(),
        Err(_) => "no answer in time".to_owned(),
    };
    Err(Error::Unreachable { address, reason })
}
