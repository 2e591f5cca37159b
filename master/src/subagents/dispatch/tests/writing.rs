//! SET requests (RFC 2741 section 7.2.4): all or nothing, over any number of sessions.

use std::time::Duration;

use agentx::{Body, CloseReason, Pdu, PduType, ResponseError, Value, VarBind};
use rstest::rstest;

use super::dispatcher_harness::{DispatcherHarness, Subagent, int, varbind};
use crate::pdu::{Operation, Token};

const A1: &str = "1.3.6.1.4.1.99999.1.1";
const A2: &str = "1.3.6.1.4.1.99999.1.2";
const B1: &str = "1.3.6.1.4.1.99999.2.1";

/// Two sessions and a SET. Session `a` serves the first and third varbind, session `b` the second.
struct Set {
    harness: DispatcherHarness,
    a: Subagent,
    b: Subagent,
    token: Token,
    /// The last PDU that was sent to session `a`.
    of_a: Pdu,
    /// The last PDU that was sent to session `b`.
    of_b: Pdu,
}

fn request() -> Vec<VarBind> {
    vec![int(A1, 1), int(B1, 2), int(A2, 3)]
}

impl Set {
    fn new() -> Self {
        let mut harness = DispatcherHarness::new();
        let (a, b) = (harness.serving(&["1.3.6.1.4.1.99999.1"]), harness.serving(&["1.3.6.1.4.1.99999.2"]));
        let token = harness.request(Operation::Set(request()));
        let (of_a, of_b) = (harness.sent_once(a), harness.sent_once(b));
        assert_eq!(of_a.body, Body::TestSet(vec![int(A1, 1), int(A2, 3)]));
        assert_eq!(of_b.body, Body::TestSet(vec![int(B1, 2)]));
        assert_eq!(of_a.header.transaction_id, of_b.header.transaction_id);
        Self { harness, a, b, token, of_a, of_b }
    }

    /// Lets both sessions accept the TestSet, and expects the CommitSet.
    fn tested() -> Self {
        let mut set = Self::new();
        set.accept_a();
        assert!(set.harness.sent_to(set.a).is_empty(), "a CommitSet was sent before all sessions have tested");
        set.accept_b();
        set.expect_step([PduType::CommitSet, PduType::CommitSet]);
        set
    }

    fn accept_a(&mut self) {
        self.harness.answer(&self.of_a, self.a, vec![]);
    }

    fn accept_b(&mut self) {
        self.harness.answer(&self.of_b, self.b, vec![]);
    }

    /// Expects that both sessions are sent one PDU each, of the next step and in the same transaction.
    fn expect_step(&mut self, expected: [PduType; 2]) {
        for (subagent, last, expected) in [(self.a, &mut self.of_a, expected[0]), (self.b, &mut self.of_b, expected[1])]
        {
            let query = self.harness.sent_once(subagent);
            assert_eq!((query.body.pdu_type(), query.header.transaction_id), (expected, last.header.transaction_id));
            assert_ne!(query.header.packet_id, last.header.packet_id);
            *last = query;
        }
    }

    fn expect_result(&mut self, expected: &Result<Vec<VarBind>, (ResponseError, u32)>) {
        assert_eq!(&self.harness.result(self.token), expected);
        assert_eq!((self.harness.master.outstanding(), self.harness.master.request_count()), (0, 0));
        assert!(self.harness.sent_to(self.a).is_empty() && self.harness.sent_to(self.b).is_empty());
    }
}

#[test]
fn all_sessions_test_then_commit_then_clean_up() {
    let mut set = Set::tested();
    set.accept_b();
    assert!(set.harness.answers().is_empty());
    set.accept_a();
    set.expect_step([PduType::CleanupSet, PduType::CleanupSet]);
    set.expect_result(&Ok(request()));
}

#[rstest]
#[case::second_varbind(2, 3)]
#[case::first_varbind(1, 1)]
#[case::no_varbind(0, 1)]
#[case::out_of_range(7, 1)]
fn a_failed_test_cleans_up_all_sessions_and_is_the_answer(#[case] index: u16, #[case] expected: u32) {
    let mut set = Set::new();
    set.harness.refuse(&set.of_a, set.a, ResponseError::WrongValue, index);
    assert!(set.harness.answers().is_empty(), "an earlier varbind may still fail");
    set.accept_b();
    set.expect_step([PduType::CleanupSet, PduType::CleanupSet]);
    set.expect_result(&Err((ResponseError::WrongValue, expected)));
}

#[rstest]
#[case::in_order(true)]
#[case::in_reverse_order(false)]
fn the_error_of_the_first_varbind_is_the_answer(#[case] b_is_first: bool) {
    let mut set = Set::new();
    let answers =
        [(set.of_b.clone(), set.b, ResponseError::WrongType, 1), (set.of_a.clone(), set.a, ResponseError::NoAccess, 2)];
    let mut answers = answers.to_vec();
    if !b_is_first {
        answers.reverse();
    }
    for (query, subagent, error, index) in answers {
        set.harness.refuse(&query, subagent, error, index);
    }
    set.expect_step([PduType::CleanupSet, PduType::CleanupSet]);
    set.expect_result(&Err((ResponseError::WrongType, 2)));
}

#[rstest]
#[case::snmpv1_error(ResponseError::BadValue)]
#[case::agentx_error(ResponseError::NotOpen)]
#[case::unknown_error(ResponseError::Unknown(99))]
fn errors_that_are_not_allowed_in_snmp_become_gen_err(#[case] error: ResponseError) {
    let mut set = Set::new();
    set.harness.refuse(&set.of_b, set.b, error, 1);
    set.accept_a();
    set.expect_step([PduType::CleanupSet, PduType::CleanupSet]);
    set.expect_result(&Err((ResponseError::GenErr, 2)));
}

#[test]
fn a_failed_commit_is_undone_by_all_sessions() {
    let mut set = Set::tested();
    set.harness.refuse(&set.of_a, set.a, ResponseError::CommitFailed, 2);
    set.accept_b();
    set.expect_step([PduType::UndoSet, PduType::UndoSet]);
    set.accept_a();
    assert!(set.harness.answers().is_empty());
    set.accept_b();
    set.expect_result(&Err((ResponseError::CommitFailed, 3)));
}

#[test]
fn a_failed_undo_is_the_answer() {
    let mut set = Set::tested();
    set.harness.refuse(&set.of_a, set.a, ResponseError::CommitFailed, 2);
    set.accept_b();
    set.expect_step([PduType::UndoSet, PduType::UndoSet]);
    set.accept_a();
    set.harness.refuse(&set.of_b, set.b, ResponseError::UndoFailed, 1);
    set.expect_result(&Err((ResponseError::UndoFailed, 0)));
}

#[test]
fn a_test_that_times_out_fails() {
    let mut set = Set::new();
    set.accept_a();
    set.harness.pass(Duration::from_secs(5));
    set.expect_step([PduType::CleanupSet, PduType::CleanupSet]);
    set.expect_result(&Err((ResponseError::GenErr, 2)));
}

#[test]
fn a_commit_that_times_out_is_undone() {
    let mut set = Set::tested();
    set.accept_a();
    set.harness.pass(Duration::from_secs(5));
    set.expect_step([PduType::UndoSet, PduType::UndoSet]);
    set.accept_a();
    set.accept_b();
    set.expect_result(&Err((ResponseError::CommitFailed, 2)));
}

#[test]
fn an_undo_that_times_out_fails() {
    let mut set = Set::tested();
    set.accept_a();
    set.harness.refuse(&set.of_b, set.b, ResponseError::CommitFailed, 1);
    set.expect_step([PduType::UndoSet, PduType::UndoSet]);
    set.accept_a();
    set.harness.pass(Duration::from_secs(5));
    set.expect_result(&Err((ResponseError::UndoFailed, 0)));
}

#[test]
fn a_session_that_ends_during_its_test_fails_the_set() {
    let mut set = Set::new();
    set.harness.disconnect(set.b);
    assert!(set.harness.answers().is_empty());
    set.accept_a();
    let cleanup = set.harness.sent_once(set.a);
    assert_eq!(cleanup.body, Body::CleanupSet);
    set.expect_result(&Err((ResponseError::GenErr, 2)));
}

#[test]
fn a_session_that_ends_after_its_test_has_written_nothing() {
    let mut set = Set::new();
    set.accept_b();
    set.harness.call(set.b, "", Body::Close(CloseReason::Shutdown));
    set.accept_a();
    let commit = set.harness.sent_once(set.a);
    assert_eq!(commit.body, Body::CommitSet);
    set.harness.answer(&commit, set.a, vec![]);
    let undo = set.harness.sent_once(set.a);
    assert_eq!(undo.body, Body::UndoSet);
    set.harness.answer(&undo, set.a, vec![]);
    set.expect_result(&Err((ResponseError::CommitFailed, 2)));
}

#[test]
fn a_session_that_ends_during_its_commit_fails_the_undo() {
    let mut set = Set::tested();
    set.harness.disconnect(set.b);
    assert!(set.harness.answers().is_empty());
    set.accept_a();
    let undo = set.harness.sent_once(set.a);
    assert_eq!(undo.body, Body::UndoSet);
    set.harness.answer(&undo, set.a, vec![]);
    set.expect_result(&Err((ResponseError::UndoFailed, 0)));
}

#[test]
fn a_session_that_ends_after_its_commit_fails_the_undo() {
    let mut set = Set::tested();
    set.accept_b();
    set.harness.disconnect(set.b);
    set.harness.refuse(&set.of_a, set.a, ResponseError::CommitFailed, 1);
    let undo = set.harness.sent_once(set.a);
    set.harness.answer(&undo, set.a, vec![]);
    set.expect_result(&Err((ResponseError::UndoFailed, 0)));
}

#[rstest]
#[case::not_served(vec![int(A1, 1), int("1.3.6.1.4.1.99999.9", 1)], ResponseError::NotWritable, 2)]
#[case::own_object(vec![int("1.3.6.1.2.1.1.1.0", 1), int(A1, 1)], ResponseError::NotWritable, 1)]
#[case::too_big(vec![varbind(A1, Value::OctetString(vec![0; 70_000]))], ResponseError::TooBig, 0)]
fn a_set_that_cannot_succeed_fails_before_any_session_is_queried(
    #[case] varbinds: Vec<VarBind>,
    #[case] error: ResponseError,
    #[case] index: u32,
) {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&["1.3.6.1.4.1.99999.1"]);
    let token = harness.request(Operation::Set(varbinds));
    assert_eq!(harness.result(token), Err((error, index)));
    assert!(harness.sent_to(a).is_empty());
}

#[test]
fn an_empty_set_succeeds() {
    let mut harness = DispatcherHarness::new();
    let token = harness.request(Operation::Set(vec![]));
    assert_eq!(harness.result(token), Ok(vec![]));
}

#[test]
fn concurrent_sets_are_separate_transactions() {
    let mut set = Set::new();
    let second = set.harness.request(Operation::Set(vec![int(A1, 9)]));
    let test = set.harness.sent_once(set.a);
    assert_ne!(test.header.transaction_id, set.of_a.header.transaction_id);
    set.harness.answer(&test, set.a, vec![]);
    let commit = set.harness.sent_once(set.a);
    assert_eq!((&commit.body, commit.header.transaction_id), (&Body::CommitSet, test.header.transaction_id));
    set.harness.answer(&commit, set.a, vec![]);
    assert_eq!(set.harness.sent_once(set.a).body, Body::CleanupSet);
    assert_eq!(set.harness.result(second), Ok(vec![int(A1, 9)]));
    set.accept_b();
    set.accept_a();
    set.expect_step([PduType::CommitSet, PduType::CommitSet]);
}

#[test]
fn a_set_fails_if_a_peer_does_not_read() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&["1.3.6.1.4.1.99999.1"]), harness.serving(&["1.3.6.1.4.1.99999.2"]));
    let names = vec![B1; 2_000];
    while harness.answers().is_empty() {
        harness.request(super::dispatcher_harness::get(&names));
    }
    let token = harness.request(Operation::Set(vec![int(A1, 1), int(B1, 2)]));
    let test = harness.sent_once(a);
    harness.answer(&test, a, vec![]);
    assert_eq!(harness.sent_once(a).body, Body::CleanupSet);
    assert_eq!(harness.result(token), Err((ResponseError::GenErr, 2)));
    assert!(harness.sent_to(b).iter().all(|pdu| matches!(pdu.body, Body::Get(_))));
}

#[test]
fn a_duplicate_response_does_not_advance_the_set() {
    let mut set = Set::tested();
    let commit = set.of_a.clone();
    set.accept_a();
    set.harness.answer(&commit, set.a, vec![]);
    assert!(
        set.harness.answers().is_empty()
            && set.harness.sent_to(set.a).is_empty()
            && set.harness.sent_to(set.b).is_empty()
    );
    set.accept_b();
    set.expect_step([PduType::CleanupSet, PduType::CleanupSet]);
    set.expect_result(&Ok(request()));
}
