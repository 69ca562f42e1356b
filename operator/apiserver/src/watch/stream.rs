//! One watch: a stream of JSON lines.
//!
//! ```text
//! initial objects (ADDED …, a bookmark where asked) ─▶ changes as they come ─▶ end
//! ```
//! The end is the client's timeout, the server's shutdown, an ERROR 410 when the
//! client asks for changes that the ring has dropped (clients list anew then), or an
//! ERROR 401 or 403 when its login or its right to watch has ended meanwhile.
//!
//! A watch that nobody reads costs nothing but itself: it holds a number, and looks
//! into the ring only when it is asked for more.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::initial::Initial;
use super::line::{self, Writer};
use super::{Appearance, Event, EventKind, Options};
use crate::http::Standing;
use crate::http::feed::Feed;
use crate::http::filter::Filter;
use crate::http::list::{check_not_newer, scan};
use crate::http::seats::WatchSeat;
use crate::http::view::View;
use crate::metrics::WatchGuard;
use crate::wire::raw;
use crate::wire::status::StatusError;

/// How often a quiet watcher learns how far the store has come.
const BOOKMARKS: Duration = Duration::from_secs(30);

/// How many bytes of objects are sent at a time. Whoever lags behind gets what it
/// missed in parts, as fast as it reads.
const BATCH: usize = 128 << 10;

/// Who watches, and for how long.
pub(crate) struct Watcher {
    /// Ends the watch.
    pub ends: CancellationToken,
    /// Absent for the controllers of this process, which need none.
    pub seat: Option<WatchSeat>,
    /// Judged again every `judged_for`, as a login may end and rights may be taken
    /// away. Absent for the controllers of this process.
    pub standing: Option<Standing>,
    pub judged_for: Duration,
}

impl Watcher {
    /// One who may always watch.
    pub fn of_this_process(ends: CancellationToken) -> Self {
        Self { ends, seat: None, standing: None, judged_for: Duration::MAX }
    }
}

enum Phase {
    /// Sending what exists.
    Initial(Feed),
    Live,
    /// Nothing more but this.
    Failed(StatusError),
    Done,
}

struct Watch {
    view: View,
    appearance: Appearance,
    filter: Filter,
    options: Options,
    phase: Phase,
    writer: Writer,
    /// Changes up to this version were sent or are not wanted.
    last: u64,
    changed: tokio::sync::watch::Receiver<u64>,
    deadline: Instant,
    bookmark: Interval,
    bookmark_due: bool,
    /// The time is over; what is there is sent, and a last bookmark.
    ending: bool,
    watcher: Watcher,
    /// When the watcher was last found to have the right to watch.
    judged: Instant,
    _guard: WatchGuard,
}

/// Starts a watch.
///
/// # Errors
/// When the store can't be read, 429 when too many start at once, and 504 for a
/// version that is yet to come.
pub(crate) async fn stream(
    view: View,
    filter: Filter,
    options: Options,
    watcher: Watcher,
) -> Result<impl Stream<Item = Result<Bytes, StatusError>> + use<>, StatusError> {
    let store = &view.state.store;
    // Before anything is read, so that no change falls in between.
    let changed = store.ring().subscribe_to(&view.resource.storage);
    let (phase, last) = if options.starts_with_objects() {
        let snapshot = store.snapshot()?;
        let version = snapshot.version();
        check_not_newer(options.version, version)?;
        let initial = Initial {
            scan: scan(&snapshot, &view.resource, &filter, None)?,
            view: view.clone(),
            filter: filter.clone(),
            writer: Writer::default(),
        };
        drop(snapshot);
        let seats = watcher.seat.is_some().then_some(&view.state.seats);
        (Phase::Initial(Feed::open(initial, seats, &view.state.shutdown).await?), version)
    } else {
        let current = store.version()?;
        match options.version {
            None | Some(0) => (Phase::Live, current),
            // From another life of the store: the client must list anew.
            Some(version) if version > current => (Phase::Failed(expired(version, current)), 0),
            Some(version) => (Phase::Live, version),
        }
    };
    let mut bookmark = tokio::time::interval_at(Instant::now() + BOOKMARKS, BOOKMARKS);
    bookmark.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let guard = view.state.metrics.watching(&view.resource.storage);
    let watch = Watch {
        deadline: Instant::now() + options.timeout,
        appearance: view.appearance(),
        view,
        filter,
        options,
        phase,
        writer: Writer::default(),
        last,
        changed,
        bookmark,
        bookmark_due: false,
        ending: false,
        watcher,
        judged: Instant::now(),
        _guard: guard,
    };
    Ok(futures::stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok(lines), watch))
    }))
}

fn expired(version: u64, floor: u64) -> StatusError {
    StatusError::expired(format!("too old resource version: {version} ({floor})"))
}

impl Watch {
    /// The next lines, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.watcher.ends.is_cancelled() {
                return None;
            }
            if let Err(error) = self.judge_again() {
                self.phase = Phase::Done;
                return Some(Bytes::from(line::error(&error)));
            }
            // What happened before the resource went is still told.
            let retired = self.view.resource.retired.is_cancelled();
            let lines = match std::mem::replace(&mut self.phase, Phase::Done) {
                Phase::Done => return None,
                Phase::Failed(error) => Err(error),
                Phase::Initial(feed) => self.initial(feed).await,
                Phase::Live => {
                    self.phase = Phase::Live;
                    self.live().map(Bytes::from)
                }
            };
            let lines = lines.unwrap_or_else(|error| {
                self.phase = Phase::Done;
                Bytes::from(line::error(&error))
            });
            if !lines.is_empty() {
                return Some(lines);
            }
            if matches!(self.phase, Phase::Live) {
                if retired {
                    return None;
                }
                self.wait().await;
            }
        }
    }

    /// Refuses to go on where the watcher may not watch any more.
    fn judge_again(&mut self) -> Result<(), StatusError> {
        let Some(standing) = &self.watcher.standing else { return Ok(()) };
        if matches!(self.phase, Phase::Done) || self.judged.elapsed() < self.watcher.judged_for {
            return Ok(());
        }
        self.judged = Instant::now();
        standing.check()
    }

    /// The next part of what exists.
    async fn initial(&mut self, mut feed: Feed) -> Result<Bytes, StatusError> {
        let part = tokio::select! {
            part = feed.next() => part,
            () = tokio::time::sleep_until(self.deadline) => return Ok(Bytes::new()),
            () = self.watcher.ends.cancelled() => return Ok(Bytes::new()),
        };
        match part {
            Some(part) => {
                let part = part?;
                self.phase = Phase::Initial(feed);
                if !part.is_empty() {
                    self.writer.begun();
                }
                Ok(part)
            }
            None => {
                self.phase = Phase::Live;
                let mut lines = Vec::new();
                if self.options.marks_the_start() {
                    self.writer.bookmark(&mut lines, &self.view, self.last, true)?;
                }
                Ok(Bytes::from(lines))
            }
        }
    }

    /// The changes that came since the last call, and the bookmark that is due.
    fn live(&mut self) -> Result<Vec<u8>, StatusError> {
        self.changed.borrow_and_update();
        let mut lines = Vec::new();
        loop {
            let filter = &self.filter;
            let wanted = |key: &crate::store::Key| filter.admits(key.namespace(), key.name());
            let ring = self.view.state.store.ring();
            let batch = ring
                .changes(&self.view.resource.storage, self.last, BATCH, wanted)
                .map_err(|gone| expired(self.last, gone.floor))?;
            for event in batch.events {
                self.change(&mut lines, &event)?;
            }
            self.last = batch.version;
            if !batch.more {
                break;
            }
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
        if std::mem::take(&mut self.bookmark_due) && self.options.bookmarks {
            self.writer.bookmark(&mut lines, &self.view, self.last, false)?;
        }
        if self.ending {
            self.phase = Phase::Done;
        }
        Ok(lines)
    }

    /// Appends what this watcher sees of a change: an object that comes to match
    /// the selectors was added, one that no longer does was deleted.
    fn change(&mut self, out: &mut Vec<u8>, event: &Event) -> Result<(), StatusError> {
        let before = event.kind != EventKind::Added
            && self.filter.matches(event.before.as_ref().unwrap_or(&event.object));
        let now = event.kind != EventKind::Deleted && self.filter.matches(&event.object);
        let kind = match (before, now) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return Ok(()),
        };
        let Self { view, appearance, writer, .. } = self;
        // As in Kubernetes, what left the selection is shown as it was inside.
        let left = match (&event.before, event.kind) {
            (Some(before), EventKind::Modified) if !now => with_version(before, event.version),
            _ => None,
        };
        writer.object(out, view, kind, event.version, |out| {
            if let Some(left) = left {
                return view.append(out, &left);
            }
            if view.is_verbatim(&event.object) {
                out.extend_from_slice(&event.object);
                return Ok(());
            }
            let encoded = event.encoded(appearance, || {
                let mut encoded = Vec::new();
                view.append(&mut encoded, &event.object).map(|()| encoded)
            })?;
            out.extend_from_slice(&encoded);
            Ok(())
        })
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let judged_for = self.watcher.judged_for;
        let judge = self.judged.checked_add(judged_for).unwrap_or(self.deadline);
        tokio::select! {
            changed = self.changed.changed() => if changed.is_err() {
                self.phase = Phase::Done;
            },
            _ = self.bookmark.tick() => self.bookmark_due = true,
            () = tokio::time::sleep_until(self.deadline) => {
                self.bookmark_due = true;
                self.ending = true;
            }
            () = tokio::time::sleep_until(judge), if self.watcher.standing.is_some() => {}
            () = self.watcher.ends.cancelled() => self.phase = Phase::Done,
            () = self.view.resource.retired.cancelled() => {}
        }
    }
}

/// An object with another resourceVersion.
fn with_version(object: &[u8], version: u64) -> Option<Vec<u8>> {
    let value = raw::find(object, &["metadata", "resourceVersion"])?;
    let start = value.as_ptr() as usize - object.as_ptr() as usize;
    let mut changed = Vec::with_capacity(object.len() + 8);
    changed.extend_from_slice(&object[..start]);
    changed.extend_from_slice(format!("\"{version}\"").as_bytes());
    changed.extend_from_slice(&object[start + value.len()..]);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_of_an_object_is_replaced() {
        let object = br#"{"metadata":{"name":"a","resourceVersion":"9"},"resourceVersion":"x"}"#;
        let expected = r#"{"metadata":{"name":"a","resourceVersion":"10"},"resourceVersion":"x"}"#;
        assert_eq!(with_version(object, 10).as_deref(), Some(expected.as_bytes()));
        assert_eq!(with_version(b"{}", 10), None);
    }
}
