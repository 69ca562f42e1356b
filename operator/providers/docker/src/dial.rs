//! Connections to containers, by the way that leads to their host.

use std::net::SocketAddr;

use hades_api::reason;
use hades_provider::{Connection, ErrorClass, ProviderError};
use tokio::net::TcpStream;

use crate::endpoint::Endpoint;

/// Opens a TCP connection to `address` as the host sees it.
pub(crate) async fn open(
    endpoint: &Endpoint,
    address: SocketAddr,
) -> Result<Connection, ProviderError> {
    match endpoint {
        // The engine's networks are networks of this machine.
        Endpoint::Unix(_) => {
            let stream = TcpStream::connect(address).await.map_err(|error| {
                let message = format!("cannot connect to {address}: {error}");
                ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, message)
            })?;
            Ok(Box::new(stream))
        }
    }
}
