//! What the election does next, case by case.

use super::*;

const ME: &str = "snmp-master-0";
const OTHER: &str = "snmp-master-1";

fn record(version: u32, holder: Option<&str>) -> Record {
    Record { version: version.to_string(), holder: holder.map(str::to_owned), lease: TIMING.lease, transitions: 3 }
}

fn election() -> (Election, Instant) {
    (Election::new(ME.to_owned(), TIMING), Instant::now())
}

fn leading() -> (Election, Instant) {
    let (mut election, now) = election();
    election.read(Some(record(1, None)), now);
    election.wrote(record(2, Some(ME)), now);
    assert!(election.leads());
    (election, now)
}

fn claim(over: Option<u32>, holder: Option<&str>, transitions: u32, is_new: bool) -> Next {
    let over = over.map(|version| version.to_string());
    Next::Write(Claim { over, holder: holder.map(str::to_owned), transitions, is_new })
}

#[test]
fn the_lease_is_read_before_anything_is_written() {
    let (election, now) = election();
    assert_eq!(election.next(now), Next::Read);
}

#[test]
fn a_lease_that_is_not_there_is_made() {
    let (mut election, now) = election();
    election.read(None, now);
    assert_eq!(election.next(now), claim(None, Some(ME), 0, true));
    assert!(!election.leads(), "it is not written yet");
}

#[test]
fn a_lease_that_nobody_holds_is_taken_at_once() {
    let (mut election, now) = election();
    election.read(Some(record(1, None)), now);
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 4, true));
}

#[test]
fn the_lease_of_a_process_of_the_same_name_is_taken_over_at_once() {
    let (mut election, now) = election();
    election.read(Some(record(1, Some(ME))), now);
    assert!(!election.leads());
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 3, true));
}

#[test]
fn anothers_lease_is_taken_once_it_was_seen_unchanged_for_as_long_as_it_is_good_for() {
    let (mut election, start) = election();
    let mut now = start;
    election.read(Some(record(1, Some(OTHER))), now);
    while now < start + TIMING.lease {
        assert_eq!(election.next(now), Next::Wait(now + TIMING.look));
        now += TIMING.look;
        if now < start + TIMING.lease {
            assert_eq!(election.next(now), Next::Read);
            election.read(Some(record(1, Some(OTHER))), now);
        }
    }
    assert_eq!(election.next(now), claim(Some(1), Some(ME), 4, true));
}

#[test]
fn a_lease_that_is_renewed_is_not_taken_whatever_its_holders_clock_says() {
    let (mut election, mut now) = election();
    for version in 1..100 {
        election.read(Some(record(version, Some(OTHER))), now);
        assert!(matches!(election.next(now), Next::Wait(_)));
        now += Duration::from_secs(5);
        assert_eq!(election.next(now), Next::Read);
    }
}

#[test]
fn a_lease_that_is_good_for_longer_is_waited_for_but_not_for_ever() {
    for (lease, patience) in [(1, 6), (15, 15), (1_000_000, 60)] {
        let (mut election, now) = election();
        let record = Record { lease: Duration::from_secs(lease), ..record(1, Some(OTHER)) };
        election.read(Some(record), now);
        let almost = now + Duration::from_millis(1_000 * patience - 1);
        assert_eq!(election.next(almost), Next::Read);
        assert!(matches!(election.next(almost + Duration::from_millis(1)), Next::Write(_)));
    }
}

#[test]
fn who_could_not_look_for_a_while_begins_to_wait_anew() {
    let (mut election, now) = election();
    election.read(Some(record(1, Some(OTHER))), now);
    let last = now + Duration::from_mins(1);
    election.failed(last);
    let back = last + TIMING.retry;
    assert_eq!(election.next(back), Next::Read);
    election.read(Some(record(1, Some(OTHER))), back);
    assert!(matches!(election.next(back), Next::Wait(_)), "its holder could not renew it either");
    assert!(matches!(election.next(back + TIMING.lease), Next::Write(_)));
}

#[test]
fn the_holder_renews_it_by_the_version_that_it_wrote_last() {
    let (mut election, now) = leading();
    assert_eq!(election.next(now), Next::Wait(now + TIMING.renew));
    let now = now + TIMING.renew;
    assert_eq!(election.next(now), claim(Some(2), Some(ME), 3, false));
    election.wrote(record(3, Some(ME)), now);
    assert_eq!(election.next(now + TIMING.renew), claim(Some(3), Some(ME), 3, false));
}

#[test]
fn the_holder_goes_on_for_as_long_as_the_api_server_is_gone() {
    let (mut election, mut now) = leading();
    for _ in 0..10_000 {
        now += TIMING.renew;
        election.failed(now);
        assert!(election.leads());
        assert_eq!(election.next(now), Next::Wait(now + TIMING.retry));
        assert_eq!(election.next(now + TIMING.retry), Next::Read);
    }
    election.read(Some(record(2, Some(ME))), now);
    assert_eq!(election.next(now), claim(Some(2), Some(ME), 3, false));
    assert!(election.leads());
}

#[test]
fn the_holder_steps_down_when_it_sees_another() {
    let (mut election, now) = leading();
    election.forestalled(now);
    assert!(election.leads(), "it may have been a change of something else");
    let now = now + TIMING.yielding;
    assert_eq!(election.next(now), Next::Read);
    election.read(Some(record(7, Some(OTHER))), now);
    assert!(!election.leads());
    assert!(matches!(election.next(now), Next::Wait(_)));
}

#[test]
fn the_holder_writes_anew_what_somebody_has_removed_or_emptied() {
    let (mut election, now) = leading();
    election.forestalled(now);
    election.read(None, now);
    assert_eq!(election.next(now), claim(None, Some(ME), 0, true));
    election.read(Some(record(9, None)), now);
    assert!(election.leads());
    assert_eq!(election.next(now), claim(Some(9), Some(ME), 4, false));
}

#[test]
fn who_ends_gives_the_lease_up_and_leads_no_more_from_then_on() {
    let (mut election, now) = leading();
    election.give_up();
    assert!(!election.leads());
    assert_eq!(election.next(now), claim(Some(2), None, 3, false));
    election.wrote(record(3, None), now);
    assert_eq!(election.next(now), Next::Done);
    assert!(!election.leads());
}

#[test]
fn who_ends_and_does_not_know_whether_its_last_write_was_done_looks_first() {
    for holder in [ME, OTHER] {
        let (mut election, now) = leading();
        election.failed(now);
        election.give_up();
        assert_eq!(election.next(now), Next::Read);
        election.read(Some(record(3, Some(holder))), now);
        let next = if holder == ME { claim(Some(3), None, 3, false) } else { Next::Done };
        assert_eq!(election.next(now), next);
    }
}

#[test]
fn who_holds_nothing_has_nothing_to_give_up() {
    let (mut election, now) = election();
    election.give_up();
    assert_eq!(election.next(now), Next::Done);
    let (mut election, now) = self::election();
    election.read(Some(record(1, Some(OTHER))), now);
    election.give_up();
    assert_eq!(election.next(now + TIMING.lease), Next::Done);
}
