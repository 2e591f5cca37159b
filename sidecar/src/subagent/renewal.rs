//! When a connection is to make way for one with a newer token, without I/O.

use std::time::{Duration, SystemTime};

use super::{RegistrationState, RegistrationStatus, SessionState, token::Life};
use crate::session::Jitter;

/// A new connection is due once so many hundredths of the token's life are over. The kubelet, too, brings a new token
/// then, or a little later.
const DUE: u32 = 80;
/// While one is due, the token's file is looked at after this long at least, and twice as long at most.
const LOOK: Duration = Duration::from_secs(5);
/// The clock may be set: it is asked again after this long at most.
const LONGEST: Duration = Duration::from_mins(1);
/// The old connection is closed this long before its token ends, though the new one has not all that it had.
const MARGIN: Duration = Duration::from_secs(5);

/// What to do about the token of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, ever: nobody knows when it ends.
    Never,
    /// Ask again after this long.
    Wait(Duration),
    /// See whether the file has another one, and bring a new connection with that.
    Look,
}

/// Watches the life of the token that a connection was made with.
pub(super) struct Renewal {
    life: Option<Life>,
    /// No look before this.
    next: Option<SystemTime>,
    jitter: Jitter,
}

impl Renewal {
    /// Of a token with this life.
    pub(super) fn new(life: Option<Life>, jitter: Jitter) -> Self {
        Self { life, next: None, jitter }
    }

    /// What to do now.
    pub(super) fn step(&mut self, now: SystemTime) -> Step {
        let Some(life) = self.life else { return Step::Never };
        let due = self.next.map_or(life.part(DUE), |next| next.max(life.part(DUE)));
        match due.duration_since(now) {
            Ok(wait) if !wait.is_zero() => Step::Wait(wait.min(LONGEST)),
            _ => {
                self.next = Some(now + self.jitter.between(LOOK, 2 * LOOK));
                Step::Look
            }
        }
    }

    /// Whether the token is about to end: the connection that it was shown on is to be closed.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.life.is_some_and(|life| now + MARGIN >= life.until)
    }
}

/// Whether a new session can take the place of an old one without a gap: all that the master asks the old one for, it
/// asks the new one for as soon as the old one is closed.
///
/// Our master queues equal registrations of one namespace, and says yes to each. A master that says duplicate keeps the
/// old session until its token ends.
pub(super) fn takes_over(old: &[RegistrationStatus], state: SessionState, new: &[RegistrationStatus]) -> bool {
    let is = |state: RegistrationState| move |r: &&RegistrationStatus| r.state == state;
    let stands = |served: &RegistrationStatus| {
        new.iter()
            .filter(is(RegistrationState::Registered))
            .any(|r| r.context == served.context && r.region == served.region)
    };
    state == SessionState::Open
        && !new.iter().any(|r| r.state == RegistrationState::Pending)
        && old.iter().filter(is(RegistrationState::Registered)).all(stands)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rstest::rstest;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn renewal() -> Renewal {
        Renewal::new(Some(Life { from: at(1000), until: at(4600) }), Jitter::new(1))
    }

    #[test]
    fn the_file_is_looked_at_once_four_fifths_of_the_life_are_over_and_then_every_few_seconds() {
        let (mut renewal, mut now) = (renewal(), at(1000));
        let mut looks = Vec::new();
        while now < at(4600) {
            match renewal.step(now) {
                Step::Never => panic!("{now:?}"),
                Step::Wait(wait) => {
                    assert!(!wait.is_zero() && wait <= LONGEST, "{wait:?}");
                    now += wait;
                }
                Step::Look => looks.push(now),
            }
        }
        assert_eq!(looks[0], at(3880));
        let waits: Vec<_> = looks.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap()).collect();
        assert!(waits.len() > 70 && waits.iter().all(|wait| (LOOK..=2 * LOOK).contains(wait)), "{waits:?}");
    }

    #[test]
    fn a_token_that_has_ended_already_is_looked_for_at_once() {
        assert_eq!(renewal().step(at(9999)), Step::Look);
        assert!(renewal().is_over(at(9999)));
    }

    #[test]
    fn a_clock_that_is_set_forward_is_noticed_within_a_minute() {
        let mut renewal = renewal();
        assert_eq!(renewal.step(at(1000)), Step::Wait(LONGEST));
        assert_eq!(renewal.step(at(4000)), Step::Look);
    }

    #[test]
    fn a_token_that_does_not_say_when_it_ends_is_never_renewed_by_time() {
        let mut renewal = Renewal::new(None, Jitter::new(1));
        assert_eq!(renewal.step(at(4000)), Step::Never);
        assert!(!renewal.is_over(at(4000)));
    }

    #[test]
    fn the_old_connection_goes_a_little_before_its_token_ends() {
        assert!(!renewal().is_over(at(4594)));
        assert!(renewal().is_over(at(4595)));
    }

    fn regions(states: &[(&str, RegistrationState)]) -> Vec<RegistrationStatus> {
        let region = |(region, state): &(&str, RegistrationState)| RegistrationStatus {
            context: "acme".to_owned(),
            region: (*region).to_owned(),
            state: *state,
            reason: None,
        };
        states.iter().map(region).collect()
    }

    use RegistrationState::{Pending, Refused, Registered, StandingBy};

    #[rstest]
    #[case::all_stands(&[("1.3", Registered)], &[("1.3", Registered)], true)]
    #[case::nothing_is_served(&[], &[], true)]
    #[case::not_answered(&[("1.3", Registered)], &[("1.3", Pending)], false)]
    #[case::one_not_answered(&[("1.3", Registered)], &[("1.3", Registered), ("1.4", Pending)], false)]
    #[case::not_begun(&[("1.3", Registered)], &[], false)]
    #[case::a_master_that_does_not_queue(&[("1.3", Registered)], &[("1.3", StandingBy)], false)]
    #[case::behind_another_pod(&[("1.3", StandingBy)], &[("1.3", StandingBy)], true)]
    #[case::refused_before_as_well(&[("1.3", Refused)], &[("1.3", Refused)], true)]
    #[case::refused_now(&[("1.3", Registered)], &[("1.3", Refused)], false)]
    #[case::another_region(&[("1.3", Registered)], &[("1.4", Registered)], false)]
    fn a_session_takes_over_when_it_has_all_that_the_old_one_serves(
        #[case] old: &[(&str, RegistrationState)],
        #[case] new: &[(&str, RegistrationState)],
        #[case] expected: bool,
    ) {
        let (old, new) = (regions(old), regions(new));
        assert_eq!(takes_over(&old, SessionState::Open, &new), expected);
        assert!(!takes_over(&old, SessionState::Opening, &new), "only an open one takes over");
    }

    #[test]
    fn the_same_region_of_another_context_is_another() {
        let (old, mut new) = (regions(&[("1.3", Registered)]), regions(&[("1.3", Registered)]));
        new[0].context = "other".to_owned();
        assert!(!takes_over(&old, SessionState::Open, &new));
    }
}
