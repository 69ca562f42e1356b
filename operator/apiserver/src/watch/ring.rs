//! The last changes, kept in memory for watchers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::store::{Key, Labels};

/// Changes are dropped from the ring past this many bytes of objects, however
/// few they are: idle memory is a promise.
const MAX_BYTES: usize = 8 << 20;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was created.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub struct Event {
    /// The resourceVersion of the change.
    pub version: u64,
    /// What happened.
    pub kind: EventKind,
    /// Whom it happened to.
    pub key: Key,
    /// The object after the change; for a deletion, its last state with the
    /// resourceVersion of the deletion. Secrets are in the clear here.
    pub object: Bytes,
    /// The labels after the change.
    pub labels: Labels,
    /// The labels before the change where they differ: a watcher with a
    /// selector must learn that an object left it.
    pub labels_before: Option<Labels>,
}

/// The ring no longer holds everything after the asked version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

/// A bounded log of changes, in the order of their versions.
#[derive(Debug)]
pub struct Ring {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
    capacity: usize,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Every change after this version is in `events`.
    floor: u64,
    latest: u64,
}

impl Ring {
    /// An empty ring of a store that stands at `version`.
    #[must_use]
    pub fn new(capacity: usize, version: u64) -> Self {
        Self {
            state: Mutex::new(State {
                events: VecDeque::new(),
                bytes: 0,
                floor: version,
                latest: version,
            }),
            latest: watch::Sender::new(version),
            capacity: capacity.max(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the changes of one commit and wakes the watchers.
    pub fn publish(&self, events: impl IntoIterator<Item = Event>) {
        let latest = {
            let mut state = self.state();
            for event in events {
                state.latest = event.version;
                state.bytes += event.object.len();
                state.events.push_back(Arc::new(event));
            }
            while state.events.len() > self.capacity
                || (state.bytes > MAX_BYTES && state.events.len() > 1)
            {
                if let Some(gone) = state.events.pop_front() {
                    state.bytes -= gone.object.len();
                    state.floor = gone.version;
                }
            }
            state.latest
        };
        self.latest.send_replace(latest);
    }

    /// The changes after `version` that `wanted` picks, and the version up to
    /// which the answer is complete.
    ///
    /// # Errors
    /// [`Expired`] when changes after `version` were dropped already.
    pub fn since(
        &self,
        version: u64,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        let state = self.state();
        if version < state.floor {
            return Err(Expired);
        }
        let start = state.events.partition_point(|event| event.version <= version);
        let events =
            state.events.range(start..).filter(|event| wanted(&event.key)).cloned().collect();
        Ok((events, state.latest.max(version)))
    }

    /// Wakes whenever something was published.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: u64, name: &str) -> Event {
        Event {
            version,
            kind: EventKind::Added,
            key: Key::new(&"/configmaps".into(), "shop", name),
            object: Bytes::from_static(b"{}"),
            labels: Labels::new(),
            labels_before: None,
        }
    }

    #[test]
    fn a_watcher_that_fell_behind_is_told_so() {
        let ring = Ring::new(2, 10);
        ring.publish([event(11, "a"), event(12, "b"), event(13, "c")]);
        assert_eq!(ring.since(10, |_| true).unwrap_err(), Expired);
        let (events, latest) = ring.since(11, |_| true).unwrap();
        assert_eq!(events.iter().map(|e| e.version).collect::<Vec<_>>(), [12, 13]);
        assert_eq!(latest, 13);
    }

    #[test]
    fn a_watcher_moves_past_changes_that_it_does_not_want() {
        let ring = Ring::new(8, 0);
        ring.publish([event(1, "a"), event(2, "b")]);
        let (events, latest) = ring.since(0, |key| key.name() == "a").unwrap();
        assert_eq!((events.len(), latest), (1, 2));
        assert_eq!(ring.since(5, |_| true).unwrap().1, 5);
    }
}
