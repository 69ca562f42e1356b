//! Rows that only this installation can read.
//!
//! A row is sealed for the place that it lies in: its key and its header. So nobody
//! who can write the file, but not open it, can put a row in the place of another, or
//! an earlier state of it under a later version.

use std::borrow::Cow;

use super::row::{self, Header, Seal};
use crate::seal::{Keyring, SealError};

fn place(key: &[u8], header: Header) -> Vec<u8> {
    // The header has one length, and it is the end.
    [key, &row::begin(header, 0)].concat()
}

/// The row of an object under this key, and its header.
pub(super) fn seal(
    keyring: &Keyring,
    key: &[u8],
    header: Header,
    object: &[u8],
) -> Result<(Header, Vec<u8>), SealError> {
    let data_key = keyring.key()?;
    let header = Header { seal: Seal::Key(data_key.id()), ..header };
    let sealed = data_key.seal(&place(key, header), object)?;
    Ok((header, row::encode(header, &sealed)))
}

/// The object of a row under this key, sealed or not.
pub(super) fn open<'a>(
    keyring: &Keyring,
    key: &[u8],
    header: Header,
    payload: &'a [u8],
) -> Result<Cow<'a, [u8]>, SealError> {
    Ok(match header.seal {
        Seal::None => Cow::Borrowed(payload),
        Seal::Identity => Cow::Owned(keyring.open_age(payload)?),
        Seal::Key(id) => Cow::Owned(keyring.key_of(id)?.unseal(&place(key, header), payload)?),
    })
}
