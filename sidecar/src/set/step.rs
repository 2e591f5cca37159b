//! The steps of a SET that a session hands to the coordinator, and their results.

use std::time::Instant;

use agentx::{Header, ResponseError, VarBind};

/// A step of a SET (RFC 2741 section 7.2.4).
#[derive(Debug, Clone)]
pub(crate) enum SetStep {
    /// Check these varbinds and reserve their objects.
    Test {
        /// The context's name.
        context: Vec<u8>,
        /// The names and the values to write.
        varbinds: Vec<VarBind>,
    },
    /// Write.
    Commit,
    /// Restore the previous values.
    Undo,
    /// Release the objects. It has no response.
    Cleanup,
}

/// A step that a master requests.
#[derive(Debug, Clone)]
pub(crate) struct StepRequest {
    /// The PDU's header, which the response repeats.
    pub(crate) header: Header,
    /// The step.
    pub(crate) step: SetStep,
    /// A result after this moment is too late for the master.
    pub(crate) deadline: Instant,
}

/// The error and index fields of the response to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepResult {
    /// What went wrong.
    pub(crate) error: ResponseError,
    /// The varbind that the error concerns, counted from 1; 0 for none.
    pub(crate) index: u16,
}

impl StepResult {
    /// The step succeeded.
    pub(crate) const OK: Self = Self { error: ResponseError::NoError, index: 0 };

    /// Returns the result of a step that failed for the varbind at `position`, counted from 0.
    pub(crate) fn failed_at(error: ResponseError, position: usize) -> Self {
        Self { error, index: u16::try_from(position + 1).unwrap_or(u16::MAX) }
    }

    /// Returns the result of a step that failed for no particular varbind.
    pub(crate) const fn failed(error: ResponseError) -> Self {
        Self { error, index: 0 }
    }
}
