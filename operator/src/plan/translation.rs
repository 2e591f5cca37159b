//! The translation of one API object, field by field.

use crds::{Duration, Size};

use super::{
    credential::Credentials,
    refusal::{FieldRefusal, Reason},
};

/// What a translation produces besides the document. Modules of this folder add methods for the fields they translate.
#[derive(Default)]
pub(super) struct Translation {
    /// The files that must exist beside the document.
    pub(super) credentials: Credentials,
    /// The refused fields.
    pub(super) refusals: Vec<FieldRefusal>,
}

impl Translation {
    /// Returns the duration in milliseconds. Refuses a text that is not a duration, and returns 1 instead.
    pub(super) fn millis(&mut self, path: &str, duration: &Duration) -> u64 {
        duration.millis().unwrap_or_else(|| {
            let message = format!("{:?} is not a duration such as 15s or 1m30s", duration.0);
            self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
            1
        })
    }

    /// Returns the size in bytes. Refuses a text that is not a size, and returns 1 instead.
    pub(super) fn bytes(&mut self, path: &str, size: &Size) -> u64 {
        size.bytes().unwrap_or_else(|| {
            let message = format!("{:?} is not a size such as 16Mi", size.0);
            self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
            1
        })
    }
}
