//! Stretches of names that are served alike.

use agentx::SubId;

use super::{Owner, Serving};

/// All names from `start` and before `end`, and who serves them, if anyone does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub(super) start: &'a [SubId],
    /// Empty: there is no end.
    pub(super) end: &'a [SubId],
    pub(super) by: Option<By>,
}

/// Who serves, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct By {
    pub(super) owner: Owner,
    pub(super) timeout_s: u8,
    pub(super) row: bool,
}

impl<'a> Stretch<'a> {
    /// All names, served by nobody.
    pub(super) const ALL: Self = Self { start: &[], end: &[], by: None };

    /// The part of it that lies at or after `start`.
    pub(super) fn not_before(self, start: &'a [SubId]) -> Self {
        Self { start: self.start.max(start), ..self }
    }

    /// The part of it that lies before `name`, which is not empty.
    pub(super) fn before(self, name: &'a [SubId]) -> Self {
        Self { end: if is_before(name, self.end) { name } else { self.end }, ..self }
    }

    pub(super) fn served(self) -> Option<Serving<'a>> {
        let By { owner, timeout_s, row } = self.by?;
        Some(Serving { owner, timeout_s, start: self.start, end: self.end, row })
    }
}

/// Whether a name lies before an end, which there is not if it is empty.
pub(super) fn is_before(name: &[SubId], end: &[SubId]) -> bool {
    end.is_empty() || name < end
}
