//! The fuzz oracle: properties of the parser that hold for any input.

use super::{error::ParseError, format::Format, parser::Parser};
use crate::{sample::Samples, source::name_filter::NameFilter};

/// Parses `input` in both formats, whole and in pieces, with and without a filter.
///
/// # Panics
/// Panics if the results differ.
#[doc(hidden)]
pub fn fuzz(input: &[u8]) {
    for format in [Format::Text, Format::OpenMetrics] {
        let all = parse(format, &NameFilter::all(), &[input]);
        for piece in [1, 2, 7] {
            let pieces: Vec<_> = input.chunks(piece).collect();
            assert_eq!(parse(format, &NameFilter::all(), &pieces), all, "in pieces of {piece}");
        }
        let Ok(all) = all else { continue };
        // A filter keeps the same samples as without it, although other samples are skipped.
        let first = all.first().map(|(name, ..)| name.clone());
        let kept = parse(format, &NameFilter::new(first.clone()), &[input]);
        let named: Vec<_> = all.into_iter().filter(|(name, ..)| Some(name) == first.as_ref()).collect();
        assert_eq!(kept, Ok(named), "filtered");
    }
}

type Parsed = (String, Vec<(String, String)>, u64);

fn parse(format: Format, filter: &NameFilter, pieces: &[&[u8]]) -> Result<Vec<Parsed>, ParseError> {
    let mut parser = Parser::new(format, filter, 1000);
    pieces.iter().try_for_each(|piece| parser.feed(piece))?;
    parser.finish().map(|samples| owned_samples(&samples))
}

/// Returns the samples with their values as bits, so that NaN equals itself.
fn owned_samples(samples: &Samples) -> Vec<Parsed> {
    let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let sample = |s: crate::sample::Sample<'_>| {
        (s.name.to_owned(), s.labels.iter().map(owned).collect(), s.value.as_f64().to_bits())
    };
    samples.iter().map(sample).collect()
}
