//! SET (RFC 2741 section 7.2.4): all or nothing, over any number of sessions.

use std::time::Duration;

use agentx::{Body, CloseReason, Pdu, PduType, ResponseError, Value, VarBind};
use rstest::rstest;

use super::rig::{Rig, Subagent, int, varbind};
use crate::dispatch::{Operation, Token};

const A1: &str = "1.3.6.1.4.1.99999.1.1";
const A2: &str = "1.3.6.1.4.1.99999.1.2";
const B1: &str = "1.3.6.1.4.1.99999.2.1";

/// Two sessions, and a SET of which the first and third varbinds are the one's and the second the other's.
struct Set {
    rig: Rig,
    a: Subagent,
    b: Subagent,
    token: Token,
    /// What they were sent last and have not answered.
    of_a: Pdu,
    of_b: Pdu,
}

fn request() -> Vec<VarBind> {
    vec![int(A1, 1), int(B1, 2), int(A2, 3)]
}

impl Set {
    fn new() -> Self {
        let mut rig = Rig::new();
        let (a, b) = (rig.serving(&["1.3.6.1.4.1.99999.1"]), rig.serving(&["1.3.6.1.4.1.99999.2"]));
        let token = rig.request(Operation::Set(request()));
        let (of_a, of_b) = (rig.asked_once(a), rig.asked_once(b));
        assert_eq!(of_a.body, Body::TestSet(vec![int(A1, 1), int(A2, 3)]));
        assert_eq!(of_b.body, Body::TestSet(vec![int(B1, 2)]));
        assert_eq!(of_a.header.transaction_id, of_b.header.transaction_id);
        Self { rig, a, b, token, of_a, of_b }
    }

    /// Both have tested, and are told to write.
    fn tested() -> Self {
        let mut set = Self::new();
        set.agree_a();
        assert!(set.rig.asked(set.a).is_empty(), "not before all have tested");
        set.agree_b();
        set.step([PduType::CommitSet, PduType::CommitSet]);
        set
    }

    fn agree_a(&mut self) {
        self.rig.answer(&self.of_a, self.a, vec![]);
    }

    fn agree_b(&mut self) {
        self.rig.answer(&self.of_b, self.b, vec![]);
    }

    /// Both are sent the next step, once and in the same transaction.
    fn step(&mut self, due: [PduType; 2]) {
        for (subagent, last, due) in [(self.a, &mut self.of_a, due[0]), (self.b, &mut self.of_b, due[1])] {
            let asked = self.rig.asked_once(subagent);
            assert_eq!((asked.body.pdu_type(), asked.header.transaction_id), (due, last.header.transaction_id));
            assert_ne!(asked.header.packet_id, last.header.packet_id);
            *last = asked;
        }
    }

    fn is_over(&mut self, due: Result<Vec<VarBind>, (ResponseError, u32)>) {
        assert_eq!(self.rig.result(self.token), due);
        assert_eq!((self.rig.master.outstanding(), self.rig.master.request_count()), (0, 0));
        assert!(self.rig.asked(self.a).is_empty() && self.rig.asked(self.b).is_empty());
    }
}

#[test]
fn all_test_then_all_write_then_all_release() {
    let mut set = Set::tested();
    set.agree_b();
    assert!(set.rig.answers().is_empty());
    set.agree_a();
    set.step([PduType::CleanupSet, PduType::CleanupSet]);
    set.is_over(Ok(request()));
}

#[rstest]
#[case::the_second_of_its_varbinds(2, 3)]
#[case::the_first(1, 1)]
#[case::none_of_them(0, 1)]
#[case::one_that_it_has_not(7, 1)]
fn a_test_that_fails_releases_all_and_is_what_the_nms_hears(#[case] index: u16, #[case] due: u32) {
    let mut set = Set::new();
    set.rig.refuse(&set.of_a, set.a, ResponseError::WrongValue, index);
    assert!(set.rig.answers().is_empty(), "the others may fail on an earlier varbind");
    set.agree_b();
    set.step([PduType::CleanupSet, PduType::CleanupSet]);
    set.is_over(Err((ResponseError::WrongValue, due)));
}

#[rstest]
#[case::the_first_came_first(true)]
#[case::the_first_came_last(false)]
fn of_several_failures_the_first_in_the_request_counts(#[case] b_is_first: bool) {
    let mut set = Set::new();
    let answers =
        [(set.of_b.clone(), set.b, ResponseError::WrongType, 1), (set.of_a.clone(), set.a, ResponseError::NoAccess, 2)];
    let mut answers = answers.to_vec();
    if !b_is_first {
        answers.reverse();
    }
    for (asked, subagent, error, index) in answers {
        set.rig.refuse(&asked, subagent, error, index);
    }
    set.step([PduType::CleanupSet, PduType::CleanupSet]);
    set.is_over(Err((ResponseError::WrongType, 2)));
}

#[rstest]
#[case::of_snmpv1(ResponseError::BadValue)]
#[case::of_agentx(ResponseError::NotOpen)]
#[case::of_nobody(ResponseError::Unknown(99))]
fn an_error_that_snmp_does_not_have_here_is_a_general_one(#[case] error: ResponseError) {
    let mut set = Set::new();
    set.rig.refuse(&set.of_b, set.b, error, 1);
    set.agree_a();
    set.step([PduType::CleanupSet, PduType::CleanupSet]);
    set.is_over(Err((ResponseError::GenErr, 2)));
}

#[test]
fn a_write_that_fails_is_taken_back_by_all() {
    let mut set = Set::tested();
    set.rig.refuse(&set.of_a, set.a, ResponseError::CommitFailed, 2);
    set.agree_b();
    set.step([PduType::UndoSet, PduType::UndoSet]);
    set.agree_a();
    assert!(set.rig.answers().is_empty());
    set.agree_b();
    set.is_over(Err((ResponseError::CommitFailed, 3)));
}

#[test]
fn what_cannot_be_taken_back_is_said() {
    let mut set = Set::tested();
    set.rig.refuse(&set.of_a, set.a, ResponseError::CommitFailed, 2);
    set.agree_b();
    set.step([PduType::UndoSet, PduType::UndoSet]);
    set.agree_a();
    set.rig.refuse(&set.of_b, set.b, ResponseError::UndoFailed, 1);
    set.is_over(Err((ResponseError::UndoFailed, 0)));
}

#[test]
fn a_test_without_an_answer_fails() {
    let mut set = Set::new();
    set.agree_a();
    set.rig.pass(Duration::from_secs(5));
    set.step([PduType::CleanupSet, PduType::CleanupSet]);
    set.is_over(Err((ResponseError::GenErr, 2)));
}

#[test]
fn a_write_without_an_answer_is_taken_back() {
    let mut set = Set::tested();
    set.agree_a();
    set.rig.pass(Duration::from_secs(5));
    set.step([PduType::UndoSet, PduType::UndoSet]);
    set.agree_a();
    set.agree_b();
    set.is_over(Err((ResponseError::CommitFailed, 2)));
}

#[test]
fn a_taking_back_without_an_answer_has_failed() {
    let mut set = Set::tested();
    set.agree_a();
    set.rig.refuse(&set.of_b, set.b, ResponseError::CommitFailed, 1);
    set.step([PduType::UndoSet, PduType::UndoSet]);
    set.agree_a();
    set.rig.pass(Duration::from_secs(5));
    set.is_over(Err((ResponseError::UndoFailed, 0)));
}

#[test]
fn a_session_that_is_lost_while_it_tests_fails_the_set() {
    let mut set = Set::new();
    set.rig.disconnect(set.b);
    assert!(set.rig.answers().is_empty());
    set.agree_a();
    let cleanup = set.rig.asked_once(set.a);
    assert_eq!(cleanup.body, Body::CleanupSet);
    set.is_over(Err((ResponseError::GenErr, 2)));
}

#[test]
fn a_session_that_is_lost_after_its_test_wrote_nothing() {
    let mut set = Set::new();
    set.agree_b();
    set.rig.call(set.b, "", Body::Close(CloseReason::Shutdown));
    set.agree_a();
    let commit = set.rig.asked_once(set.a);
    assert_eq!(commit.body, Body::CommitSet);
    set.rig.answer(&commit, set.a, vec![]);
    let undo = set.rig.asked_once(set.a);
    assert_eq!(undo.body, Body::UndoSet);
    set.rig.answer(&undo, set.a, vec![]);
    set.is_over(Err((ResponseError::CommitFailed, 2)));
}

#[test]
fn a_session_that_is_lost_while_it_writes_cannot_take_it_back() {
    let mut set = Set::tested();
    set.rig.disconnect(set.b);
    assert!(set.rig.answers().is_empty());
    set.agree_a();
    let undo = set.rig.asked_once(set.a);
    assert_eq!(undo.body, Body::UndoSet);
    set.rig.answer(&undo, set.a, vec![]);
    set.is_over(Err((ResponseError::UndoFailed, 0)));
}

#[test]
fn a_session_that_wrote_and_is_lost_before_another_fails_cannot_take_it_back() {
    let mut set = Set::tested();
    set.agree_b();
    set.rig.disconnect(set.b);
    set.rig.refuse(&set.of_a, set.a, ResponseError::CommitFailed, 1);
    let undo = set.rig.asked_once(set.a);
    set.rig.answer(&undo, set.a, vec![]);
    set.is_over(Err((ResponseError::UndoFailed, 0)));
}

#[rstest]
#[case::nobodys(vec![int(A1, 1), int("1.3.6.1.4.1.99999.9", 1)], ResponseError::NotWritable, 2)]
#[case::the_masters_own(vec![int("1.3.6.1.2.1.1.1.0", 1), int(A1, 1)], ResponseError::NotWritable, 1)]
#[case::too_big(vec![varbind(A1, Value::OctetString(vec![0; 70_000]))], ResponseError::TooBig, 0)]
fn what_cannot_be_written_is_refused_before_anybody_is_asked(
    #[case] varbinds: Vec<VarBind>,
    #[case] error: ResponseError,
    #[case] index: u32,
) {
    let mut rig = Rig::new();
    let a = rig.serving(&["1.3.6.1.4.1.99999.1"]);
    let token = rig.request(Operation::Set(varbinds));
    assert_eq!(rig.result(token), Err((error, index)));
    assert!(rig.asked(a).is_empty());
}

#[test]
fn a_set_of_nothing_is_done() {
    let mut rig = Rig::new();
    let token = rig.request(Operation::Set(vec![]));
    assert_eq!(rig.result(token), Ok(vec![]));
}

#[test]
fn two_sets_at_once_are_two_transactions() {
    let mut set = Set::new();
    let second = set.rig.request(Operation::Set(vec![int(A1, 9)]));
    let test = set.rig.asked_once(set.a);
    assert_ne!(test.header.transaction_id, set.of_a.header.transaction_id);
    set.rig.answer(&test, set.a, vec![]);
    let commit = set.rig.asked_once(set.a);
    assert_eq!((&commit.body, commit.header.transaction_id), (&Body::CommitSet, test.header.transaction_id));
    set.rig.answer(&commit, set.a, vec![]);
    assert_eq!(set.rig.asked_once(set.a).body, Body::CleanupSet);
    assert_eq!(set.rig.result(second), Ok(vec![int(A1, 9)]));
    set.agree_b();
    set.agree_a();
    set.step([PduType::CommitSet, PduType::CommitSet]);
}

#[test]
fn a_peer_that_does_not_read_is_not_begun_with() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&["1.3.6.1.4.1.99999.1"]), rig.serving(&["1.3.6.1.4.1.99999.2"]));
    let names = vec![B1; 2_000];
    while rig.answers().is_empty() {
        rig.request(super::rig::get(&names));
    }
    let token = rig.request(Operation::Set(vec![int(A1, 1), int(B1, 2)]));
    let test = rig.asked_once(a);
    rig.answer(&test, a, vec![]);
    assert_eq!(rig.asked_once(a).body, Body::CleanupSet);
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, 2)));
    assert!(rig.asked(b).iter().all(|pdu| matches!(pdu.body, Body::Get(_))));
}

#[test]
fn a_subagent_that_does_not_agree_twice_writes_once() {
    let mut set = Set::tested();
    let commit = set.of_a.clone();
    set.agree_a();
    set.rig.answer(&commit, set.a, vec![]);
    assert!(set.rig.answers().is_empty() && set.rig.asked(set.a).is_empty() && set.rig.asked(set.b).is_empty());
    set.agree_b();
    set.step([PduType::CleanupSet, PduType::CleanupSet]);
    set.is_over(Ok(request()));
}
