//! What must hold of any page: for the fuzz target, and for the test that replays its corpus.

use super::{Format, ParseError, Parser};
use crate::{sample::Samples, source::NameFilter};

/// Reads `input` as a page of either format, whole and in pieces, with and without a filter.
///
/// # Panics
/// If the results differ where they must not.
#[doc(hidden)]
pub fn fuzz(input: &[u8]) {
    for format in [Format::Text, Format::OpenMetrics] {
        let all = parse(format, &NameFilter::all(), &[input]);
        for piece in [1, 2, 7] {
            let pieces: Vec<_> = input.chunks(piece).collect();
            assert_eq!(parse(format, &NameFilter::all(), &pieces), all, "in pieces of {piece}");
        }
        let Ok(all) = all else { continue };
        // What a filter keeps is what is kept without it, also where the rest is passed over.
        let first = all.first().map(|(name, ..)| name.clone());
        let kept = parse(format, &NameFilter::new(first.clone()), &[input]);
        let named: Vec<_> = all.into_iter().filter(|(name, ..)| Some(name) == first.as_ref()).collect();
        assert_eq!(kept, Ok(named), "filtered");
    }
}

type Read = (String, Vec<(String, String)>, u64);

fn parse(format: Format, filter: &NameFilter, pieces: &[&[u8]]) -> Result<Vec<Read>, ParseError> {
    let mut parser = Parser::new(format, filter, 1000);
    pieces.iter().try_for_each(|piece| parser.feed(piece))?;
    parser.finish().map(|samples| read(&samples))
}

/// The samples, with their values as bits: NaN is itself here.
fn read(samples: &Samples) -> Vec<Read> {
    let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let read = |s: crate::sample::Sample<'_>| {
        (s.name.to_owned(), s.labels.iter().map(owned).collect(), s.value.as_f64().to_bits())
    };
    samples.iter().map(read).collect()
}
