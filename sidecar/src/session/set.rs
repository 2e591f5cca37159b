//! The four steps of a SET on what a session serves (RFC 2741 section 7.2.4).
//!
//! Here nothing can be written, so a test of any varbind fails; the order of the steps, repeated PDUs and the release of a
//! transaction are kept all the same. SETs of what can be written go through [`super::Writes`].

use agentx::{Header, ResponseError};

/// One step of a SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Check and reserve this many varbinds.
    Test(usize),
    /// Write.
    Commit,
    /// Put back what was written.
    Undo,
    /// Release. It has no response.
    Cleanup,
}

/// What a step is answered with: an error and the varbind that it is about, from 1 (0: none).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What went wrong.
    pub error: ResponseError,
    /// Which varbind.
    pub index: u16,
}

impl Verdict {
    const ACCEPTED: Self = Self { error: ResponseError::NoError, index: 0 };

    const fn failed(error: ResponseError, index: u16) -> Self {
        Self { error, index }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Tested,
    Committed,
}

/// The SET that is under way in a session: a master has one at a time.
#[derive(Debug, Default)]
pub struct SetTransaction {
    /// Its transactionID, and how far it came.
    current: Option<(u32, Phase)>,
    /// The last step that was answered: a master that repeats a PDU gets the same answer, and nothing is done twice.
    last: Option<(Header, Step, Verdict)>,
}

impl SetTransaction {
    /// Takes a step. `None`: there is nothing to answer.
    pub fn take(&mut self, header: Header, step: Step) -> Option<Verdict> {
        if step == Step::Cleanup {
            if self.is_current(header) {
                self.current = None;
            }
            self.last = None;
            return None;
        }
        if let Some((last, taken, verdict)) = self.last
            && (last, taken) == (header, step)
        {
            return Some(verdict);
        }
        let verdict = match step {
            Step::Test(varbinds) => self.test(header, varbinds),
            Step::Commit => self.commit(header),
            Step::Undo | Step::Cleanup => self.undo(header),
        };
        self.last = Some((header, step, verdict));
        Some(verdict)
    }

    fn is_current(&self, header: Header) -> bool {
        self.current.is_some_and(|(transaction, _)| transaction == header.transaction_id)
    }

    /// No variable below the name of any varbind can be created or modified, whatever the value: RFC 3416 section
    /// 4.2.5 (2) makes that notWritable, before it comes to noCreation and the others.
    fn test(&mut self, header: Header, varbinds: usize) -> Verdict {
        if varbinds > 0 {
            self.current = None;
            return Verdict::failed(ResponseError::NotWritable, 1);
        }
        self.current = Some((header.transaction_id, Phase::Tested));
        Verdict::ACCEPTED
    }

    fn commit(&mut self, header: Header) -> Verdict {
        if self.current != Some((header.transaction_id, Phase::Tested)) {
            return Verdict::failed(ResponseError::CommitFailed, 0);
        }
        self.current = Some((header.transaction_id, Phase::Committed));
        Verdict::ACCEPTED
    }

    /// It also ends the transaction (RFC 2741 section 7.2.4.3).
    fn undo(&mut self, header: Header) -> Verdict {
        if !self.is_current(header) {
            return Verdict::failed(ResponseError::UndoFailed, 0);
        }
        self.current = None;
        Verdict::ACCEPTED
    }
}

#[cfg(test)]
mod tests {
    use agentx::ByteOrder;
    use rstest::rstest;

    use super::*;

    /// A step of transaction `transaction`, each in a packet of its own.
    fn take(set: &mut SetTransaction, packet_id: u32, transaction_id: u32, step: Step) -> Option<(ResponseError, u16)> {
        let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id, packet_id };
        set.take(header, step).map(|verdict| (verdict.error, verdict.index))
    }

    const OK: Option<(ResponseError, u16)> = Some((ResponseError::NoError, 0));
    const NOT_WRITABLE: Option<(ResponseError, u16)> = Some((ResponseError::NotWritable, 1));
    const COMMIT_FAILED: Option<(ResponseError, u16)> = Some((ResponseError::CommitFailed, 0));
    const UNDO_FAILED: Option<(ResponseError, u16)> = Some((ResponseError::UndoFailed, 0));

    #[rstest]
    #[case::a_read_only_object(&[(Step::Test(1), NOT_WRITABLE), (Step::Cleanup, None)])]
    #[case::several_read_only_objects(&[(Step::Test(3), NOT_WRITABLE), (Step::Cleanup, None)])]
    #[case::nothing_at_all(&[(Step::Test(0), OK), (Step::Commit, OK), (Step::Cleanup, None)])]
    #[case::another_subagent_failed_to_commit(&[(Step::Test(0), OK), (Step::Commit, OK), (Step::Undo, OK)])]
    #[case::commit_without_a_test(&[(Step::Commit, COMMIT_FAILED)])]
    #[case::commit_after_a_failed_test(&[(Step::Test(1), NOT_WRITABLE), (Step::Commit, COMMIT_FAILED)])]
    #[case::commit_twice(&[(Step::Test(0), OK), (Step::Commit, OK), (Step::Commit, COMMIT_FAILED)])]
    #[case::commit_after_cleanup(&[(Step::Test(0), OK), (Step::Cleanup, None), (Step::Commit, COMMIT_FAILED)])]
    #[case::undo_without_a_test(&[(Step::Undo, UNDO_FAILED)])]
    #[case::undo_ends_the_transaction(&[(Step::Test(0), OK), (Step::Undo, OK), (Step::Undo, UNDO_FAILED)])]
    #[case::cleanup_of_nothing(&[(Step::Cleanup, None)])]
    fn the_steps_of_a_set_are_answered_in_order(#[case] steps: &[(Step, Option<(ResponseError, u16)>)]) {
        let mut set = SetTransaction::default();
        for (packet, (step, expected)) in (1..).zip(steps) {
            assert_eq!(take(&mut set, packet, 9, *step), *expected, "packet {packet}: {step:?}");
        }
    }

    #[test]
    fn a_repeated_packet_does_not_act_twice() {
        let mut set = SetTransaction::default();
        assert_eq!(take(&mut set, 1, 9, Step::Test(0)), OK);
        assert_eq!(take(&mut set, 2, 9, Step::Commit), OK);
        assert_eq!(take(&mut set, 2, 9, Step::Commit), OK, "the same answer again, not commitFailed");
        assert_eq!(take(&mut set, 3, 9, Step::Undo), OK);
        assert_eq!(take(&mut set, 3, 9, Step::Undo), OK);
        assert_eq!(take(&mut set, 4, 9, Step::Undo), UNDO_FAILED);
    }

    #[test]
    fn another_transaction_cannot_commit_or_release_this_one() {
        let mut set = SetTransaction::default();
        assert_eq!(take(&mut set, 1, 9, Step::Test(0)), OK);
        assert_eq!(take(&mut set, 2, 8, Step::Commit), COMMIT_FAILED);
        assert_eq!(take(&mut set, 3, 8, Step::Cleanup), None);
        assert_eq!(take(&mut set, 4, 9, Step::Commit), OK);
    }
}
