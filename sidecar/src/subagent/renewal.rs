//! The decision when to replace a connection by one with a newer token. This module does no I/O.

use std::time::{Duration, SystemTime};

use super::{
    jitter::Jitter,
    status::{RegistrationState, RegistrationStatus, SessionState},
    token::Lifetime,
};

/// A new connection is due after this percentage of the token's lifetime. The kubelet writes a new token at about the same
/// time or a little later.
const DUE_PERCENT: u32 = 80;
/// While a new connection is due, the shortest interval at which the token file is checked. The longest is twice that.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The longest wait. The clock may be set, so it is read again after that.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// The old connection is closed this long before its token expires, even if the new one does not have all registrations.
const MARGIN: Duration = Duration::from_secs(5);

/// What to do next about the token of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RenewalStep {
    /// Nothing: the token has no known expiry.
    Never,
    /// Wait this long, then ask again.
    Wait(Duration),
    /// Check whether the file has a newer token, and connect with it.
    Check,
}

/// The state of a connection's token: its lifetime, and when to check for a newer token.
pub(super) struct Renewal {
    lifetime: Option<Lifetime>,
    /// The file is not checked before this moment.
    next_check: Option<SystemTime>,
    jitter: Jitter,
}

impl Renewal {
    pub(super) fn new(lifetime: Option<Lifetime>, jitter: Jitter) -> Self {
        Self { lifetime, next_check: None, jitter }
    }

    /// Returns what to do now.
    pub(super) fn step(&mut self, now: SystemTime) -> RenewalStep {
        let Some(lifetime) = self.lifetime else { return RenewalStep::Never };
        let due = lifetime.at_percent(DUE_PERCENT);
        let due = self.next_check.map_or(due, |next| next.max(due));
        match due.duration_since(now) {
            Ok(wait) if !wait.is_zero() => RenewalStep::Wait(wait.min(MAX_WAIT)),
            _ => {
                self.next_check = Some(now + self.jitter.between(CHECK_INTERVAL, 2 * CHECK_INTERVAL));
                RenewalStep::Check
            }
        }
    }

    /// Returns whether the token is about to expire, so that its connection must be closed.
    pub(super) fn is_expiring(&self, now: SystemTime) -> bool {
        self.lifetime.is_some_and(|lifetime| now + MARGIN >= lifetime.until)
    }
}

/// Returns whether a new session can replace an old one without a gap: the master has accepted every registration of the
/// old session for the new one as well, and uses it as soon as the old session is closed.
///
/// snmp-master queues equal registrations of one namespace and accepts each. With a master that responds
/// duplicateRegistration, the old session stays until its token expires.
pub(super) fn takes_over(old: &[RegistrationStatus], state: SessionState, new: &[RegistrationStatus]) -> bool {
    let is = |state: RegistrationState| move |r: &&RegistrationStatus| r.state == state;
    let is_taken_over = |served: &RegistrationStatus| {
        new.iter()
            .filter(is(RegistrationState::Registered))
            .any(|r| r.context == served.context && r.region == served.region)
    };
    state == SessionState::Open
        && !new.iter().any(|r| r.state == RegistrationState::Pending)
        && old.iter().filter(is(RegistrationState::Registered)).all(is_taken_over)
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
        Renewal::new(Some(Lifetime { from: at(1000), until: at(4600) }), Jitter::new(1))
    }

    #[test]
    fn file_is_checked_from_80_percent_of_the_lifetime_on() {
        let (mut renewal, mut now) = (renewal(), at(1000));
        let mut checks = Vec::new();
        while now < at(4600) {
            match renewal.step(now) {
                RenewalStep::Never => panic!("{now:?}"),
                RenewalStep::Wait(wait) => {
                    assert!(!wait.is_zero() && wait <= MAX_WAIT, "{wait:?}");
                    now += wait;
                }
                RenewalStep::Check => checks.push(now),
            }
        }
        assert_eq!(checks[0], at(3880));
        let waits: Vec<_> = checks.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap()).collect();
        assert!(
            waits.len() > 70 && waits.iter().all(|wait| (CHECK_INTERVAL..=2 * CHECK_INTERVAL).contains(wait)),
            "{waits:?}"
        );
    }

    #[test]
    fn expired_token_is_replaced_at_once() {
        assert_eq!(renewal().step(at(9999)), RenewalStep::Check);
        assert!(renewal().is_expiring(at(9999)));
    }

    #[test]
    fn clock_set_forward_is_noticed_within_a_minute() {
        let mut renewal = renewal();
        assert_eq!(renewal.step(at(1000)), RenewalStep::Wait(MAX_WAIT));
        assert_eq!(renewal.step(at(4000)), RenewalStep::Check);
    }

    #[test]
    fn token_without_expiry_is_never_renewed() {
        let mut renewal = Renewal::new(None, Jitter::new(1));
        assert_eq!(renewal.step(at(4000)), RenewalStep::Never);
        assert!(!renewal.is_expiring(at(4000)));
    }

    #[test]
    fn old_connection_is_closed_shortly_before_its_token_expires() {
        assert!(!renewal().is_expiring(at(4594)));
        assert!(renewal().is_expiring(at(4595)));
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
    #[case::all_registered(&[("1.3", Registered)], &[("1.3", Registered)], true)]
    #[case::nothing_is_served(&[], &[], true)]
    #[case::not_answered(&[("1.3", Registered)], &[("1.3", Pending)], false)]
    #[case::one_not_answered(&[("1.3", Registered)], &[("1.3", Registered), ("1.4", Pending)], false)]
    #[case::nothing_registered(&[("1.3", Registered)], &[], false)]
    #[case::a_master_that_does_not_queue(&[("1.3", Registered)], &[("1.3", StandingBy)], false)]
    #[case::behind_another_pod(&[("1.3", StandingBy)], &[("1.3", StandingBy)], true)]
    #[case::refused_before_as_well(&[("1.3", Refused)], &[("1.3", Refused)], true)]
    #[case::refused_now(&[("1.3", Registered)], &[("1.3", Refused)], false)]
    #[case::another_region(&[("1.3", Registered)], &[("1.4", Registered)], false)]
    fn new_session_takes_over_when_it_has_all_registrations(
        #[case] old: &[(&str, RegistrationState)],
        #[case] new: &[(&str, RegistrationState)],
        #[case] expected: bool,
    ) {
        let (old, new) = (regions(old), regions(new));
        assert_eq!(takes_over(&old, SessionState::Open, &new), expected);
        assert!(!takes_over(&old, SessionState::Opening, &new), "the new session is not open");
    }

    #[test]
    fn same_region_in_another_context_does_not_count() {
        let (old, mut new) = (regions(&[("1.3", Registered)]), regions(&[("1.3", Registered)]));
        new[0].context = "other".to_owned();
        assert!(!takes_over(&old, SessionState::Open, &new));
    }
}
