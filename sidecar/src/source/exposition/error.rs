//! Errors of the parser, with their position.

use std::fmt;

use super::format::MAX_LINE;

/// A page does not follow its format, or exceeds a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ParseError {
    /// The number of the line, from 1.
    pub line: u64,
    /// The position in the line in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The line is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The line is longer than `MAX_LINE`.
    #[error("the line is longer than {} bytes", MAX_LINE)]
    LineTooLong,
    /// The line does not follow the grammar.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What the grammar requires.
        expected: &'static str,
        /// What the line has.
        found: Found,
    },
    /// The closing quote of a text is not on its line.
    #[error("the quoted text does not end on its line")]
    Unclosed,
    /// The metric name is missing both before and inside the braces.
    #[error("the sample has no metric name")]
    NoName,
    /// A quoted metric name in a sample that already has one, or in an exemplar.
    #[error("unexpected metric name")]
    UnexpectedName,
    /// A quoted name is empty.
    #[error("the name is empty")]
    EmptyName,
    /// A label appears twice in a sample. `__name__` is the label of the metric name.
    #[error("the label {0} appears twice")]
    DuplicateLabel(Excerpt),
    /// A value is not a number.
    #[error("{0} is not a number")]
    Number(Excerpt),
    /// A number is out of the range of a double.
    #[error("{0} is out of the range of a double")]
    Range(Excerpt),
    /// A timestamp is invalid.
    #[error("{0} is not a timestamp")]
    Timestamp(Excerpt),
    /// A metric type does not exist in the format.
    #[error("{0} is not a metric type")]
    Type(Excerpt),
    /// The metric name does not end with `_` and the unit.
    #[error("the metric name does not end with the unit {0}")]
    Unit(Excerpt),
    /// OpenMetrics does not end with `# EOF`.
    #[error("the body is truncated: # EOF is missing")]
    NoEof,
    /// There is content after `# EOF`.
    #[error("there is content after # EOF")]
    AfterEof,
    /// The page has too many samples.
    #[error("more than {limit} samples")]
    TooManySamples {
        /// The maximum number of samples.
        limit: u64,
    },
    /// The samples exceed the capacity of [`Samples`](crate::sample::Samples).
    #[error(transparent)]
    TooLarge(#[from] crate::sample::CapacityError),
}

/// A character of a page, or `None` for the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found(pub Option<char>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(found) => write!(f, "{found:?}"),
            None => f.write_str("the end of the line"),
        }
    }
}

/// The beginning of a part of a page, quoted, escaped and truncated for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const MAX_CHARS: usize = 40;

    pub(super) fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let mut shown: String = chars.by_ref().take(Self::MAX_CHARS).collect();
        if chars.next().is_some() {
            shown.push('…');
        }
        Self(format!("{shown:?}"))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
