//! `head`: where the first and the last record are, so that a cut at either end
//! shows.
//!
//! Two slots are written in turn, so that a write that breaks off leaves the other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::chain::{ChainKey, Link, parse_hash};
use crate::random;

/// Name of the file in the folder of the log.
pub const FILE: &str = "head";

const SLOT: usize = 512;

/// How long to wait for a writer of this process that is about to end.
const LOCK_TIME: Duration = Duration::from_secs(2);

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How often it was written.
    count: u64,
    /// The record before the oldest that is kept.
    pub before: Link,
    /// The last record on the disk.
    pub last: Link,
    /// The file that the last record is in, and how long it was with it.
    pub file: String,
    pub length: u64,
}

#[derive(Serialize, Deserialize)]
struct Text {
    count: u64,
    before: (u64, String),
    last: (u64, String),
    file: String,
    length: u64,
}

impl Head {
    fn to_text(&self) -> String {
        let link = |link: &Link| (link.number, random::hex(&link.hash));
        let text = Text {
            count: self.count,
            before: link(&self.before),
            last: link(&self.last),
            file: self.file.clone(),
            length: self.length,
        };
        serde_json::to_string(&text).unwrap_or_default()
    }

    fn of_text(text: &str) -> Option<Self> {
        let Text { count, before, last, file, length } = serde_json::from_str(text).ok()?;
        let link = |(number, hash): (u64, String)| {
            Some(Link { number, hash: parse_hash(hash.as_bytes())? })
        };
        Some(Self { count, before: link(before)?, last: link(last)?, file, length })
    }

    /// The newer of two slots that are in order.
    fn of_bytes(bytes: &[u8], key: &ChainKey) -> Option<Self> {
        let slots = bytes.chunks(SLOT).filter_map(|slot| {
            let (text, mac) = std::str::from_utf8(slot).ok()?.trim_end().rsplit_once(' ')?;
            if key.seal_text(text) != mac {
                return None;
            }
            Self::of_text(text)
        });
        slots.max_by_key(|head| head.count)
    }

    /// What the file of a folder says; `None` where there is none, or it was
    /// tampered with.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(directory: &Path, key: &ChainKey) -> io::Result<Option<Self>> {
        match std::fs::read(directory.join(FILE)) {
            Ok(bytes) => Ok(Self::of_bytes(&bytes, key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The file, held by the one that writes the log.
#[derive(Debug)]
pub struct HeadFile {
    file: File,
    key: ChainKey,
    pub head: Head,
}

impl HeadFile {
    /// Opens or makes the file, and takes its lock.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else writes this log.
    pub fn open(directory: &Path, key: &ChainKey) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(directory.join(FILE))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_TIME => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        let head = Head::read(directory, key)?.unwrap_or_default();
        Ok(Self { file, key: key.clone(), head })
    }

    /// Whether the file says where the log ends.
    pub fn is_known(&self) -> bool {
        self.head.count > 0
    }

    /// Writes what is known now. It may get to the disk later than what it tells
    /// of, and must not get there before it.
    ///
    /// # Errors
    /// When it can't be written; the other slot still says what was before.
    pub fn write(&mut self) -> io::Result<()> {
        self.head.count += 1;
        let text = self.head.to_text();
        let mut slot = format!("{text} {}", self.key.seal_text(&text)).into_bytes();
        slot.resize(SLOT, b' ');
        let place = (self.head.count % 2) * SLOT as u64;
        self.file.write_all_at(&slot, place)
    }

    /// Has it on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_other_and_a_forged_one_is_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let key = ChainKey::of_bytes(&[1; 32]);
        let mut file = HeadFile::open(directory.path(), &key).unwrap();
        assert!(!file.is_known());
        for number in 1..=3 {
            file.head.last = Link { number, hash: [9; 32] };
            file.head.file = "audit-20260301-1.log".to_owned();
            file.write().unwrap();
        }
        let path = directory.path().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| Head::of_bytes(bytes, &key).map(|head| head.last.number);
        assert_eq!(read(&bytes), Some(3));
        assert_eq!(Head::of_bytes(&bytes, &ChainKey::of_bytes(&[2; 32])), None);
        let mut torn = bytes.clone();
        torn[SLOT + 20] ^= 1;
        assert_eq!(read(&torn), Some(2));
        assert_eq!(read(&bytes[..SLOT + 7]), Some(2));
        assert_eq!(read(b""), None);
        drop(file);
        let again = HeadFile::open(directory.path(), &key).unwrap();
        assert_eq!(again.head.last.number, 3);
    }
}
