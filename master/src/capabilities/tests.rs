use std::time::Duration;

use super::*;

const SNMP_MIB: &str = "1.3.6.1.6.3.1";

fn caps(id: &str) -> AddAgentCaps {
    AddAgentCaps { id: id.parse().expect("test OIDs are right"), description: format!("what {id} says").into_bytes() }
}

/// A time, in seconds from some start.
struct Clock(Instant);

impl Clock {
    fn at(&self, seconds: u64) -> Instant {
        self.0 + Duration::from_secs(seconds)
    }
}

fn clock() -> Clock {
    Clock(Instant::now())
}

impl Capabilities {
    fn announce(&mut self, context: &str, session: u32, id: &str, now: Instant) -> Result<(), ResponseError> {
        self.add(context.as_bytes(), SessionId(session), caps(id), now).map_err(ResponseError::from)
    }

    fn take_back(&mut self, context: &str, session: u32, id: &str, now: Instant) -> Result<(), ResponseError> {
        let id = id.parse().expect("test OIDs are right");
        self.remove(context.as_bytes(), SessionId(session), &id, now).map_err(ResponseError::from)
    }

    fn rows(&self, context: &str) -> Vec<(u32, String)> {
        self.of(context.as_bytes()).iter().map(|row| (row.index, row.id.to_string())).collect()
    }
}

// RFC 2741 section 6.2.14: a row in the context's sysORTable.
#[test]
fn what_is_announced_is_a_row() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    assert_eq!((capabilities.of(b""), capabilities.changed(b"")), (&[][..], None));
    capabilities.announce("", 1, SNMP_MIB, clock.at(3)).expect("nothing is against it");
    let row = Capability {
        index: 1,
        id: SNMP_MIB.parse().expect("it is one"),
        description: b"what 1.3.6.1.6.3.1 says".to_vec(),
        added: clock.at(3),
    };
    assert_eq!((capabilities.of(b""), capabilities.changed(b"")), (&[row][..], Some(clock.at(3))));
    assert_eq!((capabilities.of(b"acme"), capabilities.changed(b"acme")), (&[][..], None), "contexts are apart");
}

// Section 6.2.15: only what this session announced, in this context.
#[test]
fn a_row_is_taken_back_by_the_session_that_added_it() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    for (session, id) in [(1, "1.1"), (2, "1.1"), (1, "1.2"), (1, "1.1")] {
        capabilities.announce("", session, id, clock.at(1)).expect("nothing is against it");
    }
    let unknown = Err(ResponseError::UnknownAgentCaps);
    assert_eq!(capabilities.take_back("", 3, "1.1", clock.at(2)), unknown, "another session");
    assert_eq!(capabilities.take_back("", 2, "1.2", clock.at(2)), unknown, "another's row");
    assert_eq!(capabilities.take_back("acme", 1, "1.1", clock.at(2)), unknown, "another context");
    assert_eq!(capabilities.changed(b""), Some(clock.at(1)), "nothing has changed");
    assert_eq!(capabilities.take_back("", 1, "1.1", clock.at(5)), Ok(()));
    assert_eq!(capabilities.rows(""), [(2, "1.1".to_owned()), (3, "1.2".to_owned())]);
    assert_eq!(capabilities.changed(b""), Some(clock.at(5)));
    assert_eq!(capabilities.take_back("", 1, "1.1", clock.at(6)), unknown, "it is gone");
}

#[test]
fn an_index_is_not_used_again() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    capabilities.announce("", 1, "1.1", clock.at(1)).expect("nothing is against it");
    capabilities.announce("", 1, "1.2", clock.at(1)).expect("nothing is against it");
    capabilities.withdraw(SessionId(1), clock.at(2));
    assert_eq!((capabilities.rows(""), capabilities.changed(b"")), (vec![], Some(clock.at(2))));
    capabilities.announce("", 2, "1.1", clock.at(3)).expect("nothing is against it");
    capabilities.announce("acme", 2, "1.1", clock.at(3)).expect("nothing is against it");
    assert_eq!(capabilities.rows(""), [(3, "1.1".to_owned())]);
    assert_eq!(capabilities.rows("acme"), [(1, "1.1".to_owned())], "nor does one context tell of another");
}

#[test]
fn a_session_that_ends_takes_its_rows_along() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    for (context, session) in [("", 1), ("", 2), ("acme", 1), ("", 1), ("emca", 2)] {
        capabilities.announce(context, session, "1.1", clock.at(1)).expect("nothing is against it");
    }
    capabilities.withdraw(SessionId(3), clock.at(2));
    assert_eq!(capabilities.len(), 5);
    capabilities.withdraw(SessionId(1), clock.at(3));
    assert_eq!(capabilities.rows(""), [(2, "1.1".to_owned())]);
    assert_eq!(capabilities.rows("acme"), []);
    let changed = ["", "acme", "emca"].map(|context| capabilities.changed(context.as_bytes()));
    assert_eq!(changed, [Some(clock.at(3)), Some(clock.at(3)), Some(clock.at(1))]);
}

#[test]
fn what_is_too_long_is_refused() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    let long = |len| AddAgentCaps { description: vec![b'a'; len], ..caps("1.1") };
    let refused = capabilities.add(b"", SessionId(1), long(256), clock.at(0)).expect_err("it is too long");
    assert_eq!(ResponseError::from(refused), ResponseError::RequestDenied);
    assert_eq!(capabilities.announce(&"c".repeat(33), 1, "1.1", clock.at(0)), Err(ResponseError::UnsupportedContext));
    assert!(capabilities.is_empty() && capabilities.contexts.is_empty());
    assert_eq!(capabilities.add(b"", SessionId(1), long(255), clock.at(0)), Ok(()));
}

#[test]
fn a_session_has_a_bound_and_so_have_all() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    let denied = Err(ResponseError::RequestDenied);
    for _ in 0..Capabilities::MAX_ROWS_PER_SESSION {
        capabilities.announce("", 1, "1.1", clock.at(0)).expect("nothing is against it");
    }
    assert_eq!(capabilities.announce("acme", 1, "1.2", clock.at(0)), denied);
    capabilities.take_back("", 1, "1.1", clock.at(0)).expect("they are there");
    assert_eq!(capabilities.announce("acme", 1, "1.2", clock.at(0)), Ok(()));
    let mut session = 1;
    while capabilities.len() < Capabilities::MAX_ROWS {
        session += 1;
        capabilities.announce("", session, "1.1", clock.at(0)).expect("nothing is against it");
    }
    assert_eq!(capabilities.announce("", 1, "1.2", clock.at(0)), denied);
    capabilities.withdraw(SessionId(session), clock.at(0));
    assert_eq!(capabilities.announce("", 1, "1.2", clock.at(0)), Ok(()));
}

#[test]
fn contexts_have_a_bound() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    for number in 0..Capabilities::MAX_CONTEXTS {
        capabilities.announce(&number.to_string(), 1, "1.1", clock.at(0)).expect("nothing is against it");
        capabilities.withdraw(SessionId(1), clock.at(0));
    }
    assert_eq!(capabilities.announce("one more", 1, "1.1", clock.at(0)), Err(ResponseError::RequestDenied));
    assert_eq!(capabilities.announce("7", 1, "1.1", clock.at(0)), Ok(()));
    assert_eq!(capabilities.rows("7"), [(2, "1.1".to_owned())]);
}

#[test]
fn indexes_end_where_their_type_does() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    capabilities.announce("", 1, "1.1", clock.at(0)).expect("nothing is against it");
    capabilities.contexts.get_mut(&b""[..]).expect("it is there").last_index = Rows::MAX_INDEX - 1;
    capabilities.announce("", 1, "1.2", clock.at(0)).expect("there is one more");
    assert_eq!(capabilities.announce("", 1, "1.3", clock.at(0)), Err(ResponseError::RequestDenied));
    assert_eq!(capabilities.rows(""), [(1, "1.1".to_owned()), (2_147_483_647, "1.2".to_owned())]);
}

#[test]
fn sessions_that_come_and_go_leave_no_rows() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    capabilities.announce("", 0, "1.1", clock.at(0)).expect("nothing is against it");
    for session in 1..=10_000 {
        for (context, id) in [("", "1.1"), ("acme", "1.2"), ("", "1.3")] {
            capabilities.announce(context, session, id, clock.at(1)).expect("nothing is against it");
        }
        capabilities.take_back("", session, "1.3", clock.at(1)).expect("it is there");
        capabilities.withdraw(SessionId(session), clock.at(1));
        let sizes = (capabilities.contexts.len(), capabilities.sessions.len(), capabilities.len());
        assert_eq!(sizes, (2, 1, 1));
    }
    assert_eq!(capabilities.rows(""), [(1, "1.1".to_owned())]);
}
