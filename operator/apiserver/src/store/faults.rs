//! A disk that fails when a test says so.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard};

/// How the chosen call fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// It does nothing and says that the disk is full.
    #[default]
    Full,
    /// A write leaves its first half behind; other calls do nothing.
    Torn,
    /// Everything since the last sync is lost, as when the device drops its
    /// cache.
    Lost,
}

/// What becomes of a write.
#[derive(Debug)]
pub(super) enum Verdict {
    Whole,
    /// Only so many bytes of it.
    Torn(usize),
}

/// Counts the calls that change the file and lets one of them fail.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kind: Kind,
    /// Calls until the first that fails; `None` is never.
    countdown: Option<u64>,
    /// How many calls fail from then on.
    remaining: u64,
    full: bool,
    /// Renames don't last.
    forgetful: bool,
    calls: u64,
    failed: u64,
    /// What was overwritten since the last sync: the length of the file then,
    /// and offset and bytes of each place.
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on, `calls` succeed and the next `failures` fail.
    pub fn fail_after(&self, calls: u64, failures: u64, kind: Kind) {
        let mut state = self.state();
        state.kind = kind;
        state.countdown = Some(calls);
        state.remaining = failures;
        state.failed = 0;
    }

    /// No call fails any more; how many did.
    pub fn heal(&self) -> u64 {
        let mut state = self.state();
        state.countdown = None;
        state.full = false;
        state.forgetful = false;
        state.failed
    }

    /// There is no room to set aside any more.
    pub fn fill(&self) {
        self.state().full = true;
    }

    /// Folders can't be written to the disk any more.
    pub fn forget_renames(&self) {
        self.state().forgetful = true;
    }

    pub fn sync_folder(&self) -> io::Result<()> {
        if self.state().forgetful { Err(io::Error::other("as it was told to")) } else { Ok(()) }
    }

    pub fn error(&self) -> io::Error {
        match self.state().kind {
            Kind::Full => io::ErrorKind::StorageFull.into(),
            Kind::Torn | Kind::Lost => io::Error::other("the disk failed as it was told to"),
        }
    }

    pub fn reserve(&self) -> io::Result<()> {
        if self.state().full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub fn read(&self) -> io::Result<()> {
        Ok(())
    }

    fn due(&self) -> bool {
        let mut state = self.state();
        state.calls += 1;
        match state.countdown {
            None => false,
            Some(0) if state.remaining > 0 => {
                state.remaining -= 1;
                state.failed += 1;
                true
            }
            Some(0) => false,
            Some(left) => {
                state.countdown = Some(left - 1);
                false
            }
        }
    }

    pub fn set_len(&self, file: &File) -> io::Result<()> {
        if self.due() {
            self.lose(file);
            return Err(self.error());
        }
        let length = file.metadata()?.len();
        self.state().undo.push(Undo::Length(length));
        Ok(())
    }

    pub fn sync(&self, file: &File) -> io::Result<()> {
        if self.due() {
            self.lose(file);
            return Err(self.error());
        }
        self.state().undo.clear();
        Ok(())
    }

    pub fn write(&self, file: &File, offset: u64, data: &[u8]) -> io::Result<Verdict> {
        if self.due() {
            if self.state().kind == Kind::Torn {
                return Ok(Verdict::Torn(data.len() / 2));
            }
            self.lose(file);
            return Err(self.error());
        }
        let mut old = vec![0; data.len()];
        let read = file.read_at(&mut old, offset)?;
        old.truncate(read);
        self.state().undo.push(Undo::Bytes(offset, old));
        Ok(Verdict::Whole)
    }

    /// Takes back what was not synced.
    fn lose(&self, file: &File) {
        let mut state = self.state();
        if state.kind != Kind::Lost {
            return;
        }
        for undo in std::mem::take(&mut state.undo).into_iter().rev() {
            match undo {
                Undo::Length(length) => file.set_len(length).unwrap(),
                Undo::Bytes(offset, old) => file.write_all_at(&old, offset).unwrap(),
            }
        }
    }
}
