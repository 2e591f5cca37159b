//! Single steps of the election.

use super::*;

const ME: &str = "snmp-master-0";
const OTHER: &str = "snmp-master-1";
const POLICY: Policy = Policy::CONTINUOUS;

fn record(version: u32, holder: Option<&str>) -> Record {
    Record {
        version: version.to_string(),
        holder: holder.map(str::to_owned),
        duration: POLICY.duration,
        transitions: 3,
    }
}

fn election() -> (Election, Instant) {
    (Election::new(ME, POLICY), Instant::now())
}

fn exclusive() -> (Election, Instant) {
    (Election::new(ME, Policy::EXCLUSIVE), Instant::now())
}

fn leading() -> (Election, Instant) {
    let (mut election, now) = election();
    election.read(Some(record(1, None)), now);
    election.wrote(record(2, Some(ME)), now, now);
    assert!(election.leads(now));
    (election, now)
}

fn claim(over: Option<u32>, holder: Option<&str>, transitions: u32, is_new: bool) -> Next {
    let over = over.map(|version| version.to_string());
    Next::Write(Claim { replaces: over, holder: holder.map(str::to_owned), transitions, is_new })
}

#[test]
fn the_lease_is_read_before_anything_is_written() {
    let (election, now) = election();
    assert_eq!(election.next(now), Next::Read);
}

#[test]
fn a_missing_lease_is_created() {
    let (mut election, now) = election();
    election.read(None, now);
    assert_eq!(election.next(now), claim(None, Some(ME), 0, true));
    assert!(!election.leads(now), "the write is still missing");
}

#[test]
fn a_lease_without_a_holder_is_acquired_at_once() {
    let (mut election, now) = election();
    election.read(Some(record(1, None)), now);
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 4, true));
}

#[test]
fn the_lease_of_an_earlier_process_with_the_same_name_is_acquired_at_once() {
    let (mut election, now) = election();
    election.read(Some(record(1, Some(ME))), now);
    assert!(!election.leads(now));
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 3, true));
}

#[test]
fn the_lease_of_another_is_acquired_after_it_was_unchanged_for_its_duration() {
    let (mut election, start) = election();
    let mut now = start;
    election.read(Some(record(1, Some(OTHER))), now);
    while now < start + POLICY.duration {
        assert_eq!(election.next(now), Next::Wait(now + POLICY.check_interval));
        now += POLICY.check_interval;
        if now < start + POLICY.duration {
            assert_eq!(election.next(now), Next::Read);
            election.read(Some(record(1, Some(OTHER))), now);
        }
    }
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 4, true));
}

#[test]
fn a_lease_that_is_renewed_is_never_acquired_by_another() {
    let (mut election, mut now) = election();
    for version in 1..100 {
        election.read(Some(record(version, Some(OTHER))), now);
        assert!(matches!(election.next(now), Next::Wait(_)));
        now += Duration::from_secs(5);
        assert_eq!(election.next(now), Next::Read);
    }
}

#[test]
fn a_longer_duration_of_the_holder_is_respected_up_to_a_maximum() {
    for (duration, respected) in [(1, 6), (15, 15), (1_000_000, 60)] {
        let (mut election, now) = election();
        let record = Record { duration: Duration::from_secs(duration), ..record(1, Some(OTHER)) };
        election.read(Some(record), now);
        let almost = now + Duration::from_millis(1_000 * respected - 1);
        assert_eq!(election.next(almost), Next::Read);
        assert!(matches!(election.next(almost + Duration::from_millis(1)), Next::Write(_)));
    }
}

#[test]
fn a_candidate_that_could_not_read_for_a_while_waits_again() {
    let (mut election, now) = election();
    election.read(Some(record(1, Some(OTHER))), now);
    let last = now + Duration::from_mins(1);
    election.failed(last);
    let back = last + POLICY.retry_pause;
    assert_eq!(election.next(back), Next::Read);
    election.read(Some(record(1, Some(OTHER))), back);
    assert!(matches!(election.next(back), Next::Wait(_)), "its holder could not renew it meanwhile either");
    assert!(matches!(election.next(back + POLICY.duration), Next::Write(_)));
}

#[test]
fn the_holder_renews_the_version_that_it_wrote_last() {
    let (mut election, now) = leading();
    assert_eq!(election.next(now), Next::Wait(now + POLICY.renew_interval));
    let now = now + POLICY.renew_interval;
    assert_eq!(election.next(now), claim(Some(2), Some(ME), 3, false));
    election.wrote(record(3, Some(ME)), now, now);
    assert_eq!(election.next(now + POLICY.renew_interval), claim(Some(3), Some(ME), 3, false));
}

#[test]
fn a_continuous_holder_leads_while_the_api_server_is_unreachable() {
    let (mut election, mut now) = leading();
    for _ in 0..10_000 {
        now += POLICY.renew_interval;
        election.failed(now);
        assert!(election.leads(now));
        assert_eq!(election.next(now), Next::Wait(now + POLICY.retry_pause));
        assert_eq!(election.next(now + POLICY.retry_pause), Next::Read);
    }
    election.read(Some(record(2, Some(ME))), now);
    assert_eq!(election.next(now), claim(Some(2), Some(ME), 3, false));
    assert!(election.leads(now));
}

#[test]
fn the_holder_stops_when_it_sees_another_holder() {
    let (mut election, now) = leading();
    election.conflicted(now);
    assert!(election.leads(now), "something else in the Lease may have changed");
    let now = now + POLICY.conflict_pause;
    assert_eq!(election.next(now), Next::Read);
    election.read(Some(record(7, Some(OTHER))), now);
    assert!(!election.leads(now));
    assert!(matches!(election.next(now), Next::Wait(_)));
}

#[test]
fn the_holder_restores_a_lease_that_was_deleted_or_emptied() {
    let (mut election, now) = leading();
    election.conflicted(now);
    election.read(None, now);
    assert_eq!(election.next(now), claim(None, Some(ME), 0, true));
    election.read(Some(record(9, None)), now);
    assert!(election.leads(now));
    assert_eq!(election.next(now), claim(Some(9), Some(ME), 4, false));
}

#[test]
fn a_holder_that_shuts_down_stops_at_once_and_releases_the_lease() {
    let (mut election, now) = leading();
    election.release();
    assert!(!election.leads(now));
    assert_eq!(election.next(now), claim(Some(2), None, 3, false));
    election.wrote(record(3, None), now, now);
    assert_eq!(election.next(now), Next::Done);
    assert!(!election.leads(now));
}

#[test]
fn a_holder_that_shuts_down_during_a_write_reads_before_it_releases() {
    for holder in [ME, OTHER] {
        let (mut election, now) = leading();
        election.failed(now);
        election.release();
        assert_eq!(election.next(now), Next::Read);
        election.read(Some(record(3, Some(holder))), now);
        let next = if holder == ME { claim(Some(3), None, 3, false) } else { Next::Done };
        assert_eq!(election.next(now), next);
    }
}

#[test]
fn a_candidate_without_the_lease_has_nothing_to_release() {
    let (mut election, now) = election();
    election.release();
    assert_eq!(election.next(now), Next::Done);
    let (mut election, now) = self::election();
    election.read(Some(record(1, Some(OTHER))), now);
    election.release();
    assert_eq!(election.next(now + POLICY.duration), Next::Done);
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn an_exclusive_leader_acquires_a_missing_or_free_lease_at_once_and_leads_from_the_beginning_of_its_write() {
    let (mut election, now) = exclusive();
    election.read(None, now);
    assert_eq!(election.next(now), claim(None, Some(ME), 0, true));
    election.read(Some(record(1, None)), now);
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 4, true));
    assert_eq!(election.leads_until(now), None, "not before the write succeeded");
    election.wrote(record(2, Some(ME)), now, now + second(1));
    assert_eq!(election.leads_until(now + second(1)), Some(now + second(10)), "counted from the start of the request");
}

#[test]
fn an_exclusive_candidate_takes_a_lease_that_it_observed_unchanged_for_its_whole_duration() {
    let (mut election, start) = exclusive();
    election.read(Some(record(1, Some(OTHER))), start);
    assert!(matches!(election.next(start), Next::Wait(_)));
    let at = start + second(14);
    election.read(Some(record(2, Some(OTHER))), at);
    assert_eq!(election.next(at), Next::Wait(at + second(2)), "renewed");
    // Not read for longer than a renewal takes: for this policy the time counts all the same.
    let at = start + second(28);
    election.read(Some(record(2, Some(OTHER))), at);
    assert_eq!(election.next(at), Next::Wait(start + second(29)));
    assert_eq!(election.next(start + second(29)), claim(Some(2), Some(ME), 4, true));
}

#[test]
fn an_exclusive_leader_that_cannot_renew_stops_five_seconds_before_another_may_start() {
    let (mut election, now) = exclusive();
    election.read(None, now);
    election.wrote(record(1, Some(ME)), now, now);
    let until = election.leads_until(now).unwrap();
    assert!(until + second(5) <= now + Policy::EXCLUSIVE.duration, "its last write has five seconds to end");
    election.failed(now + second(2));
    assert!(election.leads(until.checked_sub(Duration::from_millis(1)).unwrap()));
    assert!(!election.leads(until));
    assert_eq!(election.leads_until(until), None);
    // A renewal after that starts a new term.
    election.read(Some(record(1, Some(ME))), until);
    assert_eq!(election.next(until), claim(Some(1), Some(ME), 3, true));
    election.wrote(record(2, Some(ME)), until, until + second(1));
    assert!(election.leads(until + second(1)));
}

#[test]
fn an_exclusive_leader_that_sees_another_holder_or_none_stops_at_once() {
    for holder in [Some(OTHER), None] {
        let (mut election, now) = exclusive();
        election.read(None, now);
        election.wrote(record(1, Some(ME)), now, now);
        let now = now + second(1);
        election.read(Some(record(2, holder)), now);
        assert!(!election.leads(now));
        assert_eq!(matches!(election.next(now), Next::Wait(_)), holder.is_some());
    }
}

#[test]
fn an_exclusive_candidate_that_restarts_under_its_name_acquires_its_lease_at_once() {
    let (mut election, now) = exclusive();
    election.read(Some(record(7, Some(ME))), now);
    assert_eq!(election.next(now), claim(Some(7), Some(ME), 3, true));
    assert_eq!(election.leads_until(now), None);
}

#[test]
fn an_exclusive_leader_whose_write_conflicts_stops_at_once() {
    let (mut election, now) = exclusive();
    election.wrote(record(1, Some(ME)), now, now);
    election.conflicted(now);
    assert_eq!(election.leads_until(now), None);
    assert!(!election.leads(now));
}
