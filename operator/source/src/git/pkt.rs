//! pkt-lines, the framing of git's protocol (gitprotocol-common): four hexadecimal
//! digits of length, which count themselves, then the data.

use std::io::{self, Read};

/// Longest packet that git sends (bytes, with its length).
const MAX_PACKET: usize = 65_520;

/// A packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Data(Vec<u8>),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section within a message (protocol version 2).
    Delimiter,
    /// `0002`: the end of a stateless response (protocol version 2).
    ResponseEnd,
}

impl Packet {
    /// The packet as a line of text without its line end. None if it is none.
    pub(super) fn line(&self) -> Option<&str> {
        match self {
            Packet::Data(data) => {
                std::str::from_utf8(data).ok().map(|text| text.trim_end_matches('\n'))
            }
            _ => None,
        }
    }
}

/// Reads a packet. None at the end of the input.
pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Packet>> {
    let mut digits = [0_u8; 4];
    match input.read(&mut digits[..1])? {
        0 => return Ok(None),
        _ => input.read_exact(&mut digits[1..])?,
    }
    let length = std::str::from_utf8(&digits)
        .ok()
        // `from_str_radix` would take a sign.
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|text| usize::from_str_radix(text, 16).ok())
        .ok_or_else(|| malformed("a packet has no length"))?;
    match length {
        0 => Ok(Some(Packet::Flush)),
        1 => Ok(Some(Packet::Delimiter)),
        2 => Ok(Some(Packet::ResponseEnd)),
        4..=MAX_PACKET => {
            let mut data = vec![0; length - 4];
            input.read_exact(&mut data)?;
            Ok(Some(Packet::Data(data)))
        }
        _ => Err(malformed("a packet has an impossible length")),
    }
}

fn malformed(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Appends a line as a packet. Lines are short: names and ids.
pub(super) fn write_line(output: &mut Vec<u8>, line: &str) {
    let length = line.len() + 5;
    output.extend_from_slice(format!("{length:04x}{line}\n").as_bytes());
}

/// Appends the end of a message.
pub(super) fn write_flush(output: &mut Vec<u8>) {
    output.extend_from_slice(b"0000");
}

/// Appends the end of a section.
pub(super) fn write_delimiter(output: &mut Vec<u8>) {
    output.extend_from_slice(b"0001");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        write_line(&mut bytes, "command=ls-refs");
        write_delimiter(&mut bytes);
        write_flush(&mut bytes);
        let mut input = bytes.as_slice();
        let first = read(&mut input).unwrap().unwrap();
        assert_eq!(first.line(), Some("command=ls-refs"));
        assert_eq!(read(&mut input).unwrap(), Some(Packet::Delimiter));
        assert_eq!(read(&mut input).unwrap(), Some(Packet::Flush));
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn broken_packets_are_errors() {
        for bytes in ["zzzz", "+004", "0003", "ffff", "0009abc", "00"] {
            assert!(read(&mut bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut input = bytes.as_slice();
            while let Ok(Some(_)) = read(&mut input) {}
        }
    }
}
