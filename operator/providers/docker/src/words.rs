//! What the engine's list says of a container in words: `Up 5 minutes (healthy)`.
//! The list has it nowhere else, and to inspect each container costs a call.

use hades_plan::ContainerHealth;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What its own health check says.
pub(crate) fn health(status: &str) -> ContainerHealth {
    match status.rsplit_once('(').map(|(_, last)| last) {
        Some("healthy)") => ContainerHealth::Healthy,
        Some("unhealthy)") => ContainerHealth::Unhealthy,
        Some("health: starting)" | "starting)") => ContainerHealth::Starting,
        _ => ContainerHealth::None,
    }
}

/// For how long it has run at least, in seconds. The words are those of
/// `HumanDuration` in docker/go-units, which all engines use.
pub(crate) fn uptime_seconds(status: &str) -> Option<u64> {
    let words = status.strip_prefix("Up ")?;
    let words = words.split(" (").next().unwrap_or(words);
    match words {
        "Less than a second" => return Some(0),
        "About a minute" => return Some(MINUTE),
        "About an hour" => return Some(HOUR),
        _ => {}
    }
    let (count, unit) = words.split_once(' ')?;
    let count: u64 = count.parse().ok()?;
    // Hours are rounded to the nearest, so that up to half of one may be missing.
    let seconds = match unit {
        "second" | "seconds" => count,
        "minutes" => count * MINUTE,
        "hours" => (count * HOUR).saturating_sub(HOUR / 2),
        "days" => count * DAY,
        "weeks" => count * 7 * DAY,
        "months" => count * 30 * DAY,
        "years" => count * 365 * DAY,
        _ => return None,
    };
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_in_words() {
        for (status, expected) in [
            ("Up 5 minutes (healthy)", ContainerHealth::Healthy),
            ("Up 5 minutes (unhealthy)", ContainerHealth::Unhealthy),
            ("Up Less than a second (health: starting)", ContainerHealth::Starting),
            ("Up 5 minutes", ContainerHealth::None),
            ("Up 5 minutes (Paused)", ContainerHealth::None),
            ("Exited (1) 2 hours ago", ContainerHealth::None),
        ] {
            assert_eq!(health(status), expected, "{status}");
        }
    }

    #[test]
    fn uptime_in_words() {
        for (status, expected) in [
            ("Up Less than a second", Some(0)),
            ("Up 1 second", Some(1)),
            ("Up 59 seconds (healthy)", Some(59)),
            ("Up About a minute", Some(60)),
            ("Up 2 minutes (Paused)", Some(120)),
            ("Up About an hour", Some(3_600)),
            ("Up 2 hours", Some(5_400)),
            ("Up 3 weeks", Some(1_814_400)),
            ("Exited (0) 2 hours ago", None),
            ("Created", None),
            ("Up for ages", None),
        ] {
            assert_eq!(uptime_seconds(status), expected, "{status}");
        }
    }
}
