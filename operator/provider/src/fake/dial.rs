//! What containers of a fake host answer.

use std::net::SocketAddr;

use hades_api::reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{ByteStream, ErrorClass, ProviderError, refusal};

use super::FakeEngine;

/// More than any request that a check makes.
const BUFFER: usize = 8 * 1024;

/// A connection to the container at `address`, if its image has an answer; none
/// where no container has the address. Not counted among the calls: checks come
/// at any time.
pub(super) fn to_container(
    engine: &FakeEngine,
    address: SocketAddr,
) -> Option<Result<ByteStream, ProviderError>> {
    let state = engine.state();
    if state.fate.is_dead() || state.unreachable {
        let words = "cannot reach the fake host: connection refused";
        return Some(Err(refusal::unreachable(words)));
    }
    let Some(status) = state.answer_of(state.at(address.ip())?) else {
        let message = format!("cannot connect to {address}: connection refused");
        return Some(Err(ProviderError::new(ErrorClass::Retry, reason::ACTION_FAILED, message)));
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
    Some(Ok(Box::new(near)))
}
