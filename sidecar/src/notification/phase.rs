//! The state of one rule on one instance: not raised, about to be raised, raised, or about to be cleared.

use std::time::{Duration, Instant};

use super::rule::Verdict;

/// A timer that pauses while the value is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timer {
    elapsed: Duration,
    /// Since when it runs without being counted in `elapsed`; `None` while it pauses.
    since: Option<Instant>,
}

/// The state of a rule on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The condition holds, but not for long enough.
    Pending(Timer),
    /// Raised. The timer runs while the condition does not hold.
    Raised(Option<Timer>),
}

/// What an evaluation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to remember.
    Idle,
    /// The state after it.
    Stays(Phase),
    /// The alarm is raised now.
    Raise,
    /// The alarm is cleared now.
    Clear,
}

impl Timer {
    /// Returns a timer that has run for `elapsed` already, and pauses.
    pub(super) fn paused(elapsed: Duration) -> Self {
        Self { elapsed, since: None }
    }

    fn started(now: Instant) -> Self {
        Self { elapsed: Duration::ZERO, since: Some(now) }
    }

    fn at(self, now: Instant) -> Duration {
        self.elapsed + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn running(self, now: Instant) -> Self {
        Self { elapsed: self.at(now), since: Some(now) }
    }

    fn pausing(self, now: Instant) -> Self {
        Self::paused(self.at(now))
    }

    /// Returns how long it has run.
    pub(super) fn elapsed(self, now: Instant) -> Duration {
        self.at(now)
    }

    /// Returns when it reaches `after`, unless it pauses.
    fn deadline(self, after: Duration) -> Option<Instant> {
        self.since?.checked_add(after.saturating_sub(self.elapsed))
    }
}

impl Phase {
    pub(super) fn is_raised(self) -> bool {
        matches!(self, Self::Raised(_))
    }

    /// Returns the state with paused timers.
    pub(super) fn pausing(self, now: Instant) -> Self {
        match self {
            Self::Pending(timer) => Self::Pending(timer.pausing(now)),
            Self::Raised(timer) => Self::Raised(timer.map(|timer| timer.pausing(now))),
        }
    }

    /// Returns when the next evaluation is due because of a timer.
    pub(super) fn deadline(self, raise_after: Duration, clear_after: Duration) -> Option<Instant> {
        match self {
            Self::Pending(timer) => timer.deadline(raise_after),
            Self::Raised(clearing) => clearing?.deadline(clear_after),
        }
    }

    /// Evaluates a verdict. `before` is the state before it, if there is any.
    pub(super) fn step(
        before: Option<Self>,
        verdict: Verdict,
        raise_after: Duration,
        clear_after: Duration,
        now: Instant,
    ) -> Step {
        match (before, verdict) {
            (None, Verdict::Over | Verdict::Unknown) | (Some(Self::Pending(_)), Verdict::Over) => Step::Idle,
            (None, Verdict::Holds) if raise_after.is_zero() => Step::Raise,
            (None, Verdict::Holds) => Step::Stays(Self::Pending(Timer::started(now))),
            (Some(Self::Pending(timer)), Verdict::Holds) => match timer.running(now) {
                timer if timer.elapsed >= raise_after => Step::Raise,
                timer => Step::Stays(Self::Pending(timer)),
            },
            (Some(phase), Verdict::Unknown) => Step::Stays(phase.pausing(now)),
            (Some(Self::Raised(_)), Verdict::Holds) => Step::Stays(Self::Raised(None)),
            (Some(Self::Raised(timer)), Verdict::Over) => {
                let timer = timer.map_or_else(|| Timer::started(now), |timer| timer.running(now));
                if timer.elapsed >= clear_after { Step::Clear } else { Step::Stays(Self::Raised(Some(timer))) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RAISE_AFTER: Duration = Duration::from_secs(10);
    const CLEAR_AFTER: Duration = Duration::from_secs(5);

    /// Returns the seconds at which an alarm is raised and cleared by verdicts at these seconds.
    fn run(verdicts: &[(u64, Verdict)]) -> Vec<(u64, Step)> {
        let start = Instant::now();
        let (mut phase, mut seen) = (None, Vec::new());
        for (at, verdict) in verdicts {
            let step = Phase::step(phase, *verdict, RAISE_AFTER, CLEAR_AFTER, start + Duration::from_secs(*at));
            phase = match step {
                Step::Idle | Step::Clear => None,
                Step::Stays(phase) => Some(phase),
                Step::Raise => Some(Phase::Raised(None)),
            };
            if matches!(step, Step::Raise | Step::Clear) {
                seen.push((*at, step));
            }
        }
        seen
    }

    #[test]
    fn timers_count_to_the_first_evaluation_that_reaches_them() {
        use Verdict::{Holds, Over};
        let verdicts = [(0, Holds), (9, Holds), (12, Holds), (20, Over), (24, Over), (25, Over)];
        assert_eq!(run(&verdicts), [(12, Step::Raise), (25, Step::Clear)]);
    }

    #[test]
    fn an_interruption_starts_a_timer_again() {
        use Verdict::{Holds, Over};
        let verdicts =
            [(0, Holds), (9, Over), (10, Holds), (19, Holds), (20, Holds), (21, Over), (25, Holds), (26, Over)];
        assert_eq!(run(&verdicts), [(20, Step::Raise)]);
    }

    #[test]
    fn timers_pause_while_the_value_is_unknown() {
        use Verdict::{Holds, Over, Unknown};
        let verdicts = [(0, Holds), (5, Unknown), (100, Unknown), (200, Holds), (204, Holds), (205, Holds)];
        assert_eq!(run(&verdicts), [(205, Step::Raise)]);
        let verdicts = [(0, Holds), (10, Holds), (11, Over), (12, Unknown), (90, Over), (93, Over), (94, Over)];
        assert_eq!(run(&verdicts), [(10, Step::Raise), (94, Step::Clear)]);
    }

    proptest! {
        /// Raises and clears alternate, and nothing is decided by an unknown value.
        #[test]
        fn raises_and_clears_alternate(steps in prop::collection::vec((0..8_u64, 0..3_u8), 0..60)) {
            let mut at = 0;
            let verdicts: Vec<_> = steps.into_iter().map(|(wait, verdict)| {
                at += wait;
                (at, [Verdict::Holds, Verdict::Over, Verdict::Unknown][usize::from(verdict)])
            }).collect();
            for (i, (_, step)) in run(&verdicts).iter().enumerate() {
                prop_assert_eq!(*step, if i % 2 == 0 { Step::Raise } else { Step::Clear });
            }
        }
    }
}
