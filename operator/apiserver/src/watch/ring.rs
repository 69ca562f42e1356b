//! The last changes, kept in memory for watchers.
//!
//! One log of all changes, and of each resource its own part of it. The log is
//! bounded as a whole: a burst of one resource drops old changes of others. But
//! only those who miss a change of their own resource have to start anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Event;
use crate::store::Key;

/// Changes are dropped from the ring past this many bytes of objects, however
/// few they are: idle memory is a promise.
const MAX_BYTES: usize = 8 << 20;

/// How many of the last changes keep the bytes that watchers share. All watchers
/// that keep up look at these; the others make their own.
const SHARED: usize = 256;

/// The ring no longer holds everything after the asked version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The oldest version that can be asked for.
    pub floor: u64,
}

/// Changes of one resource.
#[derive(Debug)]
pub struct Batch {
    /// The changes, in the order of their versions.
    pub events: Vec<Arc<Event>>,
    /// There is no other wanted change up to this version.
    pub version: u64,
    /// Whether there is more to ask for at once.
    pub more: bool,
}

/// A bounded log of changes, in the order of their versions.
#[derive(Debug)]
pub struct Ring {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
    capacity: usize,
    /// Where the log began. Of what was before, nothing is known.
    origin: u64,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Every change after this version is in `events`.
    floor: u64,
    latest: u64,
    topics: HashMap<Arc<str>, Topic>,
}

/// The changes of one resource.
#[derive(Debug)]
struct Topic {
    events: VecDeque<Arc<Event>>,
    /// Every change of this resource after this version is in `events`.
    floor: u64,
    /// The last change; wakes the watchers of this resource and no others.
    changed: watch::Sender<u64>,
}

impl Topic {
    fn new(origin: u64) -> Self {
        Self { events: VecDeque::new(), floor: origin, changed: watch::Sender::new(origin) }
    }
}

impl State {
    fn topic(&mut self, resource: &Arc<str>, origin: u64) -> &mut Topic {
        self.topics.entry(Arc::clone(resource)).or_insert_with(|| Topic::new(origin))
    }

    /// Drops the oldest change.
    fn drop_first(&mut self) {
        let Some(gone) = self.events.pop_front() else {
            return;
        };
        self.bytes -= gone.size();
        self.floor = gone.version;
        if let Some(topic) = self.topics.get_mut(gone.key.resource()) {
            topic.events.pop_front();
            topic.floor = gone.version;
        }
    }
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
                topics: HashMap::new(),
            }),
            latest: watch::Sender::new(version),
            capacity: capacity.max(1),
            origin: version,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the changes of one commit and wakes the watchers.
    pub fn publish(&self, events: impl IntoIterator<Item = Event>) {
        let mut touched: Vec<(Arc<str>, watch::Sender<u64>, u64)> = Vec::new();
        let latest = {
            let mut state = self.state();
            for event in events {
                let version = event.version;
                let resource = event.key.shared_resource();
                let event = Arc::new(event);
                state.latest = version;
                state.bytes += event.size();
                state.events.push_back(Arc::clone(&event));
                let topic = state.topic(&resource, self.origin);
                topic.events.push_back(event);
                match touched.iter_mut().find(|(one, ..)| *one == resource) {
                    Some((.., last)) => *last = version,
                    None => touched.push((resource, topic.changed.clone(), version)),
                }
                if let Some(old) = state.events.len().checked_sub(SHARED + 1) {
                    state.events[old].forget_encodings();
                }
            }
            while state.events.len() > self.capacity
                || (state.bytes > MAX_BYTES && state.events.len() > 1)
            {
                state.drop_first();
            }
            state.latest
        };
        // Without the lock, which whoever wakes up takes at once.
        for (_, changed, version) in touched {
            changed.send_replace(version);
        }
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
            return Err(Expired { floor: state.floor });
        }
        let start = state.events.partition_point(|event| event.version <= version);
        let events =
            state.events.range(start..).filter(|event| wanted(&event.key)).cloned().collect();
        Ok((events, state.latest.max(version)))
    }

    /// The changes of one resource after `version` that `wanted` picks, about
    /// `budget` bytes of them at a time.
    ///
    /// # Errors
    /// [`Expired`] when changes of this resource after `version` were dropped
    /// already.
    pub fn changes(
        &self,
        resource: &Arc<str>,
        version: u64,
        budget: usize,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<Batch, Expired> {
        let mut state = self.state();
        let latest = state.latest;
        let topic = state.topic(resource, self.origin);
        if version < topic.floor {
            return Err(Expired { floor: topic.floor });
        }
        let start = topic.events.partition_point(|event| event.version <= version);
        let mut events = Vec::new();
        let mut size = 0;
        for event in topic.events.range(start..) {
            if size >= budget {
                return Ok(Batch { events, version: event.version - 1, more: true });
            }
            if wanted(&event.key) {
                size += event.object.len();
                events.push(Arc::clone(event));
            }
        }
        Ok(Batch { events, version: latest.max(version), more: false })
    }

    /// Wakes whenever something was published.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Wakes whenever something of this resource was published.
    #[must_use]
    pub fn subscribe_to(&self, resource: &Arc<str>) -> watch::Receiver<u64> {
        self.state().topic(resource, self.origin).changed.subscribe()
    }

    /// The version of the last published change.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.state().latest
    }

    /// Whether nothing of this resource was published after `version`. What was
    /// before the start of this process is not known, and counts as changed.
    #[must_use]
    pub fn unchanged_since(&self, resource: &Arc<str>, version: u64) -> bool {
        let last = *self.state().topic(resource, self.origin).changed.borrow();
        last <= version
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::EventKind;
    use super::*;

    fn maps() -> Arc<str> {
        "/configmaps".into()
    }

    fn leases() -> Arc<str> {
        "coordination.k8s.io/leases".into()
    }

    fn event_of(resource: &Arc<str>, version: u64, name: &str) -> Event {
        let key = Key::new(resource, "shop", name);
        Event::new(version, EventKind::Added, key, Bytes::from_static(b"{}"), None)
    }

    fn event(version: u64, name: &str) -> Event {
        event_of(&maps(), version, name)
    }

    fn versions(events: &[Arc<Event>]) -> Vec<u64> {
        events.iter().map(|event| event.version).collect()
    }

    #[test]
    fn a_watcher_that_fell_behind_is_told_so() {
        let ring = Ring::new(2, 10);
        ring.publish([event(11, "a"), event(12, "b"), event(13, "c")]);
        assert_eq!(ring.since(10, |_| true).unwrap_err(), Expired { floor: 11 });
        let (events, latest) = ring.since(11, |_| true).unwrap();
        assert_eq!((versions(&events), latest), (vec![12, 13], 13));
        assert!(ring.changes(&maps(), 10, 1000, |_| true).is_err());
        let batch = ring.changes(&maps(), 11, 1000, |_| true).unwrap();
        assert_eq!((versions(&batch.events), batch.version, batch.more), (vec![12, 13], 13, false));
    }

    #[test]
    fn a_watcher_moves_past_changes_that_it_does_not_want() {
        let ring = Ring::new(8, 0);
        ring.publish([event(1, "a"), event(2, "b")]);
        let (events, latest) = ring.since(0, |key| key.name() == "a").unwrap();
        assert_eq!((events.len(), latest), (1, 2));
        assert_eq!(ring.since(5, |_| true).unwrap().1, 5);
    }

    #[test]
    fn a_burst_of_one_resource_expires_no_watcher_of_another() {
        let ring = Ring::new(4, 0);
        ring.publish([event(1, "a"), event(2, "b")]);
        ring.publish((3..10).map(|version| event_of(&leases(), version, "leader")));
        // "a" and "b" are gone from the ring; whoever saw them misses nothing.
        let batch = ring.changes(&maps(), 2, 1000, |_| true).unwrap();
        assert_eq!((batch.events.len(), batch.version), (0, 9));
        assert_eq!(ring.changes(&maps(), 1, 1000, |_| true).unwrap_err().floor, 2);
        assert!(ring.changes(&leases(), 2, 1000, |_| true).is_err());
        assert!(ring.unchanged_since(&maps(), 2));
        assert!(!ring.unchanged_since(&maps(), 1));
        assert!(!ring.unchanged_since(&leases(), 8));
    }

    #[test]
    fn only_the_watchers_of_a_resource_are_woken_by_it() {
        let ring = Ring::new(8, 0);
        let mut of_maps = ring.subscribe_to(&maps());
        let mut of_leases = ring.subscribe_to(&leases());
        of_maps.borrow_and_update();
        of_leases.borrow_and_update();
        ring.publish([event_of(&leases(), 1, "leader")]);
        assert!(!of_maps.has_changed().unwrap());
        assert!(of_leases.has_changed().unwrap());
    }

    #[test]
    fn what_is_too_much_for_once_comes_in_parts_without_a_gap() {
        let ring = Ring::new(100, 0);
        ring.publish((1..=9).map(|version| {
            let resource = if version % 2 == 0 { leases() } else { maps() };
            event_of(&resource, version, "x")
        }));
        let (mut seen, mut parts, mut last) = (Vec::new(), 0, 0);
        loop {
            let batch = ring.changes(&maps(), last, 4, |_| true).unwrap();
            seen.extend(versions(&batch.events));
            last = batch.version;
            parts += 1;
            if !batch.more {
                break;
            }
        }
        assert_eq!((seen, parts, last), (vec![1, 3, 5, 7, 9], 3, 9));
    }

    #[test]
    fn old_changes_give_the_memory_of_their_encodings_back() {
        let ring = Ring::new(1000, 0);
        ring.publish([event(1, "a")]);
        let first = Arc::clone(&ring.since(0, |_| true).unwrap().0[0]);
        let registry = crate::registry::Registry::builtin();
        let appearance = crate::watch::Appearance {
            resource: Arc::clone(registry.find("", "v1", "configmaps").unwrap()),
            form: crate::wire::accept::ResponseForm::Json,
            include: crate::wire::table::IncludeObject::Metadata,
            masked: false,
        };
        let made = |text: &'static str| {
            let make = || Ok::<_, std::convert::Infallible>(text.as_bytes().to_vec());
            first.encoded(&appearance, make).unwrap()
        };
        assert_eq!(made("first"), "first");
        assert_eq!(made("again"), "first", "made once");
        ring.publish((2..=SHARED as u64 + 1).map(|version| event(version, "b")));
        assert_eq!(made("after"), "after");
    }
}
