//! A parser for the Prometheus text format 0.0.4 and OpenMetrics 1.0, which accepts what Prometheus accepts.
//!
//! A body is parsed while it is received: [`Parser::feed`] accepts pieces of any size, and keeps only an incomplete
//! line. The first malformed line fails the whole page.
//!
//! Only samples with a name in the [`NameFilter`](super::NameFilter) are kept. In a skipped line, only these things
//! are checked: it is UTF-8 and not too long; its name is valid, and is followed by `{` or a blank; without
//! labels, what follows begins like a number; and it ends like a number. A line feed cannot occur inside a quoted text
//! (it is written as `\n`), so a skipped line cannot hide the beginning of another. Metadata is checked on every line:
//! names and types, but not whether families are contiguous.
//!
//! Timestamps and exemplars are checked, but not kept.
//!
//! # Families
//!
//! As in Prometheus, each line is parsed on its own: the metadata of a family does not restrict its samples. So the
//! parser accepts the following, although OpenMetrics forbids it: interleaved families; metadata that appears twice, or
//! after its samples; counters without `_total`, and other names that do not match their type; negative or NaN
//! counters; info and state sets with any value; histograms without `+Inf`, `_count` or `_sum`, or with an `le` that is
//! missing, out of order or not a number; exemplars on any sample, of any length; timestamps that run backwards. The
//! metadata itself must be valid: a type must be one of the format's types, and a unit must be the suffix of the metric
//! name.
//!
//! # Differences from Prometheus
//!
//! * Stricter: labels without a comma between them, a line feed inside a quoted text, NUL outside of quoted texts, help
//!   and comments, a line longer than 1 MiB, and everything that is not UTF-8 are errors.
//! * More lenient: in the text format a timestamp can have a sign, and blanks can surround a type.
//! * If samples have the same name and labels, the first is kept, even if their timestamps differ.
//! * The texts of `le` and `quantile` are kept as written: `1` does not become `1.0`.
//! * Integers of up to 64 bits are exact. `-0` without a decimal point is the integer 0.
//!
//! `catalogue/` has a page for each of these rules, and for every rule of both formats, with the expected result.

mod cursor;
mod distinct;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod metadata;
mod number;
mod parser;
mod sample_line;

#[cfg(test)]
mod tests;

pub use error::{Excerpt, Found, ParseError, Reason};
pub use format::Format;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use fuzz::fuzz;
pub use parser::Parser;
