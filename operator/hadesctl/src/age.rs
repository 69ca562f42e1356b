//! How long ago something was, in the few characters of a table cell.

use hades_api::Duration;
use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// How long ago `then` was, as precise as tables of Kubernetes are: `42s`,
/// `5m10s`, `3h`, `2d4h`.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    // Clocks differ a little between machines: the future is now.
    let seconds = now.duration_since(then).as_secs().max(0);
    let two = |major: i64, unit: &str, minor: i64, sub: &str| match minor {
        0 => format!("{major}{unit}"),
        minor => format!("{major}{unit}{minor}{sub}"),
    };
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if seconds < 10 * MINUTE {
        two(seconds / MINUTE, "m", seconds % MINUTE, "s")
    } else if seconds < 3 * HOUR {
        format!("{}m", seconds / MINUTE)
    } else if seconds < 8 * HOUR {
        two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m")
    } else if seconds < 2 * DAY {
        format!("{}h", seconds / HOUR)
    } else if seconds < 8 * DAY {
        two(seconds / DAY, "d", seconds % DAY / HOUR, "h")
    } else if seconds < 2 * YEAR {
        format!("{}d", seconds / DAY)
    } else {
        two(seconds / YEAR, "y", seconds % YEAR / DAY, "d")
    }
}

/// A length of time out of an argument: `90s`, `10m`, `1h30m`.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    Duration::parse(text).map(|duration| duration.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let before = |seconds: i64| age(now - jiff::SignedDuration::from_secs(seconds), now);
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (310, "5m10s"),
            (3600, "60m"),
            (4 * HOUR + 300, "4h5m"),
            (30 * HOUR, "30h"),
            (3 * DAY + HOUR, "3d1h"),
            (100 * DAY, "100d"),
            (3 * YEAR + 2 * DAY, "3y2d"),
        ] {
            assert_eq!(before(seconds), text);
        }
    }
}
