//! The bytes of one row: a short plain header, then the object.
//!
//! ```text
//! byte 0      1 = the object is plain JSON, 2 = it is sealed with age
//! byte 1      flags: bit 0 = the object is being deleted
//! bytes 2..10 resourceVersion, big endian
//! bytes 10..  the object
//! ```
//! The header is what the writer must know of a row without opening it.

use super::StoreError;

/// Length of the header in bytes.
pub(super) const HEADER: usize = 10;
const PLAIN: u8 = 1;
const SEALED: u8 = 2;
const TERMINATING: u8 = 1;

/// The part of a row that is readable without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub sealed: bool,
    pub terminating: bool,
    pub version: u64,
}

/// Joins header and payload.
pub(super) fn encode(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut row = begin(header, payload.len());
    row.extend_from_slice(payload);
    row
}

/// A header with room for a payload of `length` bytes, which the caller appends.
pub(super) fn begin(header: Header, length: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEADER + length);
    row.push(if header.sealed { SEALED } else { PLAIN });
    row.push(if header.terminating { TERMINATING } else { 0 });
    row.extend_from_slice(&header.version.to_be_bytes());
    row
}

/// Splits a row.
///
/// # Errors
/// When the bytes were not written by this program or a compatible version.
pub(super) fn decode(row: &[u8]) -> Result<(Header, &[u8]), StoreError> {
    let (head, payload) = row.split_at_checked(HEADER).ok_or(StoreError::CorruptRow)?;
    let sealed = match head[0] {
        PLAIN => false,
        SEALED => true,
        _ => return Err(StoreError::CorruptRow),
    };
    let mut version = [0; 8];
    version.copy_from_slice(&head[2..HEADER]);
    let header = Header {
        sealed,
        terminating: head[1] & TERMINATING != 0,
        version: u64::from_be_bytes(version),
    };
    Ok((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_header() {
        let header = Header { sealed: true, terminating: true, version: 77 };
        let row = encode(header, b"body");
        assert_eq!(decode(&row).unwrap(), (header, b"body".as_slice()));
        assert!(decode(b"short").is_err());
        assert!(decode(b"\x09123456789").is_err());
    }
}
