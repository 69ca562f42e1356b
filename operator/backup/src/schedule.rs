//! Schedule: when the next backup is due. Pure.

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use jiff::Timestamp;

/// A line of crontab: minute, hour, day of month, month, day of week, and a time zone
/// where it isn't UTC.
#[derive(Clone, Debug)]
pub struct Schedule(Crontab);

/// Why a schedule isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It can't be read.
    #[error("write it as crontab does, such as \"0 2 * * *\" or \"0 2 * * * Europe/Kyiv\": {0}")]
    Form(String),
    /// There is no such day.
    #[error("its time never comes, such as the 30th of February")]
    Never,
}

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let parsed = cronexpr::parse_crontab_with(text, options)
            .map_err(|error| ScheduleError::Form(error.to_string()))?;
        let schedule = Self(parsed);
        // Any start will do: what never comes, never comes.
        schedule.next(Timestamp::UNIX_EPOCH).map(|_| schedule).ok_or(ScheduleError::Never)
    }
}

impl Schedule {
    /// The first time after a moment.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.0.find_next(MakeTimestamp(after)).ok().map(|time| time.timestamp())
    }

    /// When a backup is due whose predecessor was made then: at once where there was
    /// none, and where its time passed while nobody was there to make it.
    #[must_use]
    pub fn due(&self, newest: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match newest {
            // One from the future, by a clock that was wrong, must not stop them.
            Some(newest) => self.next(newest.min(now)).unwrap_or(Timestamp::MAX),
            None => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        let nightly = schedule("0 2 * * *");
        let now = at("2026-03-10T12:00:00Z");
        assert_eq!(nightly.due(None, now), now, "the first one shows that it works");
        let yesterday = Some(at("2026-03-10T02:00:03Z"));
        assert_eq!(nightly.due(yesterday, now), at("2026-03-11T02:00:00Z"));
        let missed = Some(at("2026-03-07T02:00:03Z"));
        assert!(nightly.due(missed, now) < now);
        let future = Some(at("2030-01-01T00:00:00Z"));
        assert_eq!(nightly.due(future, now), at("2026-03-11T02:00:00Z"));
        // Its time doesn't come within four years: 2100 is no leap year.
        let leap = schedule("0 0 29 2 *");
        let last = at("2096-06-01T00:00:00Z");
        assert_eq!(leap.due(Some(last), last), Timestamp::MAX);
    }

    #[test]
    fn time_zones_and_their_summers() {
        let kyiv = schedule("0 2 * * * Europe/Kyiv");
        assert_eq!(kyiv.next(at("2026-01-10T12:00:00Z")), Some(at("2026-01-11T00:00:00Z")));
        assert_eq!(kyiv.next(at("2026-07-10T12:00:00Z")), Some(at("2026-07-10T23:00:00Z")));
        let sundays = schedule("30 3 * * SUN");
        assert_eq!(sundays.next(at("2026-03-10T12:00:00Z")), Some(at("2026-03-15T03:30:00Z")));
    }

    /// docs/backup.md tells it.
    #[test]
    fn the_days_on_which_clocks_change() {
        // From 2:00 to 3:00: that day has no 2:00.
        let two = schedule("0 2 * * * America/New_York");
        assert_eq!(two.next(at("2026-03-07T12:00:00Z")), Some(at("2026-03-09T06:00:00Z")));
        // From 2:00 back to 1:00: that day has 1:30 twice.
        let half_past = schedule("30 1 * * * America/New_York");
        let first = at("2026-11-01T05:30:00Z");
        assert_eq!(half_past.next(at("2026-10-31T12:00:00Z")), Some(first));
        assert_eq!(half_past.next(first), Some(at("2026-11-01T06:30:00Z")));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in ["", "hourly", "61 * * * *", "* * * *", "0 2 * * * Nowhere/Land"] {
            assert!(matches!(bad.parse::<Schedule>(), Err(ScheduleError::Form(_))), "{bad:?}");
        }
        assert!("0 0 30 2 *".parse::<Schedule>().is_err());
    }
}
