//! What a row of checks says of a container: a state machine without a clock.

use std::time::{Duration, Instant};

use hades_plan::{Check, ContainerHealth, ObservedContainer};

/// Pause between checks of a container that has just started: what waits for it
/// should not wait longer than it has to.
const EAGER: Duration = Duration::from_millis(100);
/// The same when it takes a little longer.
const PATIENT: Duration = Duration::from_millis(250);
/// When a little longer begins.
const EAGER_FOR: Duration = Duration::from_secs(3);
/// When it is no longer new, and is checked at its interval.
const PATIENT_FOR: Duration = Duration::from_secs(60);

/// What checks say of one container.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    health: ContainerHealth,
    message: Option<String>,
    /// It was made since it, or its host, was last out of sight.
    checked: bool,
    /// When checks began.
    began: Instant,
    /// Failures in a row, at most one an interval.
    failures: u32,
    counted: Option<Instant>,
}

impl Verdict {
    /// Before the first check. `healthy`: it was known to be so.
    pub fn new(healthy: bool, now: Instant) -> Self {
        let health = if healthy { ContainerHealth::Healthy } else { ContainerHealth::Starting };
        Self { health, message: None, checked: false, began: now, failures: 0, counted: None }
    }

    /// Says so of what was observed.
    pub fn lay(&self, container: &mut ObservedContainer) {
        container.health = self.health;
        container.health_message.clone_from(&self.message);
        if !self.checked && self.health != ContainerHealth::Healthy {
            // Its time can't be up before anybody has asked it: it may long be healthy.
            container.uptime_seconds = container.uptime_seconds.map(|_| 0);
        }
    }

    /// The host didn't answer for the container.
    pub fn host_was_silent(&mut self) {
        self.checked = false;
    }

    /// Takes in how a check went; answers whether the verdict is another one.
    pub fn note(&mut self, check: &Check, outcome: Result<(), String>, now: Instant) -> bool {
        let before = self.health;
        self.checked = true;
        match outcome {
            Ok(()) => {
                self.health = ContainerHealth::Healthy;
                self.message = None;
                self.failures = 0;
                self.counted = None;
            }
            Err(message) => {
                self.fail(check, now);
                self.message = Some(message);
            }
        }
        self.health != before
    }

    fn fail(&mut self, check: &Check, now: Instant) {
        let starting = self.health == ContainerHealth::Starting;
        if starting && now.duration_since(self.began) < check.start_period {
            return;
        }
        // A new container is checked more often than its interval says.
        let too_soon =
            self.counted.is_some_and(|counted| now.duration_since(counted) < check.interval);
        if starting && too_soon {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.counted = Some(now);
        if self.failures >= check.retries {
            self.health = ContainerHealth::Unhealthy;
        }
    }

    /// How long to wait before the next check.
    pub fn pause(&self, check: &Check, now: Instant) -> Duration {
        let age = now.duration_since(self.began);
        let quick = match age {
            age if age < EAGER_FOR => EAGER,
            age if age < PATIENT_FOR => PATIENT,
            _ => check.interval,
        };
        match self.health {
            ContainerHealth::Starting => quick.min(check.interval),
            _ => check.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use hades_plan::Probe;

    use super::*;

    fn check(start_period: u64) -> Check {
        Check {
            probe: Probe::Tcp { port: 80 },
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            retries: 3,
            start_period: Duration::from_secs(start_period),
        }
    }

    #[test]
    fn verdicts() {
        use ContainerHealth::{Healthy, Starting, Unhealthy};
        // Seconds after the start, whether the check passed, and the verdict then.
        type Row = (u64, bool, ContainerHealth);
        let cases: [(&str, u64, bool, &[Row]); 6] = [
            ("the first success", 0, false, &[(0, false, Starting), (1, true, Healthy)]),
            (
                "failures of a new one count once an interval",
                0,
                false,
                &[
                    (0, false, Starting),
                    (1, false, Starting),
                    (2, false, Starting),
                    (10, false, Starting),
                    (19, false, Starting),
                    (20, false, Unhealthy),
                ],
            ),
            (
                "the start period forgives",
                30,
                false,
                &[
                    (0, false, Starting),
                    (29, false, Starting),
                    (30, false, Starting),
                    (40, true, Healthy),
                ],
            ),
            (
                "failures in a row",
                0,
                true,
                &[
                    (0, false, Healthy),
                    (10, false, Healthy),
                    (20, true, Healthy),
                    (30, false, Healthy),
                    (40, false, Healthy),
                    (50, false, Unhealthy),
                ],
            ),
            (
                "one success heals",
                0,
                true,
                &[
                    (0, false, Healthy),
                    (10, false, Healthy),
                    (20, false, Unhealthy),
                    (30, true, Healthy),
                ],
            ),
            ("known to be healthy", 30, true, &[(0, true, Healthy)]),
        ];
        for (what, start_period, healthy, rows) in cases {
            let (check, start) = (check(start_period), Instant::now());
            let mut verdict = Verdict::new(healthy, start);
            for (at, passes, expected) in rows {
                let before = verdict.health;
                let outcome = if *passes { Ok(()) } else { Err("no".to_owned()) };
                let changed = verdict.note(&check, outcome, start + Duration::from_secs(*at));
                assert_eq!(verdict.health, *expected, "{what}, after {at} s");
                assert_eq!(changed, before != *expected, "{what}, after {at} s");
                assert_eq!(verdict.message.is_none(), *passes, "{what}");
            }
        }
    }

    #[test]
    fn time_is_not_up_before_a_check_was_made() {
        let (check, start) = (check(0), Instant::now());
        let uptime = |verdict: &Verdict, observed| {
            let mut container =
                ObservedContainer { uptime_seconds: observed, ..ObservedContainer::default() };
            verdict.lay(&mut container);
            container.uptime_seconds
        };
        let mut verdict = Verdict::new(false, start);
        assert_eq!(uptime(&verdict, Some(180)), Some(0), "nobody has asked it yet");
        assert_eq!(uptime(&verdict, None), None);
        assert_eq!(uptime(&Verdict::new(true, start), Some(180)), Some(180));
        verdict.note(&check, Err("no".to_owned()), start);
        assert_eq!(uptime(&verdict, Some(180)), Some(180));
        verdict.host_was_silent();
        assert_eq!(uptime(&verdict, Some(180)), Some(0), "it may have got well meanwhile");
        verdict.note(&check, Ok(()), start);
        verdict.host_was_silent();
        assert_eq!(uptime(&verdict, Some(180)), Some(180));
    }

    #[test]
    fn new_ones_are_checked_often() {
        let (check, start) = (check(0), Instant::now());
        let mut verdict = Verdict::new(false, start);
        let pause = |verdict: &Verdict, after| {
            verdict.pause(&check, start + Duration::from_secs(after)).as_millis()
        };
        assert_eq!([0, 10, 61].map(|after| pause(&verdict, after)), [100, 250, 10_000]);
        verdict.note(&check, Ok(()), start);
        assert_eq!(pause(&verdict, 1), 10_000);
    }
}
