//! One watch: a stream of JSON lines.
//!
//! ```text
//! initial objects (ADDED …, a bookmark where asked) ─▶ changes as they come ─▶ end
//! ```
//! The end is the client's timeout, the server's shutdown, or an ERROR 410 when
//! the client asks for changes that the ring has dropped; clients list anew then.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Event, EventKind};
use crate::http::list::scan;
use crate::http::version_parameter;
use crate::http::view::{Filter, LIST_TAIL, View};
use crate::metrics::WatchGuard;
use crate::registry::Nature;
use crate::store::Scan;
use crate::wire::accept::ResponseForm;
use crate::wire::status::StatusError;
use crate::write::{flag, parameter};

/// How long a watch lasts when the client doesn't say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// No watch lasts longer, whatever the client says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a quiet watcher learns how far the store has come. Well below the
/// time in which a busy ring forgets.
const BOOKMARKS: Duration = Duration::from_secs(30);

/// How many bytes of initial objects are read at a time.
const PAGE: usize = 256 << 10;

/// Query parameters of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    version: Option<u64>,
    /// `Some(true)`: the initial objects first, and a bookmark after them.
    initial_events: Option<bool>,
    bookmarks: bool,
    timeout: Duration,
}

impl Options {
    /// Reads the parameters.
    pub fn read(query: &[(String, String)]) -> Result<Self, StatusError> {
        let timeout = match parameter(query, "timeoutSeconds") {
            None | Some("" | "0") => DEFAULT_TIMEOUT,
            Some(text) => text.parse().map(Duration::from_secs).map_err(|_| {
                StatusError::bad_request(format!("timeoutSeconds: {text:?} is not a number"))
            })?,
        };
        let timeout = timeout.min(LONGEST);
        Ok(Self {
            version: version_parameter(query)?,
            initial_events: parameter(query, "sendInitialEvents").map(|value| value == "true"),
            bookmarks: flag(query, "allowWatchBookmarks"),
            timeout,
        })
    }

    /// Whether the objects that exist already come first.
    fn starts_with_objects(&self) -> bool {
        match self.initial_events {
            Some(wanted) => wanted,
            None => matches!(self.version, None | Some(0)),
        }
    }
}

enum Phase {
    /// Reading what exists; the scan is away while a page is read.
    Initial(Option<Box<Scan>>),
    Live,
    Done,
}

struct Watch {
    view: View,
    filter: Filter,
    options: Options,
    phase: Phase,
    /// Changes up to this version were sent or are not wanted.
    last: u64,
    latest: tokio::sync::watch::Receiver<u64>,
    deadline: Instant,
    bookmark: Interval,
    definitions_sent: bool,
    ends: CancellationToken,
    _guard: WatchGuard,
}

/// Starts a watch, which `ends` ends.
///
/// # Errors
/// When the store can't be read.
pub(crate) fn stream(
    view: View,
    filter: Filter,
    options: Options,
    ends: CancellationToken,
) -> Result<impl Stream<Item = Result<Bytes, StatusError>> + use<>, StatusError> {
    let store = &view.state.store;
    // Before anything is read, so that no change falls in between.
    let latest = store.ring().subscribe();
    let (phase, last) = if options.starts_with_objects() {
        let scan = scan(&view, &filter)?;
        let version = scan.version();
        (Phase::Initial(Some(Box::new(scan))), version)
    } else {
        let current = store.version()?;
        match options.version {
            None | Some(0) => (Phase::Live, current),
            // From another life of the store: the client must list anew.
            Some(version) if version > current => (Phase::Live, 0),
            Some(version) => (Phase::Live, version),
        }
    };
    let mut bookmark = tokio::time::interval_at(Instant::now() + BOOKMARKS, BOOKMARKS);
    bookmark.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let guard = view.state.metrics.watching(&view.resource.storage);
    let watch = Watch {
        deadline: Instant::now() + options.timeout,
        view,
        filter,
        options,
        phase,
        last,
        latest,
        bookmark,
        definitions_sent: false,
        ends,
        _guard: guard,
    };
    Ok(futures::stream::unfold(watch, |mut watch| async move {
        let lines = watch.next().await?;
        Some((Ok(lines), watch))
    }))
}

impl Watch {
    /// The next lines, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ends.is_cancelled() {
                return None;
            }
            // What happened before the resource went is still told.
            let retired = self.view.resource.retired.is_cancelled();
            let lines = match &mut self.phase {
                Phase::Done => return None,
                Phase::Initial(scan) => {
                    let scan = scan.take()?;
                    self.initial(scan).await
                }
                Phase::Live => self.live(),
            };
            let lines = lines.unwrap_or_else(|error| {
                self.phase = Phase::Done;
                line("ERROR", error.to_value().to_string().as_bytes())
            });
            if !lines.is_empty() {
                return Some(Bytes::from(lines));
            }
            if matches!(self.phase, Phase::Live) {
                if retired {
                    return None;
                }
                match self.wait().await {
                    Some(lines) if lines.is_empty() => {}
                    other => return other.map(Bytes::from),
                }
            }
        }
    }

    /// Reads a page of what exists.
    async fn initial(&mut self, mut scan: Box<Scan>) -> Result<Vec<u8>, StatusError> {
        let page = tokio::task::spawn_blocking(move || {
            let page = scan.next_page(PAGE);
            (page, scan)
        });
        let (page, scan) =
            page.await.map_err(|_| StatusError::internal("a task of the watch ended early"))?;
        let page = page?;
        let mut lines = Vec::new();
        if page.is_empty() {
            self.phase = Phase::Live;
            if self.options.initial_events == Some(true) {
                lines.extend(self.bookmark(true));
            }
            return Ok(lines);
        }
        self.phase = Phase::Initial(Some(scan));
        for row in page {
            if let Some(element) = self.view.item(&self.filter, row)? {
                lines.extend(self.line("ADDED", &element));
            }
        }
        Ok(lines)
    }

    /// The changes that came since the last call.
    fn live(&mut self) -> Result<Vec<u8>, StatusError> {
        let version = *self.latest.borrow_and_update();
        if version == self.last {
            return Ok(Vec::new());
        }
        let storage = &*self.view.resource.storage;
        let wanted = |key: &crate::store::Key| key.resource() == storage && self.filter.admits(key);
        let ring = self.view.state.store.ring();
        let (events, latest) = ring.since(self.last, wanted).map_err(|_| {
            StatusError::expired(format!("too old resource version: {}", self.last))
        })?;
        let mut lines = Vec::new();
        for event in events {
            if let Some(line) = self.change(&event)? {
                lines.extend(line);
            }
        }
        self.last = latest;
        Ok(lines)
    }

    /// What this watcher sees of a change: an object that comes to match the
    /// selectors was added, one that no longer does was deleted.
    fn change(&mut self, event: &Arc<Event>) -> Result<Option<Vec<u8>>, StatusError> {
        let shown = self.view.shown(event.object.clone())?;
        let fields = self.filter.fields_match(&shown)?;
        let now = fields && self.filter.labels_match(&event.labels);
        let before =
            self.filter.labels_match(event.labels_before.as_ref().unwrap_or(&event.labels))
                && (fields || !self.has_fixed_fields());
        let kind = match (event.kind, before, now) {
            (EventKind::Added, _, true) | (EventKind::Modified, false, true) => "ADDED",
            (EventKind::Modified, true, true) => "MODIFIED",
            (EventKind::Modified, true, false) | (EventKind::Deleted, _, true) => "DELETED",
            _ => return Ok(None),
        };
        let element = self.view.element(shown)?;
        Ok(Some(self.line(kind, &element)))
    }

    /// Events never change in the fields that people select them by, so that
    /// one that doesn't match now never did.
    fn has_fixed_fields(&self) -> bool {
        matches!(self.view.resource.nature, Nature::Event | Nature::CoreEvent)
    }

    /// Sleeps until there is something to do. Lines to send, none, or the end.
    async fn wait(&mut self) -> Option<Vec<u8>> {
        tokio::select! {
            changed = self.latest.changed() => changed.is_ok().then(Vec::new),
            _ = self.bookmark.tick() => {
                Some(if self.options.bookmarks { self.bookmark(false) } else { Vec::new() })
            }
            () = tokio::time::sleep_until(self.deadline) => None,
            () = self.ends.cancelled() => None,
            () = self.view.resource.retired.cancelled() => Some(Vec::new()),
        }
    }

    fn bookmark(&mut self, initial_end: bool) -> Vec<u8> {
        let mut metadata =
            json!({"resourceVersion": self.last.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let info = &self.view.resource.info;
        let object = match self.view.form {
            ResponseForm::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": [], "rows": [],
            }),
            ResponseForm::PartialObjectMetadata | ResponseForm::PartialObjectMetadataList => {
                json!({
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                })
            }
            ResponseForm::Json | ResponseForm::Yaml => {
                json!({"kind": info.kind, "apiVersion": info.api_version(), "metadata": metadata})
            }
        };
        line("BOOKMARK", Value::to_string(&object).as_bytes())
    }

    /// One element as a line; a table row becomes a table of its own.
    fn line(&mut self, kind: &str, element: &[u8]) -> Vec<u8> {
        if self.view.form != ResponseForm::Table {
            return line(kind, element);
        }
        let mut table = self.view.list_head(&self.last.to_string(), !self.definitions_sent);
        self.definitions_sent = true;
        table.extend_from_slice(element);
        table.extend_from_slice(LIST_TAIL);
        line(kind, &table)
    }
}

fn line(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line
}
