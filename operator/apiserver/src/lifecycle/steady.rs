//! Time that a clock which jumps does not carry away.
//!
//! What has to last an hour is measured by the clock on the wall, as its
//! timestamps are. A clock that is wrong for a minute must not end all hours at
//! once. So a jump is believed only when the clock has kept to it for a while;
//! until then, time goes on as before.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A smaller difference is a clock being set right.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(2);

/// For so long a clock has to keep to a jump.
const SETTLED: Duration = Duration::from_secs(10 * 60);

/// The time that is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    believed: Timestamp,
    at: Instant,
    /// Since when the clock shows another time, and how far it is off.
    jump: Option<(Instant, SignedDuration)>,
}

impl Steady {
    /// Begins with what the clock shows.
    pub fn new(clock: Timestamp, instant: Instant) -> Self {
        Self { believed: clock, at: instant, jump: None }
    }

    /// The time to go by when the clock shows `clock`. `instant` is from a clock
    /// that never jumps.
    pub fn now(&mut self, clock: Timestamp, instant: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(instant - self.at).unwrap_or(SignedDuration::MAX);
        let expected = self.believed.checked_add(passed).unwrap_or(clock);
        let off = clock.duration_since(expected);
        let since = match self.jump {
            _ if off.abs() <= TOLERANCE => None,
            Some((since, before)) if (off - before).abs() <= TOLERANCE => Some(since),
            _ => Some(instant),
        };
        (self.believed, self.at) = match since {
            Some(since) if instant - since < SETTLED => (expected, instant),
            _ => (clock, instant),
        };
        self.jump = since.filter(|_| self.believed != clock).map(|since| (since, off));
        self.believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: i64) -> SignedDuration {
        SignedDuration::from_mins(count)
    }

    /// What is believed after each of these minutes on the wall, one real minute
    /// apart; in minutes since the start.
    fn believed(wall: &[i64]) -> Vec<i64> {
        let (start, origin) = ("2026-01-01T00:00:00Z".parse().unwrap(), Instant::now());
        let mut steady = Steady::new(start, origin);
        let mut instant = origin;
        let mut times = Vec::new();
        for wall in wall {
            instant += Duration::from_secs(60);
            let now = steady.now(start + minutes(*wall), instant);
            times.push(now.duration_since(start).as_mins());
        }
        times
    }

    #[test]
    fn a_clock_that_runs_is_believed() {
        assert_eq!(believed(&[1, 2, 3]), [1, 2, 3]);
        // Set right by a minute or two.
        assert_eq!(believed(&[1, 4, 5, 4]), [1, 4, 5, 4]);
    }

    #[test]
    fn a_jump_for_some_minutes_carries_nothing_away() {
        assert_eq!(believed(&[1, 5000, 5001, 4, 5]), [1, 2, 3, 4, 5]);
        assert_eq!(believed(&[1, -5000, -4999, 4, 5]), [1, 2, 3, 4, 5]);
        // Each jump has to hold for itself.
        let wild: Vec<i64> = (1..40).map(|minute| minute * 1000).collect();
        assert_eq!(believed(&wild), (1..40).collect::<Vec<_>>());
    }

    #[test]
    fn a_jump_that_lasts_is_believed_after_a_while() {
        for jump in [5000, -5000] {
            let wall: Vec<i64> = (1..30).map(|minute| minute + jump).collect();
            let believed = believed(&wall);
            assert_eq!(believed[..10], (1..11).collect::<Vec<_>>());
            assert_eq!(believed[10..], wall[10..]);
        }
    }
}
