//! A file that is looked at and never written: what redb would write on the way
//! is kept in memory.
//!
//! redb repairs a file that was not closed in good order when it opens it, and
//! its own check repairs what it finds. A check that people run on their only
//! copy must not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const BLOCK: usize = 4096;

/// A file with changes on top of it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    changed: Mutex<Changed>,
}

struct Changed {
    length: u64,
    /// How much of the file still shows.
    visible: u64,
    blocks: BTreeMap<u64, [u8; BLOCK]>,
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changed").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Overlay {
    /// Lays itself over a file that is open for reading.
    pub fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let changed = Changed { length, visible: length, blocks: BTreeMap::new() };
        Ok(Self { file, changed: Mutex::new(changed) })
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a block as the file has them; zeros past its end.
    fn original(&self, visible: u64, block: u64) -> io::Result<[u8; BLOCK]> {
        let mut bytes = [0; BLOCK];
        let start = block * BLOCK as u64;
        let have = visible.saturating_sub(start).min(BLOCK as u64);
        let have = usize::try_from(have).unwrap_or(BLOCK);
        self.file.read_exact_at(&mut bytes[..have], start)?;
        Ok(bytes)
    }
}

/// The blocks that `length` bytes from `offset` touch: number, and range inside.
fn blocks(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let block = at / BLOCK as u64;
        let start = usize::try_from(at % BLOCK as u64).ok()?;
        let count = usize::try_from(end - at).ok()?.min(BLOCK - start);
        at += count as u64;
        Some((block, start..start + count))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        if offset + out.len() as u64 > changed.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        for (block, range) in blocks(offset, out.len()) {
            let part = &mut out[done..done + range.len()];
            done += range.len();
            match changed.blocks.get(&block) {
                Some(bytes) => part.copy_from_slice(&bytes[range]),
                None => part.copy_from_slice(&self.original(changed.visible, block)?[range]),
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changed = self.changed();
        if length < changed.length {
            // A block that is cut in the middle keeps its first part.
            let cut = length / BLOCK as u64;
            let kept = usize::try_from(length % BLOCK as u64).unwrap_or(0);
            changed.blocks.split_off(&(cut + u64::from(kept > 0)));
            if let Some(bytes) = changed.blocks.get_mut(&cut) {
                bytes[kept..].fill(0);
            }
            changed.visible = changed.visible.min(length);
        }
        changed.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        let mut done = 0;
        for (block, range) in blocks(offset, data.len()) {
            let mut bytes = match changed.blocks.get(&block) {
                Some(bytes) => *bytes,
                None => self.original(changed.visible, block)?,
            };
            bytes[range.clone()].copy_from_slice(&data[done..done + range.len()]);
            done += range.len();
            changed.blocks.insert(block, bytes);
        }
        changed.length = changed.length.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_show_and_the_file_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let before: Vec<u8> = (0..10_000_u32).map(|byte| byte as u8).collect();
        std::fs::write(&path, &before).unwrap();
        let overlay = Overlay::new(File::open(&path).unwrap()).unwrap();
        let mut expected = before.clone();
        overlay.write(4000, &[7; 5000]).unwrap();
        expected[4000..9000].fill(7);
        overlay.set_len(8500).unwrap();
        overlay.set_len(20_000).unwrap();
        expected.truncate(8500);
        expected.resize(20_000, 0);
        overlay.write(15_000, b"end").unwrap();
        expected[15_000..15_003].copy_from_slice(b"end");
        let mut out = vec![1; 20_000];
        overlay.read(0, &mut out).unwrap();
        assert!(out == expected);
        assert!(overlay.read(19_999, &mut [0; 2]).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
