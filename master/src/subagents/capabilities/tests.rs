use std::time::Duration;

use super::*;

const SNMP_MIB: &str = "1.3.6.1.6.3.1";

fn caps(id: &str) -> AddAgentCaps {
    AddAgentCaps { id: id.parse().expect("a valid OID"), description: format!("description of {id}").into_bytes() }
}

/// Times in seconds from a start.
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

    fn withdraw_one(&mut self, context: &str, session: u32, id: &str, now: Instant) -> Result<(), ResponseError> {
        let id = id.parse().expect("a valid OID");
        self.remove(context.as_bytes(), SessionId(session), &id, now).map_err(ResponseError::from)
    }

    fn rows(&self, context: &str) -> Vec<(u32, String)> {
        self.of(context.as_bytes()).iter().map(|row| (row.index, row.id.to_string())).collect()
    }
}

// RFC 2741 section 6.2.14: a row in the sysORTable of the context.
#[test]
fn an_announcement_adds_a_row() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    assert_eq!((capabilities.of(b""), capabilities.changed(b"")), (&[][..], None));
    capabilities.announce("", 1, SNMP_MIB, clock.at(3)).expect("a valid row");
    let row = Capability {
        index: 1,
        id: SNMP_MIB.parse().expect("an OID"),
        description: b"description of 1.3.6.1.6.3.1".to_vec(),
        added: clock.at(3),
    };
    assert_eq!((capabilities.of(b""), capabilities.changed(b"")), (&[row][..], Some(clock.at(3))));
    assert_eq!((capabilities.of(b"acme"), capabilities.changed(b"acme")), (&[][..], None), "contexts are separate");
}

// Section 6.2.15: only rows of this session in this context.
#[test]
fn a_row_is_removed_only_by_the_session_that_added_it() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    for (session, id) in [(1, "1.1"), (2, "1.1"), (1, "1.2"), (1, "1.1")] {
        capabilities.announce("", session, id, clock.at(1)).expect("a valid row");
    }
    let unknown = Err(ResponseError::UnknownAgentCaps);
    assert_eq!(capabilities.withdraw_one("", 3, "1.1", clock.at(2)), unknown, "another session");
    assert_eq!(capabilities.withdraw_one("", 2, "1.2", clock.at(2)), unknown, "the row of another session");
    assert_eq!(capabilities.withdraw_one("acme", 1, "1.1", clock.at(2)), unknown, "another context");
    assert_eq!(capabilities.changed(b""), Some(clock.at(1)), "nothing has changed");
    assert_eq!(capabilities.withdraw_one("", 1, "1.1", clock.at(5)), Ok(()));
    assert_eq!(capabilities.rows(""), [(2, "1.1".to_owned()), (3, "1.2".to_owned())]);
    assert_eq!(capabilities.changed(b""), Some(clock.at(5)));
    assert_eq!(capabilities.withdraw_one("", 1, "1.1", clock.at(6)), unknown, "it is removed already");
}

#[test]
fn an_index_is_never_used_twice() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    capabilities.announce("", 1, "1.1", clock.at(1)).expect("a valid row");
    capabilities.announce("", 1, "1.2", clock.at(1)).expect("a valid row");
    capabilities.withdraw(SessionId(1), clock.at(2));
    assert_eq!((capabilities.rows(""), capabilities.changed(b"")), (vec![], Some(clock.at(2))));
    capabilities.announce("", 2, "1.1", clock.at(3)).expect("a valid row");
    capabilities.announce("acme", 2, "1.1", clock.at(3)).expect("a valid row");
    assert_eq!(capabilities.rows(""), [(3, "1.1".to_owned())]);
    assert_eq!(capabilities.rows("acme"), [(1, "1.1".to_owned())], "indexes of contexts are independent");
}

#[test]
fn the_rows_of_an_ended_session_are_removed() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    for (context, session) in [("", 1), ("", 2), ("acme", 1), ("", 1), ("emca", 2)] {
        capabilities.announce(context, session, "1.1", clock.at(1)).expect("a valid row");
    }
    capabilities.withdraw(SessionId(3), clock.at(2));
    assert_eq!(capabilities.len, 5);
    capabilities.withdraw(SessionId(1), clock.at(3));
    assert_eq!(capabilities.rows(""), [(2, "1.1".to_owned())]);
    assert_eq!(capabilities.rows("acme"), []);
    let changed = ["", "acme", "emca"].map(|context| capabilities.changed(context.as_bytes()));
    assert_eq!(changed, [Some(clock.at(3)), Some(clock.at(3)), Some(clock.at(1))]);
}

#[test]
fn long_names_and_descriptions_are_refused() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    let long = |len| AddAgentCaps { description: vec![b'a'; len], ..caps("1.1") };
    let error = capabilities.add(b"", SessionId(1), long(256), clock.at(0)).expect_err("it is too long");
    assert_eq!(ResponseError::from(error), ResponseError::RequestDenied);
    assert_eq!(capabilities.announce(&"c".repeat(33), 1, "1.1", clock.at(0)), Err(ResponseError::UnsupportedContext));
    assert!(capabilities.len == 0 && capabilities.contexts.is_empty());
    assert_eq!(capabilities.add(b"", SessionId(1), long(255), clock.at(0)), Ok(()));
}

#[test]
fn rows_are_limited_per_session_and_in_total() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    let denied = Err(ResponseError::RequestDenied);
    for _ in 0..Capabilities::MAX_ROWS_PER_SESSION {
        capabilities.announce("", 1, "1.1", clock.at(0)).expect("a valid row");
    }
    assert_eq!(capabilities.announce("acme", 1, "1.2", clock.at(0)), denied);
    capabilities.withdraw_one("", 1, "1.1", clock.at(0)).expect("there are rows");
    assert_eq!(capabilities.announce("acme", 1, "1.2", clock.at(0)), Ok(()));
    let mut session = 1;
    while capabilities.len < Capabilities::MAX_ROWS {
        session += 1;
        capabilities.announce("", session, "1.1", clock.at(0)).expect("a valid row");
    }
    assert_eq!(capabilities.announce("", 1, "1.2", clock.at(0)), denied);
    capabilities.withdraw(SessionId(session), clock.at(0));
    assert_eq!(capabilities.announce("", 1, "1.2", clock.at(0)), Ok(()));
}

#[test]
fn contexts_are_limited() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    for number in 0..Capabilities::MAX_CONTEXTS {
        capabilities.announce(&number.to_string(), 1, "1.1", clock.at(0)).expect("a valid row");
        capabilities.withdraw(SessionId(1), clock.at(0));
    }
    assert_eq!(capabilities.announce("one more", 1, "1.1", clock.at(0)), Err(ResponseError::RequestDenied));
    assert_eq!(capabilities.announce("7", 1, "1.1", clock.at(0)), Ok(()));
    assert_eq!(capabilities.rows("7"), [(2, "1.1".to_owned())]);
}

#[test]
fn indexes_are_limited_by_their_type() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    capabilities.announce("", 1, "1.1", clock.at(0)).expect("a valid row");
    capabilities.contexts.get_mut(&b""[..]).expect("it exists").last_index = Rows::MAX_INDEX - 1;
    capabilities.announce("", 1, "1.2", clock.at(0)).expect("one index is left");
    assert_eq!(capabilities.announce("", 1, "1.3", clock.at(0)), Err(ResponseError::RequestDenied));
    assert_eq!(capabilities.rows(""), [(1, "1.1".to_owned()), (2_147_483_647, "1.2".to_owned())]);
}

#[test]
fn ended_sessions_leave_no_rows() {
    let (mut capabilities, clock) = (Capabilities::default(), clock());
    capabilities.announce("", 0, "1.1", clock.at(0)).expect("a valid row");
    for session in 1..=10_000 {
        for (context, id) in [("", "1.1"), ("acme", "1.2"), ("", "1.3")] {
            capabilities.announce(context, session, id, clock.at(1)).expect("a valid row");
        }
        capabilities.withdraw_one("", session, "1.3", clock.at(1)).expect("it exists");
        capabilities.withdraw(SessionId(session), clock.at(1));
        let sizes = (capabilities.contexts.len(), capabilities.sessions.len(), capabilities.len);
        assert_eq!(sizes, (2, 1, 1));
    }
    assert_eq!(capabilities.rows(""), [(1, "1.1".to_owned())]);
}
