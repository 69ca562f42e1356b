//! The bytes of one row: a short plain header, then the object.
//!
//! ```text
//! byte 0      1 = the object is plain JSON, 2 = it is sealed for the identity (as
//!             format 1 did it), 3 = it is sealed with a data key
//! byte 1      flags: bit 0 = the object is being deleted
//! bytes 2..10 resourceVersion, big endian
//! 4 bytes     id of the data key, big endian; only of a row that is sealed with one
//! the rest    the object
//! ```
//! The header is what the writer must know of a row without opening it.

use super::StoreError;

/// Length of the header of a plain row in bytes.
pub(super) const HEADER: usize = 10;
/// Length of the id of a data key.
const ID: usize = 4;
const PLAIN: u8 = 1;
const SEALED_FOR_IDENTITY: u8 = 2;
const SEALED: u8 = 3;
const TERMINATING: u8 = 1;

/// What keeps others from reading the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// Nothing.
    None,
    /// The identity opens it: an earlier version sealed it.
    Identity,
    /// The data key of this id opens it.
    Key(u32),
}

/// The part of a row that is readable without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub seal: Seal,
    pub terminating: bool,
    pub version: u64,
}

impl Header {
    /// Whether the object is not there to be read.
    pub fn is_sealed(self) -> bool {
        self.seal != Seal::None
    }
}

/// Joins header and payload.
pub(super) fn encode(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut row = begin(header, payload.len());
    row.extend_from_slice(payload);
    row
}

/// A header with room for a payload of `length` bytes, which the caller appends.
pub(super) fn begin(header: Header, length: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEADER + ID + length);
    row.push(match header.seal {
        Seal::None => PLAIN,
        Seal::Identity => SEALED_FOR_IDENTITY,
        Seal::Key(_) => SEALED,
    });
    row.push(if header.terminating { TERMINATING } else { 0 });
    row.extend_from_slice(&header.version.to_be_bytes());
    if let Seal::Key(id) = header.seal {
        row.extend_from_slice(&id.to_be_bytes());
    }
    row
}

/// Splits a row.
///
/// # Errors
/// When the bytes were not written by this program or a compatible version.
pub(super) fn decode(row: &[u8]) -> Result<(Header, &[u8]), StoreError> {
    let (head, payload) = row.split_at_checked(HEADER).ok_or(StoreError::CorruptRow)?;
    let (seal, payload) = match head[0] {
        PLAIN => (Seal::None, payload),
        SEALED_FOR_IDENTITY => (Seal::Identity, payload),
        SEALED => {
            let (id, payload) = payload.split_first_chunk::<ID>().ok_or(StoreError::CorruptRow)?;
            (Seal::Key(u32::from_be_bytes(*id)), payload)
        }
        _ => return Err(StoreError::CorruptRow),
    };
    let mut version = [0; 8];
    version.copy_from_slice(&head[2..HEADER]);
    let header = Header {
        seal,
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
        for seal in [Seal::None, Seal::Identity, Seal::Key(7), Seal::Key(u32::MAX)] {
            let header = Header { seal, terminating: true, version: 77 };
            let row = encode(header, b"body");
            assert_eq!(decode(&row).unwrap(), (header, b"body".as_slice()));
        }
        assert!(decode(b"short").is_err());
        assert!(decode(b"\x03\x00123456781").is_err(), "the id is cut off");
        assert!(decode(b"\x09123456789").is_err());
    }
}
