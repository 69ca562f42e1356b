//! Rows that only this installation can read.
//!
//! A row is sealed for the place that it lies in: its key and its header. So nobody
//! who can write the file, but not open it, can put a row in the place of another, or
//! an earlier state of it under a later version. He can put a whole row back as it was
//! once, with its version, for as long as its key is there.

use std::borrow::Cow;

use serde::Deserialize;

use super::key::Parts;
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

/// What an object says of itself.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    resource_version: String,
}

/// Whether an object is the one of this key, in the state of this header.
fn is_of(key: &[u8], header: Header, object: &[u8]) -> bool {
    let Some(parts) = Parts::of(key) else { return false };
    serde_json::from_slice::<Object>(object).is_ok_and(|Object { metadata }| {
        metadata.name == parts.name
            && metadata.namespace == parts.namespace
            && metadata.resource_version == header.version.to_string()
    })
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
        Seal::Identity => {
            let object = keyring.open_age(payload)?;
            // The first format bound nothing: what the object says of itself has to do.
            if !is_of(key, header, &object) {
                return Err(SealError::Damaged);
            }
            Cow::Owned(object)
        }
        Seal::Key(id) => Cow::Owned(keyring.key_of(id)?.unseal(&place(key, header), payload)?),
    })
}
