//! The formats of a page, and their line limit.

/// The maximum length of a line in bytes, without its line feed.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format 0.0.4, extended by the quoted names of 1.0.0.
    Text,
    /// OpenMetrics 1.0, extended by quoted names.
    OpenMetrics,
}
