//! SETs in a session without writable objects (RFC 2741 section 7.2.4).
//!
//! A test of any varbind fails. The order of the steps, repeated PDUs and the end of a transaction are handled as the
//! RFC requires. SETs of writable objects are [forwarded](super::forward).

use agentx::{Header, ResponseError};

use crate::set::StepResult;

/// A step of a SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadOnlyStep {
    /// Check this many varbinds.
    Test(usize),
    /// Write.
    Commit,
    /// Restore the previous values.
    Undo,
    /// End the transaction. It has no response.
    Cleanup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Tested,
    Committed,
}

/// The current SET of a session. A master has one at a time.
#[derive(Debug, Default)]
pub(super) struct ReadOnlyTransaction {
    /// The transactionID and the phase.
    current: Option<(u32, Phase)>,
    /// The last step that was answered. A master that repeats the PDU gets the same response.
    last: Option<(Header, ReadOnlyStep, StepResult)>,
}

impl ReadOnlyTransaction {
    /// Handles a step. Returns `None` if it has no response.
    pub(super) fn handle(&mut self, header: Header, step: ReadOnlyStep) -> Option<StepResult> {
        if step == ReadOnlyStep::Cleanup {
            if self.is_current(header) {
                self.current = None;
            }
            self.last = None;
            return None;
        }
        if let Some((last_header, last_step, result)) = self.last
            && (last_header, last_step) == (header, step)
        {
            return Some(result);
        }
        let result = match step {
            ReadOnlyStep::Test(varbinds) => self.test(header, varbinds),
            ReadOnlyStep::Commit => self.commit(header),
            ReadOnlyStep::Undo | ReadOnlyStep::Cleanup => self.undo(header),
        };
        self.last = Some((header, step, result));
        Some(result)
    }

    fn is_current(&self, header: Header) -> bool {
        self.current.is_some_and(|(transaction, _)| transaction == header.transaction_id)
    }

    /// Refuses any varbind with notWritable, because no variable can be created or modified. RFC 3416 section 4.2.5 (2)
    /// requires this error before noCreation and the others are considered.
    fn test(&mut self, header: Header, varbinds: usize) -> StepResult {
        if varbinds > 0 {
            self.current = None;
            return StepResult::failed_at(ResponseError::NotWritable, 0);
        }
        self.current = Some((header.transaction_id, Phase::Tested));
        StepResult::OK
    }

    fn commit(&mut self, header: Header) -> StepResult {
        if self.current != Some((header.transaction_id, Phase::Tested)) {
            return StepResult::failed(ResponseError::CommitFailed);
        }
        self.current = Some((header.transaction_id, Phase::Committed));
        StepResult::OK
    }

    /// Undoes the transaction, which also ends it (RFC 2741 section 7.2.4.3).
    fn undo(&mut self, header: Header) -> StepResult {
        if !self.is_current(header) {
            return StepResult::failed(ResponseError::UndoFailed);
        }
        self.current = None;
        StepResult::OK
    }
}

#[cfg(test)]
mod tests {
    use agentx::ByteOrder;
    use rstest::rstest;

    use super::*;

    /// Handles a step in a new packet.
    fn handle(
        set: &mut ReadOnlyTransaction,
        packet_id: u32,
        transaction_id: u32,
        step: ReadOnlyStep,
    ) -> Option<(ResponseError, u16)> {
        let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id, packet_id };
        set.handle(header, step).map(|result| (result.error, result.index))
    }

    const OK: Option<(ResponseError, u16)> = Some((ResponseError::NoError, 0));
    const NOT_WRITABLE: Option<(ResponseError, u16)> = Some((ResponseError::NotWritable, 1));
    const COMMIT_FAILED: Option<(ResponseError, u16)> = Some((ResponseError::CommitFailed, 0));
    const UNDO_FAILED: Option<(ResponseError, u16)> = Some((ResponseError::UndoFailed, 0));

    #[rstest]
    #[case::read_only_object(&[(ReadOnlyStep::Test(1), NOT_WRITABLE), (ReadOnlyStep::Cleanup, None)])]
    #[case::several_read_only_objects(&[(ReadOnlyStep::Test(3), NOT_WRITABLE), (ReadOnlyStep::Cleanup, None)])]
    #[case::no_varbinds(&[(ReadOnlyStep::Test(0), OK), (ReadOnlyStep::Commit, OK), (ReadOnlyStep::Cleanup, None)])]
    #[case::another_subagent_failed_to_commit(&[(ReadOnlyStep::Test(0), OK), (ReadOnlyStep::Commit, OK), (ReadOnlyStep::Undo, OK)])]
    #[case::commit_without_a_test(&[(ReadOnlyStep::Commit, COMMIT_FAILED)])]
    #[case::commit_after_a_failed_test(&[(ReadOnlyStep::Test(1), NOT_WRITABLE), (ReadOnlyStep::Commit, COMMIT_FAILED)])]
    #[case::commit_twice(&[(ReadOnlyStep::Test(0), OK), (ReadOnlyStep::Commit, OK), (ReadOnlyStep::Commit, COMMIT_FAILED)])]
    #[case::commit_after_cleanup(&[(ReadOnlyStep::Test(0), OK), (ReadOnlyStep::Cleanup, None), (ReadOnlyStep::Commit, COMMIT_FAILED)])]
    #[case::undo_without_a_test(&[(ReadOnlyStep::Undo, UNDO_FAILED)])]
    #[case::undo_ends_the_transaction(&[(ReadOnlyStep::Test(0), OK), (ReadOnlyStep::Undo, OK), (ReadOnlyStep::Undo, UNDO_FAILED)])]
    #[case::cleanup_without_a_test(&[(ReadOnlyStep::Cleanup, None)])]
    fn steps_are_answered_in_order(#[case] steps: &[(ReadOnlyStep, Option<(ResponseError, u16)>)]) {
        let mut set = ReadOnlyTransaction::default();
        for (packet, (step, expected)) in (1..).zip(steps) {
            assert_eq!(handle(&mut set, packet, 9, *step), *expected, "packet {packet}: {step:?}");
        }
    }

    #[test]
    fn repeated_packet_gets_the_same_response() {
        let mut set = ReadOnlyTransaction::default();
        assert_eq!(handle(&mut set, 1, 9, ReadOnlyStep::Test(0)), OK);
        assert_eq!(handle(&mut set, 2, 9, ReadOnlyStep::Commit), OK);
        assert_eq!(handle(&mut set, 2, 9, ReadOnlyStep::Commit), OK, "not commitFailed");
        assert_eq!(handle(&mut set, 3, 9, ReadOnlyStep::Undo), OK);
        assert_eq!(handle(&mut set, 3, 9, ReadOnlyStep::Undo), OK);
        assert_eq!(handle(&mut set, 4, 9, ReadOnlyStep::Undo), UNDO_FAILED);
    }

    #[test]
    fn another_transaction_cannot_commit_or_end_this_one() {
        let mut set = ReadOnlyTransaction::default();
        assert_eq!(handle(&mut set, 1, 9, ReadOnlyStep::Test(0)), OK);
        assert_eq!(handle(&mut set, 2, 8, ReadOnlyStep::Commit), COMMIT_FAILED);
        assert_eq!(handle(&mut set, 3, 8, ReadOnlyStep::Cleanup), None);
        assert_eq!(handle(&mut set, 4, 9, ReadOnlyStep::Commit), OK);
    }
}
