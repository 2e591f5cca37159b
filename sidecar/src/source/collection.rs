//! The result of one collection.

use crate::sample::Samples;

/// The samples of one collection.
#[derive(Debug, Default)]
pub(super) struct Collection {
    pub(super) samples: Samples,
    /// The number of samples that were dropped because an earlier one has the same name and labels.
    pub(super) duplicates: u64,
}
