//! Containers that end again and again: the engine starts them again so soon
//! that every look may find them running.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use hades_plan::{ContainerState, ObservedContainer};

/// How long an end is remembered.
const WINDOW: Duration = Duration::from_secs(600);
/// One that has run so long does no longer flap.
const SETTLED_SECONDS: u64 = 120;
/// Engines tell how long one has run in whole seconds, and a look takes a while.
const SLACK_SECONDS: u64 = 3;
/// From here on engines tell whole minutes and more.
const COARSE_SECONDS: u64 = 60;
/// Ends that are remembered of one container.
const MOST: usize = 100;

#[derive(Debug)]
struct Seen {
    state: ContainerState,
    uptime_seconds: Option<u64>,
    at: Instant,
    ends: VecDeque<Instant>,
}

/// Ends of containers by id, as far as they were noticed.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    seen: HashMap<String, Seen>,
}

impl Restarts {
    /// Takes in a look at a container; answers how often it ended lately.
    pub fn note(&mut self, container: &ObservedContainer, now: Instant) -> u32 {
        let ObservedContainer { id, state, uptime_seconds, .. } = container;
        let Some(seen) = self.seen.get_mut(id) else {
            let seen = Seen {
                state: *state,
                uptime_seconds: *uptime_seconds,
                at: now,
                ends: VecDeque::new(),
            };
            self.seen.insert(id.clone(), seen);
            return 0;
        };
        if seen.has_ended(*state, *uptime_seconds, now) && seen.ends.len() < MOST {
            seen.ends.push_back(now);
        }
        // The engine's own restarts pass through no such state: somebody stopped it,
        // and it begins anew.
        let stopped = *state == ContainerState::Exited;
        if stopped || uptime_seconds.is_some_and(|uptime| uptime >= SETTLED_SECONDS) {
            seen.ends.clear();
        }
        while seen.ends.front().is_some_and(|end| now.duration_since(*end) > WINDOW) {
            seen.ends.pop_front();
        }
        seen.state = *state;
        seen.uptime_seconds = *uptime_seconds;
        seen.at = now;
        u32::try_from(seen.ends.len()).unwrap_or(u32::MAX)
    }

    /// How many containers are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Forgets those that `keep` says no to.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.seen.retain(|id, _| keep(id));
    }
}

impl Seen {
    /// Whether it ended by itself since the last look, as far as one can tell.
    fn has_ended(&self, state: ContainerState, uptime: Option<u64>, now: Instant) -> bool {
        let running = |state| state == ContainerState::Running;
        match (self.state, state) {
            (before, ContainerState::Restarting) => running(before),
            (before, after) if running(before) && running(after) => {
                let (Some(before), Some(after)) = (self.uptime_seconds, uptime) else {
                    return false;
                };
                let elapsed = now.duration_since(self.at).as_secs();
                after < before || (after < COARSE_SECONDS && after + SLACK_SECONDS < elapsed)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_were_noticed() {
        use ContainerState::{Exited, Restarting, Running};
        // Seconds after the first look, state, uptime, and ends noticed by then.
        type Row = (u64, ContainerState, Option<u64>, u32);
        let cases: [(&str, &[Row]); 6] = [
            (
                "runs",
                &[(0, Running, Some(1), 0), (5, Running, Some(6), 0), (90, Running, Some(60), 0)],
            ),
            (
                "ends between looks",
                &[(0, Running, Some(9), 0), (1, Running, Some(0), 1), (30, Running, Some(2), 2)],
            ),
            (
                "is seen between two starts, once each time",
                &[
                    (0, Running, Some(0), 0),
                    (1, Restarting, None, 1),
                    (2, Restarting, None, 1),
                    (3, Running, Some(0), 1),
                    (4, Restarting, None, 2),
                ],
            ),
            (
                "is stopped and started by hand",
                &[(0, Running, Some(9), 0), (1, Exited, None, 0), (2, Running, Some(0), 0)],
            ),
            (
                "ends, is stopped, and gets another try",
                &[
                    (0, Running, Some(1), 0),
                    (1, Restarting, None, 1),
                    (2, Exited, None, 0),
                    (9, Running, Some(0), 0),
                    (10, Restarting, None, 1),
                ],
            ),
            (
                "settles",
                &[(0, Running, Some(5), 0), (1, Running, Some(0), 1), (130, Running, Some(120), 0)],
            ),
        ];
        for (what, rows) in cases {
            let (mut restarts, start) = (Restarts::default(), Instant::now());
            for (at, state, uptime_seconds, expected) in rows {
                let container = ObservedContainer {
                    id: "c".to_owned(),
                    state: *state,
                    uptime_seconds: *uptime_seconds,
                    ..ObservedContainer::default()
                };
                let found = restarts.note(&container, start + Duration::from_secs(*at));
                assert_eq!(found, *expected, "{what}, after {at} s");
            }
        }
    }
}
