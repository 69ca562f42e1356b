//! What containers of a fake host answer.

use std::net::SocketAddr;

use hades_api::reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Connection, ErrorClass, ProviderError, refusal};

use super::FakeEngine;

/// More than any request that a check makes.
const BUFFER: usize = 8 * 1024;

/// A connection to the container at `address`, if its image has an answer. Not
/// counted among the calls: checks come at any time.
pub(super) fn open(engine: &FakeEngine, address: SocketAddr) -> Result<Connection, ProviderError> {
    let state = engine.state();
    if state.crashed || state.unreachable {
        return Err(refusal::unreachable("cannot reach the fake host: connection refused"));
    }
    let status = state.at(address.ip()).and_then(|found| state.answer_of(found));
    let Some(status) = status else {
        let message = format!("cannot connect to {address}: connection refused");
        return Err(ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, message));
    };
    let (near, mut far) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        let mut request = vec![0; BUFFER];
        // A check that only connects sends nothing.
        if far.read(&mut request).await.is_ok_and(|length| length > 0) {
            let answer = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n");
            let _ = far.write_all(answer.as_bytes()).await;
        }
    });
    Ok(Box::new(near))
}
