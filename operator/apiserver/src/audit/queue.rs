//! What waits to be written. Bounded: a request never waits here, and memory
//! doesn't grow while a disk is full.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Bytes of records that wait at most: some ten thousand of them.
const MOST: usize = 8 << 20;

/// Above this, people's changes are refused; the rest is for what is under way and
/// for the controllers of this process.
const CROWDED: usize = MOST / 4 * 3;

/// The queue of one log.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    /// How many of the records that came are written, or lost.
    settled: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Vec<u8>>,
    bytes: usize,
    /// Bytes that the writer has taken and not written yet.
    taken: usize,
    came: u64,
    lost: u64,
    closed: bool,
}

/// What the writer takes.
#[derive(Debug, Default)]
pub struct Batch {
    pub events: Vec<Vec<u8>>,
    /// Records that found no room since the last one.
    pub lost: u64,
    /// No more will come.
    pub closed: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self { state: Mutex::default(), wake: Condvar::new(), settled: watch::Sender::new(0) }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record in; whether there was room.
    pub fn push(&self, event: Vec<u8>) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.came += 1;
        let fits = state.bytes + state.taken + event.len() <= MOST;
        if fits {
            state.bytes += event.len();
            state.events.push(event);
        } else {
            state.lost += 1;
        }
        drop(state);
        self.wake.notify_one();
        fits
    }

    /// Whether so much waits that people's changes must be refused.
    pub fn is_crowded(&self) -> bool {
        let state = self.lock();
        state.bytes + state.taken > CROWDED
    }

    /// What has come, as soon as there is something; an empty batch when there is
    /// nothing until the deadline.
    pub fn take(&self, deadline: Option<Instant>) -> Batch {
        let mut state = self.lock();
        while state.events.is_empty() && state.lost == 0 && !state.closed {
            let Some(deadline) = deadline else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            let waited = self.wake.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taken += std::mem::take(&mut state.bytes);
        Batch {
            events: std::mem::take(&mut state.events),
            lost: std::mem::take(&mut state.lost),
            closed: state.closed,
        }
    }

    /// Waits without taking anything; returns at once when it is closed.
    pub fn pause(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        while !state.closed {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            let waited = self.wake.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says that all that was taken is written: so many records, lost ones
    /// included.
    pub fn settle(&self, count: u64) {
        self.lock().taken = 0;
        self.settled.send_modify(|settled| *settled += count);
    }

    /// Takes in nothing more, and has the writer end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Whether nothing more is taken in.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until all that has come so far is written, for a while.
    pub async fn settled(&self, most: Duration) {
        let came = self.lock().came;
        let mut settled = self.settled.subscribe();
        let _ = tokio::time::timeout(most, settled.wait_for(|count| *count >= came)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_room_comes_back() {
        let queue = Queue::default();
        let megabyte = || vec![b'x'; 1 << 20];
        for _ in 0..6 {
            assert!(queue.push(megabyte()));
        }
        assert!(!queue.is_crowded());
        assert!(queue.push(vec![b'x']));
        assert!(queue.is_crowded());
        assert!(queue.push(megabyte()));
        let taken = queue.take(None);
        assert_eq!((taken.events.len(), taken.lost), (8, 0));
        assert!(queue.is_crowded(), "what is being written takes room still");
        assert!(!queue.push(megabyte()) && !queue.push(megabyte()));
        let none = queue.take(None);
        assert_eq!((none.events.len(), none.lost), (0, 2));
        queue.settle(10);
        assert!(!queue.is_crowded() && queue.push(megabyte()));
        queue.close();
        assert!(!queue.push(megabyte()));
        assert!(queue.take(None).closed);
    }
}
