//! Intervals of names with the same server.

use agentx::SubId;

use super::{Owner, Serving};

/// All names from `start` to before `end`, and their server, if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub(super) start: &'a [SubId],
    /// Empty if there is no end.
    pub(super) end: &'a [SubId],
    pub(super) server: Option<Server>,
}

/// The server of names, with its timeout and its kind of registration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) owner: Owner,
    pub(super) timeout_s: u8,
    pub(super) row: bool,
}

impl<'a> Stretch<'a> {
    /// All names, without a server.
    pub(super) const ALL: Self = Self { start: &[], end: &[], server: None };

    /// Returns the part at or after `start`.
    pub(super) fn not_before(self, start: &'a [SubId]) -> Self {
        Self { start: self.start.max(start), ..self }
    }

    /// Returns the part before `name`, which must not be empty.
    pub(super) fn before(self, name: &'a [SubId]) -> Self {
        Self { end: if is_before(name, self.end) { name } else { self.end }, ..self }
    }

    pub(super) fn served(self) -> Option<Serving<'a>> {
        let Server { owner, timeout_s, row } = self.server?;
        Some(Serving { owner, timeout_s, start: self.start, end: self.end, row })
    }
}

/// Returns whether a name lies before `end`. An empty `end` means that there is no end.
pub(super) fn is_before(name: &[SubId], end: &[SubId]) -> bool {
    end.is_empty() || name < end
}
