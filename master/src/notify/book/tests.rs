mod harness;
mod model;

use std::time::Duration;

use notification::{
    Severity,
    State::{Changed, Cleared, Event, Raised},
};

use self::harness::{Harness, Said};
use super::{LOST_AFTER, MAX_ALARMS_PER_NAMESPACE};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn an_alarm_is_raised_changed_and_cleared() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    for (sequence, state, rows) in [(1, Raised, 1), (2, Changed, 1), (3, Cleared, 0)] {
        book.say(pod, 1, sequence, state);
        assert_eq!(book.events(), [Said { object: 1, sequence, state }]);
        assert_eq!(book.rows("c").len(), rows);
    }
}

#[test]
fn duplicates_and_lower_sequences_are_ignored() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say(pod, 1, 5, Raised);
    book.events();
    for sequence in [5, 4, 1] {
        book.say(pod, 1, sequence, Raised);
        book.say(pod, 1, sequence, Cleared);
    }
    assert_eq!((book.events(), book.rows("c").len()), (vec![], 1));
    assert_eq!(book.book.counts().duplicates, 6);
}

#[test]
fn two_alarms_of_two_namespaces_in_one_context_are_apart() {
    let mut book = Harness::new();
    let (acme, globex) = (book.open("acme", true), book.open("globex", true));
    book.say(acme, 1, 5, Raised);
    book.say(globex, 2, 5, Raised);
    book.sync(globex, &[], true);
    let cleared: Vec<_> = book.events().into_iter().filter(|said| said.state == Cleared).collect();
    assert_eq!(cleared, [Said { object: 2, sequence: 6, state: Cleared }]);
    assert_eq!(book.rows("c"), [(1, 5)]);
}

#[test]
fn what_was_sent_again_after_a_clear_raises_nothing() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say(pod, 1, 5, Raised);
    book.say(pod, 1, 6, Cleared);
    book.events();
    book.close(pod);
    let again = book.open("acme", true);
    book.say(again, 1, 5, Raised);
    book.say(again, 1, 6, Cleared);
    book.say(again, 2, 7, Event);
    book.say(again, 2, 7, Event);
    assert_eq!(book.events(), [Said { object: 2, sequence: 7, state: Event }]);
    assert_eq!(book.rows("c"), []);
}

#[test]
fn events_are_passed_on_but_not_kept() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say(pod, 1, 5, Event);
    book.say_plain(pod, 2);
    book.say_plain(pod, 2);
    assert_eq!((book.events().len(), book.rows("c").len()), (3, 0));
}

#[test]
fn a_list_of_alarms_clears_what_it_does_not_name() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    for object in 1..=3 {
        book.say(pod, object, 5, Raised);
    }
    book.events();
    book.sync(pod, &[1, 3], true);
    assert_eq!(book.events(), [Said { object: 2, sequence: 6, state: Cleared }]);
    assert_eq!(book.rows("c"), [(1, 5), (3, 5)]);
    // The list of a pod that stands by clears nothing.
    let other = book.open("acme", false);
    book.sync(other, &[], false);
    assert_eq!((book.events(), book.rows("c").len()), (vec![], 2));
}

#[test]
fn only_the_pod_that_serves_counts_and_the_other_takes_over() {
    let mut book = Harness::new();
    let (first, second) = (book.open("acme", true), book.open("acme", false));
    book.say(first, 1, 5, Raised);
    book.say(first, 2, 5, Raised);
    book.events();
    book.say(second, 2, 6, Raised);
    book.say(second, 3, 6, Raised);
    book.sync(second, &[2, 3], false);
    assert_eq!((book.events(), book.rows("c")), (vec![], vec![(1, 5), (2, 5)]));
    book.close(first);
    book.serve(second, &[2, 3]);
    let mut events = book.events();
    events.sort_by_key(|said| said.object);
    assert_eq!(
        events,
        [Said { object: 1, sequence: 6, state: Cleared }, Said { object: 3, sequence: 6, state: Raised },]
    );
    assert_eq!(book.rows("c"), [(2, 6), (3, 6)]);
    book.pass(2 * MINUTE);
    assert_eq!(book.lost("c"), 0);
}

#[test]
fn an_alarm_without_a_session_is_lost_and_cleared_after_an_hour() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say(pod, 1, 5, Raised);
    book.events();
    book.close(pod);
    book.pass(Duration::from_secs(59));
    assert_eq!(book.lost("c"), 0);
    book.pass(Duration::from_secs(1));
    assert_eq!((book.lost("c"), book.events()), (1, vec![]));
    book.pass(58 * MINUTE);
    assert_eq!((book.lost("c"), book.events()), (1, vec![]));
    book.pass(MINUTE);
    assert_eq!(book.events(), [Said { object: 1, sequence: 6, state: Cleared }]);
    assert_eq!(book.rows("c"), []);
}

#[test]
fn a_partition_of_ten_minutes_clears_nothing() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say(pod, 1, 5, Raised);
    book.events();
    book.close(pod);
    book.pass(10 * MINUTE);
    assert_eq!(book.lost("c"), 1);
    let again = book.open("acme", true);
    book.say(again, 1, 5, Raised);
    book.sync(again, &[1], true);
    assert_eq!((book.lost("c"), book.events(), book.rows("c")), (0, vec![], vec![(1, 5)]));
    book.pass(120 * MINUTE);
    assert_eq!(book.rows("c"), [(1, 5)]);
}

#[test]
fn an_alarm_that_the_master_cleared_is_raised_again_by_the_list() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say(pod, 1, 5, Raised);
    book.close(pod);
    book.pass(70 * MINUTE);
    book.events();
    let again = book.open("acme", true);
    book.say(again, 1, 5, Raised);
    book.sync(again, &[1], true);
    assert_eq!(book.events(), [Said { object: 1, sequence: 7, state: Raised }]);
    assert_eq!(book.rows("c"), [(1, 7)]);
}

#[test]
fn alarms_are_cleared_when_their_grant_goes() {
    let mut book = Harness::new();
    let (acme, globex) = (book.open("acme", true), book.open("globex", true));
    book.say(acme, 1, 5, Raised);
    book.say(globex, 2, 5, Raised);
    book.events();
    let now = book.now;
    book.book.retain_granted(|namespace, _, _| namespace == "globex", now);
    assert_eq!(book.events(), [Said { object: 1, sequence: 6, state: Cleared }]);
    assert_eq!(book.rows("c"), [(2, 5)]);
}

#[test]
fn a_namespace_cannot_evict_the_alarms_of_another() {
    let mut book = Harness::new();
    let (acme, globex) = (book.open("acme", true), book.open("globex", true));
    book.say(globex, 0, 5, Raised);
    for object in 1..=1_200 {
        book.say(acme, object, 5, Raised);
    }
    assert_eq!(book.events().len(), 1_201, "what is not kept is passed on");
    assert_eq!(book.rows("c").len(), MAX_ALARMS_PER_NAMESPACE + 1);
    assert_eq!(book.book.counts().overflow, 200);
    assert!(book.rows("c").contains(&(0, 5)));
    // The clear of an alarm that was not kept is passed on, too.
    book.say(acme, 1_200, 6, Cleared);
    assert_eq!(book.events(), [Said { object: 1_200, sequence: 6, state: Cleared }]);
}

#[test]
fn a_session_that_no_longer_serves_leaves_its_alarm_to_the_next() {
    let mut book = Harness::new();
    let (first, second) = (book.open("acme", true), book.open("acme", false));
    book.say(first, 1, 5, Raised);
    book.say(second, 1, 5, Raised);
    book.events();
    book.serves(first, 1, false);
    book.serves(second, 1, true);
    book.close(first);
    book.pass(2 * MINUTE);
    assert_eq!((book.lost("c"), book.events(), book.rows("c")), (0, vec![], vec![(1, 5)]));
}

#[test]
fn who_heard_of_the_raise_hears_of_the_clear() {
    let mut book = Harness::new();
    let pod = book.open("acme", true);
    book.say_with(pod, 1, 1, Raised, Severity::Critical);
    book.say_with(pod, 1, 2, Changed, Severity::Warning);
    book.say(pod, 1, 3, Cleared);
    assert_eq!(book.severities(), [Some(Severity::Critical); 3]);
    book.say_with(pod, 1, 4, Raised, Severity::Warning);
    book.say_with(pod, 1, 5, Changed, Severity::Major);
    book.sync(pod, &[], true);
    assert_eq!(book.severities(), [Severity::Warning, Severity::Major, Severity::Major].map(Some));
}

#[test]
fn a_list_over_a_unix_socket_clears_alarms_of_earlier_sessions_but_none_of_tenants() {
    let mut book = Harness::new();
    let (earlier, tenant) = (book.open_unproven("acme"), book.open("acme", true));
    book.say(earlier, 1, 5, Raised);
    book.say(tenant, 2, 5, Raised);
    book.close(earlier);
    book.events();
    let later = book.open_unproven("acme");
    book.sync(later, &[], true);
    assert_eq!(book.events(), [Said { object: 1, sequence: 6, state: Cleared }]);
    assert_eq!(book.rows("c"), [(2, 5)]);
}

#[test]
fn nothing_is_kept_of_sessions_that_have_ended() {
    let mut book = Harness::new();
    for _ in 0..100 {
        let pod = book.open("acme", true);
        book.say(pod, 1, 5, Raised);
        book.sync(pod, &[1], true);
        book.close(pod);
    }
    assert_eq!((book.book.sessions.len(), book.rows("c")), (0, vec![(1, 5)]));
}

#[test]
fn alarms_survive_a_restart_and_those_of_lost_pods_are_cleared() {
    let mut before = Harness::new();
    let pod = before.open("acme", true);
    before.say(pod, 1, 5, Raised);
    before.say(pod, 2, 5, Raised);
    let mut after = Harness::new();
    let now = after.now;
    after.book.restore(before.book.entries().collect(), now);
    after.book.restore(before.book.entries().collect(), now);
    assert_eq!((after.events(), after.rows("c")), (vec![], vec![(1, 5), (2, 5)]));
    let again = after.open("acme", true);
    after.say(again, 1, 5, Raised);
    assert_eq!(after.events(), [], "a duplicate");
    after.pass(LOST_AFTER);
    assert_eq!(after.lost("c"), 1);
    after.pass(60 * MINUTE);
    assert_eq!(after.events(), [Said { object: 2, sequence: 6, state: Cleared }]);
    assert_eq!(after.rows("c"), [(1, 5)]);
}
