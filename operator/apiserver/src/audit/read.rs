//! Reads the log, the newest records first.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::files::{self, Name};
use super::recover::MAX_LINE;
use crate::wire::status::StatusError;

/// How much is read at a time, and sent.
const CHUNK: usize = 64 << 10;

/// How long a log is looked through.
const TIME: Duration = Duration::from_secs(30);

/// Records are written in the order of their ends, or nearly.
const DISORDER: SignedDuration = SignedDuration::from_mins(5);

/// Records that are given at most, and when nothing is said.
const MOST: usize = 10_000;
const USUAL: usize = 100;

/// Which records are wanted. Absent parts match all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Name of who asked, or in whose name.
    pub user: Option<String>,
    /// The verb.
    pub verb: Option<String>,
    /// `secrets`, `environments.hades.dev`, `environments/exec`.
    pub resource: Option<String>,
    /// Namespace of the object.
    pub namespace: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// How many at most.
    pub limit: Option<usize>,
}

/// What a filter looks at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'a> {
    #[serde(borrow)]
    verb: Cow<'a, str>,
    #[serde(borrow, default)]
    user: SeenUser<'a>,
    #[serde(borrow, default)]
    impersonated_user: Option<SeenUser<'a>>,
    #[serde(borrow, default)]
    object_ref: SeenObject<'a>,
    stage_timestamp: Timestamp,
}

#[derive(Default, Deserialize)]
struct SeenUser<'a> {
    #[serde(borrow, default)]
    username: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenObject<'a> {
    #[serde(borrow, default)]
    resource: Cow<'a, str>,
    #[serde(borrow, default)]
    subresource: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    api_group: Cow<'a, str>,
}

/// Whether a record is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Wanted,
    Not,
    /// And none before it is.
    Over,
}

impl Query {
    fn judge(&self, line: &[u8]) -> Verdict {
        // What can't be read is for `verify` to tell of.
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else { return Verdict::Not };
        if let Some(since) = self.since
            && seen.stage_timestamp < since
        {
            let over = seen.stage_timestamp < since - DISORDER;
            return if over { Verdict::Over } else { Verdict::Not };
        }
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let masked = seen.impersonated_user.as_ref().map_or("", |user| &user.username);
        let wanted = self.until.is_none_or(|until| seen.stage_timestamp <= until)
            && (is(&self.user, &seen.user.username) || is(&self.user, masked))
            && is(&self.verb, &seen.verb)
            && is(&self.namespace, &seen.object_ref.namespace)
            && self.resource.as_deref().is_none_or(|wanted| seen.object_ref.is(wanted));
        if wanted { Verdict::Wanted } else { Verdict::Not }
    }
}

impl SeenObject<'_> {
    /// Whether `resource[.group][/subresource]` names it.
    fn is(&self, wanted: &str) -> bool {
        let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
        let (plural, group) = match resource.split_once('.') {
            Some((plural, group)) => (plural, Some(group)),
            None => (resource, None),
        };
        plural == self.resource
            && group.is_none_or(|group| group == self.api_group)
            && (subresource.is_empty() || subresource == self.subresource)
    }
}

/// Lines of JSON as they are found.
#[derive(Debug)]
pub struct Lines(mpsc::Receiver<Bytes>);

impl Stream for Lines {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|part| part.map(Ok))
    }
}

/// Begins to read, as long as somebody takes the lines.
pub fn start(
    directory: &Path,
    query: Query,
    seat: OwnedSemaphorePermit,
) -> Result<Lines, StatusError> {
    let names = files::list(directory).map_err(StatusError::internal)?;
    let (lines, taken) = mpsc::channel(2);
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || {
        let _seat = seat;
        let mut scan = Scan {
            left: query.limit.unwrap_or(USUAL).min(MOST),
            query,
            lines,
            out: Vec::new(),
            end: Instant::now() + TIME,
        };
        if let Err(error) = scan.run(&directory, &names) {
            tracing::warn!(%error, "the audit log could not be read to its end");
            scan.stop("the audit log could not be read to its end; see the server's log");
        }
        scan.send();
    });
    Ok(Lines(taken))
}

struct Scan {
    query: Query,
    left: usize,
    lines: mpsc::Sender<Bytes>,
    out: Vec<u8>,
    end: Instant,
}

impl Scan {
    fn run(&mut self, directory: &Path, names: &[Name]) -> io::Result<()> {
        for name in names.iter().rev() {
            if self.query.until.is_some_and(|until| name.day > files::day(until)) {
                continue;
            }
            // A file holds the records of its day, and some that began before.
            let before = SignedDuration::from_hours(24);
            if self.query.since.is_some_and(|since| name.day < files::day(since - before)) {
                return Ok(());
            }
            let mut lines = match File::open(name.path(directory)) {
                Ok(file) => Backward::new(file)?,
                // Removed meanwhile, as the oldest are.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            while let Some(line) = lines.next()? {
                if self.left == 0 || self.lines.is_closed() {
                    return Ok(());
                }
                match self.query.judge(&line) {
                    Verdict::Over => return Ok(()),
                    Verdict::Not => {}
                    Verdict::Wanted => self.keep(&line),
                }
                if Instant::now() > self.end {
                    self.stop("the rest of the log was not looked at, it takes too long; ask with until=, or for less");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, line: &[u8]) {
        self.left -= 1;
        self.out.extend_from_slice(line);
        self.out.push(b'\n');
        if self.out.len() >= CHUNK {
            self.send();
        }
    }

    /// A last line that says that it isn't all.
    fn stop(&mut self, why: &str) {
        let status = StatusError::timeout(why).to_value();
        self.out.extend_from_slice(status.to_string().as_bytes());
        self.out.push(b'\n');
    }

    fn send(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let part = Bytes::from(std::mem::take(&mut self.out));
        // A reader that doesn't read is cut off by its connection, or here.
        let mut part = Some(part);
        while let Some(bytes) = part.take() {
            match self.lines.try_send(bytes) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
                Err(mpsc::error::TrySendError::Full(bytes)) if Instant::now() < self.end => {
                    std::thread::sleep(Duration::from_millis(5));
                    part = Some(bytes);
                }
                Err(mpsc::error::TrySendError::Full(_)) => self.left = 0,
            }
        }
    }
}

/// The lines of a file, the last one first.
struct Backward {
    file: File,
    /// Where what is in `buffer` begins.
    position: u64,
    buffer: Vec<u8>,
}

impl Backward {
    fn new(file: File) -> io::Result<Self> {
        let position = file.metadata()?.len();
        Ok(Self { file, position, buffer: Vec::new() })
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(index) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                let line = self.buffer.split_off(index + 1);
                self.buffer.pop();
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.position == 0 {
                let line = std::mem::take(&mut self.buffer);
                return Ok((!line.is_empty()).then_some(line));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::other("a line of the audit log has no end"));
            }
            let size = self.position.min(CHUNK as u64);
            self.position -= size;
            let mut part = vec![0; usize::try_from(size).unwrap_or(0)];
            self.file.read_exact_at(&mut part, self.position)?;
            part.append(&mut self.buffer);
            self.buffer = part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_backwards_however_long_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let lines: Vec<String> =
            (0..300).map(|index| format!("{index}{}", "x".repeat(index * 37 % 3000))).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let mut backward = Backward::new(File::open(&path).unwrap()).unwrap();
        for line in lines.iter().rev() {
            assert_eq!(backward.next().unwrap().unwrap(), line.as_bytes());
        }
        assert_eq!(backward.next().unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(Backward::new(File::open(&path).unwrap()).unwrap().next().unwrap(), None);
    }

    #[test]
    fn filters() {
        let line =
            br#"{"verb":"create","user":{"username":"ann"},"impersonatedUser":{"username":"bob"},
            "objectRef":{"resource":"environments","subresource":"exec","apiGroup":"x.dev",
            "namespace":"shop"},"stageTimestamp":"2026-03-01T10:00:00.000000Z"}"#;
        let wanted = |query: Query| query.judge(line) == Verdict::Wanted;
        let some = |text: &str| Some(text.to_owned());
        let all = Query::default();
        assert!(wanted(all.clone()));
        for (user, expected) in [("ann", true), ("bob", true), ("eve", false)] {
            assert_eq!(wanted(Query { user: some(user), ..all.clone() }), expected, "{user}");
        }
        for (resource, expected) in [
            ("environments", true),
            ("environments.x.dev", true),
            ("environments/exec", true),
            ("environments.x.dev/exec", true),
            ("environments.y.dev", false),
            ("environments/logs", false),
            ("secrets", false),
        ] {
            let query = Query { resource: some(resource), ..all.clone() };
            assert_eq!(wanted(query), expected, "{resource}");
        }
        assert!(!wanted(Query { verb: some("get"), ..all.clone() }));
        assert!(!wanted(Query { namespace: some("other"), ..all.clone() }));
        let at = |text: &str| Some(text.parse().unwrap());
        assert!(!wanted(Query { until: at("2026-03-01T09:59:59Z"), ..all.clone() }));
        let since = |text: &str| Query { since: at(text), ..all.clone() }.judge(line);
        assert_eq!(since("2026-03-01T10:00:00Z"), Verdict::Wanted);
        assert_eq!(since("2026-03-01T10:00:01Z"), Verdict::Not);
        assert_eq!(since("2026-03-01T11:00:00Z"), Verdict::Over);
    }
}
