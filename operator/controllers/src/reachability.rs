//! Whether a host answers, judged from several probes: a single failed one is
//! not an outage, and a single good one doesn't end it.

use hades_api::reason;
use hades_provider::{ErrorClass, ProviderError};

/// Failed probes in a row that make an outage.
pub(crate) const FAILURES: u32 = 3;
/// Good probes in a row that end one.
pub(crate) const SUCCESSES: u32 = 2;

/// What the latest probes of one host say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Streak {
    failed: u32,
    good: u32,
}

/// What a probe means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers.
    Up,
    /// It answers as far as anybody knows: so many probes failed in a row.
    Doubtful(u32),
    /// It answered the latest probe, and must go on doing so.
    Returning,
    /// It doesn't answer.
    Down,
}

impl Verdict {
    /// Whether the host is to be used.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::Doubtful(_))
    }
}

impl Streak {
    /// Judges one more probe. `was_up` is the judgement before, none when there
    /// is none for this spec: then the first probe decides.
    pub(crate) fn judge(
        &mut self,
        was_up: Option<bool>,
        outcome: Result<(), &ProviderError>,
    ) -> Verdict {
        match outcome {
            Ok(()) => {
                self.failed = 0;
                self.good = self.good.saturating_add(1);
                match was_up {
                    Some(false) if self.good < SUCCESSES => Verdict::Returning,
                    _ => Verdict::Up,
                }
            }
            Err(error) => {
                self.good = 0;
                self.failed = self.failed.saturating_add(1);
                match was_up {
                    Some(true) if self.failed < FAILURES && is_passing(error) => {
                        Verdict::Doubtful(self.failed)
                    }
                    _ => Verdict::Down,
                }
            }
        }
    }
}

/// Whether it may be a lost packet or a busy moment. The others are answers: a
/// wrong host key is not going to be right at the next probe.
fn is_passing(error: &ProviderError) -> bool {
    error.class == ErrorClass::Retry || !needs_a_person(error)
}

/// Whether trying again soon is of no use, or even does harm: servers shut those
/// out who knock too often with a wrong key.
pub(crate) fn needs_a_person(error: &ProviderError) -> bool {
    matches!(
        error.reason,
        reason::HOST_IDENTITY_CHANGED
            | reason::ACCESS_DENIED
            | reason::INVALID_CREDENTIALS
            | reason::INVALID_ENDPOINT
            | reason::SECRET_NOT_FOUND
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(reason: &'static str) -> ProviderError {
        ProviderError::new(ErrorClass::Unreachable, reason, "x")
    }

    /// Verdicts of a run of probes, `+` for good ones and `-` for failed ones.
    fn verdicts(was_up: Option<bool>, probes: &str) -> Vec<Verdict> {
        let (mut streak, mut up) = (Streak::default(), was_up);
        let silent = error(reason::HOST_UNREACHABLE);
        probes
            .chars()
            .map(|probe| {
                let outcome = if probe == '+' { Ok(()) } else { Err(&silent) };
                let verdict = streak.judge(up, outcome);
                up = Some(verdict.is_up());
                verdict
            })
            .collect()
    }

    #[test]
    fn one_failed_probe_is_not_an_outage() {
        use Verdict::{Doubtful, Down, Returning, Up};
        assert_eq!(verdicts(None, "+-+"), [Up, Doubtful(1), Up]);
        assert_eq!(verdicts(None, "+--+-"), [Up, Doubtful(1), Doubtful(2), Up, Doubtful(1)]);
        assert_eq!(verdicts(None, "+---"), [Up, Doubtful(1), Doubtful(2), Down]);
        assert_eq!(verdicts(Some(false), "+-++"), [Returning, Down, Returning, Up]);
    }

    #[test]
    fn the_first_probe_of_a_host_decides() {
        assert_eq!(verdicts(None, "+"), [Verdict::Up]);
        assert_eq!(verdicts(None, "-"), [Verdict::Down]);
    }

    #[test]
    fn what_only_a_person_can_mend_is_believed_at_once() {
        let mut streak = Streak::default();
        let error = error(reason::HOST_IDENTITY_CHANGED);
        assert_eq!(streak.judge(Some(true), Err(&error)), Verdict::Down);
    }
}
