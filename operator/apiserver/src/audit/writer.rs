//! The one who writes the log, on a thread of his own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::AuditOptions;
use super::annotations::{LOST, REMOVED};
use super::auditor::Counters;
use super::chain::{ChainKey, Line, Link};
use super::event::AuditEvent;
use super::files::{self, Name};
use super::head::HeadFile;
use super::queue::Queue;
use super::recover::{MAX_LINE, recover};
use crate::authn::Identity;
use crate::state::Clock;

/// How long a record may be only in the memory of the system. It survives the end
/// of the process, not that of the machine.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How long to wait after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// A file gets about this large, so that what is removed is a small part.
const MAX_FILE: u64 = 16 << 20;

/// The log as it is on the disk.
pub struct Log {
    directory: PathBuf,
    key: ChainKey,
    clock: Clock,
    options: AuditOptions,
    head: HeadFile,
    last: Link,
    open: Option<Open>,
    /// What the next record has to be preceded by.
    tell: Vec<AuditEvent>,
    /// Where the end is has to be found out again.
    lost_track: bool,
    dirty: bool,
}

struct Open {
    file: File,
    name: Name,
    length: u64,
}

impl Log {
    /// Opens the log of a folder, and finds out where it ends.
    ///
    /// # Errors
    /// When files can't be read or written, or somebody else writes there.
    pub fn open(
        directory: &Path,
        key: ChainKey,
        clock: Clock,
        options: AuditOptions,
    ) -> io::Result<Self> {
        let head = HeadFile::open(directory, &key)?;
        let mut log = Self {
            directory: directory.to_owned(),
            key,
            clock,
            options,
            last: head.head.last,
            head,
            open: None,
            tell: Vec::new(),
            lost_track: false,
            dirty: false,
        };
        log.find_end()?;
        if !log.head.is_known() && log.open.is_none() && log.tell.is_empty() {
            // The log begins here: from now on, no head is a head that was removed.
            log.head.write()?;
        }
        Ok(log)
    }

    fn find_end(&mut self) -> io::Result<()> {
        let head = self.head.is_known().then_some(&self.head.head);
        let found = recover(&self.directory, &self.key, head)?;
        self.last = found.last;
        self.open = None;
        for (annotation, words) in found.tell {
            tracing::warn!(annotation, words, "the audit log doesn't end as it should");
            self.say(annotation, &words);
        }
        if let Some((name, length)) = found.open {
            let file = OpenOptions::new().append(true).open(name.path(&self.directory))?;
            self.open = Some(Open { file, name, length });
        }
        self.lost_track = false;
        Ok(())
    }

    /// Has a record of the log itself go before the next one.
    fn say(&mut self, annotation: &str, words: &str) {
        let mut event =
            AuditEvent::new("audit", "").by(&Identity::server()).note(annotation, words);
        event.audit_id = crate::random::uuid().unwrap_or_default();
        event.received = (self.clock)();
        event.staged = event.received;
        self.tell.push(event);
    }

    /// Appends records, and what is to be said before them. Where that fails,
    /// nothing of it is there.
    ///
    /// # Errors
    /// When the disk refuses.
    fn append(&mut self, events: &[Vec<u8>]) -> io::Result<()> {
        if self.lost_track {
            self.find_end()?;
        }
        self.rotate()?;
        let mut lines = Vec::new();
        let mut last = self.last;
        for event in &self.tell {
            last = self.key.append(&last, &event.to_json(), &mut lines);
        }
        for event in events {
            last = self.key.append(&last, event, &mut lines);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Err(error) = open.file.write_all(&lines) {
            // Half a line must not stay; where it does, the next try finds it.
            self.lost_track = open.file.set_len(open.length).is_err();
            return Err(error);
        }
        open.length += lines.len() as u64;
        self.tell.clear();
        self.last = last;
        self.dirty = true;
        Ok(())
    }

    /// Begins another file where the day or the file is full.
    fn rotate(&mut self) -> io::Result<()> {
        let now = (self.clock)();
        let largest = MAX_FILE.min(self.options.max_size / 8);
        let name = match &self.open {
            Some(open) if open.length < largest && open.name.day >= files::day(now) => {
                return Ok(());
            }
            Some(open) => Name::next(Some(open.name), now),
            None => Name::next(files::list(&self.directory)?.last().copied(), now),
        };
        self.sync()?;
        self.open = None;
        let mut options = OpenOptions::new();
        let path = name.path(&self.directory);
        let file = options.append(true).create_new(true).mode(0o600).open(&path)?;
        File::open(&self.directory)?.sync_all()?;
        self.open = Some(Open { file, name, length: 0 });
        self.prune(now, largest)
    }

    /// Removes the oldest files where there are too many or they are too old.
    fn prune(&mut self, now: Timestamp, room: u64) -> io::Result<()> {
        let mut names = files::list(&self.directory)?;
        names.pop();
        let size = |name: &Name| std::fs::metadata(name.path(&self.directory)).map(|it| it.len());
        let sizes = names.iter().map(size).collect::<io::Result<Vec<u64>>>()?;
        let mut total: u64 = sizes.iter().sum::<u64>() + room;
        let days = i64::from(self.options.max_age_days) + 1;
        let oldest = now - SignedDuration::from_hours(24 * days);
        for (name, size) in names.into_iter().zip(sizes) {
            let path = name.path(&self.directory);
            let first = self.head.head.before.number + 1;
            let last = last_link(&path)?;
            let stale = last.is_some_and(|last| last.number < first);
            if !stale && total <= self.options.max_size && name.day >= files::day(oldest) {
                break;
            }
            if let Some(last) = last.filter(|_| !stale) {
                // Told before it is done: what a crash leaves is removed later.
                self.head.head.before = last;
                self.head.write()?;
                self.head.sync()?;
                self.say(REMOVED, &format!("{name}, records {first} to {}", last.number));
            }
            std::fs::remove_file(&path)?;
            tracing::info!(file = %name, "an old file of the audit log was removed");
            total -= size;
        }
        Ok(())
    }

    /// Has all that is written on the disk, and then says so in the head.
    fn sync(&mut self) -> io::Result<()> {
        if let Some(open) = &self.open
            && self.dirty
        {
            open.file.sync_data()?;
            self.head.head.last = self.last;
            self.head.head.file = open.name.to_string();
            self.head.head.length = open.length;
            self.head.write()?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// The last record of a file, taken as it is.
fn last_link(path: &Path) -> io::Result<Option<Link>> {
    use std::os::unix::fs::FileExt;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(MAX_LINE as u64);
    let mut end = vec![0; usize::try_from(length - start).unwrap_or(0)];
    file.read_exact_at(&mut end, start)?;
    Ok(end.rsplit(|byte| *byte == b'\n').find_map(Line::read).map(|line| line.link))
}

/// Writes what comes until the queue is closed.
pub fn run(mut log: Log, queue: &Arc<Queue>, counters: &Counters) {
    let mut failing = false;
    let mut sync_at: Option<Instant> = None;
    // At once, as one crash may follow on another.
    if !log.tell.is_empty()
        && log.append(&[]).is_ok()
        && log.sync().and_then(|()| log.head.sync()).is_err()
    {
        sync_at = Some(Instant::now());
    }
    loop {
        let batch = queue.take(sync_at);
        let count = batch.events.len() as u64 + batch.lost;
        if batch.lost > 0 {
            counters.lost.inc_by(batch.lost);
            log.say(LOST, &batch.lost.to_string());
        }
        if count > 0 {
            while let Err(error) = log.append(&batch.events) {
                if !failing {
                    failing = true;
                    tracing::error!(%error, "the audit log can't be written; it is tried again every second");
                }
                counters.failing.set(1);
                let closed = queue.is_closed();
                queue.pause(RETRY);
                if closed {
                    tracing::error!(records = count, "records of the audit log are lost");
                    return;
                }
            }
            counters.written.inc_by(batch.events.len() as u64);
            queue.settle(count);
            sync_at = sync_at.or_else(|| Some(Instant::now() + SYNC_EVERY));
        }
        if batch.closed || sync_at.is_some_and(|at| at <= Instant::now()) {
            sync_at = None;
            if let Err(error) = log.sync() {
                tracing::error!(%error, "the audit log can't be brought to the disk");
                sync_at = Some(Instant::now() + SYNC_EVERY);
                failing = true;
                counters.failing.set(1);
            } else if failing {
                failing = false;
                counters.failing.set(0);
                tracing::info!("the audit log is written again");
            }
        }
        if batch.closed {
            let _ = log.head.sync();
            return;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::head::Head;
    use super::*;

    /// A log of several files of which the oldest went, and the head before they did.
    pub fn log_that_made_room(directory: &Path, key: &ChainKey) -> Head {
        let options = AuditOptions { max_size: 16 << 10, ..AuditOptions::default() };
        let clock: Clock = Arc::new(Timestamp::now);
        let mut log = Log::open(directory, key.clone(), clock, options).unwrap();
        let event = AuditEvent::new("login", "/auth/login").to_json();
        log.append(std::slice::from_ref(&event)).unwrap();
        log.sync().unwrap();
        let old = log.head.head.clone();
        while log.head.head.before == old.before {
            log.append(std::slice::from_ref(&event)).unwrap();
        }
        log.sync().unwrap();
        old
    }
}
