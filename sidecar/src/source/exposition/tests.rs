//! Tests with valid and invalid pages of both formats.

mod catalogue;
mod limits;
mod properties;

use std::fmt::Write as _;

use super::*;
use crate::{
    sample::{Number, Sample, Samples},
    source::NameFilter,
};

const OPEN_METRICS: Format = Format::OpenMetrics;
const TEXT: Format = Format::Text;

fn parse_with(format: Format, filter: &NameFilter, page: &[u8]) -> Result<Samples, ParseError> {
    let mut parser = Parser::new(format, filter, 1_000_000);
    parser.feed(page)?;
    parser.finish()
}

fn parse(format: Format, page: &[u8]) -> Result<Samples, ParseError> {
    parse_with(format, &NameFilter::all(), page)
}

fn show_all(samples: &Samples) -> Vec<String> {
    samples.iter().map(|sample| show(&sample)).collect()
}

/// Formats a sample in one line. Texts, and names with other characters than letters, digits, `_` and `:`, are quoted
/// with Rust's escapes.
fn show(sample: &Sample<'_>) -> String {
    let quote_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
        if name.chars().all(plain) { name.to_owned() } else { format!("{name:?}") }
    };
    let labels = sample.labels.iter().map(|(name, text)| format!("{}={text:?}", quote_name(name))).collect::<Vec<_>>();
    let mut line = quote_name(sample.name);
    if !labels.is_empty() {
        write!(line, "{{{}}}", labels.join(",")).unwrap();
    }
    match sample.value {
        Number::Signed(v) => write!(line, " {v}").unwrap(),
        Number::Unsigned(v) => {
            assert!(v > i64::MAX as u64);
            write!(line, " {v}").unwrap();
        }
        Number::Float(v) => write!(line, " {v:?}").unwrap(),
    }
    line
}
