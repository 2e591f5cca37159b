//! What is wrong with a page, and where.

use std::fmt;

/// A page that does not follow its format, or goes beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: u64,
    /// The byte in the line, from 1.
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
    /// The line is longer than [`MAX_LINE`](super::MAX_LINE).
    #[error("the line is longer than {} bytes", super::MAX_LINE)]
    LineTooLong,
    /// Something else than the grammar asks for.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What the grammar asks for.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
    /// A quoted text whose closing quote is not on its line.
    #[error("the quoted text does not end on its line")]
    Unclosed,
    /// Braces without a quoted metric name in them and none before them.
    #[error("the sample has no metric name")]
    NoName,
    /// A quoted name where the sample has one already, or an exemplar, which has none.
    #[error("one metric name too many")]
    SecondName,
    /// A quoted name of no characters.
    #[error("the name is empty")]
    EmptyName,
    /// A label that the sample has already. `__name__` stands for the metric's name.
    #[error("the label {0} is there twice")]
    DuplicateLabel(Excerpt),
    /// A value that is not a number.
    #[error("{0} is not a number")]
    Number(Excerpt),
    /// A number that no double can hold.
    #[error("{0} is beyond the range of a double")]
    Range(Excerpt),
    /// A timestamp that is not one.
    #[error("{0} is not a timestamp")]
    Timestamp(Excerpt),
    /// A metric type that the format does not know.
    #[error("{0} is not a metric type")]
    Type(Excerpt),
    /// A unit that the metric's name does not end with, behind a `_`.
    #[error("the metric's name does not end with the unit {0}")]
    Unit(Excerpt),
    /// OpenMetrics that does not end with `# EOF`.
    #[error("the body ends without # EOF: it was cut off")]
    NoEof,
    /// Something behind `# EOF`.
    #[error("there is more behind # EOF")]
    AfterEof,
    /// More samples than are accepted from one page.
    #[error("more than {limit} samples")]
    TooManySamples {
        /// The most that are accepted.
        limit: u64,
    },
    /// More text than [`Samples`](crate::sample::Samples) can hold.
    #[error(transparent)]
    TooLarge(#[from] crate::sample::TooLarge),
}

/// A character of a page, or the end of its line.
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

/// The beginning of a piece of a page, fit to be shown: quoted, escaped, and not long.
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
