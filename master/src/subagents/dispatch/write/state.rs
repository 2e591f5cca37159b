//! The state of a SET that is being answered.

use agentx::{Context, ResponseError, VarBind};

use crate::{
    pdu::{Token, varbind_list::VarBindList},
    subagents::{dispatch::packet::Outcome, registry::SessionId},
};

/// The current step of a SET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Test,
    Commit,
    Undo,
}

/// The part of a SET that one session writes.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) session: SessionId,
    pub(super) timeout_s: u8,
    /// The indexes of its varbinds in the request, in ascending order.
    pub(super) varbinds: Vec<usize>,
    /// Whether a TestSet was sent.
    pub(super) is_tested: bool,
    /// Whether a CommitSet was sent.
    pub(super) is_committed: bool,
}

/// A SET.
#[derive(Debug)]
pub(in crate::subagents::dispatch) struct Write {
    pub(super) token: Token,
    pub(super) context: Context,
    pub(super) varbinds: Vec<VarBind>,
    pub(super) encoded: VarBindList,
    pub(super) parts: Vec<Part>,
    pub(super) step: Step,
    /// The number of outstanding packets of this step.
    pub(super) outstanding: usize,
    /// The index of the first varbind that failed, and its error.
    pub(super) failed: Option<(usize, ResponseError)>,
    pub(super) undo_failed: bool,
}

impl Write {
    /// Records that a varbind failed. The error of the first varbind in the request is kept.
    pub(super) fn fail(&mut self, varbind: usize, error: ResponseError) {
        if self.failed.is_none_or(|(first, _)| varbind < first) {
            self.failed = Some((varbind, error));
        }
    }

    /// Records the outcome of this step in one session.
    pub(super) fn record(&mut self, part: usize, outcome: &Outcome<'_, '_>) {
        self.outstanding = self.outstanding.saturating_sub(1);
        let (error, index) = match outcome {
            Outcome::Response(response) => (response.error, response.index),
            Outcome::Malformed | Outcome::TimedOut | Outcome::SessionEnded => (ResponseError::GenErr, 0),
        };
        if error == ResponseError::NoError {
            return;
        }
        let varbinds = self.parts.get(part).map(|part| part.varbinds.as_slice()).unwrap_or_default();
        let named = usize::from(index).checked_sub(1).and_then(|index| varbinds.get(index));
        let varbind = named.or(varbinds.first()).copied().unwrap_or_default();
        match self.step {
            Step::Test => self.fail(varbind, snmp_error(error)),
            Step::Commit => self.fail(varbind, ResponseError::CommitFailed),
            Step::Undo => self.undo_failed = true,
        }
    }
}

/// Maps an error to those that RFC 3416 section 4.2.5 allows. Errors of SNMPv1 and of AgentX become genErr.
fn snmp_error(error: ResponseError) -> ResponseError {
    match error.code() {
        6..=18 | 1 => error,
        _ => ResponseError::GenErr,
    }
}
